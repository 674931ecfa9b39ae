"""Which trader takes: the next one in turn that carries the trade comfortably.

Promises
- The choice follows from the state and from the trades before, nothing else.
- The tier with the least balance that carries the trade is asked first, a few of its traders each
  time, so small trades go to small traders and huge ones to large traders.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from sequencer.exchange.acceptance import only_reduces
from sequencer.exchange.margin import VALUE_PER_QUOTE, initial_of, margin_of
from sequencer.exchange.state import State
from sequencer.model.orders import Order
from sequencer.model.recorded_limits import TAKERS_TRIED_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import OrderRow
from sequencer.starknet.felt import Felt

_COMFORT = 2
"""Initial margins that a taker's value has to cover."""


class Takers:
    """The traders by tier, each tier with its place in turn and what a trader began with."""

    def __init__(self, state: State, tiers: Sequence[Sequence[Felt]]) -> None:
        self._state = state
        self._tiers = tiers
        self._balances = [state.accounts[tier[0]].cash for tier in tiers]
        self._places = [0] * len(tiers)

    def order_of(self, order: Order) -> Order:
        """Return an order as that of the trader who takes. Refusal: MARGIN_INSUFFICIENT."""
        mark = self._state.prices[order.market].mark
        needed = _COMFORT * initial_of(self._state, order.market, order.size, 0)
        for number, balance in enumerate(self._balances):
            if balance * VALUE_PER_QUOTE < needed:
                continue
            for account in self._next(number):
                taken = replace(order, account=account)
                if self._carries(taken):
                    return taken
        words = f"no trader carries {order.size} of {order.market} at {mark}"
        raise Refused(Reason.MARGIN_INSUFFICIENT, words)

    def _next(self, number: int) -> Iterator[Felt]:
        tier = self._tiers[number]
        for _ in range(min(TAKERS_TRIED_MAX, len(tier))):
            place = self._places[number]
            self._places[number] = (place + 1) % len(tier)
            yield tier[place]

    def _carries(self, order: Order) -> bool:
        row = OrderRow(order, order.size, 0, order.account, order.price)
        margin = margin_of(self._state, order.account, row)
        if not margin.is_healthy():
            return False
        comfortable = margin.value >= _COMFORT * margin.initial
        return comfortable or only_reduces(self._state, row, is_extra=True)
