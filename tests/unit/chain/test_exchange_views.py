"""Views of the exchange: what they answer, whom they refuse, and that they change nothing."""

from typing import Any

import msgspec
import pytest

from sequencer.chain.calldata import read_all
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.exchange_views import (
    VIEWS,
    DepthView,
    Level,
    MarginView,
    MoneyView,
    PriceView,
    TopView,
)
from sequencer.chain.executor import call_view
from sequencer.exchange.state import Journal, Table
from sequencer.model.limits import DEPTH_LEVELS_MAX, FELT_MAX
from sequencer.model.orders import OrderType, Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import (
    Account,
    DepositRow,
    LastTrade,
    Position,
    Row,
    Withdrawal,
)
from sequencer.model.units import ONE
from sequencer.starknet.felt import encode_short_string
from sequencer.starknet.names import selector
from tests.unit.chain.network import (
    MARKET,
    PUBLISHERS,
    Network,
    address_of,
    exchange_call,
    key_of,
)

INITIAL, MAINTENANCE, TAKER_FEE = 2_000_000, 1_000_000, 30_000
"""Rates (1e-8) of the network's market."""


def view(network: Network, entry_point: str, /, **values: Any) -> Any:  # noqa: ANN401
    """Ask a view, which may change nothing, and read its answer by its own types."""
    address, chosen, data = exchange_call(entry_point, **values)
    before = {table: dict(rows) for table, rows in network.state.rows.items()}
    try:
        felts = call_view(network.state, address, chosen, data, network.chain.chain_id)
    finally:
        assert before == network.state.rows
    (output,) = EXCHANGE.entry_points[chosen].outputs
    return read_all((("answer", output),), felts)["answer"]


def refusal(network: Network, entry_point: str, /, **values: Any) -> Reason:  # noqa: ANN401
    with pytest.raises(Refused) as caught:
        view(network, entry_point, **values)
    return caught.value.reason


def put(network: Network, table: Table, key: Any, row: Row | None) -> None:  # noqa: ANN401
    Journal(network.state).put(table, key, row)


def traded() -> Network:
    """Return an open exchange: alice sold 0.1 to bob at 60,010, and three orders are left."""
    network = Network()
    network.open()
    alice, bob = address_of("alice"), address_of("bob")
    orders = [
        ("alice", network.order("alice", Side.SELL, 60_010)),
        ("bob", network.order("bob", Side.BUY, 60_010)),
        ("alice", network.order("alice", Side.BUY, 59_000, 1)),
        ("bob", network.order("bob", Side.BUY, 59_000, 2)),
        ("bob", network.order("bob", Side.BUY, 58_999, 3)),
    ]
    items = [network.signed(name, order) for name, order in orders]
    receipt = network.receipt("op", exchange_call("execute_orders", items=items))
    assert receipt.revert_reason is None
    assert network.state.positions.keys() == {(alice, MARKET), (bob, MARKET)}
    assert len(network.state.orders) == 3
    return network


def test_accounts_are_read_and_unknown_ones_are_empty() -> None:
    network = traded()
    state, bob = network.state, address_of("bob")
    assert view(network, "get_account", account=bob) == state.accounts[bob]
    assert state.accounts[bob].cash == 10_000_050_000_000 - 6_001 * TAKER_FEE
    assert view(network, "get_account", account=5) == Account()
    put(network, Table.ACCOUNT, 6, Account(-(2**100), FELT_MAX, MARKET))
    assert view(network, "get_account", account=6) == Account(-(2**100), FELT_MAX, MARKET)
    assert view(network, "get_isolated", owner=FELT_MAX, market=MARKET) == 6
    assert view(network, "get_isolated", owner=5, market=MARKET) == 0


