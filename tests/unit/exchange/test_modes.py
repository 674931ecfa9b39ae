"""The ladder of modes: its order, what each rise cancels, and what keeps OPEN away."""

import pytest

from sequencer.exchange.authority import rank
from sequencer.exchange.modes import opening_problems
from sequencer.exchange.state import State
from sequencer.model.commands import SetMode, Withdraw
from sequencer.model.events import CloseReason, ModeChanged, OrderClosed
from sequencer.model.markets import MarketStatus
from sequencer.model.orders import OrderType, Side
from sequencer.model.refusals import Reason, Refusal
from sequencer.model.rows import Mode, ModeCause
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    ETH,
    NOW_MS,
    OPERATOR,
    USD,
    add_market,
    attempt,
    change_price,
    change_system,
    fund,
    hold,
    make_order,
    make_state,
    of_type,
    refused,
    rest,
    run,
)

LADDER = (Mode.HALTED, Mode.CANCEL_ONLY, Mode.POST_ONLY, Mode.OPEN)


def ladder_state(mode: Mode = Mode.POST_ONLY, **system: object) -> State:
    """BTC at 100,000 and ETH at 3,000, fresh; Alice and Bob are rich."""
    state = make_state(mode=mode, **system)
    add_market(state, price=100_000 * USD)
    add_market(state, ETH, price=3_000 * USD)
    for account in (ALICE, BOB):
        fund(state, account, 10**6 * USD)
    return state


def why_not_open(state: State, accept: int = 0) -> str:
    """Return the words of a refusal to open that left no trace."""
    command = SetMode(Mode.OPEN, accept=accept)
    assert refused(state, command, OPERATOR) is Reason.MODE_NOT_READY
    answer, _ = attempt(state, command, OPERATOR)
    assert isinstance(answer, Refusal)
    return answer.detail


@pytest.mark.parametrize("before", LADDER)
@pytest.mark.parametrize("after", LADDER)
def test_down_at_once_and_up_step_by_step(before: Mode, after: Mode) -> None:
    state = ladder_state(before, cause=ModeCause.GAP)
    command = SetMode(after, "because")
    if rank(after) > rank(before) + 1:
        assert refused(state, command, OPERATOR) is Reason.MODE_ORDER
        return
    assert run(state, command, OPERATOR) == [ModeChanged(after, ModeCause.OPERATOR, "because")]
    assert state.system.mode is after
    # A rise does not change why the mode was lowered last.
    risen = rank(after) > rank(before)
    assert state.system.cause is (ModeCause.GAP if risen else ModeCause.OPERATOR)


@pytest.mark.parametrize("mode", LADDER)
@pytest.mark.parametrize("cause", ModeCause)
def test_only_a_halt_names_the_tripwire(mode: Mode, cause: ModeCause) -> None:
    state = ladder_state(Mode.OPEN)
    command = SetMode(mode, cause=cause)
    halt = mode is Mode.HALTED and cause is ModeCause.TRIPWIRE
    if cause is not ModeCause.OPERATOR and not halt:
        assert refused(state, command, OPERATOR) is Reason.PARAMETER_INVALID
        return
    run(state, command, OPERATOR)
    assert (state.system.mode, state.system.cause) == (mode, cause)
    assert state.system.wait_until_ticks == (1_050 if halt else 0)
    assert state.system.wait_until_ms == (-60_000 if halt else 0)


def test_after_a_tripwire_withdrawals_wait_when_all_else_is_open() -> None:
    state = ladder_state(Mode.OPEN)
    run(state, SetMode(Mode.HALTED, "20 accounts", cause=ModeCause.TRIPWIRE), OPERATOR)
    for mode in LADDER[1:]:
        run(state, SetMode(mode), OPERATOR)
    withdrawal = Withdraw(ALICE, 0x1, 100, 0x77)
    assert refused(state, withdrawal, ALICE) is Reason.WITHDRAWAL_WAITS
    change_system(state, ticks=1_050, wait_until_ms=NOW_MS)
    run(state, withdrawal, ALICE)


def closed(state: State, command: SetMode) -> list[int]:
    """Return the orders that a mode cancels for the band, in the order of the events."""
    events = of_type(run(state, command, OPERATOR), OrderClosed)
    assert {event.reason for event in events} <= {CloseReason.BAND}
    return [event.order_id for event in events]


