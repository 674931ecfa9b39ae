"""The replayed market as a script of blocks, and the story of an incident in it.

Promises
- Blocks follow from the recording, the cast and the calls made here alone: no clock, no chance.
- Each recorded trade is one taker order of exactly its size, and fills whole: right before it a
  liquidity account tops up what the book lacks at the trade's price, and nothing more.
- Chain time is market time, a block each 200 ms and more where one is full.

Laws
- Phases are asked for one after the other, and each is taken to its end before the next one.
- What the chain has not traded when its time came is never traded later; it is counted.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from devnet.market_genesis import (
    PlannedDeposit,
    make_genesis,
    planned_deposits,
    symbol_of,
    tier_sizes,
)
from devnet.orders import into_band, limit_order
from devnet.script_block import BlockMaker, ScriptedBlock
from devnet.shadow import Shadow
from devnet.takers import Takers
from devnet.traders import Cast, Player
from sequencer.exchange.modes import opening_problems
from sequencer.feeds.recorded import Quote, Recorded, Recording, Spot, Trade
from sequencer.model.bridge_limits import DEPOSITS_PER_BLOCK_MAX
from sequencer.model.commands import Fault, FaultKind, Reopen, SetGuard, SetMode
from sequencer.model.markets import MarketParameters
from sequencer.model.orders import Instruction, Order, OrderType, Side
from sequencer.model.recorded_limits import LADDER_BLOCKS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Mode
from sequencer.model.settlement import SentDeposit
from sequencer.model.units import ONE, QUOTE_PER_TOKEN
from sequencer.starknet.felt import Felt

MARKET_DATA = Path(__file__).parent / "market_data"
"""The recording that comes with the project."""

BLOCK_MS = 200
"""Milliseconds of market time from one block to the next."""

WARM_UP_MS = 5_000
"""Milliseconds before the record in which publishers say enough prices to open."""

INCIDENT_BLOCKS = 15
"""Blocks in which the harm of an incident spreads."""

WITHDRAWN_MAX = 1_000 * ONE
"""Quote of 1e-8 that one trader withdraws, or a tenth of what it has."""

_STEP_MS = 1_000
_EXIT_DISTANCE = 3 * ONE // 100
_EXITS_EVERY = 8
_RESTING_PLACE = 4

_HARM = {
    FaultKind.INDEX_RESET: (Guard.FUNDING_STEP, "BTC"),
    FaultKind.ZERO_PRICE: (Guard.ZERO_PRICE, "ETH"),
}
"""The guard that stops a fault, and the market that it is meant for; another takes its place."""


class MarketScript:
    """The script of one run. Its phases yield blocks; the state beside them is `shadow`.

    `funded`: the money of whoever trades comes as `deposits`, in blocks before all others, and all
    that follows comes when it would come without them.
    """

    def __init__(
        self, recording: Recording, cast: Cast, chain_id: str, *, funded: bool = False
    ) -> None:
        first_ms = recording.rows[0].time_ms
        self.first_ms = first_ms - first_ms % BLOCK_MS
        self.last_ms = recording.rows[-1].time_ms
        self.deposits = tuple(planned_deposits(recording, cast)) if funded else ()
        funding_ms = -(-len(self.deposits) // DEPOSITS_PER_BLOCK_MAX) * BLOCK_MS
        self._next_ms = self._mode_since_ms = self.first_ms - WARM_UP_MS - funding_ms
        self.genesis = make_genesis(recording, cast, chain_id, self._next_ms, funded=funded)
        self.shadow = Shadow(self.genesis)
        self._state = self.shadow.state
        self._cast = cast
        self._maker = BlockMaker(self.shadow, cast)
        self._rows = recording.rows
        self._place = 0
        self._index = {market.base: market.first_index for market in recording.markets}
        self._quotes = _first_quotes(recording.rows)
        self._numbers = {player.address: n for n, player in enumerate(cast.traders)}
        self._orders = 0
        self._faults: tuple[Fault, ...] = ()

    def sign(self, signs: bool) -> None:
        """Say whether the blocks from here on are signed; without, the script only runs forward."""
        self._maker.signs = signs

    def fund(self, sent: Sequence[SentDeposit]) -> Iterator[ScriptedBlock]:
        """Take the deposits in as the node does, so many in each block, before anything else.

        Refusal: RUN_DIFFERS where others were sent than are wanted.
        """
        if [(each.account, each.amount) for each in sent] != [*map(_fields, self.deposits)]:
            raise Refused(Reason.RUN_DIFFERS, "the settlement chain holds other deposits")
        for first in range(0, len(sent), DEPOSITS_PER_BLOCK_MAX):
            yield from self._window(deposits=sent[first : first + DEPOSITS_PER_BLOCK_MAX])
        self._mode_since_ms = self._next_ms

    def withdraw(self) -> Iterator[ScriptedBlock]:
        """The block in which one trader asks for money, to its own address over there."""
        trader = self._cast.traders[-1].address
        amount = min(WITHDRAWN_MAX, self._state.accounts[trader].cash // 10)
        yield from self._window(withdrawal=(trader, amount - amount % QUOTE_PER_TOKEN))

    def warm_up(self) -> Iterator[ScriptedBlock]:
        """From the first prices to OPEN, in the seconds before the record."""
        yield from self.climb()

    def trade(self, until_ms: int | None = None) -> Iterator[ScriptedBlock]:
        """Replay up to a market time, or to the end of the record."""
        until_ms = self.last_ms + 1 if until_ms is None else until_ms
        while self._next_ms < until_ms and self._next_ms <= self.last_ms:
            yield from self._window()

    def incident(self, kinds: Sequence[FaultKind]) -> Iterator[ScriptedBlock]:
        """Switch the guards in the way off, do the harm, and let it spread while trading goes on.

        Refusal: FAULT_INVALID for harm that is no part of the story.
        """
        if not kinds or not _HARM.keys() >= set(kinds):
            raise Refused(Reason.FAULT_INVALID, "an incident resets an index or zeroes a price")
        guards = {_HARM[kind][0] for kind in kinds} | {Guard.TRIPWIRE}
        self._faults = tuple(Fault(kind, self._harmed(kind)) for kind in kinds)
        yield from self._window(operates=[SetGuard(guard, False) for guard in sorted(guards)])
        yield from self._window(operates=self._faults)
        for _ in range(INCIDENT_BLOCKS):
            yield from self._window()

    def rolled_back(self, height: int) -> None:
        """Take note that the chain is as it was after a block. Refusal: BLOCK_UNKNOWN."""
        self.shadow.roll_back(height)

    def reopen(self, command: Reopen) -> Iterator[ScriptedBlock]:
        """The first block after a rollback, with the chain's own way back ahead of its tick."""
        self._mode_since_ms = self._next_ms
        yield from self._window(modes=(command,))

    def refused_faults(self) -> Iterator[ScriptedBlock]:
        """The harm of the incident once more: now every guard is on, and refuses it."""
        yield from self._window(operates=self._faults, refusal=Reason.GUARD_STOPPED)

    def climb(self) -> Iterator[ScriptedBlock]:
        """Up to OPEN step by step, as soon as nothing is in the way. Refusal: MODE_NOT_READY."""
        for _ in range(LADDER_BLOCKS_MAX):
            yield from self._window(modes=self._step_up())
            if self._state.system.mode is Mode.OPEN:
                return
        problems = "; ".join(opening_problems(self._state, 0))
        raise Refused(Reason.MODE_NOT_READY, f"{LADDER_BLOCKS_MAX} blocks: {problems}")

    def _step_up(self) -> tuple[SetMode, ...]:
        waits = self._next_ms - self._mode_since_ms < _STEP_MS
        if waits or opening_problems(self._state, 0):
            return ()
        self._mode_since_ms = self._next_ms
        if self._state.system.mode is Mode.CANCEL_ONLY:
            return (SetMode(Mode.POST_ONLY, "prices are fresh"),)
        return (SetMode(Mode.OPEN, "quotes are in place"),)

    def _harmed(self, kind: FaultKind) -> str:
        meant = _HARM[kind][1]
        return symbol_of(meant if meant in self._index else min(self._index))

    def _window(
        self,
        modes: Sequence[SetMode | Reopen] = (),
        operates: Sequence[SetGuard | Fault] = (),
        refusal: Reason | None = None,
        deposits: Sequence[SentDeposit] = (),
        withdrawal: tuple[Felt, int] | None = None,
    ) -> Iterator[ScriptedBlock]:
        """Make the block of 200 ms, or the blocks where one is full."""
        start_ms, self._next_ms = self._next_ms, self._next_ms + BLOCK_MS
        time_ms = max(start_ms, self._state.system.time_ms + 1)
        self._maker.open(time_ms, self._index, modes, operates, refusal)
        self._maker.credit(deposits)
        if withdrawal is not None:
            account, amount = withdrawal
            self._maker.withdraw(account, account, amount)
        if any(isinstance(mode, SetMode) and mode.mode is Mode.POST_ONLY for mode in modes):
            for quote in self._quotes.values():
                self._quote(quote)
        while self._place < len(self._rows) and self._rows[self._place].time_ms < self._next_ms:
            row = self._rows[self._place]
            if self._maker.is_full():
                yield self._maker.close()
                time_ms = max(row.time_ms, self._state.system.time_ms + 1)
                self._maker.open(time_ms, self._index)
            self._place += 1
            self._row(row)
        yield self._maker.close()

    def _row(self, row: Recorded) -> None:
        try:
            match row:
                case Spot():
                    self._index[row.base] = (row.bid + row.ask) // 2
                case Quote():
                    self._quotes[row.base] = row
                    self._quote(row)
                case Trade():
                    self._trade(row)
        except Refused as refused:
            words = f"{row.base} at {row.time_ms}: {refused.detail}"
            raise Refused(refused.reason, words) from None

    def _quote(self, quote: Quote) -> None:
        market, quoter = symbol_of(quote.base), self._cast.quoter.address
        price = self._state.prices[market]
        if not price.mark or self._state.system.mode not in (Mode.POST_ONLY, Mode.OPEN):
            return
        for side in Side:
            for order_id in self.shadow.resting(quoter, market, side):
                self._maker.cancel(quoter, order_id)
        bid, ask = quote.bid, quote.ask
        if self._state.system.mode is Mode.POST_ONLY:
            bid, ask = into_band(self._state, market, bid, ask)
        self._rest(quoter, market, Side.BUY, quote.bid_size, bid)
        self._rest(quoter, market, Side.SELL, quote.ask_size, ask)

    def _rest(self, account: int, market: str, side: Side, size: int, price: int) -> None:
        """Rest an order; whatever of an earlier moment it would trade with goes first."""
        for order_id, row in self.shadow.lying_across(market, side, price):
            self._maker.cancel(row.order.account, order_id)
        self._maker.place(self._order(account, market, side, size, price, Instruction.POST_ONLY))

    def _trade(self, trade: Trade) -> None:
        market = symbol_of(trade.base)
        self.shadow.count(market, recorded=trade.size)
        if self._state.system.mode is not Mode.OPEN or not self._state.prices[market].mark:
            self.shadow.count(market, skipped=trade.size)
            return
        available = self.shadow.available(market, trade.side, trade.price, trade.size)
        if available < trade.size:
            missing, liquidity = trade.size - available, self._cast.liquidity.address
            self._rest(liquidity, market, _other(trade.side), missing, trade.price)
            self.shadow.count(market, synthetic=missing)
        fields = (market, trade.side, trade.size, trade.price, Instruction.IOC)
        order = self._takers.order_of(self._order(0, *fields))
        filled = self._maker.place(order)
        if filled != trade.size:
            raise Refused(Reason.MARKET_DATA_INVALID, f"fills {filled} of {trade.size}")
        self.shadow.count(market, filled=filled)
        self._protect(order.account, market)

    def _protect(self, account: int, market: str) -> None:
        """Some traders leave a way out behind: a take-profit and a stop-loss, or a limit order."""
        position = self._state.positions.get((account, market))
        place = self._numbers[account] % _EXITS_EVERY
        if position is None or place not in (0, _RESTING_PLACE):
            return
        if market in self._state.holding(account).exposures:
            return
        side, size = Side.SELL if position.size > 0 else Side.BUY, abs(position.size)
        far, near = self._distant(market, side), self._distant(market, _other(side))
        if place == _RESTING_PLACE:
            self._rest(account, market, side, size, far)
            return
        pair = self._order(account, market, side, size, 0, Instruction.IOC)
        types = ((OrderType.TAKE_PROFIT_MARKET, far), (OrderType.STOP_LOSS_MARKET, near))
        for type_, trigger in types:
            self._orders += 1
            changed = {"client_id": self._orders, "pair_id": pair.client_id, "reduce_only": True}
            order = msgspec.structs.replace(pair, type=type_, trigger_price=trigger, **changed)
            self._maker.place(order)

    @cached_property
    def _takers(self) -> Takers:
        """Made for the first trade: by then everybody has the money to begin with."""
        return Takers(self._state, _tiers(self._cast.traders))

    def _distant(self, market: str, side: Side) -> int:
        """Return a price that is out of the way, above mark to sell and below it to buy."""
        increment = self._parameters(market).price_increment
        part = ONE + _EXIT_DISTANCE if side is Side.SELL else ONE - _EXIT_DISTANCE
        distant = self._state.prices[market].mark * part // ONE
        return max(distant // increment, 1) * increment

    def _parameters(self, market: str) -> MarketParameters:
        return self._state.markets[market].parameters

    def _order(
        self, account: int, market: str, side: Side, size: int, price: int, kind: Instruction
    ) -> Order:
        self._orders += 1
        time_ms = self._state.system.time_ms
        return limit_order(account, market, side, size, price, kind, self._orders, time_ms)


def _fields(planned: PlannedDeposit) -> tuple[Felt, int]:
    return planned.account, planned.amount


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def _first_quotes(rows: Sequence[Recorded]) -> dict[str, Quote]:
    quotes: dict[str, Quote] = {}
    for row in rows:
        if isinstance(row, Quote):
            quotes.setdefault(row.base, row)
    return quotes


def _tiers(traders: Sequence[Player]) -> list[list[int]]:
    addresses = iter([player.address for player in traders])
    return [[next(addresses) for _ in range(size)] for size in tier_sizes(len(traders))]
