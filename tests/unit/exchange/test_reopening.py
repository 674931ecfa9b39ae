"""The way back: after a gap by itself, after a rollback by the operator's one command."""

import pytest

from sequencer.exchange.modes import reopen_after_gap
from sequencer.exchange.state import Journal, State, Table
from sequencer.exchange.step import Context, Step
from sequencer.model.commands import (
    CancelAll,
    OrderPolicy,
    PlaceOrder,
    RemovePublisher,
    Reopen,
    RevokeSubkey,
    SecurityCommand,
    SetGuard,
    SetMode,
    SetOperator,
)
from sequencer.model.events import (
    CloseReason,
    Event,
    Fill,
    GuardChanged,
    ModeChanged,
    OrderClosed,
    PublisherChanged,
    Reopened,
    SettingChanged,
    SubkeyChanged,
)
from sequencer.model.orders import Instruction, Order, OrderType, Side
from sequencer.model.refusals import Reason
from sequencer.model.rows import Guard, Mode, ModeCause, Publisher, Subkey
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    KEY,
    OPERATOR,
    STRANGER,
    USD,
    add_market,
    change_price,
    fund,
    guards_off,
    make_order,
    make_state,
    of_type,
    place,
    put,
    refused,
    rest,
    run,
    snapshot,
)

PAXG = "PAXG-USD-PERP"


def gap_state(**system: object) -> State:
    plain: dict[str, object] = {
        "mode": Mode.CANCEL_ONLY,
        "cause": ModeCause.GAP,
        "reopen_automatic": True,
    }
    state = make_state(**(plain | system))
    add_market(state, book_demanded=True)
    fund(state, ALICE, 10**6 * USD)
    fund(state, BOB, 10**6 * USD)
    return state


def after_tick(state: State) -> list[Event]:
    step = Step(state, Journal(state), Context(OPERATOR))
    reopen_after_gap(step)
    return step.events


def fill_book(state: State) -> None:
    rest(state, make_order(ALICE, Side.BUY, 101 * ONE, 100 * USD))
    rest(state, make_order(BOB, Side.SELL, 101 * ONE, 100 * USD + 10**6))


def test_after_a_gap_it_opens_by_itself_one_step_a_tick() -> None:
    state = gap_state()
    change_price(state, BTC, accepted_in_row=2)
    assert after_tick(state) == []
    change_price(state, BTC, accepted_in_row=3)
    far = rest(state, make_order(ALICE, Side.BUY, ONE, 101 * USD))
    assert [type(event) for event in after_tick(state)] == [ModeChanged, OrderClosed]
    assert far not in state.orders
    assert state.system.mode is Mode.POST_ONLY
    assert after_tick(state) == []
    fill_book(state)
    expected = ModeChanged(Mode.OPEN, ModeCause.GAP, "prices and books are back")
    assert after_tick(state) == [expected]
    assert (state.system.mode, state.system.cause) == (Mode.OPEN, ModeCause.GAP)
    assert after_tick(state) == []


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("cause", ModeCause)
@pytest.mark.parametrize("automatic", [True, False])
def test_nothing_but_a_gap_reopens_by_itself(mode: Mode, cause: ModeCause, automatic: bool) -> None:
    state = gap_state(mode=mode, cause=cause, reopen_automatic=automatic)
    fill_book(state)
    before = snapshot(state)
    rises = automatic and cause is ModeCause.GAP and mode in (Mode.CANCEL_ONLY, Mode.POST_ONLY)
    assert bool(after_tick(state)) is rises
    assert (snapshot(state) == before) is not rises


def test_too_many_triggers_keep_it_in_post_only() -> None:
    state = gap_state(mode=Mode.POST_ONLY)
    fill_book(state)
    for number in range(21):
        rest(state, stop_loss(ALICE, 95 * USD + number * 10**6), waiting=True)
    assert after_tick(state) == []
    run(state, CancelAll(ALICE), ALICE)
    rest(state, make_order(ALICE, Side.BUY, 101 * ONE, 100 * USD))
    assert len(after_tick(state)) == 1


