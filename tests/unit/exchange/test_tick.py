"""The tick as a whole: its order, who may send it, and what one refusal undoes."""

from collections.abc import Sequence

import pytest

from sequencer.exchange.state import State, Table
from sequencer.model.commands import (
    CreateMarket,
    PriceReport,
    RegisterPublisher,
    SeedPrice,
    SetMarketStatus,
    SetMode,
    Tick,
)
from sequencer.model.events import (
    CloseReason,
    Event,
    FundingIndexMoved,
    ModeChanged,
    OrderClosed,
    OrderTriggered,
    PriceAccepted,
    PriceRefused,
)
from sequencer.model.exchange_limits import REPORTS_MAX, TIME_MS_MAX
from sequencer.model.markets import FundingParameters, MarketStatus, OracleParameters
from sequencer.model.orders import OrderType, Side
from sequencer.model.refusals import Reason
from sequencer.model.rows import Guard, Mode, ModeCause, Price, UsedOrder
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
    FEES,
    INSURANCE,
    NOW_MS,
    OPERATOR,
    add_market,
    change_price,
    fund,
    hold,
    make_order,
    make_parameters,
    make_state,
    put,
    refused,
    rest,
    run,
)
from tests.unit.exchange.pricing import PUBLISHERS, add_publishers, reports_of, switch_off


def priced_state(**system: object) -> State:
    state = make_state(**system)
    add_market(state)
    add_publishers(state)
    return state


def tick(state: State, after_ms: int = 1_000, prices: Sequence[int] = ()) -> list[Event]:
    """Let a tick come, with a report of each price (1e-8) for BTC."""
    time_ms = state.system.time_ms + after_ms
    return run(state, Tick(time_ms, reports_of(prices, time_ms)), OPERATOR)


def test_a_tick_does_everything_in_order() -> None:
    state = priced_state()
    for account in (ALICE, BOB, CAROL):
        fund(state, account, 1_000 * ONE)
    hold(state, ALICE, BOB, ONE, 100 * ONE)
    put(state, Table.USED_ORDER, 5, UsedOrder(NOW_MS))
    expiring = make_order(CAROL, Side.BUY, ONE, 90 * ONE, expires_at_ms=NOW_MS + 1_000)
    expired = rest(state, expiring)
    stop = make_order(ALICE, Side.SELL, ONE, 0, type=OrderType.STOP_MARKET, trigger_price=99 * ONE)
    stopped = rest(state, stop, waiting=True)
    events = tick(state, prices=[98 * ONE, 98 * ONE])
    # The rate is interest, 1 bp of 98 in 8 h, for one second.
    moved = INDEX_ONE + 340_277_777_777
    assert events[:4] == [
        OrderClosed(expired, CAROL, BTC, ONE, CloseReason.EXPIRED),
        PriceAccepted(BTC, 98 * ONE, 98 * ONE),
        FundingIndexMoved(BTC, moved),
        OrderTriggered(stopped, ALICE, BTC, 98 * ONE),
    ]
    assert state.used_orders == {}
    assert (state.system.time_ms, state.system.ticks) == (NOW_MS + 1_000, 1_001)


def test_an_empty_tick_only_moves_time_and_funding() -> None:
    state = priced_state()
    assert [type(event) for event in tick(state, 200)] == [FundingIndexMoved]


def test_only_the_operator_sends_ticks() -> None:
    state = priced_state()
    assert refused(state, Tick(NOW_MS + 1), ALICE) is Reason.NOT_OPERATOR


def test_there_is_no_tick_in_halted() -> None:
    state = priced_state(mode=Mode.HALTED)
    assert refused(state, Tick(NOW_MS + 1), OPERATOR) is Reason.MODE_FORBIDS


@pytest.mark.parametrize("by_ms", [0, -1, -86_400_000])
def test_a_tick_never_goes_back(by_ms: int) -> None:
    state = priced_state()
    reports = reports_of([101 * ONE, 101 * ONE], NOW_MS)
    command = Tick(NOW_MS + by_ms, reports)
    assert refused(state, command, OPERATOR) is Reason.TIME_NOT_INCREASING


def test_a_tick_out_of_range_is_refused() -> None:
    state = priced_state()
    assert refused(state, Tick(TIME_MS_MAX + 1), OPERATOR) is Reason.TIME_OUT_OF_RANGE
    many = [PriceReport("one", "BTC", 1, 1, 1)] * (REPORTS_MAX + 1)
    command = Tick(NOW_MS + 40_000, many)
    assert refused(state, command, OPERATOR) is Reason.PARAMETER_INVALID
    assert state.system.mode is Mode.OPEN


@pytest.mark.parametrize("after_ms", [120_000, 86_400_000])
def test_after_a_gap_there_is_no_funding_but_prices_count(after_ms: int) -> None:
    state = priced_state()
    change_price(state, BTC, accepted_in_row=3)
    events = tick(state, after_ms)
    cause = ModeCause.GAP
    assert events == [ModeChanged(Mode.CANCEL_ONLY, cause, f"no tick for {after_ms} ms")]
    assert state.prices[BTC].funding_index == INDEX_ONE
    tick(state, prices=[101 * ONE, 101 * ONE])
    assert state.prices[BTC].funding_index == INDEX_ONE
    # After two minutes the next price is compared with the last; after a day it is a candidate.
    expected = 101 * ONE if after_ms == 120_000 else 100 * ONE
    assert state.prices[BTC].index == expected


