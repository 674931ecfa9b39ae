"""What the exchange vectors leave out: no refusal, command, guard, mode or named incident."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import sequencer.exchange
from sequencer.exchange.transition import HANDLERS
from sequencer.model.commands import FaultKind
from sequencer.model.orders import OrderType
from sequencer.model.refusals import Reason
from sequencer.model.rows import Guard, Mode
from tests.vectors.exchange_case import Json, read_cases, spread

CASES = read_cases()
COMMANDS = [command for _, case in CASES for command in case.get("commands", ())]
KINDS = {handler.__name__ for handler in HANDLERS}

INPUTS = frozenset(
    ("system", "publishers", "markets", "prices", "accounts", "positions", "orders", "rows")
)
OUTCOMES = frozenset(("margins_before", "margins", "expect", "events", "counts"))
KEYS = INPUTS | OUTCOMES | {"name", "source", "erratum", "guard", "commands"}

INCIDENTS: dict[str, tuple[str, frozenset[str]]] = {
    "paradex zero price, guard on": ("faults", frozenset()),
    "paradex zero price, guard off": ("faults", frozenset()),
    "paradex funding index reset, guard on": ("funding", frozenset({"GUARD_STOPPED"})),
    "paradex funding index reset, guard off": ("funding", frozenset()),
    "paradex funding index reset meets the tripwire, guard on": (
        "risk",
        frozenset({"HALTED_BY_TRIPWIRE"}),
    ),
    "dydx isolated market closed whole": ("risk", frozenset()),
    "dydx stale prices after restart": ("modes", frozenset({"MODE_FORBIDS", "MODE_NOT_READY"})),
    "paxg thin book post-only reopening": (
        "modes",
        frozenset({"ORDER_OUTSIDE_BAND", "MODE_NOT_READY"}),
    ),
    "cloudflare oversized market file refused": (
        "markets",
        frozenset({"MARKET_LIMIT", "MARKET_EXISTS"}),
    ),
}
"""Cases by name: their file, and the refusals that must be among theirs."""


def named(name: str) -> Json:
    (case,) = [case for _, case in CASES if case["name"] == name]
    return case


def refusals(case: Json) -> set[str]:
    return {command["refused"] for command in case.get("commands", ()) if "refused" in command}


def mentioned_reasons() -> set[str]:
    """Find every `Reason.X` in the code of the exchange."""
    (folder,) = sequencer.exchange.__path__
    return {
        node.attr
        for path in Path(folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Reason"
    }


def test_the_cases_are_well_formed() -> None:
    names = Counter((name, case["name"]) for name, case in CASES)
    assert [key for key, count in names.items() if count > 1] == []
    for name, case in CASES:
        assert case.keys() <= KEYS, (name, case["name"])
        assert case["source"], (name, case["name"])
        checked = any(
            command.keys() & {"refused", "broken"} for command in case.get("commands", ())
        )
        assert checked or case.keys() & OUTCOMES, (name, case["name"])


def test_every_refusal_of_the_exchange_is_reached() -> None:
    mentioned = mentioned_reasons()
    assert mentioned
    assert mentioned <= {reason.value for reason in Reason}
    assert mentioned - {command.get("refused") for command in COMMANDS} == set()


def test_every_kind_of_command_appears_and_is_refused_somewhere() -> None:
    assert KINDS - {command["type"] for command in COMMANDS if "refused" not in command} == set()
    assert KINDS - {command["type"] for command in COMMANDS if "refused" in command} == set()


@pytest.mark.parametrize("mode", Mode)
def test_every_mode_is_tried_with_every_kind_of_command(mode: Mode) -> None:
    case = named(f"every command in {mode.value}")
    assert KINDS - {command["type"] for command in case["commands"]} == set()
    forbidden = {c["type"] for c in case["commands"] if c.get("refused") == "MODE_FORBIDS"}
    allowed = {c["type"] for c in case["commands"] if "refused" not in c}
    assert (forbidden | allowed) == KINDS
    assert (forbidden == KINDS - {"SetMode", "Reopen"}) == (mode is Mode.HALTED)


def test_every_kind_of_fault_and_of_order_appears() -> None:
    assert {kind.value for kind in FaultKind} - {c.get("kind") for c in COMMANDS} == set()
    placed = {c["order"].get("type", "LIMIT") for c in COMMANDS if "order" in c}
    assert {kind.value for kind in OrderType} - placed == set()


def inputs(case: Json) -> Json:
    """Return what a case starts from and does, without what comes out of it."""
    outcome = {"refused", "broken"}
    commands = [
        {key: value for key, value in command.items() if key not in outcome}
        for command in case.get("commands", ())
    ]
    return {key: case[key] for key in case.keys() & INPUTS} | {"commands": commands}


def figures(case: Json) -> Iterator[tuple[str, Json | None]]:
    """Go through the rows and margins that a case demands at its end, each under its key."""
    for table, rows in case.get("expect", {}).items():
        for line in rows:
            for key, fields in spread(line):
                yield f"{table} {key}", fields
    for account, fields in case.get("margins", {}).items():
        yield f"margins {account}", fields


def shows_harm(on: Json, off: Json) -> bool:
    """Say whether a pair states what the guard keeps and what is lost without it, by amount."""
    kept, lost = dict(figures(on)), dict(figures(off))
    amounts = [value for fields in lost.values() for value in (fields or {}).values()]
    if not any(isinstance(amount, int) for amount in amounts):
        return False
    stopped = any("broken" in command for command in on["commands"])
    return stopped or any(kept[key] != lost[key] for key in kept.keys() & lost.keys())


def pairs(guard: Guard) -> list[tuple[Json, Json]]:
    """Match the cases of a guard: the same state and commands, with it on and with it off."""
    cases = [case for _, case in CASES if case.get("guard", {}).get("guard") == guard.value]
    on = [case for case in cases if case["guard"]["on"]]
    off = [case for case in cases if not case["guard"]["on"]]
    return [(one, other) for one in on for other in off if inputs(one) == inputs(other)]


@pytest.mark.parametrize("guard", Guard)
def test_every_guard_is_tried_on_and_off(guard: Guard) -> None:
    found = pairs(guard)
    cases = [case for _, case in CASES if case.get("guard", {}).get("guard") == guard.value]
    assert len(cases) == 2 * len(found), "a case of a guard has no other half"
    assert any(shows_harm(on, off) for on, off in found)


@pytest.mark.parametrize("name", INCIDENTS)
def test_the_incidents_are_there_by_name(name: str) -> None:
    file, reasons = INCIDENTS[name]
    case = named(name)
    assert case in [other for other_file, other in CASES if other_file == file]
    assert reasons <= refusals(case)


def test_a_reopening_fires_and_liquidates_nothing() -> None:
    counts = named("paxg thin book post-only reopening")["counts"]
    assert (counts["LiquidationEnded"], counts["OrderTriggered"]) == (0, 0)


def test_insurance_pays_before_an_isolated_market_is_closed() -> None:
    kinds = [event["type"] for event in named("dydx isolated market closed whole")["events"]]
    assert kinds == ["Covered", "Liquidated", "LiquidationEnded"]
