"""How a block opens: changes of mode, the tick, and the halts that come of it."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from sequencer.chain.calls import command_call, write_calls
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.engine.filling import Filling
from sequencer.engine.items import Item
from sequencer.engine.opening import Opened, Opener
from sequencer.exchange.transition import HANDLERS
from sequencer.model.commands import Command, OrderPolicy, Reopen, SetMode, SetOperator, Tick
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.laws import Law, LawBroken
from sequencer.model.limits import DISK_FREE_BYTES_HALT, DISK_FREE_BYTES_MIN
from sequencer.model.orders import Side
from sequencer.model.records import Latch
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode, ModeCause
from sequencer.model.units import ONE
from sequencer.starknet.transactions import InvokeV3
from sequencer.storage.view import View
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import OPENED_MS, Rig, answer, report, reports, rows_of

NOW_MS = OPENED_MS + 1_000
RISKY = 82 * ONE
"""A size that all of alice's money only just carries."""


class LatchedView(View):
    """A store at its head, but for a latch of the test's own."""

    def __init__(self, view: View, latch: Latch | None) -> None:
        super().__init__(view.source, msgspec.structs.replace(view.head, latch=latch), view.dead)


class Opening:
    """An opener over a rig, with a latch of the test's own."""

    def __init__(self, *halts: Halt, latch: Latch | None = None) -> None:
        self.rig = Rig()
        self.rig.gate.halts += halts
        producer, gate, store = self.rig.producer, self.rig.gate, self.rig.store
        view = LatchedView(store.view, latch)
        self.opener = Opener(
            producer, gate, lambda: view, self.rig.space, DepositFacts(lambda: view)
        )
        self.filling = Filling(producer)

    def ask(self, *commands: Command) -> list[Item]:
        items = [Item(command, 0) for command in commands]
        self.opener.modes += items
        return items

    def open(self) -> Opened:
        return self.opener.open(self.filling, NOW_MS, self.rig.reports)

    def made(self) -> Sequence[tuple[int, ...]]:
        """Return the calldata of what the open block holds."""
        closed = self.rig.producer.close()
        return [tuple(each.calldata) for each in closed.transactions if isinstance(each, InvokeV3)]

    def mode(self) -> Mode:
        return self.rig.state.system.mode


def data(command: Command, *signed: Any) -> tuple[int, ...]:  # noqa: ANN401
    return write_calls([command_call(command, signed)])


NOTE = Halt(HaltCause.NOTE, "somebody left it")
LATCHED = Halt(HaltCause.LATCH, "latched by reorg 3")


async def test_a_block_opens_with_its_tick_and_the_reports_that_wait() -> None:
    opening = Opening()
    for each in reports(60_100):
        opening.rig.reports.add(each, opening.rig.state)
    assert opening.open() == Opened(True)
    assert opening.made() == [data(Tick(NOW_MS), *reports(60_100))]
    assert [source for source, _ in opening.filling.high_water] == [
        b"Alpha/BTCUSD",
        b"Bravo/BTCUSD",
        b"Carol/BTCUSD",
    ]
    assert opening.rig.state.prices["BTC-USD-PERP"].index == 60_100 * ONE


async def test_changes_of_mode_come_ahead_of_the_tick_in_their_order() -> None:
    opening = Opening()
    down, up = SetMode(Mode.CANCEL_ONLY, "one"), SetMode(Mode.POST_ONLY, "two")
    opening.ask(down, up)
    assert opening.open() == Opened(True)
    assert opening.made() == [data(down), data(up), data(Tick(NOW_MS))]
    assert not opening.filling.ends
    assert opening.opener.modes == []


async def test_a_change_to_halted_is_a_block_without_a_tick() -> None:
    opening = Opening()
    halt = SetMode(Mode.HALTED, "enough")
    opening.ask(halt)
    assert opening.open() == Opened(True)
    assert opening.made() == [data(halt)]


