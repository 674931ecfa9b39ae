"""Recorded market data as commands: quotes rest and are quoted again, each trade takes.

Promises
- Each recorded trade becomes one taker order of exactly its size, and fills whole: right before it
  a named liquidity account tops up what the book lacks at the trade's price, and nothing more.
- What was topped up is counted apart, in `synthetic`: 1e-8 base by market.
- Chain time is market time; every tick carries three publishers' reports of the spot price.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import msgspec

from sequencer.exchange.state import State
from sequencer.exchange.step import Context
from sequencer.feeds.recorded import Quote, Recorded, Spot, Trade
from sequencer.model.commands import (
    CancelOrder,
    Command,
    CreateMarket,
    Deposit,
    PlaceOrder,
    PriceReport,
    RegisterPublisher,
    SetMode,
    Tick,
)
from sequencer.model.limits import RECEIVE_WINDOW_MS_MAX
from sequencer.model.markets import MarketParameters, OracleParameters
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.rows import Mode, System
from sequencer.model.units import ONE

Sent: TypeAlias = tuple[Context, Command]
"""A command and who sends it."""

TICK_MS = 200
WARM_UP_TICKS = 3

_DEPOSIT_TOKENS = 10**9 * 10**6
_REPORT_SCALE = 10**10


class Cast(msgspec.Struct, frozen=True):
    """Who plays: the accounts' addresses, and the publishers' public keys by name."""

    operator: int = 1
    insurance: int = 2
    fees: int = 3
    quoter: int = 10
    liquidity: int = 11
    takers: tuple[int, ...] = tuple(range(100, 120))
    publishers: tuple[tuple[str, int], ...] = (("Alpha", 901), ("Bravo", 902), ("Carol", 903))


def symbol_of(base: str) -> str:
    """Return the symbol of a base's market."""
    return f"{base}-USD-PERP"


def replay_system(cast: Cast) -> System:
    """Return the exchange's row that a replay starts from."""
    return System(operator=cast.operator, insurance=cast.insurance, fees=cast.fees)


