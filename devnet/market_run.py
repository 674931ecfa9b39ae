"""The recorded market, from its first quote to its last trade, through the exchange's one function.

Promises
- No refusal is passed over: the first one ends the run with its command.
- Running laws are checked at every tick; once in a second of market time every row is recounted.
"""

from pathlib import Path

import msgspec

from devnet.replay import Cast, Replay, Sent, replay_system, symbol_of
from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.state import Journal, State
from sequencer.exchange.transition import transition
from sequencer.feeds.recorded import Recorded, Spot, Trade, read_recorded
from sequencer.model.commands import Tick
from sequencer.model.events import Event, Fill
from sequencer.model.refusals import Refusal, Refused

MARKET_DATA = Path(__file__).parent / "market_data"
BASES = ("BTC", "ETH")
RECOUNT_MS = 1_000


class MarketVolume(msgspec.Struct):
    """One market's volume in 1e-8 base: in the record, filled here, topped up beforehand."""

    recorded: int = 0
    filled: int = 0
    synthetic: int = 0


class MarketReport(msgspec.Struct):
    """What a run did."""

    volumes: dict[str, MarketVolume]
    commands: int = 0
    fills: int = 0
    ticks: int = 0
    recounts: int = 0


class MarketRun:
    """A run in progress: the state, and the report so far."""

    def __init__(self, folder: Path = MARKET_DATA) -> None:
        self._rows = list(read_recorded(folder, BASES))
        self._recounted_at_ms = 0
        self.state = State(replay_system(Cast()))
        self.report = MarketReport({symbol_of(base): MarketVolume() for base in BASES})

    def play(self) -> MarketReport:
        """Play everything.

        Errors: Refused with the code of the first refusal, LawBroken for a broken law.
        """
        replay, first = Replay(self.state, Cast()), first_spots(self._rows)
        for sent in replay.genesis(first):
            self._apply(sent)
        for sent in replay.commands(self._rows, first):
            self._apply(sent)
        for row in self._rows:
            if isinstance(row, Trade):
                self.report.volumes[symbol_of(row.base)].recorded += row.size
        for market, size in replay.synthetic.items():
            self.report.volumes[market].synthetic = size
        return self.report

    def _apply(self, sent: Sent) -> None:
        context, command = sent
        outcome = transition(self.state, command, context, Journal(self.state))
        if isinstance(outcome, Refusal):
            raise Refused(outcome.reason, f"{outcome.detail}: {command}")
        self.report.commands += 1
        self._count(outcome)
        if isinstance(command, Tick):
            self._check(command.time_ms)

    def _count(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Fill):
                self.report.fills += 1
                self.report.volumes[event.market].filled += abs(event.size)

    def _check(self, time_ms: int) -> None:
        self.report.ticks += 1
        check_laws(self.state)
        if time_ms - self._recounted_at_ms >= RECOUNT_MS:
            self._recounted_at_ms = time_ms
            self.report.recounts += 1
            recount(self.state)


def first_spots(rows: list[Recorded]) -> dict[str, int]:
    """Return each base's first spot price, in 1e-8 quote."""
    firsts: dict[str, int] = {}
    for row in rows:
        if isinstance(row, Spot):
            firsts.setdefault(row.base, (row.bid + row.ask) // 2)
    return firsts