@pytest.mark.parametrize("halts", [(), (NOTE,)])
async def test_where_the_chain_is_halted_there_is_no_block(halts: Sequence[Halt]) -> None:
    opening = Opening(*halts)
    if not halts:
        opening.rig.producer.operate(SetMode(Mode.HALTED))
        opening.rig.producer.close()
    before = rows_of(opening.rig.state)
    assert opening.open() == Opened(False)
    assert opening.rig.producer.transactions == 0
    assert rows_of(opening.rig.state) == before


async def test_a_refused_change_while_halted_makes_no_block_and_is_answered_with_its_code() -> None:
    opening = Opening()
    opening.rig.producer.operate(SetMode(Mode.HALTED))
    opening.rig.producer.close()
    before = rows_of(opening.rig.state)
    items = opening.ask(SetMode(Mode.OPEN), SetMode(Mode.CANCEL_ONLY, cause=ModeCause.GAP))
    assert opening.open() == Opened(False)
    assert [await answer(item) for item in items] == [
        Reason.MODE_ORDER,
        Reason.PARAMETER_INVALID,
    ]
    assert rows_of(opening.rig.state) == before
    assert len(opening.filling) == 0


async def test_out_of_halted_the_first_transaction_is_the_change() -> None:
    opening = Opening()
    opening.rig.producer.operate(SetMode(Mode.HALTED))
    opening.rig.producer.close()
    change = SetMode(Mode.CANCEL_ONLY, "again")
    opening.ask(change)
    assert opening.open() == Opened(True)
    assert opening.made() == [data(change), data(Tick(NOW_MS))]


async def test_a_change_ends_the_halts_that_can_be_ended() -> None:
    opening = Opening(NOTE)
    opening.ask(SetMode(Mode.CANCEL_ONLY))
    assert opening.open() == Opened(True)
    assert opening.filling.ends == (NOTE,)
    assert not opening.filling.reopens


@pytest.mark.parametrize("policy", list(OrderPolicy))
async def test_after_a_rollback_the_change_becomes_the_way_back(policy: OrderPolicy) -> None:
    opening = Opening(LATCHED, latch=Latch(3, policy))
    opening.ask(SetMode(Mode.CANCEL_ONLY))
    assert opening.open() == Opened(True)
    assert opening.filling.extras().reopens
    assert opening.filling.ends == (LATCHED,)
    assert opening.made() == [data(Reopen(3, policy)), data(Tick(NOW_MS))]
    assert opening.rig.state.system.cause is ModeCause.ROLLBACK


async def test_a_latch_without_a_rollback_keeps_the_change_as_it_is() -> None:
    opening = Opening(LATCHED, latch=Latch(0, OrderPolicy.KEEP))
    change = SetMode(Mode.CANCEL_ONLY)
    opening.ask(change)
    assert opening.open() == Opened(True)
    assert opening.filling.extras().reopens
    assert opening.made()[0] == data(change)


@pytest.mark.parametrize(
    "command",
    [
        SetMode(Mode.OPEN),
        SetMode(Mode.POST_ONLY),
        SetMode(Mode.HALTED),
        Reopen(2, OrderPolicy.KEEP),
        Reopen(3, OrderPolicy.CANCEL_ALL),
        Reopen(3, OrderPolicy.KEEP, (SetOperator(1),)),
    ],
    ids=str,
)
async def test_while_latched_nothing_else_opens(command: Command) -> None:
    opening = Opening(LATCHED, latch=Latch(3, OrderPolicy.KEEP))
    before = rows_of(opening.rig.state)
    (item,) = opening.ask(command)
    assert opening.open() == Opened(False)
    with pytest.raises(Refused, match=r"MODE_ORDER: .* CANCEL_ONLY .* carries out what the plan"):
        await item.answer
    assert not opening.filling.reopens
    assert rows_of(opening.rig.state) == before


