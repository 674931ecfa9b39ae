"""The block that is being filled: order, batches, and what becomes of each item."""

from collections.abc import Sequence

import pytest

from sequencer.chain.calls import batch_calldata, command_call, write_calls
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder
from sequencer.engine import filling as filling_module
from sequencer.engine.filling import Filling
from sequencer.engine.items import Applied, Item
from sequencer.engine.sealer import Extras
from sequencer.model.commands import Deposit, SetGuard, SetMode
from sequencer.model.limits import BATCH_COMMANDS_MAX
from sequencer.model.orders import Side
from sequencer.model.records import SeenMark
from sequencer.model.refusals import Reason
from sequencer.model.rows import Guard, Mode
from sequencer.starknet.transactions import InvokeV3
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import OPENED_MS, UNTIL_MS, Rig, answer, rows_of

TICK_MS = OPENED_MS + 1_000


def opened() -> tuple[Rig, Filling]:
    rig = Rig()
    rig.producer.tick(TICK_MS, ())
    return rig, Filling(rig.producer)


def transactions(rig: Rig) -> Sequence[InvokeV3]:
    closed = rig.producer.close()
    return [each for each in closed.transactions if isinstance(each, InvokeV3)]


def codes(filling: Filling) -> list[str]:
    return [outcome.refusal for outcome in filling.outcomes]


async def test_what_was_signed_shares_a_transaction_until_another_one_comes_between() -> None:
    rig, filling = opened()
    one, two, three = (rig.bid(number) for number in range(3))
    transfer = rig.transfer()
    filling.execute([rig.item(each) for each in (one, two, transfer, three)])
    made = transactions(rig)
    carried = [batch_calldata([one, two]), transfer.calldata, batch_calldata([three])]
    assert [each.calldata for each in made[1:]] == carried
    assert [outcome.receipt.transaction_hash for outcome in filling.outcomes] == [
        rig.hash_of(made[1]),
        rig.hash_of(made[1]),
        rig.hash_of(made[2]),
        rig.hash_of(made[3]),
    ]
    assert codes(filling) == [""] * 4


async def test_each_refusal_in_a_batch_finds_its_own_item() -> None:
    rig, filling = opened()
    resting = rig.item(rig.bid(1))
    sent: list[SignedOrder | SignedCancel] = [
        rig.bid(2),
        rig.order("alice", Side.BUY, client_id=3, size=1),
        rig.cancel("bob", resting.hash),
        rig.cancel("alice", resting.hash),
        rig.cancel("alice", 0x77),
        rig.bid(4),
        rig.order("bob", Side.SELL, client_id=5, market="ETH-USD-PERP"),
    ]
    filling.execute([resting])
    filling.execute([rig.item(each) for each in sent])
    assert codes(filling) == [
        "",
        "",
        "ORDER_SIZE_INVALID",
        "ORDER_UNKNOWN",
        "",
        "ORDER_UNKNOWN",
        "",
        "MARKET_UNKNOWN",
    ]
    assert len(transactions(rig)) == 3


async def test_two_cancels_that_events_cannot_tell_apart_are_told_apart() -> None:
    rig, filling = opened()
    resting = rig.item(rig.bid(1))
    right = rig.cancel("alice", resting.hash)
    wrong = rig.cancel("alice", resting.hash, account=address_of("bob"))
    filling.execute([resting, rig.item(right), rig.item(wrong), rig.item(rig.bid(2))])
    assert codes(filling) == ["", "", "NOT_AUTHORIZED", ""]


async def test_a_batch_is_split_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling_module, "BATCH_COMMANDS_MAX", 2)
    rig, filling = opened()
    bids = [rig.bid(number) for number in range(5)]
    filling.execute([*map(rig.item, bids)])
    calldata = [each.calldata for each in transactions(rig)[1:]]
    assert calldata == [batch_calldata(bids[at : at + 2]) for at in (0, 2, 4)]
    assert [outcome.item.payload for outcome in filling.outcomes] == bids
    assert BATCH_COMMANDS_MAX > 2


