"""Price publishers: who they are, which of their reports count, and the median of a market.

Promises
- A bad report is reported and ignored; it never stops a tick, and it changes no row.

Laws
- Only a registered publisher counts, and only under the key that it is registered with. Both are
  looked up explicitly: an absent row is a no.
- A publisher counts once in a median, and no two publishers share a key.
- The signed time of a report that took part in a median is kept: none as old is taken again.
- A price is an integer over 0 after its conversion to 1e-8, not before.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias

from sequencer.exchange.authority import require_operator
from sequencer.exchange.index_price import offer_median
from sequencer.exchange.state import State, Table
from sequencer.exchange.step import Step
from sequencer.model.commands import PriceReport, RegisterPublisher, RemovePublisher
from sequencer.model.events import PriceRefused, PublisherChanged
from sequencer.model.exchange_limits import (
    PRICE_MAX,
    PUBLISHER_NAME_CHARACTERS_MAX,
    PUBLISHERS_MAX,
    REPORT_AHEAD_MS_MAX,
    REPORTS_MAX,
)
from sequencer.model.limits import FELT_MAX
from sequencer.model.markets import MarketParameters
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Publisher, ReportTime
from sequencer.model.units import MS_PER_SECOND, ONE


class ReportFault(StrEnum):
    """Why a report does not count. The others are the names of guards."""

    ASSET_UNKNOWN = "ASSET_UNKNOWN"
    PUBLISHER_UNKNOWN = "PUBLISHER_UNKNOWN"
    PUBLISHER_KEY = "PUBLISHER_KEY"
    REPORT_FROM_FUTURE = "REPORT_FROM_FUTURE"
    REPORT_NOT_NEWER = "REPORT_NOT_NEWER"
    PRICE_OUT_OF_RANGE = "PRICE_OUT_OF_RANGE"


_Taken: TypeAlias = dict[str, dict[str, tuple[int, int]]]
"""Signed time and price, by asset and publisher."""


def register_publisher(step: Step, command: RegisterPublisher) -> None:
    """Register a publisher, or give it another key. Refusals: NOT_OPERATOR, PUBLISHER_INVALID."""
    require_operator(step)
    name, key = command.name, command.key
    publishers = step.state.publishers
    named = 0 < len(name) <= PUBLISHER_NAME_CHARACTERS_MAX and name.isascii() and name.isalnum()
    if not named:
        words = f"a name is 1 to {PUBLISHER_NAME_CHARACTERS_MAX} ASCII letters and digits"
        raise Refused(Reason.PUBLISHER_INVALID, words)
    if not 0 < key <= FELT_MAX:
        raise Refused(Reason.PUBLISHER_INVALID, f"{key:#x} is no public key"[:99])
    if any(row.key == key for other, row in publishers.items() if other != name):
        raise Refused(Reason.PUBLISHER_INVALID, "another publisher has this key")
    if name not in publishers and len(publishers) >= PUBLISHERS_MAX:
        raise Refused(Reason.PUBLISHER_INVALID, f"{PUBLISHERS_MAX} are registered")
    step.put(Table.PUBLISHER, name, Publisher(key))
    step.emit(PublisherChanged(name, key))


def remove_publisher(step: Step, command: RemovePublisher) -> None:
    """Remove a publisher. Refusals: NOT_OPERATOR, PUBLISHER_UNKNOWN.

    The times of its reports stay, so registering it again lets no old one in.
    """
    require_operator(step)
    if command.name not in step.state.publishers:
        raise Refused(Reason.PUBLISHER_UNKNOWN, f"no publisher {command.name!r:.40}")
    step.put(Table.PUBLISHER, command.name, None)
    step.emit(PublisherChanged(command.name, 0))


def accept_reports(step: Step, reports: Sequence[PriceReport]) -> dict[str, int]:
    """Offer each market the median of its reports; return the perpetual medians by market.

    A quorum counts within one tick. Refusals: PARAMETER_INVALID for too many reports.
    """
    if len(reports) > REPORTS_MAX:
        raise Refused(Reason.PARAMETER_INVALID, f"{len(reports)} reports, {REPORTS_MAX} allowed")
    taken = _taken(step, reports)
    perpetuals: dict[str, int] = {}
    for market in sorted(step.state.prices):
        oracle = step.state.markets[market].parameters.oracle
        median = _median(step, market, oracle.asset, taken)
        if median is not None:
            offer_median(step, market, median)
        perpetual = _median(step, market, oracle.perpetual_asset, taken)
        if perpetual is not None:
            perpetuals[market] = perpetual
    return perpetuals


def _taken(step: Step, reports: Sequence[PriceReport]) -> _Taken:
    """Sort out the reports that count: the newest of each publisher for each asset."""
    markets = _markets_by_asset(step.state)
    taken: _Taken = {}
    for report in reports:
        parameters = markets.get(report.asset)
        if parameters is None:
            step.emit(PriceRefused("", 0, ReportFault.ASSET_UNKNOWN.value))
            continue
        price = report.price * ONE // 10**parameters.oracle.report_decimals
        fault = _report_fault(step, report, price, parameters, taken)
        if fault is None:
            of_asset = taken.setdefault(report.asset, {})
            of_asset[report.publisher] = (report.signed_at, price)
        else:
            shown = price if 0 <= price <= PRICE_MAX else 0
            step.emit(PriceRefused(parameters.symbol, shown, fault.value))
    return taken


def _markets_by_asset(state: State) -> dict[str, MarketParameters]:
    found: dict[str, MarketParameters] = {}
    for market in sorted(state.prices):
        parameters = state.markets[market].parameters
        found[parameters.oracle.asset] = parameters
        if parameters.oracle.perpetual_asset:
            found[parameters.oracle.perpetual_asset] = parameters
    return found


def _report_fault(
    step: Step,
    report: PriceReport,
    price: int,
    parameters: MarketParameters,
    taken: Mapping[str, Mapping[str, tuple[int, int]]],
) -> ReportFault | Guard | None:
    """Return why a report does not count, or None. `price` is its price in 1e-8."""
    publisher = step.state.publishers.get(report.publisher)
    if publisher is None:
        return ReportFault.PUBLISHER_UNKNOWN
    if publisher.key != report.key:
        return ReportFault.PUBLISHER_KEY
    age_ms = step.state.system.time_ms - report.signed_at * MS_PER_SECOND
    if age_ms < -REPORT_AHEAD_MS_MAX:
        return ReportFault.REPORT_FROM_FUTURE
    if not _is_newer(step.state, report, taken):
        return ReportFault.REPORT_NOT_NEWER
    if report.price < 0 or price > PRICE_MAX:
        return ReportFault.PRICE_OUT_OF_RANGE
    detail = f"{parameters.symbol}: {report.publisher}"
    if step.guarded(Guard.ZERO_PRICE, price == 0, f"{detail} reports 0"):
        return Guard.ZERO_PRICE
    old = age_ms > parameters.oracle.age_ms_max
    if step.guarded(Guard.STALE_PRICE, old, f"{detail} signed {age_ms} ms ago"):
        return Guard.STALE_PRICE
    return None


def _is_newer(
    state: State, report: PriceReport, taken: Mapping[str, Mapping[str, tuple[int, int]]]
) -> bool:
    """Say whether a report is newer than every other that its publisher signed for the asset."""
    row = state.report_times.get((report.publisher, report.asset))
    if row is not None and report.signed_at <= row.signed_at:
        return False
    earlier = taken.get(report.asset, {}).get(report.publisher)
    return earlier is None or report.signed_at > earlier[0]


def _median(step: Step, market: str, asset: str, taken: _Taken) -> int | None:
    """Return the median of an asset's reports, or None without a quorum of them."""
    reports = taken.get(asset)
    if not reports:
        return None
    index = step.state.prices[market].index
    median = median_near([price for _, price in reports.values()], index)
    quorum = step.state.markets[market].parameters.oracle.quorum
    few = len(reports) < quorum
    if step.guarded(Guard.QUORUM, few, f"{market}: {len(reports)} of {quorum} for {asset}"):
        step.emit(PriceRefused(market, median, Guard.QUORUM.value))
        return None
    for publisher, (signed_at, _) in sorted(reports.items()):
        step.put(Table.REPORT_TIME, (publisher, asset), ReportTime(signed_at))
    return median


def median_near(prices: Sequence[int], index: int) -> int:
    """Return the middle price; of two, the one nearer to the last index, or else the lower."""
    ordered = sorted(prices)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if index - low <= high - index else high