def rest_bids(state: State) -> dict[int, int]:
    """Rest bids around 100,000; returns price in whole USD to id."""
    prices = (99_000, 100_049, 100_050, 100_051, 101_000)
    return {price: rest(state, make_order(ALICE, Side.BUY, ONE, price * USD)) for price in prices}


def test_bids_over_the_band_go_on_entry() -> None:
    state = ladder_state(Mode.CANCEL_ONLY)
    ids = rest_bids(state)
    assert closed(state, SetMode(Mode.POST_ONLY)) == [ids[100_051], ids[101_000]]
    assert state.books[BTC].bids.best_price() == 100_050 * USD


def test_asks_under_the_band_go_on_entry_from_above_too() -> None:
    state = ladder_state(Mode.OPEN)
    asks = [99_949, 99_950, 200_000, 99_000]
    ids = [rest(state, make_order(BOB, Side.SELL, ONE, price * USD)) for price in asks]
    assert closed(state, SetMode(Mode.POST_ONLY)) == [ids[0], ids[3]]
    assert state.books[BTC].asks.best_price() == 99_950 * USD


def test_the_oldest_go_first_whatever_market_and_waiting_orders_stay() -> None:
    state = ladder_state(Mode.CANCEL_ONLY)
    first = rest(state, make_order(ALICE, Side.BUY, ONE, 3_100 * USD, market=ETH))
    second = rest(state, make_order(ALICE, Side.BUY, ONE, 101_000 * USD))
    third = rest(state, make_order(ALICE, Side.BUY, ONE, 3_200 * USD, market=ETH))
    stop = make_order(
        ALICE, Side.BUY, ONE, 110_000 * USD, type=OrderType.STOP_LIMIT, trigger_price=105_000 * USD
    )
    waiting = rest(state, stop, waiting=True)
    assert closed(state, SetMode(Mode.POST_ONLY)) == [first, second, third]
    assert list(state.orders) == [waiting]


def test_the_band_follows_the_frozen_basis() -> None:
    state = ladder_state(Mode.CANCEL_ONLY)
    change_price(state, BTC, basis=10**6)
    # Fair is 100,100, so bids may rest up to 100,150.05.
    ids = [
        rest(state, make_order(ALICE, Side.BUY, ONE, price))
        for price in (100_150_05000000, 100_150_06000000)
    ]
    assert closed(state, SetMode(Mode.POST_ONLY)) == ids[1:]


def test_post_only_again_is_no_entry() -> None:
    state = ladder_state(Mode.POST_ONLY)
    rest_bids(state)
    assert closed(state, SetMode(Mode.POST_ONLY)) == []


@pytest.mark.parametrize("mode", [Mode.HALTED, Mode.CANCEL_ONLY, Mode.OPEN])
def test_other_modes_cancel_nothing(mode: Mode) -> None:
    state = ladder_state(Mode.POST_ONLY if mode is Mode.OPEN else Mode.OPEN)
    rest_bids(state)
    assert closed(state, SetMode(mode)) == []


@pytest.mark.parametrize(
    ("price", "words"),
    [
        ({"index": 0}, "no price"),
        ({"mark": 0}, "no price"),
        ({"index_at_ms": NOW_MS - 30_001}, "its price is stale"),
        ({"accepted_in_row": 2}, "2 of 3 prices in a row"),
        ({"accepted_in_row": 0}, "0 of 3 prices in a row"),
    ],
)
def test_open_needs_prices_in_every_active_market(price: dict[str, int], words: str) -> None:
    state = ladder_state()
    change_price(state, ETH, **price)
    assert why_not_open(state) == f"{ETH}: {words}"
    change_price(state, ETH, index=3_000 * USD, mark=3_000 * USD, index_at_ms=NOW_MS - 30_000)
    change_price(state, ETH, accepted_in_row=3)
    run(state, SetMode(Mode.OPEN), OPERATOR)


def test_markets_that_are_not_active_do_not_count() -> None:
    state = ladder_state()
    add_market(state, "OLD-USD-PERP", status=MarketStatus.PAUSED, book_demanded=True)
    change_price(state, "OLD-USD-PERP", index_at_ms=0)
    run(state, SetMode(Mode.OPEN), OPERATOR)