def stop_loss(account: int, price: int) -> Order:
    return make_order(
        account,
        Side.BUY,
        ONE,
        price,
        type=OrderType.STOP_LOSS_LIMIT,
        trigger_price=90 * USD,
    )


def rolled_back(mode: Mode = Mode.OPEN, **system: object) -> State:
    """Return a state as a rollback restores it, with two orders in the book and two stops."""
    state = make_state(mode=mode, tick_allowed=0x71C, **system)
    add_market(state)
    fund(state, ALICE, 10**6 * USD)
    rest(state, make_order(ALICE, Side.SELL, ONE, 110 * USD))
    rest(state, stop_loss(ALICE, 120 * USD), waiting=True)
    rest(state, make_order(BOB, Side.BUY, ONE, 90 * USD))
    plain_stop = make_order(
        BOB, Side.BUY, ONE, 130 * USD, type=OrderType.STOP_LIMIT, trigger_price=125 * USD
    )
    newest = rest(state, plain_stop, waiting=True)
    # The newest order has the smallest id: age and id must not be mixed up.
    row = state.orders[newest]
    put(state, Table.ORDER, newest, None)
    put(state, Table.ORDER, 0x1, row)
    return state


def reopen(policy: OrderPolicy = OrderPolicy.KEEP, *security: SecurityCommand) -> Reopen:
    return Reopen(7, policy, security)


@pytest.mark.parametrize("mode", Mode)
def test_it_reopens_from_whatever_mode_was_restored(mode: Mode) -> None:
    state = rolled_back(mode, wait_until_ticks=5)
    expected = [ModeChanged(Mode.CANCEL_ONLY, ModeCause.ROLLBACK, "reorg 7"), Reopened(7)]
    assert run(state, reopen(), OPERATOR) == expected
    system = state.system
    assert (system.mode, system.cause) == (Mode.CANCEL_ONLY, ModeCause.ROLLBACK)
    assert (system.wait_until_ticks, system.wait_until_ms) == (1_050, -60_000)
    assert system.tick_allowed == 0
    assert len(state.orders) == 4


@pytest.mark.parametrize(
    ("policy", "cancelled"),
    [
        (OrderPolicy.KEEP, []),
        (OrderPolicy.CANCEL_ALL, [0, 1, 2, 3]),
        (OrderPolicy.CANCEL_ALL_BUT_TPSL, [0, 2, 3]),
    ],
)
def test_the_policy_cancels_oldest_first(policy: OrderPolicy, cancelled: list[int]) -> None:
    state = rolled_back()
    ids = sorted(state.orders, key=lambda order_id: state.orders[order_id].sequence)
    events = of_type(run(state, reopen(policy), OPERATOR), OrderClosed)
    assert [event.order_id for event in events] == [ids[number] for number in cancelled]
    assert {event.reason for event in events} <= {CloseReason.ROLLBACK}
    assert len(state.orders) == 4 - len(cancelled)


def test_every_guard_goes_on_before_security_commands_count_again() -> None:
    guards = (Guard.HEALTH, Guard.QUORUM)
    state = rolled_back(guards_off=guards, drill=True)
    events = run(state, reopen(), OPERATOR)
    assert of_type(events, GuardChanged) == [GuardChanged(guard, True) for guard in guards]
    assert guards_off(state) == ()
    run(state, reopen(OrderPolicy.KEEP, SetGuard(Guard.QUORUM, False)), OPERATOR)
    assert guards_off(state) == (Guard.QUORUM,)


def test_security_commands_count_again_and_what_is_gone_stays_gone() -> None:
    state = rolled_back()
    put(state, Table.SUBKEY, (ALICE, KEY), Subkey(0))
    put(state, Table.PUBLISHER, "eve", Publisher(0xE))
    security = (
        RevokeSubkey(ALICE, KEY),
        RevokeSubkey(ALICE, KEY),
        RemovePublisher("eve"),
        RemovePublisher("eve"),
        SetGuard(Guard.HEALTH, True),
        SetOperator(CAROL),
    )
    events = run(state, reopen(OrderPolicy.KEEP, *security), OPERATOR)
    assert events[1:] == [
        SubkeyChanged(ALICE, KEY, False),
        PublisherChanged("eve", 0),
        SettingChanged("operator"),
        Reopened(7),
    ]
    assert state.subkeys == {}
    assert state.publishers == {}
    assert state.system.operator == CAROL


