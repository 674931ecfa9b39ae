"""Markets: opened, changed, paused and delisted, all by the operator.

Promises
- Parameters are checked as a whole before anything changes: a bad set leaves the market as it was.
- Delisting closes every position at one exact price, so that what the longs get the shorts pay.
  What an account cannot pay is a loss like any other: insurance first, then bad debt.

Laws
- The grid of prices and sizes only becomes finer while there are orders or positions on it.
- A delisted market keeps its row and nothing else, and stays delisted.
"""

from msgspec.structs import replace

from sequencer.exchange.authority import require_operator
from sequencer.exchange.closing import close_order
from sequencer.exchange.freshness import is_stale
from sequencer.exchange.losses import cover_deficit, settle_insurance
from sequencer.exchange.mark import fair_price
from sequencer.exchange.parameters import require_parameters
from sequencer.exchange.positions import change_position
from sequencer.exchange.state import State, Table
from sequencer.exchange.step import Step
from sequencer.model.commands import CreateMarket, SetMarketStatus, UpdateMarket
from sequencer.model.events import CloseReason, MarketChanged, Settled
from sequencer.model.exchange_limits import MARKETS_MAX, PRICE_MAX
from sequencer.model.markets import MarketParameters, MarketStatus
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Extreme, Guard, Market, Price
from sequencer.model.units import INDEX_ONE


def create_market(step: Step, command: CreateMarket) -> None:
    """Open a market. Refusals: NOT_OPERATOR, MARKET_EXISTS, MARKET_LIMIT, PARAMETER_INVALID."""
    require_operator(step)
    parameters, state = command.parameters, step.state
    if parameters.symbol in state.markets:
        raise Refused(Reason.MARKET_EXISTS, f"{parameters.symbol} exists")
    if len(state.markets) >= MARKETS_MAX:
        raise Refused(Reason.MARKET_LIMIT, f"{MARKETS_MAX} markets exist")
    require_parameters(parameters)
    _require_own_assets(state, parameters)
    _require_genesis(state, command)
    step.put(Table.MARKET, parameters.symbol, Market(parameters))
    step.put(Table.PRICE, parameters.symbol, _first_price(state, command))
    step.emit(MarketChanged(parameters.symbol, MarketStatus.ACTIVE))


def update_market(step: Step, command: UpdateMarket) -> None:
    """Replace a market's parameters.

    Refusals: NOT_OPERATOR, MARKET_UNKNOWN, MARKET_CLOSED, PARAMETER_INVALID, MARKET_IN_USE.
    """
    require_operator(step)
    parameters, state = command.parameters, step.state
    market = _require_live(state, parameters.symbol)
    require_parameters(parameters)
    _require_own_assets(state, parameters)
    if not _refines(market.parameters, parameters) and _is_in_use(state, parameters.symbol):
        raise Refused(Reason.MARKET_IN_USE, f"{parameters.symbol} has orders or positions")
    step.put(Table.MARKET, parameters.symbol, replace(market, parameters=parameters))
    # Other margins are a reason to look at the accounts again: no mark is 0.
    price = state.prices[parameters.symbol]
    step.put(Table.PRICE, parameters.symbol, replace(price, swept_mark=0))
    step.emit(MarketChanged(parameters.symbol, market.status))


def set_market_status(step: Step, command: SetMarketStatus) -> None:
    """Pause, resume or delist a market.

    Refusals: NOT_OPERATOR, MODE_FORBIDS, MARKET_UNKNOWN, MARKET_CLOSED, PRICE_MISSING, PRICE_STALE.
    """
    require_operator(step)
    market = _require_live(step.state, command.market)
    if command.status is MarketStatus.DELISTED:
        _delist(step, market.parameters)
    step.put(Table.MARKET, command.market, replace(market, status=command.status))
    step.emit(MarketChanged(command.market, command.status))


def _require_live(state: State, symbol: str) -> Market:
    market = state.markets.get(symbol)
    if market is None:
        raise Refused(Reason.MARKET_UNKNOWN, f"no market {symbol!r:.40}")
    if market.status is MarketStatus.DELISTED:
        raise Refused(Reason.MARKET_CLOSED, f"{symbol} is delisted")
    return market


