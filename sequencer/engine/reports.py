"""Price reports on their way to the next tick.

Laws
- A report counts as taken only when the block with its tick is durable: then its publisher's mark
  for the asset rises, and no report as old is taken again, whatever is rolled back.
- One report for each publisher and asset goes into a tick, the newest.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from sequencer.chain.exchange_contract import SignedReport
from sequencer.engine.producer import Signature
from sequencer.exchange.state import State
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import ChainView
from sequencer.starknet.felt_hash import verify
from sequencer.starknet.messages import price_report_hash


class TickReports(msgspec.Struct, frozen=True):
    """What goes into a tick: reports, their valid signatures, the marks that they will leave."""

    reports: Sequence[SignedReport] = ()
    verified: frozenset[Signature] = frozenset()
    high_water: Sequence[tuple[bytes, int]] = ()


class Reports:
    """What publishers have sent since the last tick. `view` returns the last committed view."""

    def __init__(self, view: Callable[[], ChainView]) -> None:
        self._view = view
        self._newest: dict[bytes, tuple[SignedReport, Signature]] = {}
        self._taken: dict[bytes, int] = {}

    def add(self, report: SignedReport, state: State) -> None:
        """Keep a report for the next tick.

        Refusals: PUBLISHER_UNKNOWN, REPORT_NOT_NEWER, SIGNATURE_INVALID, ORDER_FIELD_OUT_OF_RANGE.
        """
        publisher = state.publishers.get(report.publisher)
        assets = (market.parameters.oracle for market in state.markets.values())
        known = {name for oracle in assets for name in (oracle.asset, oracle.perpetual_asset)}
        if publisher is None or not report.asset or report.asset not in known:
            words = f"{report.publisher!r:.40} reports {report.asset!r:.40}"
            raise Refused(Reason.PUBLISHER_UNKNOWN, words)
        source = source_of(report)
        waiting = self._newest.get(source)
        newest = self._mark(source) if waiting is None else waiting[0].signed_at
        if report.signed_at <= newest:
            words = f"{report.publisher} has signed {report.asset} at {newest} already"
            raise Refused(Reason.REPORT_NOT_NEWER, words)
        fields = (report.publisher, report.asset, report.price, report.signed_at)
        signature = (publisher.key, price_report_hash(*fields), report.r, report.s)
        if not verify(*signature):
            raise Refused(Reason.SIGNATURE_INVALID, f"a report of {report.publisher}")
        self._newest[source] = (report, signature)

    def take(self) -> TickReports:
        """Hand over what waits, in the order of publishers and assets."""
        taken, self._newest = self._newest, {}
        ordered = [taken[source] for source in sorted(taken)]
        return TickReports(
            tuple(report for report, _ in ordered),
            frozenset(signature for _, signature in ordered),
            tuple((source_of(report), report.signed_at) for report, _ in ordered),
        )

    def note_durable(self, high_water: Iterable[tuple[bytes, int]]) -> None:
        """Remember what became durable, so that no report asks the store twice."""
        for source, time in high_water:
            self._taken[source] = max(time, self._taken.get(source, 0))

    def _mark(self, source: bytes) -> int:
        if source not in self._taken:
            self._taken[source] = self._view().high_water(source)
        return self._taken[source]


def source_of(report: SignedReport) -> bytes:
    """Name whoever a report's mark belongs to: publisher and asset."""
    return f"{report.publisher}/{report.asset}".encode()
