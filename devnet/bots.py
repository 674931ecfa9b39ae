"""Bots of a local devnet: one that makes the markets, and some that take from them.

Promises
- What they do follows from the seed, the step's number and the state alone; each step is one look
  at the state, and nothing of them is remembered anywhere else.
- Nobody goes beyond what it may hold, which is a small part of what its money carries. The quotes
  stand within 1 % of one another.
- The maker quotes in POST_ONLY and OPEN, takers take in OPEN; in any other mode nothing is sent.

Laws
- What is refused is passed over. The next step waits until everything of the last one is answered.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from random import Random

from devnet.orders import into_band, limit_order, resting_orders, sign_cancel, sign_order
from devnet.traders import Cast, Player
from sequencer.chain.exchange_contract import Signed, SignedCancel
from sequencer.engine.admission import Admission
from sequencer.engine.items import Item
from sequencer.exchange.state import State
from sequencer.model.orders import Instruction, Side
from sequencer.model.refusals import Refused
from sequencer.model.rows import Mode, OrderRow
from sequencer.model.units import BASIS_POINT, MS_PER_SECOND, ONE, divide_up
from sequencer.ports import Clock
from sequencer.starknet.felt import Felt

STEP_MS = 1_000
"""Milliseconds from one step to the next."""

QUOTE_DISTANCES = (3 * BASIS_POINT, 8 * BASIS_POINT, 20 * BASIS_POINT)
"""How far each quote stands from the index price, as rates of 1e-8."""

QUOTE_NOTIONAL = 50_000 * ONE
"""Quote of the nearest level on each side; the next ones are two and three times as large."""

TAKE_NOTIONAL_MAX = 10_000 * ONE
MAKER_HOLDS_MAX = 5_000_000 * ONE
TAKER_HOLDS_MAX = 100_000 * ONE
"""Quote that each may hold in one market, on either side."""

_DRIFT_MAX = BASIS_POINT
"""How far a quote may be from where it should stand before all are made anew."""

_TAKE_SLIPPAGE = 50 * BASIS_POINT
_CHANCE_PERCENT = 40


class Bots:
    """The quoter and the traders of a cast. `chain` is its state and admission of the moment, and
    the clock."""

    def __init__(
        self,
        cast: Cast,
        seed: int,
        chain: tuple[Callable[[], State], Callable[[], Admission], Clock],
    ) -> None:
        self._maker = cast.quoter
        self._takers = cast.traders
        self._seed = seed
        self._state, self._admission, self._clock = chain
        self._steps = 0
        self._orders = 0

    async def run(self) -> None:
        """Step after step, until cancelled."""
        while True:
            await asyncio.sleep(STEP_MS / MS_PER_SECOND)
            waiting = [item.answer for item in self.step()]
            if waiting:
                await asyncio.wait(waiting)

    def step(self) -> list[Item]:
        """Look, decide and send; returns what was taken in, with the answers to come."""
        state, time_ms = self._state(), self._clock.now_ms()
        self._steps += 1
        sent: list[Item] = []
        for signed in self.decide(state, time_ms):
            try:
                sent.append(self._send(signed))
            except Refused:
                continue
        return sent

    def decide(self, state: State, time_ms: int) -> list[Signed]:
        """Return what this step sends, signed at a time."""
        mode = state.system.mode
        signed: list[Signed] = []
        for market in sorted(state.prices):
            if mode in (Mode.POST_ONLY, Mode.OPEN) and state.prices[market].index:
                signed += self._quotes(state, market, time_ms)
            if mode is Mode.OPEN and state.prices[market].index:
                signed += self._takes(state, market, time_ms)
        return signed

    def _send(self, signed: Signed) -> Item:
        admission = self._admission()
        if isinstance(signed, SignedCancel):
            return admission.cancel(signed)
        return admission.order(signed)

    def _quotes(self, state: State, market: str, time_ms: int) -> Iterator[Signed]:
        """Yield nothing where the quotes stand well, or else cancels and new quotes."""
        resting = resting_orders(state, self._maker.address, market)
        wanted = self._wanted(state, market)
        if _stand_well(resting, wanted):
            return
        for order_id in sorted(resting):
            yield sign_cancel(self._maker, order_id, state.system.chain_id)
        for side, size, price in wanted:
            fields = (market, side, size, price, Instruction.POST_ONLY)
            yield self._order(state, self._maker, fields, time_ms)

    def _wanted(self, state: State, market: str) -> list[tuple[Side, int, int]]:
        """Return side, size and price of the quotes that should stand."""
        index, held = state.prices[market].index, _held(state, self._maker, market)
        increment = state.markets[market].parameters.price_increment
        wanted: list[tuple[Side, int, int]] = []
        for level, distance in enumerate(QUOTE_DISTANCES, start=1):
            size = _size(state, market, level * QUOTE_NOTIONAL)
            bid = index * (ONE - distance) // ONE // increment * increment
            ask = divide_up(divide_up(index * (ONE + distance), ONE), increment) * increment
            if state.system.mode is Mode.POST_ONLY:
                bid, ask = into_band(state, market, bid, ask)
            if held < MAKER_HOLDS_MAX:
                wanted.append((Side.BUY, size, bid))
            if held > -MAKER_HOLDS_MAX:
                wanted.append((Side.SELL, size, ask))
        return wanted

    def _takes(self, state: State, market: str, time_ms: int) -> Iterator[Signed]:
        for number, taker in enumerate(self._takers):
            chance = Random(f"{self._seed} {self._steps} {market} {number}")
            if chance.randrange(100) >= _CHANCE_PERCENT:
                continue
            side = chance.choice((Side.BUY, Side.SELL))
            held = _held(state, taker, market)
            if abs(held) >= TAKER_HOLDS_MAX:
                side = Side.SELL if held > 0 else Side.BUY
            price = _reach(state, market, side)
            part = chance.randrange(TAKE_NOTIONAL_MAX // 10, TAKE_NOTIONAL_MAX)
            size = _size(state, market, part)
            if price and size:
                fields = (market, side, size, price, Instruction.IOC)
                yield self._order(state, taker, fields, time_ms)

    def _order(
        self,
        state: State,
        player: Player,
        fields: tuple[str, Side, int, int, Instruction],
        time_ms: int,
    ) -> Signed:
        self._orders += 1
        order = limit_order(player.address, *fields, self._orders, time_ms)
        return sign_order(order, player, state.system.chain_id)


def _stand_well(resting: Mapping[Felt, OrderRow], wanted: list[tuple[Side, int, int]]) -> bool:
    """Say whether each wanted quote stands, about where it should, with half its size or more."""
    if len(resting) != len(wanted):
        return False
    standing = sorted((row.order.side, row.price, row.remaining) for row in resting.values())
    asked = sorted((side, price, size) for side, size, price in wanted)
    return all(
        side is other_side and abs(price - other) * ONE <= _DRIFT_MAX * other and 2 * left >= size
        for (side, price, left), (other_side, other, size) in zip(standing, asked, strict=True)
    )


def _held(state: State, player: Player, market: str) -> int:
    """Return what somebody holds in a market, in 1e-8 quote, negative when short."""
    position = state.positions.get((player.address, market))
    return 0 if position is None else position.size * state.prices[market].index // ONE


def _size(state: State, market: str, quote: int) -> int:
    """Return the size on the lot that an amount of quote buys."""
    lot = state.markets[market].parameters.lot
    return quote * ONE // state.prices[market].index // lot * lot


def _reach(state: State, market: str, side: Side) -> int:
    """Return a taker's price: a little beyond the best, 0 where nobody is there."""
    best = state.books[market].opposite(side).best_price()
    if best is None:
        return 0
    increment = state.markets[market].parameters.price_increment
    slippage = _TAKE_SLIPPAGE if side is Side.BUY else -_TAKE_SLIPPAGE
    return best * (ONE + slippage) // ONE // increment * increment
