"""Markets: create, update, pause, delist; a bad set changes nothing."""

import msgspec
import pytest

from sequencer.exchange.invariants import check_laws
from sequencer.exchange.state import State, Table
from sequencer.model.commands import CreateMarket, SetMarketStatus, UpdateMarket
from sequencer.model.events import (
    CloseReason,
    Covered,
    FundingPaid,
    MarketChanged,
    OrderClosed,
    Settled,
)
from sequencer.model.exchange_limits import MARKETS_MAX
from sequencer.model.markets import MarketStatus, OracleParameters
from sequencer.model.orders import OrderType, Side
from sequencer.model.refusals import Reason
from sequencer.model.rows import Extreme, Guard, LastTrade, Market, Mode, Price, ReportTime
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
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
    snapshot,
)
from tests.unit.exchange.pricing import switch_off, violations

DELIST = SetMarketStatus(BTC, MarketStatus.DELISTED)


def traded_state() -> State:
    """Alice is long 2 BTC from 90, Bob short; orders of both; a market beside it."""
    state = make_state()
    add_market(state, price=100_12345678)
    add_market(state, ETH, price=10 * ONE)
    for account in (ALICE, BOB, CAROL):
        fund(state, account, 1_000 * ONE)
    hold(state, ALICE, BOB, 2 * ONE, 90 * ONE)
    put(state, Table.TRADE, BTC, LastTrade(90 * ONE, NOW_MS))
    put(state, Table.REPORT_TIME, ("one", "BTC"), ReportTime(5))
    put(state, Table.REPORT_TIME, ("one", "ETH"), ReportTime(5))
    return state


def test_a_market_starts_unpriced_and_active() -> None:
    state = make_state()
    parameters = make_parameters()
    assert run(state, CreateMarket(parameters), OPERATOR) == [
        MarketChanged(BTC, MarketStatus.ACTIVE)
    ]
    assert state.markets[BTC] == Market(parameters)
    assert state.prices[BTC] == Price(funding_index=INDEX_ONE)


def test_genesis_gives_index_and_price() -> None:
    state = make_state(ticks=0, time_ms=7)
    run(state, CreateMarket(make_parameters(), 3_001 * INDEX_ONE, 92_600 * ONE), OPERATOR)
    extremes = (Extreme(7, 92_600 * ONE),)
    assert state.prices[BTC] == Price(
        index=92_600 * ONE,
        index_at_ms=7,
        mark=92_600 * ONE,
        funding_index=3_001 * INDEX_ONE,
        lows=extremes,
        highs=extremes,
    )


@pytest.mark.parametrize(
    ("ticks", "funding_index", "price"),
    [
        (0, 0, 0),
        (0, -1, 0),
        (0, 10**38 + 1, 0),
        (0, INDEX_ONE, -1),
        (0, INDEX_ONE, 10**20 + 1),
        (1, INDEX_ONE, 100 * ONE),
        (1, 2 * INDEX_ONE, 0),
    ],
)
def test_a_first_price_or_index_out_of_range_or_late_is_refused(
    ticks: int, funding_index: int, price: int
) -> None:
    command = CreateMarket(make_parameters(), funding_index, price)
    assert refused(make_state(ticks=ticks), command, OPERATOR) is Reason.PARAMETER_INVALID


def test_a_bad_update_leaves_the_old_market() -> None:
    state = traded_state()
    for bad in (
        make_parameters(band=0),
        make_parameters(oracle=OracleParameters("ETH")),
        make_parameters(oracle=OracleParameters("BTC", "ETH")),
    ):
        assert refused(state, UpdateMarket(bad), OPERATOR) is Reason.PARAMETER_INVALID
    assert state.markets[BTC] == Market(make_parameters())


def test_twice_the_same_market_is_refused() -> None:
    state = traded_state()
    twin = make_parameters(orders_max=1)
    assert refused(state, CreateMarket(twin), OPERATOR) is Reason.MARKET_EXISTS
    twin = make_parameters("BTC2", oracle=OracleParameters("BTC"))
    assert refused(state, CreateMarket(twin), OPERATOR) is Reason.PARAMETER_INVALID
    assert state.markets[BTC] == Market(make_parameters())


def test_the_number_of_markets_is_limited() -> None:
    state = make_state()
    for number in range(MARKETS_MAX):
        add_market(state, f"M{number}-USD")
    assert refused(state, CreateMarket(make_parameters()), OPERATOR) is Reason.MARKET_LIMIT


