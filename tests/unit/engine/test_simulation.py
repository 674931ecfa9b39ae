"""Trying transactions out: for real, and without a trace."""

import msgspec
import pytest

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.engine.simulation import SimulatedTransaction, SimulationFailed, simulate
from sequencer.model.api_limits import SIMULATION_MS_MAX, SIMULATION_TRANSACTIONS_MAX
from sequencer.model.refusals import Reason
from sequencer.starknet.transactions import transaction_hash
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import Rig, rows_of
from tests.unit.engine.test_admission import signed_deployment


def still() -> int:
    return 0


def tried(rig: Rig, *nonces: int) -> list[SimulatedTransaction]:
    return [SimulatedTransaction(rig.transfer(nonce)) for nonce in nonces]


def test_transactions_see_one_another_and_leave_nothing() -> None:
    rig = Rig()
    before = rows_of(rig.state)
    simulated = simulate(rig.state, tried(rig, 0, 1), still)
    assert rows_of(rig.state) == before
    first, second = simulated.traced
    assert first.receipt.revert_reason is second.receipt.revert_reason is None
    (call,) = first.calls
    assert (call.contract, call.caller) == (EXCHANGE_ADDRESS, address_of("alice"))
    assert call.events == tuple(first.receipt.events)
    assert first.diff.nonces == {address_of("alice"): 1}
    assert simulated.reads.nonces == {address_of("alice"): 0}
    slots = simulated.reads.storage[EXCHANGE_ADDRESS]
    assert slots.keys() == first.diff.storage[EXCHANGE_ADDRESS].keys()


def test_a_reverted_one_is_an_answer_and_one_that_may_not_enter_is_an_error() -> None:
    rig = Rig()
    reverted = SimulatedTransaction(rig.transfer(0, 10**29))
    (traced,) = simulate(rig.state, [reverted], still).traced
    assert (traced.receipt.revert_reason or "").startswith("CASH_INSUFFICIENT")
    assert not traced.diff.storage
    with pytest.raises(SimulationFailed) as failed:
        simulate(rig.state, tried(rig, 3, 1), still)
    assert (failed.value.index, failed.value.reason) == (1, Reason.NONCE_INVALID)
    assert rig.state.contracts[address_of("alice")].nonce == 0


def test_a_nonce_may_be_ahead_of_the_account() -> None:
    rig = Rig()
    simulated = simulate(rig.state, tried(rig, 4, 9), still)
    assert [each.receipt.revert_reason for each in simulated.traced] == [None, None]
    assert simulated.traced[1].diff.nonces == {address_of("alice"): 10}


def test_signatures_count_unless_they_are_told_not_to() -> None:
    rig = Rig()
    forged = msgspec.structs.replace(rig.transfer(), signature=(1, 2))
    with pytest.raises(SimulationFailed) as failed:
        simulate(rig.state, [SimulatedTransaction(forged)], still)
    assert failed.value.reason is Reason.SIGNATURE_INVALID
    (traced,) = simulate(rig.state, [SimulatedTransaction(forged)], still, validates=False).traced
    assert traced.receipt.revert_reason is None


def test_a_query_is_signed_over_another_hash() -> None:
    rig = Rig()
    bare = msgspec.structs.replace(rig.transfer(), signature=(1, 2))
    query = SimulatedTransaction(bare, is_query=True)
    (traced,) = simulate(rig.state, [query], still, validates=False).traced
    chain_id = rig.state.system.chain_id
    assert traced.receipt.transaction_hash == transaction_hash(bare, chain_id, query=True)
    assert traced.receipt.transaction_hash != transaction_hash(bare, chain_id)


def test_a_deployment_reads_a_contract_that_was_not_there() -> None:
    rig = Rig()
    deployment = signed_deployment(rig)
    simulated = simulate(rig.state, [SimulatedTransaction(deployment)], still)
    address = deployment.address()
    assert simulated.traced[0].diff.classes == {address: deployment.class_hash}
    assert simulated.reads.classes[address] == 0
    assert address not in rig.state.contracts


def test_too_many_and_too_slow_are_refused() -> None:
    rig = Rig()
    many = tried(rig, 0) * (SIMULATION_TRANSACTIONS_MAX + 1)
    with pytest.raises(SimulationFailed) as failed:
        simulate(rig.state, many, still)
    assert failed.value.reason is Reason.BUSY
    # The clock is looked at ahead of each transaction, and behind each call.
    for looks, index in ((2, 0), (3, 1)):
        ticking = iter((*[0] * looks, SIMULATION_MS_MAX + 1))
        with pytest.raises(SimulationFailed) as failed:
            simulate(rig.state, tried(rig, 0, 1), ticking.__next__)
        assert (failed.value.index, failed.value.reason) == (index, Reason.BUSY)
    assert rig.state.contracts[address_of("alice")].nonce == 0