async def test_a_batch_that_is_reverted_as_a_whole_refuses_each() -> None:
    rig, filling = opened()
    rig.producer.operate(SetMode(Mode.HALTED))
    filling.execute([rig.item(rig.bid(1)), rig.item(rig.cancel("alice", 5))])
    assert codes(filling) == ["MODE_FORBIDS"] * 2
    assert filling.extras().orders == ()


async def test_what_cannot_enter_a_block_is_answered_at_once_and_leaves_no_trace() -> None:
    rig, filling = opened()
    before = rows_of(rig.state)
    late, unknown = rig.transfer(nonce=7), rig.item(rig.transfer())
    unknown.signature = (1, 2, 3, 4)
    unknown.payload = rig.invoke("bob", nonce=0)
    items = [rig.item(late), unknown]
    filling.execute(items)
    assert [await answer(item) for item in items] == [
        Reason.NONCE_INVALID,
        Reason.SIGNATURE_INVALID,
    ]
    assert len(filling) == 0
    assert rows_of(rig.state) == before
    assert len(transactions(rig)) == 1


async def test_a_transaction_that_fails_is_in_the_block_with_its_code() -> None:
    rig, filling = opened()
    rich = rig.transfer(amount=10**20)
    filling.execute([rig.item(rich)])
    assert codes(filling) == ["CASH_INSUFFICIENT"]
    assert rig.state.contracts[address_of("alice")].nonce == 1


async def test_the_seen_set_gets_accepted_orders_alone_each_until_its_time() -> None:
    rig, filling = opened()
    good, bad = rig.bid(1), rig.order("alice", Side.BUY, client_id=2, size=1)
    item = rig.item(good)
    filling.high_water.append((b"Alpha/BTCUSD", 9))
    transfer = rig.item(rig.transfer())
    cancel = rig.item(rig.cancel("alice", item.hash))
    filling.execute([item, rig.item(bad), cancel, transfer])
    until_ms = good.order.signed_at_ms + UNTIL_MS
    assert filling.extras() == Extras(((item.hash, until_ms),), ((b"Alpha/BTCUSD", 9),), False)
    sealed = rig.sealer.seal(rig.producer.close(), filling.extras())
    marks = [rig.store.view.seen(each.item.hash.to_bytes(32, "big")) for each in filling.outcomes]
    sequence = sealed.head.sequence
    assert marks == [SeenMark(sequence, until_ms), None, None, SeenMark(sequence, 0)]


async def test_answers_name_the_block_and_what_became_of_each() -> None:
    rig, filling = opened()
    items = [rig.item(rig.bid(1)), rig.item(rig.order("alice", Side.BUY, client_id=2, size=1))]
    filling.execute(items)
    sealed = rig.sealer.seal(rig.producer.close(), filling.extras())
    assert not any(item.answer.done() for item in items)
    filling.answer(sealed)
    told = [await answer(item) for item in items]
    receipt = sealed.block.receipts[1]
    assert told == [
        Applied(5, sealed.block.hash, 0, receipt, ""),
        Applied(5, sealed.block.hash, 0, receipt, "ORDER_SIZE_INVALID"),
    ]


async def test_there_is_no_such_block() -> None:
    rig, filling = opened()
    items = [rig.item(rig.bid(1)), Item(SetGuard(Guard.TRIPWIRE, True), 0)]
    filling.execute(items)
    filling.refuse(Reason.HALTED, "no")
    assert [await answer(item) for item in items] == [Reason.HALTED] * 2


async def test_a_command_of_the_operator_stands_where_it_came() -> None:
    rig, filling = opened()
    one, guard, two = rig.item(rig.bid(1)), SetGuard(Guard.TRIPWIRE, False), rig.item(rig.bid(2))
    filling.execute([one, Item(guard, 0), two])
    assert codes(filling) == ["", "NOT_A_DRILL", ""]
    made = transactions(rig)
    assert len(made) == 4
    assert made[2].calldata == write_calls([command_call(guard)])
    with pytest.raises(KeyError):
        Filling(rig.producer).operate(Item(Deposit(1, 2, 3, 4), 0))