def test_a_devnet_comes_back_by_itself() -> None:
    state = priced_state(reopen_automatic=True)
    tick(state, 3_600_000)
    modes = []
    for _ in range(8):
        tick(state, prices=[70 * ONE, 70 * ONE])
        modes.append(state.system.mode)
    closed, posting = [Mode.CANCEL_ONLY], [Mode.POST_ONLY]
    # Three candidates, of which the last becomes the first price, and two prices more.
    assert modes == closed * 4 + posting + [Mode.OPEN] * 3
    assert state.prices[BTC].index == 70 * ONE


def test_nothing_else_comes_back_by_itself() -> None:
    state = priced_state()
    tick(state, 31_000)
    for _ in range(8):
        tick(state, prices=[100 * ONE, 100 * ONE])
    assert state.system.mode is Mode.CANCEL_ONLY
    assert state.prices[BTC].accepted_in_row == 8


def tick_of_both(time_ms: int) -> Tick:
    """Return a tick with BTC at 101 and ETH at 10."""
    bitcoin = reports_of([101 * ONE, 101 * ONE], time_ms)
    return Tick(time_ms, (*bitcoin, *reports_of([10 * ONE, 10 * ONE], time_ms, "ETH")))


def test_genesis_to_open_with_nothing_but_commands() -> None:
    state = State(make_state(ticks=0, time_ms=0, mode=Mode.CANCEL_ONLY).system)
    for name, key in PUBLISHERS.items():
        run(state, RegisterPublisher(name, key), OPERATOR)
    given = CreateMarket(make_parameters(), 3_001 * INDEX_ONE, 100 * ONE)
    run(state, given, OPERATOR)
    run(state, CreateMarket(make_parameters(ETH)), OPERATOR)
    for second in range(4):
        run(state, tick_of_both(NOW_MS + second * 1_000), OPERATOR)
    assert state.prices[BTC].accepted_in_row == 4
    assert refused(state, SetMode(Mode.OPEN), OPERATOR) is Reason.MODE_ORDER
    run(state, SetMode(Mode.POST_ONLY), OPERATOR)
    assert refused(state, SetMode(Mode.OPEN), OPERATOR) is Reason.MODE_NOT_READY
    run(state, SetMode(Mode.CANCEL_ONLY), OPERATOR)
    run(state, SeedPrice(ETH, 10 * ONE), OPERATOR)
    for second in range(4, 7):
        run(state, tick_of_both(NOW_MS + second * 1_000), OPERATOR)
    run(state, SetMode(Mode.POST_ONLY), OPERATOR)
    run(state, SetMode(Mode.OPEN), OPERATOR)
    assert state.prices[BTC].funding_index == 3_001 * INDEX_ONE
    tick(state, prices=[101 * ONE, 101 * ONE])
    assert state.prices[BTC].funding_index > 3_001 * INDEX_ONE


def test_a_delisted_market_is_in_nobodys_way() -> None:
    state = priced_state()
    add_market(state, ETH, oracle=OracleParameters("ETH"))
    run(state, SetMarketStatus(ETH, MarketStatus.DELISTED), OPERATOR)
    run(state, SetMode(Mode.POST_ONLY), OPERATOR)
    run(state, SetMode(Mode.OPEN), OPERATOR)
    assert state.system.mode is Mode.OPEN
    time_ms = NOW_MS + 1_000
    events = run(state, Tick(time_ms, reports_of([10 * ONE], time_ms, "ETH")), OPERATOR)
    assert events[0] == PriceRefused("", 0, "ASSET_UNKNOWN")


def test_a_price_that_is_fresh_again_is_acted_on() -> None:
    state = make_state()
    add_market(state, funding=FundingParameters(interest=0))
    add_publishers(state)
    for account, cash in ((ALICE, 11), (BOB, 1_000)):
        fund(state, account, cash * ONE)
    hold(state, ALICE, BOB, 100 * ONE, 100 * ONE)
    change_price(state, BTC, index_at_ms=NOW_MS - 60_000)
    switch_off(state, Guard.TRIPWIRE)
    tick(state)
    assert (ALICE, BTC) in state.positions
    # Neither mark nor the funding index moves, only the age.
    events = tick(state, prices=[100 * ONE, 100 * ONE])
    assert events[0] == PriceAccepted(BTC, 100 * ONE, 100 * ONE)
    assert (ALICE, BTC) not in state.positions
    assert (INSURANCE, BTC) in state.positions


def test_the_way_of_a_price_of_zero_through_all_guards() -> None:
    state = priced_state()
    zero = [PriceReport(name, "BTC", 0, NOW_MS // 1_000, key) for name, key in PUBLISHERS.items()]
    events = run(state, Tick(NOW_MS + 200, zero), OPERATOR)
    assert [event for event in events if isinstance(event, PriceRefused)] == [
        PriceRefused(BTC, 0, "ZERO_PRICE")
    ] * 3
    assert state.prices[BTC].mark == 100 * ONE
    assert state.report_times == {}


def test_the_same_ticks_give_the_same_rows() -> None:
    rows = []
    for _ in range(2):
        state = priced_state()
        for price in (101, 102, 101, 99):
            tick(state, 700, [price * ONE, (price + 1) * ONE])
        rows.append({table: dict(of) for table, of in state.rows.items()})
    assert rows[0] == rows[1]
    assert isinstance(rows[0][Table.PRICE][BTC], Price)
    assert FEES in rows[0][Table.ACCOUNT]