def test_only_the_operator_manages_markets() -> None:
    state = traded_state()
    for command in (CreateMarket(make_parameters("NEW")), UpdateMarket(make_parameters()), DELIST):
        assert refused(state, command, ALICE) is Reason.NOT_OPERATOR
        assert refused(state, command, OPERATOR + 1) is Reason.NOT_OPERATOR


def test_an_unknown_market_is_refused() -> None:
    state = make_state()
    status = SetMarketStatus(BTC, MarketStatus.PAUSED)
    assert refused(state, UpdateMarket(make_parameters()), OPERATOR) is Reason.MARKET_UNKNOWN
    assert refused(state, status, OPERATOR) is Reason.MARKET_UNKNOWN


def test_the_grid_becomes_finer_but_not_coarser_in_use() -> None:
    state = traded_state()
    coarse = UpdateMarket(make_parameters(price_increment=2 * 10**6))
    odd = UpdateMarket(make_parameters(lot=15_000))
    fine = UpdateMarket(make_parameters(price_increment=5 * 10**5, lot=2_000))
    assert refused(state, coarse, OPERATOR) is Reason.MARKET_IN_USE
    assert refused(state, odd, OPERATOR) is Reason.MARKET_IN_USE
    assert run(state, fine, OPERATOR) == [MarketChanged(BTC, MarketStatus.ACTIVE)]
    assert state.markets[BTC].parameters.lot == 2_000


def test_one_order_is_enough_to_be_in_use() -> None:
    state = make_state()
    add_market(state)
    coarse = UpdateMarket(make_parameters(price_increment=2 * 10**6))
    rest(state, make_order(ALICE, Side.BUY, ONE, 90 * ONE))
    assert refused(state, coarse, OPERATOR) is Reason.MARKET_IN_USE
    add_market(state, ETH)
    run(state, UpdateMarket(make_parameters(ETH, price_increment=2 * 10**6)), OPERATOR)


def test_pausing_cancels_nothing() -> None:
    state = traded_state()
    order_id = rest(state, make_order(ALICE, Side.BUY, ONE, 90 * ONE))
    before = dict(state.positions)
    paused = SetMarketStatus(BTC, MarketStatus.PAUSED)
    assert run(state, paused, OPERATOR) == [MarketChanged(BTC, MarketStatus.PAUSED)]
    assert order_id in state.orders
    assert state.positions == before
    run(state, SetMarketStatus(BTC, MarketStatus.ACTIVE), OPERATOR)
    assert state.markets[BTC].status is MarketStatus.ACTIVE


def test_delisting_settles_at_mark_on_the_grid() -> None:
    state = traded_state()
    resting = rest(state, make_order(CAROL, Side.BUY, ONE, 90 * ONE))
    waiting = rest(
        state,
        make_order(ALICE, Side.SELL, ONE, 0, type=OrderType.STOP_MARKET, trigger_price=80 * ONE),
        waiting=True,
    )
    elsewhere = rest(state, make_order(CAROL, Side.BUY, ONE, 9 * ONE, market=ETH))
    events = run(state, DELIST, OPERATOR)
    closed = CloseReason.MARKET_CLOSED
    assert events == [
        OrderClosed(resting, CAROL, BTC, ONE, closed),
        OrderClosed(waiting, ALICE, BTC, ONE, closed),
        Settled(BOB, BTC, -2 * ONE, 100_12000000),
        Settled(ALICE, BTC, 2 * ONE, 100_12000000),
        MarketChanged(BTC, MarketStatus.DELISTED),
    ]
    # 2 x (100.12 - 90) = 20.24 from the short to the long.
    assert state.accounts[ALICE].cash == 1_020_24000000
    assert state.accounts[BOB].cash == 979_76000000
    assert list(state.orders) == [elsewhere]
    assert state.markets[BTC] == Market(make_parameters(), MarketStatus.DELISTED)
    left = snapshot(state)
    for table in (Table.PRICE, Table.TRADE, Table.POSITION, Table.ORDER):
        assert BTC not in str(left[table.value])
    assert list(state.report_times) == [("one", "ETH")]
    assert state.market_sums[BTC].net == state.market_sums[BTC].long == 0