async def test_the_way_back_comes_once_and_changes_may_follow_it() -> None:
    opening = Opening(LATCHED, latch=Latch(3, OrderPolicy.KEEP))
    opening.ask(Reopen(3, OrderPolicy.KEEP), SetMode(Mode.CANCEL_ONLY, "two"))
    assert opening.open() == Opened(True)
    assert opening.made()[:2] == [
        data(Reopen(3, OrderPolicy.KEEP)),
        data(SetMode(Mode.CANCEL_ONLY, "two")),
    ]


def at_risk(opening: Opening) -> None:
    """Let alice hold as much as she can, and the price fall so far that nothing explains it."""
    rig = opening.rig
    sell = rig.order("bob", Side.SELL, client_id=1, size=RISKY)
    buy = rig.order("alice", Side.BUY, client_id=2, size=RISKY)
    rig.producer.carry([sell, buy], frozenset())
    rig.producer.close()
    assert rig.state.positions
    for each in reports(59_100):
        rig.reports.add(each, rig.state)


async def test_a_tick_that_trips_leaves_a_block_that_holds_the_halt_alone() -> None:
    opening = Opening()
    at_risk(opening)
    (item,) = opening.ask(SetMode(Mode.OPEN, "takes over the cause"))
    before = rows_of(opening.rig.state)
    opened = opening.open()
    assert opened == Opened(
        True, tripped="1 of 2 accounts, 492000000000000 of 492000000000000 open interest"
    )
    assert await answer(item) is Reason.HALTED_BY_TRIPWIRE
    assert opening.filling.extras().high_water == ()
    assert len(opening.filling) == 0
    halt = SetMode(Mode.HALTED, opened.tripped, cause=ModeCause.TRIPWIRE)
    assert opening.made() == [data(halt)]
    after = rows_of(opening.rig.state)
    changed = {table for table in before if before[table] != after[table]}
    assert changed == {"system", "contract"}
    # The prices were not used up: they may be sent again.
    opening.rig.reports.add(report(price=59_100), opening.rig.state)


async def test_a_trip_in_the_block_of_the_way_back_leaves_the_latch() -> None:
    opening = Opening(LATCHED, latch=Latch(3, OrderPolicy.KEEP))
    at_risk(opening)
    steps = [SetMode(mode) for mode in (Mode.CANCEL_ONLY, Mode.POST_ONLY, Mode.OPEN)]
    items, before = opening.ask(*steps), rows_of(opening.rig.state)
    opened = opening.open()
    assert opened.tripped
    assert not opened.stands
    assert [await answer(item) for item in items] == [Reason.HALTED_BY_TRIPWIRE] * 3
    assert rows_of(opening.rig.state) == before


async def test_a_tick_that_is_refused_otherwise_ends_the_writing() -> None:
    opening = Opening()
    opening.rig.producer.operate(SetOperator(address_of("bob")))
    opening.rig.producer.close()
    before = rows_of(opening.rig.state)
    (item,) = opening.ask(SetMode(Mode.CANCEL_ONLY))
    opened = opening.open()
    assert not opened.stands
    assert opened.halt is not None
    assert opened.halt.cause is HaltCause.TICK_REFUSED
    assert opened.halt.detail.startswith("NOT_OPERATOR")
    assert await answer(item) is Reason.HALTED
    assert rows_of(opening.rig.state) == before


async def test_a_disk_that_runs_low_lowers_the_mode_once() -> None:
    opening = Opening()
    opening.rig.space.bytes = DISK_FREE_BYTES_MIN - 1
    assert opening.open() == Opened(True)
    assert opening.mode() is Mode.CANCEL_ONLY
    assert len(opening.made()) == 2
    again = opening.opener.open(Filling(opening.rig.producer), NOW_MS + 1, opening.rig.reports)
    assert again == Opened(True)
    assert len(opening.made()) == 1


async def test_a_disk_with_just_enough_room_is_no_reason() -> None:
    opening = Opening()
    opening.rig.space.bytes = DISK_FREE_BYTES_MIN
    opening.open()
    assert opening.mode() is Mode.OPEN