def replay_markets() -> tuple[MarketParameters, ...]:
    """Return the parameters of the recorded markets."""
    grids = (("BTC", ONE // 10, 10_000), ("ETH", ONE // 100, 100_000))
    return tuple(
        MarketParameters(
            symbol=symbol_of(base),
            price_increment=increment,
            lot=ONE // 1000,
            oracle=OracleParameters(asset=f"{base}USD"),
            notional_min=ONE,
            order_size_max=position_max * ONE // 10,
            position_max=position_max * ONE,
            open_interest_max=10 * position_max * ONE,
        )
        for base, increment, position_max in grids
    )


class Replay:
    """Turns recorded rows into commands while somebody applies them to `state`.

    Ask for the next command only after the last one was applied: top-ups depend on the book.
    `id_of(order, number)` gives an order's id; without it orders are numbered.
    """

    def __init__(
        self,
        state: State,
        cast: Cast,
        id_of: Callable[[Order, int], int] = lambda _, number: number,
    ) -> None:
        self._state = state
        self._cast = cast
        self._id_of = id_of
        self._spot: dict[str, int] = {}
        self._quotes: dict[tuple[str, Side], int] = {}
        self._orders = 1_000_000
        self._taker = 0
        self._reported_at = 0
        self.synthetic: dict[str, int] = {}

    def genesis(self, first: dict[str, int]) -> Iterator[Sent]:
        """Make publishers, markets (at the first spot prices) and deposits."""
        cast = self._cast
        operator = Context(cast.operator)
        for name, key in cast.publishers:
            yield operator, RegisterPublisher(name, key)
        for parameters in replay_markets():
            base = parameters.symbol.split("-")[0]
            yield operator, CreateMarket(parameters, index_price=first[base])
        for nonce, account in enumerate(
            (cast.insurance, cast.quoter, cast.liquidity, *cast.takers)
        ):
            yield Context(0), Deposit(nonce, nonce + 1, account, _DEPOSIT_TOKENS)

    def commands(self, recorded: Iterable[Recorded], first: dict[str, int]) -> Iterator[Sent]:
        """Make the commands of recorded rows, with a tick every 200 ms of market time.

        `first` are the spot prices to begin with, by base.
        """
        self._spot = dict(first)
        next_tick_ms = 0
        for row in recorded:
            if not next_tick_ms:
                next_tick_ms = row.time_ms - row.time_ms % TICK_MS
                yield from self._warm_up(next_tick_ms)
            while row.time_ms >= next_tick_ms:
                yield self._tick(next_tick_ms)
                next_tick_ms += TICK_MS
            yield from self._row(row)

    def _warm_up(self, first_ms: int) -> Iterator[Sent]:
        """Tick the seconds before the record at its first prices, and open."""
        for second in range(WARM_UP_TICKS, 0, -1):
            yield self._tick(first_ms - second * 1_000)
        for mode in (Mode.POST_ONLY, Mode.OPEN):
            yield Context(self._cast.operator), SetMode(mode, "the record begins")

    def _tick(self, time_ms: int) -> Sent:
        reports: list[PriceReport] = []
        if time_ms // 1000 > self._reported_at:
            self._reported_at = time_ms // 1000
            reports = [
                PriceReport(name, f"{base}USD", price * _REPORT_SCALE, self._reported_at, key)
                for base, price in self._spot.items()
                for name, key in self._cast.publishers
            ]
        return Context(self._cast.operator), Tick(time_ms, reports)

    def _row(self, row: Recorded) -> Iterator[Sent]:
        match row:
            case Spot():
                self._spot[row.base] = (row.bid + row.ask) // 2
            case Quote():
                yield from self._quote(row)
            case Trade():
                yield from self._trade(row)

    def _quote(self, quote: Quote) -> Iterator[Sent]:
        for side in Side:
            yield from self._cancel_quote(quote.base, side)
        prices = {Side.BUY: (quote.bid, quote.bid_size), Side.SELL: (quote.ask, quote.ask_size)}
        for side, (price, size) in prices.items():
            command = self._order(
                self._cast.quoter, quote.base, side, size, price, Instruction.POST_ONLY
            )
            self._quotes[quote.base, side] = command.order_id
            yield Context(self._cast.quoter), command

    def _cancel_quote(self, base: str, side: Side) -> Iterator[Sent]:
        order_id = self._quotes.pop((base, side), 0)
        if order_id in self._state.orders:
            yield Context(self._cast.quoter), CancelOrder(self._cast.quoter, order_id)

    def _trade(self, trade: Trade) -> Iterator[Sent]:
        maker_side = Side.SELL if trade.side is Side.BUY else Side.BUY
        available = self._available(trade)
        market = symbol_of(trade.base)
        if available < trade.size:
            missing = trade.size - available
            # A quote from before the trade may lie across its price; it is out of date.
            if self._lies_across(trade):
                yield from self._cancel_quote(trade.base, trade.side)
            post_only = Instruction.POST_ONLY
            top_up = self._order(
                self._cast.liquidity, trade.base, maker_side, missing, trade.price, post_only
            )
            self.synthetic[market] = self.synthetic.get(market, 0) + missing
            yield Context(self._cast.liquidity), top_up
        self._taker = (self._taker + 1) % len(self._cast.takers)
        taker = self._cast.takers[self._taker]
        ioc = Instruction.IOC
        order = self._order(taker, trade.base, trade.side, trade.size, trade.price, ioc)
        yield Context(taker), order

    def _available(self, trade: Trade) -> int:
        book = self._state.books[symbol_of(trade.base)]
        total = 0
        for price, size in book.opposite(trade.side).prices():
            if price > trade.price if trade.side is Side.BUY else price < trade.price:
                break
            total += size
        return min(total, trade.size)

    def _lies_across(self, trade: Trade) -> bool:
        best = self._state.books[symbol_of(trade.base)].side(trade.side).best_price()
        if best is None:
            return False
        return best >= trade.price if trade.side is Side.BUY else best <= trade.price

    def _order(
        self, account: int, base: str, side: Side, size: int, price: int, instruction: Instruction
    ) -> PlaceOrder:
        self._orders += 1
        order = Order(
            account=account,
            market=symbol_of(base),
            side=side,
            type=OrderType.LIMIT,
            size=size,
            price=price,
            trigger_price=0,
            instruction=instruction,
            self_trade=SelfTrade.EXPIRE_TAKER,
            reduce_only=False,
            client_id=self._orders,
            pair_id=0,
            replaces=0,
            signed_at_ms=self._state.system.time_ms,
            receive_window_ms=RECEIVE_WINDOW_MS_MAX,
            expires_at_ms=0,
        )
        return PlaceOrder(order, self._id_of(order, self._orders))
