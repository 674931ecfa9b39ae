"""Calls of an appchain's account: what a rollback undid is signed anew, and whose account it is."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sequencer.model.bridge_limits import ORPHANED_TIPS_MAX
from sequencer.model.refusals import Reason
from sequencer.model.secret import Secret
from sequencer.settlement.account_calls import AccountCalls, Called
from sequencer.settlement.connection import StarknetAccess
from tests.strategies import refused
from tests.unit.settlement.broken_node import ADD, NONCE, PATIENT, BrokenNode, RpcError


class Undone:
    """A node on which rollbacks undid a call with every tip below `first`."""

    def __init__(self, node: BrokenNode) -> None:
        self.node, self.first = node, 0
        self.tips: list[int] = []
        node.on(ADD, self._add)

    def _add(self, asked: Any) -> dict[str, str]:  # noqa: ANN401
        self.tips.append(int(asked["invoke_transaction"]["tip"], 16))
        if self.tips[-1] < self.first:
            raise RpcError(59, "the same hash. Data: ORPHANED_COMMAND: undone by reorg 1")
        return {"transaction_hash": "0xabc"}


@pytest.fixture
def undone(node: BrokenNode) -> Undone:
    return Undone(node)


@pytest.fixture
async def calls(undone: Undone) -> AsyncIterator[AccountCalls]:
    access = StarknetAccess(undone.node.url, 0xAC, Secret(0x5EC2E7))
    made = AccountCalls(access, PATIENT)
    yield made
    await made.close()


@pytest.mark.parametrize("first", [0, 1, ORPHANED_TIPS_MAX])
async def test_what_rollbacks_undid_is_signed_anew(
    undone: Undone, calls: AccountCalls, first: int
) -> None:
    undone.first = first
    assert await calls.call(0xE0, 0x1, [2]) == Called(1, 0xABC)
    assert undone.tips == [*range(first + 1)]


async def test_tips_have_an_end(undone: Undone, calls: AccountCalls) -> None:
    undone.first = ORPHANED_TIPS_MAX + 1
    with refused(Reason.ORPHANED_COMMAND):
        await calls.call(0xE0, 0x1, [2])
    assert undone.tips == [*range(ORPHANED_TIPS_MAX + 1)]


async def test_an_account_that_is_none_is_named(undone: Undone, calls: AccountCalls) -> None:
    undone.node.fail(NONCE, RpcError(20, "Contract not found"))
    with refused(Reason.ACCOUNT_UNKNOWN):
        await calls.call(0xE0, 0x1, [2])
    assert undone.tips == []