def test_a_reopening_is_refused_as_a_whole() -> None:
    state = rolled_back(guards_off=(Guard.HEALTH,))
    zero = Reopen(0, OrderPolicy.KEEP)
    assert refused(state, zero, OPERATOR) is Reason.PARAMETER_INVALID
    bad = reopen(OrderPolicy.CANCEL_ALL, SetOperator(0))
    assert refused(state, bad, OPERATOR) is Reason.PARAMETER_INVALID
    off = reopen(OrderPolicy.CANCEL_ALL, SetGuard(Guard.HEALTH, False))
    assert refused(state, off, OPERATOR) is Reason.NOT_A_DRILL
    assert refused(state, reopen(), STRANGER) is Reason.NOT_OPERATOR


def thin_state() -> State:
    """A gold market at 4,600 whose book a rollback has emptied, and those who are too eager."""
    state = make_state(mode=Mode.OPEN)
    add_market(state, PAXG, price=4_600 * USD, book_demanded=True)
    for account in (ALICE, BOB, CAROL):
        fund(state, account, 10**6 * USD)
    for number in range(3):
        trigger = (4_700 + number) * USD
        stop = make_order(
            CAROL,
            Side.BUY,
            ONE,
            4_800 * USD,
            market=PAXG,
            type=OrderType.STOP_LOSS_LIMIT,
            trigger_price=trigger,
        )
        rest(state, stop, waiting=True)
    rest(state, make_order(ALICE, Side.BUY, ONE, 4_600 * USD, market=PAXG))
    return state


def quote(side: Side, price: int, account: int = ALICE) -> PlaceOrder:
    order = make_order(account, side, 3 * ONE, price * USD, market=PAXG)
    return place(order)


def post_only(side: Side, price_cents: int, account: int) -> PlaceOrder:
    order = make_order(
        account,
        side,
        2 * ONE,
        price_cents * 10**6,
        market=PAXG,
        instruction=Instruction.POST_ONLY,
    )
    return place(order)


def test_a_thin_book_reopens_without_a_fill_outside_the_band() -> None:
    state = thin_state()
    events = run(state, Reopen(1, OrderPolicy.CANCEL_ALL_BUT_TPSL), OPERATOR)
    assert len(of_type(events, OrderClosed)) == 1
    assert refused(state, quote(Side.SELL, 4_700), ALICE) is Reason.MODE_FORBIDS
    run(state, SetMode(Mode.POST_ONLY), OPERATOR)
    # The band is 5 bps of 4,600: bids up to 4,602.30 and asks from 4,597.70.
    for side, price_cents in ((Side.BUY, 4_602_31), (Side.SELL, 4_597_69)):
        command = post_only(side, price_cents, ALICE)
        assert refused(state, command, ALICE) is Reason.ORDER_OUTSIDE_BAND
    assert refused(state, quote(Side.BUY, 4_600, BOB), BOB) is Reason.MODE_FORBIDS
    events = run(state, post_only(Side.SELL, 4_602_30, ALICE), ALICE)
    events += run(state, post_only(Side.BUY, 4_601_00, BOB), BOB)
    # The stops stay: nothing fires, nothing trades, and OPEN waits for a book.
    assert of_type(events, Fill) == []
    assert len(state.waiting[PAXG].entries()[0]) == 3
    assert refused(state, SetMode(Mode.OPEN), OPERATOR) is Reason.MODE_NOT_READY
    run(state, post_only(Side.SELL, 4_602_30, ALICE), ALICE)
    run(state, post_only(Side.BUY, 4_601_00, BOB), BOB)
    run(state, SetMode(Mode.OPEN), OPERATOR)
    fills = of_type(run(state, quote(Side.BUY, 4_700, CAROL), CAROL), Fill)
    assert [fill.price for fill in fills] == [4_602_30 * 10**6] * 2