def _require_own_assets(state: State, parameters: MarketParameters) -> None:
    """Refuse names of reports that another market goes by."""
    names = _assets(parameters)
    for symbol in sorted(state.prices):
        if symbol != parameters.symbol and names & _assets(state.markets[symbol].parameters):
            words = f"oracle.asset or oracle.perpetual_asset: {symbol} has the same"
            raise Refused(Reason.PARAMETER_INVALID, words)


def _assets(parameters: MarketParameters) -> set[str]:
    return {parameters.oracle.asset, parameters.oracle.perpetual_asset} - {""}


def _require_genesis(state: State, command: CreateMarket) -> None:
    """Refuse a first index or price out of range, or given once the chain has begun.

    Later on a price comes from publishers and is seeded: a given one would be past every guard.
    """
    index, price = command.funding_index, command.index_price
    if not 0 < index <= PRICE_MAX * INDEX_ONE or (state.system.ticks and index != INDEX_ONE):
        raise Refused(Reason.PARAMETER_INVALID, "funding_index: over 0, and only in genesis")
    if not 0 <= price <= PRICE_MAX or (state.system.ticks and price):
        raise Refused(Reason.PARAMETER_INVALID, "index_price: in range, and only in genesis")


def _first_price(state: State, command: CreateMarket) -> Price:
    index = command.index_price
    if not index:
        return Price(funding_index=command.funding_index)
    now_ms = state.system.time_ms
    extremes = (Extreme(now_ms, index),)
    return Price(
        index=index,
        index_at_ms=now_ms,
        mark=fair_price(index, 0),
        funding_index=command.funding_index,
        lows=extremes,
        highs=extremes,
    )


def _refines(old: MarketParameters, new: MarketParameters) -> bool:
    """Say whether everything on the old grid is on the new one."""
    return old.price_increment % new.price_increment == 0 and old.lot % new.lot == 0


def _is_in_use(state: State, symbol: str) -> bool:
    held = bool(state.holders[symbol])
    return held or any(row.order.market == symbol for row in state.orders.values())


def _delist(step: Step, parameters: MarketParameters) -> None:
    state, symbol = step.state, parameters.symbol
    found = [item for item in state.orders.items() if item[1].order.market == symbol]
    for order_id, row in sorted(found, key=lambda item: item[1].sequence):
        close_order(step, order_id, row, CloseReason.MARKET_CLOSED)
    if state.holders[symbol]:
        _settle_positions(step, symbol, _settlement_price(step, parameters))
    step.put(Table.PRICE, symbol, None)
    if symbol in state.trades:
        step.put(Table.TRADE, symbol, None)
    assets = _assets(parameters)
    for key in sorted(key for key in state.report_times if key[1] in assets):
        step.put(Table.REPORT_TIME, key, None)


def _settle_positions(step: Step, symbol: str, price: int) -> None:
    """Close all positions at a price. Whoever has none left and owes is covered at once."""
    state = step.state
    accounts = sorted(state.holders[symbol])
    for account in accounts:
        size = state.positions[account, symbol].size
        change_position(step, account, symbol, -size, price)
        step.emit(Settled(account, symbol, size, price))
    # Its own loss first: what insurance owes, it cannot pay for others.
    settle_insurance(step)
    for account in accounts:
        if not state.holding(account).positions:
            cover_deficit(step, account)


def _settlement_price(step: Step, parameters: MarketParameters) -> int:
    """Return mark on the price grid, rounded down. Refusals: PRICE_MISSING, PRICE_STALE."""
    row = step.state.prices[parameters.symbol]
    price = row.mark - row.mark % parameters.price_increment
    if not price:
        raise Refused(Reason.PRICE_MISSING, f"{parameters.symbol} has no price to settle at")
    stale = is_stale(step.state, parameters.symbol)
    if step.guarded(Guard.STALE_PRICE, stale, f"{parameters.symbol}: settled at an old price"):
        raise Refused(Reason.PRICE_STALE, f"{parameters.symbol} has an old index price")
    return price
