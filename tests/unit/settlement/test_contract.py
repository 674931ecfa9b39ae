"""What a view of the contract may answer, and what is no answer."""

import pytest

from sequencer.model.secret import Secret
from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.connection import StarknetAccess
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.felt import FELT_PRIME
from tests.unit.settlement.broken_node import BrokenNode, serving


@pytest.mark.parametrize(
    "felt", [-1, FELT_PRIME, 2**255, 2**256, 2**4_000], ids=lambda it: hex(it)[:9]
)
@pytest.mark.parametrize("place", [0, 1])
async def test_what_is_no_felt_is_no_answer(felt: int, place: int) -> None:
    node = BrokenNode()
    told = [hex(felt) if each == place else "0x0" for each in range(6)]
    node.on("starknet_call", lambda _: told)
    async with serving(node):
        settlement = StarknetSettlement(StarknetAccess(node.url, 1, Secret(1)), 2)
        for ask in (settlement.money(), settlement.deposits(0, 5), settlement.newest_post(5)):
            with pytest.raises(SettlementError) as caught:
                await ask
            assert caught.value.problem is SettlementProblem.UNREACHABLE
        await settlement.close()


async def test_the_largest_felt_is_one() -> None:
    node = BrokenNode()
    node.on("starknet_call", lambda _: [hex(FELT_PRIME - 1)] * 6)
    async with serving(node):
        settlement = StarknetSettlement(StarknetAccess(node.url, 1, Secret(1)), 2)
        assert (await settlement.money()).chain_hash == FELT_PRIME - 1
        await settlement.close()
