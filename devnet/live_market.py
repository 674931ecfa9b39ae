"""The recorded market going on by itself, looped, at its own pace, on whatever state a chain has.

Promises
- It quotes and takes wherever the mode allows it, so that a chain that an operator halts, goes back
  on and reopens finds its market again.

Laws
- It decides from the node's own state before each block. What is refused is passed over: no volume
  is promised here, and no block hash.
"""

from collections.abc import Iterator

from devnet.market_genesis import symbol_of
from devnet.orders import (
    index_reports,
    into_band,
    limit_order,
    resting_orders,
    sign_cancel,
    sign_order,
    sign_report,
)
from devnet.script_block import ScriptedBlock
from devnet.traders import Cast, Player
from sequencer.chain.exchange_contract import Signed, SignedOrder, SignedReport
from sequencer.exchange.state import State
from sequencer.feeds.recorded import Quote, Recorded, Recording, Spot, Trade
from sequencer.model.orders import Instruction, Side
from sequencer.model.recorded_limits import LIVE_TRADES_MAX
from sequencer.model.rows import Mode
from sequencer.model.units import MS_PER_SECOND

_FIRST_ID = 1_000_000_000
"""Far above the ids of any script, so that no order comes twice."""

_TAKERS = 20
"""Takers: the traders with the most money."""


class LiveMarket:
    """Makes one block after the other. `from_ms` is the moment of the record to begin at."""

    def __init__(self, recording: Recording, cast: Cast, from_ms: int) -> None:
        self._rows = recording.rows
        self._cast = cast
        self._takers = cast.traders[-_TAKERS:]
        self._publishers = dict(cast.publishers)
        self._place = next((n for n, row in enumerate(self._rows) if row.time_ms >= from_ms), 0)
        self._shift_ms: int | None = None
        self._prices = {market.base: market.first_index for market in recording.markets}
        self._quotes: dict[str, Quote] = {}
        self._reported_at = 0
        self._taken = 0
        self._orders = 0

    def block(self, state: State, time_ms: int) -> ScriptedBlock:
        """Return the block of the moment: what was recorded since the last one."""
        rows = list(self._due(time_ms))
        for row in rows:
            if isinstance(row, Spot):
                self._prices[row.base] = (row.bid + row.ask) // 2
            elif isinstance(row, Quote):
                self._quotes[row.base] = row
        items: list[Signed] = []
        if state.system.mode in (Mode.POST_ONLY, Mode.OPEN):
            for quote in self._quotes.values():
                items += self._quote(state, quote, time_ms)
        if state.system.mode is Mode.OPEN:
            trades = [row for row in rows if isinstance(row, Trade)]
            items += [self._take(state, trade, time_ms) for trade in trades[:LIVE_TRADES_MAX]]
        return ScriptedBlock(time_ms, reports=tuple(self._reports(time_ms)), items=tuple(items))

    def _due(self, time_ms: int) -> Iterator[Recorded]:
        """Yield the rows that are due, and begin again at the end of the record."""
        for _ in range(len(self._rows)):
            row = self._rows[self._place]
            if self._shift_ms is None:
                self._shift_ms = time_ms - row.time_ms
            if row.time_ms + self._shift_ms > time_ms:
                return
            yield row
            self._place += 1
            if self._place == len(self._rows):
                self._place, self._shift_ms = 0, None

    def _reports(self, time_ms: int) -> Iterator[SignedReport]:
        second = time_ms // MS_PER_SECOND
        if second <= self._reported_at:
            return
        self._reported_at = second
        for report in index_reports(self._cast, self._prices, second):
            yield sign_report(report, self._publishers[report.publisher])

    def _quote(self, state: State, quote: Quote, time_ms: int) -> Iterator[Signed]:
        """Yield the quoter's cancels and its two new quotes."""
        quoter, market = self._cast.quoter, symbol_of(quote.base)
        if not state.prices[market].index:
            return
        for order_id in sorted(resting_orders(state, quoter.address, market)):
            yield sign_cancel(quoter, order_id, state.system.chain_id)
        bid, ask = quote.bid, quote.ask
        if state.system.mode is Mode.POST_ONLY:
            bid, ask = into_band(state, market, bid, ask)
        sides = ((Side.BUY, quote.bid_size, bid), (Side.SELL, quote.ask_size, ask))
        for side, size, price in sides:
            fields = (market, side, size, price, Instruction.POST_ONLY)
            yield self._order(state, quoter, fields, time_ms)

    def _take(self, state: State, trade: Trade, time_ms: int) -> SignedOrder:
        self._taken = (self._taken + 1) % len(self._takers)
        market = symbol_of(trade.base)
        fields = (market, trade.side, trade.size, trade.price, Instruction.IOC)
        return self._order(state, self._takers[self._taken], fields, time_ms)

    def _order(
        self,
        state: State,
        player: Player,
        fields: tuple[str, Side, int, int, Instruction],
        time_ms: int,
    ) -> SignedOrder:
        self._orders += 1
        # By its time too: a run that goes on again must not sign the same order.
        client_id = _FIRST_ID + time_ms % _FIRST_ID * _FIRST_ID + self._orders
        order = limit_order(player.address, *fields, client_id, time_ms)
        return sign_order(order, player, state.system.chain_id)