async def test_a_disk_that_is_almost_full_halts_and_says_so_in_a_block() -> None:
    opening = Opening()
    opening.rig.space.bytes = DISK_FREE_BYTES_HALT - 1
    opened = opening.open()
    assert opened.stands
    assert opened.halt is not None
    assert opened.halt.cause is HaltCause.DISK_LOW
    words = f"{DISK_FREE_BYTES_HALT - 1} bytes are free on the disk"
    assert opening.made() == [data(SetMode(Mode.HALTED, words))]


async def test_a_full_disk_writes_nothing_over_a_latch() -> None:
    opening = Opening(LATCHED, latch=Latch(3, OrderPolicy.KEEP))
    opening.rig.space.bytes = 0
    (item,) = opening.ask(SetMode(Mode.OPEN))
    assert opening.open() == Opened(False)
    assert await answer(item) is Reason.MODE_ORDER
    assert opening.rig.producer.transactions == 0


async def test_a_law_that_a_change_breaks_leaves_nobody_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening = Opening()

    def break_a_law(*_: object) -> None:
        raise LawBroken(Law.DERIVED, "planted")

    first, second, third = opening.ask(*[SetMode(Mode.CANCEL_ONLY)] * 3)
    change = HANDLERS[SetMode]
    calls: list[Any] = []

    def handle(step: Any, command: Any) -> None:  # noqa: ANN401
        calls.append(command)
        (change if len(calls) == 1 else break_a_law)(step, command)

    monkeypatch.setitem(cast(dict[Any, Any], HANDLERS), SetMode, handle)
    with pytest.raises(LawBroken):
        opening.open()
    assert opening.opener.modes == [second, third]
    assert [outcome.item for outcome in opening.filling.outcomes] == [first]
    assert msgspec.structs.asdict(calls[0])["mode"] is Mode.CANCEL_ONLY


async def test_nothing_reopens_where_nothing_was_rolled_back() -> None:
    opening = Opening()
    (item,) = opening.ask(Reopen(1, OrderPolicy.CANCEL_ALL))
    assert opening.open().stands
    assert await answer(item) is Reason.MODE_ORDER
    assert opening.rig.state.system.cause is not ModeCause.ROLLBACK


@pytest.mark.parametrize("owes", [True, False])
async def test_open_waits_for_a_root_that_is_owed_and_other_modes_do_not(owes: bool) -> None:
    opening = Opening()
    opening.rig.gate.owes_root = owes
    down, up = SetMode(Mode.CANCEL_ONLY), SetMode(Mode.POST_ONLY)
    *others, last = opening.ask(down, up, SetMode(Mode.OPEN))
    assert opening.open() == Opened(True)
    assert (opening.mode() is Mode.OPEN) is not owes
    assert [outcome.item for outcome in opening.filling.outcomes][:2] == others
    if owes:
        assert await answer(last) is Reason.ROOT_UNVERIFIED
        assert opening.made() == [data(down), data(up), data(Tick(NOW_MS))]


async def test_open_is_refused_first_for_what_was_not_done_before_it() -> None:
    opening = Opening(LATCHED, latch=Latch(3, OrderPolicy.KEEP))
    opening.rig.gate.owes_root = True
    (item,) = opening.ask(SetMode(Mode.OPEN))
    assert opening.open() == Opened(False)
    assert await answer(item) is Reason.MODE_ORDER


async def test_a_halt_of_the_node_is_not_ended_by_halting() -> None:
    opening = Opening(Halt(HaltCause.NOTE, "read me"))
    (item,) = opening.ask(SetMode(Mode.HALTED))
    assert not opening.open().stands
    with pytest.raises(Refused, match=r"^HALTED: NOTE: read me$"):
        await item.answer
    assert not opening.filling.ends
    assert opening.rig.producer.transactions == 0
