"""Publishers of a local devnet: the recorded spot, over and over, at the time of the clock.

Promises
- The record plays forward, then backward, and so on: a price never moves further from one second to
  the next than it once did in the record.
- A chain that is found again goes on from the moment of the record that is nearest to its prices.

Laws
- Prices follow from the record and the clock alone. A report that is refused is passed over: the
  next one comes a second later.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

import msgspec

from devnet.market_genesis import symbol_of
from devnet.orders import index_reports, sign_report
from devnet.traders import Cast
from sequencer.engine.admission import Admission
from sequencer.exchange.state import State
from sequencer.feeds.recorded import Recording, Spot
from sequencer.model.refusals import Refused
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import Clock

_LOOK_SECONDS = 0.1


class _Track(msgspec.Struct, frozen=True):
    """One asset's prices in 1e-8, each from a time of the record on."""

    times_ms: Sequence[int]
    prices: Sequence[int]

    def at(self, time_ms: int) -> int:
        """Return the price of a moment; before the first one it is the first."""
        return self.prices[max(0, bisect_right(self.times_ms, time_ms) - 1)]


class SpotLoop:
    """The recorded spot as a function of time. `bases` are the assets."""

    def __init__(self, recording: Recording) -> None:
        rows = [row for row in recording.rows if isinstance(row, Spot)]
        self.bases = tuple(market.base for market in recording.markets)
        self.first_ms = max(min(row.time_ms for row in rows if row.base == b) for b in self.bases)
        self.last_ms = rows[-1].time_ms
        self._tracks = {base: _track(rows, base) for base in self.bases}

    def prices(self, elapsed_ms: int) -> dict[str, int]:
        """Return the prices in 1e-8, so long after the first moment of the record."""
        span_ms = max(1, self.last_ms - self.first_ms)
        back, into_ms = divmod(elapsed_ms, span_ms)
        time_ms = self.last_ms - into_ms if back % 2 else self.first_ms + into_ms
        return {base: track.at(time_ms) for base, track in self._tracks.items()}

    def nearest_ms(self, prices: Mapping[str, int]) -> int:
        """Return how long after its first moment the record is nearest to some prices.

        Each of them counts by its own size; none at all is the first moment.
        """
        known = {base: price for base, price in prices.items() if price and base in self._tracks}
        moments_ms = sorted({ms for track in self._tracks.values() for ms in track.times_ms})
        inside_ms = [ms for ms in moments_ms if ms >= self.first_ms]

        def distance(time_ms: int) -> int:
            offs = (abs(self._tracks[base].at(time_ms) - known[base]) for base in known)
            return sum(off * 10**9 // known[base] for off, base in zip(offs, known, strict=True))

        return min(inside_ms, key=distance) - self.first_ms


class Publishers:
    """Reports once a second whatever the record says. `admission` is that of the moment."""

    def __init__(
        self, loop: SpotLoop, cast: Cast, admission: Callable[[], Admission], clock: Clock
    ) -> None:
        self._loop = loop
        self._cast = cast
        self._players = dict(cast.publishers)
        self._admission = admission
        self._clock = clock
        self._reported_second = 0
        self._begun_ms = 0

    def begin(self, state: State) -> None:
        """Take up the record where the prices of a chain are."""
        prices = {base: state.prices[symbol_of(base)].index for base in self._loop.bases}
        self._begun_ms = self._clock.now_ms() - self._loop.nearest_ms(prices)

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            self.report()
            await asyncio.sleep(_LOOK_SECONDS)

    def report(self) -> int:
        """Report, unless this second has been reported; returns how many reports were taken."""
        now_ms = self._clock.now_ms()
        second = now_ms // MS_PER_SECOND
        if second <= self._reported_second:
            return 0
        self._reported_second, taken = second, 0
        prices = self._loop.prices(max(0, now_ms - self._begun_ms))
        for report in index_reports(self._cast, prices, second):
            try:
                self._admission().report(sign_report(report, self._players[report.publisher]))
            except Refused:
                continue
            taken += 1
        return taken


def _track(rows: Sequence[Spot], base: str) -> _Track:
    own = [row for row in rows if row.base == base]
    return _Track([row.time_ms for row in own], [(row.bid + row.ask) // 2 for row in own])