def test_margin_is_told_in_quote() -> None:
    network = traded()
    bob, mark = address_of("bob"), network.state.prices[MARKET].mark
    found = view(network, "get_margin", account=bob)
    cash = network.state.accounts[bob].cash
    value = cash - 6_001 * ONE + mark // 10
    # 0.1 held and 0.2 bid below the mark price, which loses nothing at once.
    initial = 3 * mark // 10 * (INITIAL + TAKER_FEE) // ONE
    maintenance = mark // 10 * (MAINTENANCE + TAKER_FEE) // ONE
    assert found == MarginView(value, initial, maintenance, value - initial, True)
    assert view(network, "get_margin", account=5) == MarginView(0, 0, 0, 0, True)


@pytest.mark.parametrize(("size", "value"), [(1, 60_000), (-1, -60_001)])
def test_margin_is_rounded_against_the_account(size: int, value: int) -> None:
    network = traded()
    row = network.state.prices[MARKET]
    mark = 60_000 * ONE + 1
    put(network, Table.PRICE, MARKET, msgspec.structs.replace(row, mark=mark))
    put(network, Table.POSITION, (5, MARKET), Position(size, 0, row.funding_index))
    found = view(network, "get_margin", account=5)
    initial = -(-mark * (INITIAL + TAKER_FEE) // ONE**2)
    maintenance = -(-mark * (MAINTENANCE + TAKER_FEE) // ONE**2)
    exact = size * mark * ONE - mark * (INITIAL + TAKER_FEE)
    assert found == MarginView(value, initial, maintenance, exact // ONE**2, size > 0)


def test_positions_are_read_with_their_sign() -> None:
    network = traded()
    alice, rows = address_of("alice"), network.state.positions
    found = view(network, "get_position", account=alice, market=MARKET)
    assert found == rows[alice, MARKET]
    assert (found.size, found.cost) == (-ONE // 10, -6_001 * ONE)
    assert view(network, "get_position", account=5, market=MARKET) == Position(0, 0, 0)
    assert view(network, "get_position_markets", account=alice) == (MARKET,)
    assert view(network, "get_position_markets", account=5) == ()


def test_orders_are_read_oldest_first_waiting_ones_too() -> None:
    network = traded()
    bob = address_of("bob")
    first, second = view(network, "get_order_ids", account=bob, market=MARKET)
    stop = network.order("bob", Side.BUY, 70_000)
    stop = msgspec.structs.replace(stop, type=OrderType.STOP_LIMIT, trigger_price=65_000 * ONE)
    network.receipt("bob", exchange_call("place_order", order=stop))
    *others, third = view(network, "get_order_ids", account=bob, market="")
    assert others == [first, second]
    rows = [view(network, "get_order", order_id=each) for each in (first, second, third)]
    assert rows == [network.state.orders[each] for each in (first, second, third)]
    assert [row.waiting for row in rows] == [False, False, True]
    assert view(network, "get_order_ids", account=5, market="") == ()
    assert refusal(network, "get_order", order_id=5) is Reason.ORDER_UNKNOWN


def test_the_book_is_read_by_levels() -> None:
    network = traded()
    best, next_best = Level(59_000 * ONE, 2 * ONE // 10), Level(58_999 * ONE, ONE // 10)
    assert view(network, "get_top", market=MARKET) == TopView(best, Level())
    one, both = DepthView((best,), ()), DepthView((best, next_best), ())
    assert view(network, "get_depth", market=MARKET, levels=1) == one
    assert view(network, "get_depth", market=MARKET, levels=2) == both
    assert view(network, "get_depth", market=MARKET, levels=DEPTH_LEVELS_MAX) == both
    for levels in (0, DEPTH_LEVELS_MAX + 1, 2**128 - 1):
        reason = refusal(network, "get_depth", market=MARKET, levels=levels)
        assert reason is Reason.PARAMETER_INVALID
    ask = network.order("alice", Side.SELL, 61_000)
    network.receipt("alice", exchange_call("place_order", order=ask))
    expected = DepthView((best,), (Level(61_000 * ONE, ONE // 10),))
    assert view(network, "get_depth", market=MARKET, levels=1) == expected


def test_markets_and_their_prices_are_read() -> None:
    network = traded()
    state = network.state
    assert view(network, "get_markets") == (MARKET,)
    assert view(network, "get_market", market=MARKET) == state.markets[MARKET]
    row = msgspec.structs.replace(state.prices[MARKET], basis=-5, funding_index=-7)
    put(network, Table.PRICE, MARKET, row)
    expected = PriceView(row.index, row.index_at_ms, row.mark, -7, -5)
    assert view(network, "get_price", market=MARKET) == expected
    time_ms = state.system.time_ms
    assert view(network, "get_last_trade", market=MARKET) == LastTrade(60_010 * ONE, time_ms)
    assert view(network, "get_open_interest", market=MARKET) == ONE // 10
    put(network, Table.TRADE, MARKET, None)
    assert view(network, "get_last_trade", market=MARKET) == LastTrade(0, 0)


def test_an_unknown_market_is_refused_wherever_one_is_named() -> None:
    network = Network()
    zeros = {"account": 0, "owner": 0, "levels": 1}
    asked = [entry for entry in VIEWS if any(name == "market" for name, _ in entry.inputs)]
    assert len(asked) == 9
    for entry in asked:
        values = {name: zeros.get(name, "NONE") for name, _ in entry.inputs}
        assert refusal(network, entry.name, **values) is Reason.MARKET_UNKNOWN, entry.name


def test_money_and_the_exchanges_own_row_are_read() -> None:
    network = traded()
    state = network.state
    found = view(network, "get_money")
    totals = msgspec.structs.asdict(state.totals)
    assert found == MoneyView(**totals, insurance_cash=1_000 * ONE)
    assert found.deposited == found.genesis_deposited == 20_100_050_000_000
    insurance = state.system.insurance
    put(network, Table.ACCOUNT, insurance, Account(-1))
    assert view(network, "get_money").insurance_cash == -1
    system = view(network, "get_system")
    assert system == state.system
    assert system.rules_version == 1
    waits = msgspec.structs.replace(system, wait_until_ms=-60_000, tick_allowed=FELT_MAX)
    put(network, Table.SYSTEM, "", waits)
    assert view(network, "get_system") == waits


def test_keys_are_read() -> None:
    network = Network()
    alice = address_of("alice")
    asked = {"account": alice, "key": FELT_MAX}
    assert view(network, "has_subkey", **asked) is False
    network.receipt("alice", exchange_call("add_subkey", **asked))
    assert view(network, "has_subkey", **asked) is True
    key = key_of(PUBLISHERS["Alpha"])
    assert view(network, "get_publisher_key", name="Alpha") == key
    assert refusal(network, "get_publisher_key", name="Delta") is Reason.PUBLISHER_UNKNOWN


def test_money_across_the_settlement_chain_is_read() -> None:
    network = Network()
    assert view(network, "get_deposit", nonce=7) == DepositRow(0, 0, 0)
    assert view(network, "get_withdrawal", withdrawal_id=7) == Withdrawal(0, 0, 0, 0)
    deposit, withdrawal = DepositRow(5, 6, FELT_MAX), Withdrawal(FELT_MAX, FELT_MAX, 8, 9)
    put(network, Table.DEPOSIT, 7, deposit)
    put(network, Table.WITHDRAWAL, FELT_MAX, withdrawal)
    assert view(network, "get_deposit", nonce=7) == deposit
    assert view(network, "get_withdrawal", withdrawal_id=FELT_MAX) == withdrawal


@pytest.mark.parametrize("entry", VIEWS, ids=lambda entry: entry.name)
def test_a_view_is_one_and_takes_no_felt_too_many(entry: Any) -> None:  # noqa: ANN401
    network = Network()
    assert entry.is_view
    assert EXCHANGE.entry_points[selector(entry.name)] is entry
    felts = [encode_short_string(MARKET)] * (len(entry.inputs) + 1)
    for wrong in (felts, felts[2:]):
        if len(wrong) == len(entry.inputs):
            continue
        with pytest.raises(Refused) as caught:
            call_view(network.state, EXCHANGE_ADDRESS, selector(entry.name), wrong, 0)
        assert caught.value.reason is Reason.CALLDATA_MALFORMED
