"""What a view of the contract may answer, and what is no answer."""

import pytest

from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.connection import reader_of
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.felt import FELT_PRIME
from tests.unit.settlement.broken_node import BrokenNode


@pytest.mark.parametrize(
    "felt", [-1, FELT_PRIME, 2**255, 2**256, 2**4_000], ids=lambda it: hex(it)[:9]
)
@pytest.mark.parametrize("place", [0, 1])
async def test_what_is_no_felt_is_no_answer(node: BrokenNode, felt: int, place: int) -> None:
    told = [hex(felt) if each == place else "0x0" for each in range(6)]
    node.on("starknet_call", lambda _: told)
    settlement = StarknetSettlement(reader_of(node.url), 2)
    for ask in (settlement.money(), settlement.deposits(0, 5), settlement.newest_post(5)):
        with pytest.raises(SettlementError) as caught:
            await ask
        assert caught.value.problem is SettlementProblem.UNREACHABLE
    await settlement.close()


async def test_the_largest_felt_is_one(node: BrokenNode) -> None:
    node.on("starknet_call", lambda _: [hex(FELT_PRIME - 1)] * 6)
    settlement = StarknetSettlement(reader_of(node.url), 2)
    assert (await settlement.money()).chain_hash == FELT_PRIME - 1
    await settlement.close()
