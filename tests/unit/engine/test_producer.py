"""The open block: what is executed, closed, and taken back without a trace."""

from sequencer.chain.exchange_contract import SignedOrder
from sequencer.engine.sealer import Extras
from sequencer.model.commands import SetMode
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.starknet.felt_hash import verify
from sequencer.starknet.transactions import InvokeV3
from tests.strategies import refused
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import OPENED_MS, Rig, reports, rows_of

TICK_MS = OPENED_MS + 1_000


async def test_dropping_takes_back_everything_nonces_too() -> None:
    rig = Rig()
    producer, before = rig.producer, rows_of(rig.state)
    transfer = rig.transfer()
    producer.tick(TICK_MS, reports(61_000))
    producer.carry([rig.bid(1)], frozenset())
    producer.apply(transfer, rig.hash_of(transfer))
    producer.operate(SetMode(Mode.CANCEL_ONLY))
    assert producer.transactions == 4
    assert rows_of(rig.state) != before
    producer.drop()
    assert rows_of(rig.state) == before
    assert producer.transactions == 0
    assert producer.number == 5
    # Nothing of it is in the next block either.
    producer.tick(TICK_MS, ())
    closed = producer.close()
    assert len(closed.transactions) == 1
    nonce = rig.state.contracts[address_of("op")].nonce
    assert isinstance(closed.transactions[0], InvokeV3)
    assert closed.transactions[0].terms.nonce == nonce - 1


async def test_a_block_is_closed_once_and_the_next_begins_empty() -> None:
    rig = Rig()
    producer = rig.producer
    producer.tick(TICK_MS, ())
    first = producer.close()
    assert (first.number, producer.number, producer.transactions) == (5, 6, 0)
    producer.tick(TICK_MS + 1, ())
    second = producer.close()
    assert (second.number, second.time_ms) == (6, TICK_MS + 1)
    for closed in (first, second):
        rig.sealer.seal(closed, Extras())
    assert rig.store.head.height == 6


async def test_what_may_not_enter_leaves_no_trace() -> None:
    rig = Rig()
    before = rows_of(rig.state)
    transfer = rig.transfer(nonce=3)
    with refused(Reason.NONCE_INVALID):
        rig.producer.apply(transfer, rig.hash_of(transfer))
    assert rows_of(rig.state) == before
    assert rig.producer.transactions == 0


async def test_a_tick_that_is_refused_says_so_and_moves_no_time() -> None:
    rig = Rig()
    receipt = rig.producer.tick(OPENED_MS, ())
    assert str(receipt.revert_reason).startswith("TIME_NOT_INCREASING")
    assert rig.state.system.time_ms == OPENED_MS


async def test_the_operators_transactions_are_really_signed() -> None:
    rig = Rig()
    rig.producer.tick(TICK_MS, ())
    rig.producer.carry([rig.bid(1)], frozenset())
    key = rig.state.contracts[address_of("op")].public_key
    for transaction in rig.producer.close().transactions:
        assert isinstance(transaction, InvokeV3)
        assert verify(key, rig.hash_of(transaction), *transaction.signature)


async def test_a_signature_that_admission_has_not_seen_is_checked_here() -> None:
    rig = Rig()
    rig.producer.tick(TICK_MS, ())
    good, other = rig.bid(1), rig.bid(2)
    forged = SignedOrder(other.order, other.signer, 0, 5, 6)
    rig.producer.carry([good], frozenset())
    rig.producer.carry([forged], frozenset())
    assert len(rig.state.orders) == 1
    # A verdict counts for exactly what it was given for.
    key, hash_ = rig.state.contracts[forged.signer].public_key, rig.item(other).hash
    rig.producer.carry([forged], frozenset({(key, hash_ + 1, 5, 6)}))
    assert len(rig.state.orders) == 1
    rig.producer.carry([forged], frozenset({(key, hash_, 5, 6)}))
    assert len(rig.state.orders) == 2