def test_delisting_settles_funding_too() -> None:
    state = traded_state()
    change_price(state, BTC, funding_index=4 * INDEX_ONE)
    events = run(state, DELIST, OPERATOR)
    assert FundingPaid(ALICE, BTC, -6 * ONE) in events
    assert FundingPaid(BOB, BTC, 6 * ONE) in events
    assert state.accounts[ALICE].cash == 1_014_24000000


def test_a_loss_that_delisting_leaves_is_covered() -> None:
    state = traded_state()
    fund(state, BOB, -990 * ONE)
    fund(state, INSURANCE, 4 * ONE)
    events = run(state, DELIST, OPERATOR)
    # Bob had 10, lost 20.24: insurance pays 4, the rest of 10.24 is bad debt.
    assert Covered(BOB, 4 * ONE, 6_24000000) in events
    assert state.accounts[BOB].cash == state.accounts[INSURANCE].cash == 0
    assert state.totals.bad_debt == 6_24000000


def test_insurance_that_loses_itself_makes_bad_debt() -> None:
    state = traded_state()
    hold(state, ALICE, INSURANCE, 2 * ONE, 90 * ONE)
    put(state, Table.POSITION, (BOB, BTC), None)
    run(state, DELIST, OPERATOR)
    assert state.accounts[INSURANCE].cash == 0
    assert state.totals.bad_debt == 20_24000000


def test_insurance_that_owes_covers_nobody() -> None:
    state = traded_state()
    fund(state, BOB, -990 * ONE)
    hold(state, CAROL, INSURANCE, ONE, 90 * ONE)
    events = run(state, DELIST, OPERATOR)
    covered = [event for event in events if isinstance(event, Covered)]
    assert covered == [Covered(INSURANCE, 0, 10_12000000), Covered(BOB, 0, 10_24000000)]
    assert state.totals.bad_debt == 20_36000000
    check_laws(state)


def test_nothing_is_settled_at_an_old_price() -> None:
    state = traded_state()
    change_price(state, BTC, index_at_ms=NOW_MS - 30_001)
    assert refused(state, DELIST, OPERATOR) is Reason.PRICE_STALE
    change_price(state, BTC, index_at_ms=NOW_MS - 30_000)
    run(state, DELIST, OPERATOR)


def test_without_the_guard_an_old_price_settles() -> None:
    state = traded_state()
    change_price(state, BTC, index_at_ms=NOW_MS - 86_400_000, mark=50 * ONE)
    switch_off(state, Guard.STALE_PRICE)
    assert violations(run(state, DELIST, OPERATOR)) == [Guard.STALE_PRICE]
    # A day-old 50 instead of 100.12: the long loses 80 instead of winning 20.24.
    assert state.accounts[ALICE].cash == 920 * ONE


@pytest.mark.parametrize("mark", [0, 999_999])
def test_nothing_is_settled_at_no_price(mark: int) -> None:
    state = traded_state()
    change_price(state, BTC, mark=mark)
    assert refused(state, DELIST, OPERATOR) is Reason.PRICE_MISSING


def test_an_empty_market_needs_no_price() -> None:
    state = make_state()
    run(state, CreateMarket(make_parameters()), OPERATOR)
    run(state, DELIST, OPERATOR)
    assert BTC not in state.prices


@pytest.mark.parametrize("status", MarketStatus)
def test_delisted_is_for_good(status: MarketStatus) -> None:
    state = traded_state()
    run(state, SetMarketStatus(BTC, MarketStatus.PAUSED), OPERATOR)
    run(state, DELIST, OPERATOR)
    assert refused(state, SetMarketStatus(BTC, status), OPERATOR) is Reason.MARKET_CLOSED
    assert refused(state, UpdateMarket(make_parameters()), OPERATOR) is Reason.MARKET_CLOSED
    assert refused(state, CreateMarket(make_parameters()), OPERATOR) is Reason.MARKET_EXISTS


def test_the_names_of_a_delisted_market_are_free() -> None:
    state = traded_state()
    run(state, DELIST, OPERATOR)
    parameters = msgspec.structs.replace(make_parameters(), symbol="BTC-2")
    run(state, CreateMarket(parameters), OPERATOR)


def test_the_status_stays_in_halted() -> None:
    state = make_state(mode=Mode.HALTED)
    add_market(state)
    assert refused(state, DELIST, OPERATOR) is Reason.MODE_FORBIDS
