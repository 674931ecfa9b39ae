"""Prices at the operator's desk: how old each market's is, and which may be named where it is lost.

Promises
- What is listed to be named is what the chain would take now: a median of candidates that agree.

Laws
- Candidates come with ticks, and naming one takes a block: none in HALTED, and NODE_NOT_RUNNING
  beside a stopped node.
"""

from sequencer.engine.desk_commands import place_of_block, recorded, require_running
from sequencer.engine.desk_facts import Facts
from sequencer.engine.reach import Reach
from sequencer.exchange.freshness import is_stale
from sequencer.exchange.index_price import is_lost, seeds_of
from sequencer.model.commands import SeedPrice
from sequencer.model.rows import Mode, Price
from sequencer.model.units import MS_PER_SECOND


class Prices:
    """The index prices of a node that runs."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    def listed(self) -> Facts:
        """List the markets with their index prices in 1e-8, and what may be named for each.

        Ages are those of this moment, for the chain's time stands still while no block is made.
        `age_seconds` is None before the first price. Refusal: NODE_NOT_RUNNING.
        """
        engine = require_running(self._reach).engine
        state, prices = engine.writer.state, sorted(engine.writer.state.prices.items())
        now_ms = max(self._reach.clock.now_ms(), state.system.time_ms)
        mode = Mode.HALTED if engine.gate.is_halted(state) else state.system.mode
        markets = [
            {"market": market, "stale": is_stale(state, market), **_facts(price, now_ms)}
            for market, price in prices
        ]
        return {"mode": mode.value, "markets": markets}

    async def seed(self, command: SeedPrice) -> Facts:
        """Name a market's index price; returns the block that recorded it.

        Refusals: NODE_NOT_RUNNING, HALTED, and the chain's own: MODE_FORBIDS but in CANCEL_ONLY,
        MARKET_UNKNOWN, PRICE_SEED_REFUSED.
        """
        applied = await recorded(require_running(self._reach), command)
        return {"market": command.market, "price": command.price, **place_of_block(applied)}


def _facts(price: Price, now_ms: int) -> Facts:
    lost, age_ms = is_lost(price, now_ms), now_ms - price.index_at_ms
    return {
        "index": price.index,
        "age_seconds": age_ms // MS_PER_SECOND if price.index_at_ms else None,
        "lost": lost,
        "seeds": [*dict.fromkeys(seeds_of(price, now_ms))] if lost else [],
    }