def test_a_refusal_names_the_first_problems_and_counts_the_rest() -> None:
    state = ladder_state()
    for number in range(7):
        add_market(state, f"M{number}")
        change_price(state, f"M{number}", index_at_ms=0)
    expected = [f"M{number}: its price is stale" for number in range(5)]
    assert why_not_open(state) == "; ".join([*expected, "2 more"])


def demanding_state() -> State:
    state = ladder_state()
    add_market(state, price=100_000 * USD, book_demanded=True)
    return state


def quote(state: State, side: Side, price: int, size: int) -> None:
    """Rest an order; price in whole USD, size in 1e-8."""
    rest(state, make_order(ALICE if side is Side.BUY else BOB, side, size, price * USD))


@pytest.mark.parametrize(
    ("quotes", "words"),
    [
        ([], "no bids"),
        ([(Side.SELL, 100_100, ONE)], "no bids"),
        ([(Side.BUY, 99_900, ONE)], "no asks"),
        ([(Side.BUY, 99_500, ONE), (Side.SELL, 100_501, ONE)], "the spread"),
        ([(Side.BUY, 100_000, ONE // 10 - 10**4), (Side.SELL, 100_100, ONE)], "too few bids"),
        ([(Side.BUY, 100_000, ONE), (Side.SELL, 100_000 + 1, ONE // 20)], "too few asks"),
        (
            [
                (Side.BUY, 100_000, ONE // 20),
                (Side.BUY, 98_900, 10 * ONE),
                (Side.SELL, 100_001, ONE),
            ],
            "too few bids",
        ),
    ],
)
def test_a_demanded_book_has_two_near_and_deep_sides(
    quotes: list[tuple[Side, int, int]], words: str
) -> None:
    state = demanding_state()
    for side, price, size in quotes:
        quote(state, side, price, size)
    assert why_not_open(state).startswith(f"{BTC}: {words}")


def test_a_demanded_book_may_be_exactly_at_its_bounds() -> None:
    # Mid 100,000: the spread is 1 % and 10,000 lie on each side, in two levels.
    state = demanding_state()
    for side, price in ((Side.BUY, 99_500), (Side.SELL, 100_500)):
        quote(state, side, price, ONE // 20)
    quote(state, Side.SELL, 101_000, ONE // 20)
    quote(state, Side.BUY, 99_000, ONE // 20)
    assert why_not_open(state) == f"{BTC}: too few bids near the middle"
    quote(state, Side.BUY, 99_000, 76 * 10**4)
    assert opening_problems(state, 0) == []
    run(state, SetMode(Mode.OPEN), OPERATOR)


def due_state(triggers: int, unhealthy: int) -> State:
    """So many stops are due, and so many accounts are long at twice the price without cash."""
    state = ladder_state()
    for number in range(triggers):
        price = (200_000 + number) * USD
        stop = make_order(
            ALICE, Side.BUY, ONE, price, type=OrderType.STOP_LIMIT, trigger_price=90_000 * USD
        )
        rest(state, stop, waiting=True)
    for account in range(0x700, 0x700 + unhealthy):
        fund(state, account, USD)
        hold(state, account, 0x900 + account, ONE // 100, 200_000 * USD)
        fund(state, 0x900 + account, 10**6 * USD)
    return state


@pytest.mark.parametrize(("triggers", "unhealthy"), [(21, 0), (0, 21), (11, 10)])
def test_open_is_refused_where_too_much_would_fire_at_once(triggers: int, unhealthy: int) -> None:
    state = due_state(triggers, unhealthy)
    assert why_not_open(state) == "21 triggers and liquidations would fire at once"
    assert why_not_open(state, accept=20) == why_not_open(state)
    run(state, SetMode(Mode.OPEN, accept=21), OPERATOR)
    assert len(state.unhealthy) == unhealthy
    assert not any(row.counted for row in state.unhealthy.values())


def test_up_to_the_tripwire_needs_no_consent() -> None:
    state = due_state(10, 10)
    run(state, SetMode(Mode.OPEN), OPERATOR)
    assert sorted(state.unhealthy) == list(range(0x700, 0x70A))
