"""Ethereum keys over the RPC: a forged one is refused when it is sent, a good one can be read."""

from pathlib import Path

import pytest

from sequencer.chain.calls import command_call
from tests.unit.api.starknet_rpc.executing import ALICE, World, sent, view_call, world
from tests.unit.chain.ethereum import ethereum_address, registration

pytestmark = pytest.mark.usefixtures("process")

INVOKE = "addInvokeTransaction"
HERS = ethereum_address("alice")


async def bound(at: World) -> list[str]:
    call = view_call("get_ethereum_account", [HERS])
    told: list[str] = await at.call("call", call, "latest")
    return told


async def test_a_forged_registration_is_refused_when_it_is_sent(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        forged = at.invoke("alice", 0, command_call(registration("alice", signer="bob")))
        told = await at.refused(INVOKE, sent(forged))
        assert told.code == 63
        assert str(told.data).startswith("ETHEREUM_SIGNATURE_INVALID: ")
        estimated = await at.refused("estimateFee", [sent(forged)], [], "latest")
        assert "ETHEREUM_SIGNATURE_INVALID" in str(estimated.data)
        assert await bound(at) == ["0x0"]


async def test_a_registration_is_read_when_its_block_is_there(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        good = at.invoke("alice", 0, command_call(registration("alice")))
        told = await at.call(INVOKE, sent(good))
        await at.in_block(told["transaction_hash"])
        assert await bound(at) == [hex(ALICE)]
        assert await at.call("call", view_call("get_ethereum_address", [ALICE]), "latest") == [
            hex(HERS)
        ]
