"""Price reports for small states, and the parts of a tick run one by one."""

from collections.abc import Callable, Sequence

from sequencer.exchange.index_price import offer_median
from sequencer.exchange.mark import update_marks
from sequencer.exchange.oracle import accept_reports
from sequencer.exchange.state import Journal, State, Table
from sequencer.exchange.step import Context, Step
from sequencer.model.commands import PriceReport
from sequencer.model.events import Event, GuardViolated, PriceRefused
from sequencer.model.rows import Guard, Publisher
from tests.unit.exchange.builders import BTC, OPERATOR, change_system, put, snapshot

PUBLISHERS = {"one": 0x71, "two": 0x72, "three": 0x73}
"""Names and keys, in the order in which `reports_of` uses them."""

REPORT_UNIT = 10**10
"""From 1e-8 to the 18 decimals of a report."""


def add_publishers(state: State) -> None:
    for name, key in PUBLISHERS.items():
        put(state, Table.PUBLISHER, name, Publisher(key))


def reports_of(prices: Sequence[int], time_ms: int, asset: str = "BTC") -> tuple[PriceReport, ...]:
    """Return one report per publisher and price (1e-8), signed in the second of a time."""
    return tuple(
        PriceReport(name, asset, price * REPORT_UNIT, time_ms // 1_000, key)
        for (name, key), price in zip(PUBLISHERS.items(), prices, strict=False)
    )


def switch_off(state: State, *guards: Guard) -> None:
    change_system(state, drill=True, guards_off=tuple(sorted(guards)))


def act(state: State, rule: Callable[[Step], object]) -> list[Event]:
    """Run a part of a tick, check that it can be undone exactly, and return its events."""
    before, journal = snapshot(state), Journal(state)
    step = Step(state, journal, Context(OPERATOR))
    rule(step)
    after, changes = snapshot(state), list(journal.changes)
    journal.undo()
    assert snapshot(state) == before
    for table, key, _, row in changes:
        journal.put(table, key, row)
    assert snapshot(state) == after == snapshot(State.rebuilt(state.rows))
    return step.events


def offer(state: State, median: int, after_ms: int = 1_000) -> list[Event]:
    """Move time on and offer BTC a median (1e-8)."""
    change_system(state, time_ms=state.system.time_ms + after_ms)
    return act(state, lambda step: offer_median(step, BTC, median))


def report(state: State, reports: Sequence[PriceReport]) -> list[Event]:
    """Let reports count and marks follow."""
    return act(state, lambda step: update_marks(step, accept_reports(step, reports)))


def reasons(events: Sequence[Event]) -> list[str]:
    """Return why prices were refused."""
    return [event.reason for event in events if isinstance(event, PriceRefused)]


def violations(events: Sequence[Event]) -> list[Guard]:
    """Return the guards that were off and would have stopped something."""
    return [event.guard for event in events if isinstance(event, GuardViolated)]
