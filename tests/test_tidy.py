"""The project's rules about itself, and the proof that each of them can fail.

Laws: every rule in `tests/tidy` runs over every file here; every rule has a sample that
breaks it, and that sample breaks no other rule.
"""

from collections.abc import Callable, Sequence
from functools import cache

import pytest

from tests.tidy import bans, dead, documents, imports, key_kinds, sizes
from tests.tidy.samples import BROKEN, BROKEN_TEXT, FINE
from tests.tidy.source import Finding, Source, entry_points, parse, read_sources, read_texts

FileCheck = Callable[[Source], list[Finding]]
ProjectCheck = Callable[[Sequence[Source]], list[Finding]]

FILE_CHECKS: tuple[FileCheck, ...] = (
    bans.check_bans,
    bans.check_broad_except,
    bans.check_tasks,
    documents.check_annotations,
    documents.check_docstrings,
    documents.check_module_docstring,
    imports.check_late_imports,
    imports.check_libraries,
    imports.check_plyvel,
    imports.check_relative_imports,
    imports.check_rooms,
    key_kinds.check_key_kinds,
    sizes.check_body_length,
    sizes.check_file_length,
)
PROJECT_CHECKS: tuple[ProjectCheck, ...] = (
    documents.check_packages,
    imports.check_cycles,
    sizes.check_body_statistics,
)


@cache
def project() -> tuple[Source, ...]:
    return tuple(read_sources())


def report(findings: Sequence[Finding]) -> str:
    return "\n".join(["", *map(str, findings)])


def numbered(samples: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"{sample[0]}-{number}" for number, sample in enumerate(samples)]


def rules_broken(source: Source) -> set[str]:
    return {finding.rule for check in FILE_CHECKS for finding in check(source)}


def documented(path: str, code: str) -> Source:
    return parse(path, f'"""Sample."""\n{code}')


@pytest.mark.parametrize("check", FILE_CHECKS, ids=lambda check: check.__name__)
def test_every_file_keeps_the_rule(check: FileCheck) -> None:
    findings = [finding for source in project() for finding in check(source)]
    assert not findings, report(findings)


@pytest.mark.parametrize("check", PROJECT_CHECKS, ids=lambda check: check.__name__)
def test_the_project_keeps_the_rule(check: ProjectCheck) -> None:
    findings = check(project())
    assert not findings, report(findings)


def test_no_public_name_is_dead() -> None:
    findings = dead.check_dead(project(), entry_points())
    assert not findings, report(findings)


def test_every_text_speaks_of_the_project_alone() -> None:
    findings = [
        finding for path, text in read_texts() for finding in documents.check_text(path, text)
    ]
    assert not findings, report(findings)


def test_bodies_stay_short() -> None:
    median, p95 = sizes.median_and_p95(project())
    assert median <= sizes.BODY_LINES_MEDIAN_MAX, f"median body {median} lines, p95 {p95}"
    assert p95 <= sizes.BODY_LINES_P95_MAX, f"median body {median} lines, p95 {p95}"


def test_the_walk_finds_this_file() -> None:
    assert "tests/test_tidy.py" in {source.path for source in project()}
    assert "pyproject.toml" in dict(read_texts())


@pytest.mark.parametrize(("rule", "path", "code"), BROKEN, ids=numbered(BROKEN))
def test_broken_code_breaks_just_that_rule(rule: str, path: str, code: str) -> None:
    source = parse(path, code) if rule == "module-docstring" else documented(path, code)
    assert rules_broken(source) == {rule}


@pytest.mark.parametrize(("path", "code"), FINE, ids=numbered(FINE))
def test_fine_code_breaks_no_rule(path: str, code: str) -> None:
    assert rules_broken(documented(path, code)) == set()


def test_every_rule_for_code_has_a_sample() -> None:
    named = {ban.rule for ban in bans.BANS} | {
        "annotations",
        "body-length",
        "broad-except",
        "docstring",
        "file-length",
        "key-kinds",
        "late-import",
        "libraries",
        "module-docstring",
        "plyvel",
        "relative-import",
        "rooms",
        "task",
    }
    assert {rule for rule, _, _ in BROKEN} == named


@pytest.mark.parametrize(("rule", "text"), BROKEN_TEXT)
def test_forbidden_text_is_found(rule: str, text: str) -> None:
    assert [finding[:3] for finding in documents.check_text("a.md", f"\n{text}\n")] == [
        ("a.md", 2, rule)
    ]


@pytest.mark.parametrize("text", ["#!/usr/bin/env bash", "docs/work/home/root/", "XXXL", "todo"])
def test_harmless_text_is_left_alone(text: str) -> None:
    assert documents.check_text("a.md", text) == []


def test_a_cycle_is_found() -> None:
    one = parse("sequencer/model/one.py", "from sequencer.model import two\n")
    two = parse("sequencer/model/two.py", "from sequencer.model.three import x\n")
    three = parse("sequencer/model/three.py", "import sequencer.model.one\n")
    assert [finding.rule for finding in imports.check_cycles([one, two, three])] == ["cycle"]
    assert imports.check_cycles([one, two]) == []


def test_a_folder_without_init_is_found() -> None:
    one = parse("sequencer/model/one.py", "")
    findings = documents.check_packages([one])
    assert [finding.path for finding in findings] == ["sequencer/model/__init__.py"]
    assert documents.check_packages([one, parse("sequencer/model/__init__.py", "")]) == []


@pytest.mark.parametrize(("lines", "broken"), [(8, False), (9, True), (50, True)])
def test_long_bodies_on_average_are_found(lines: int, broken: bool) -> None:
    code = "def f() -> None:\n" + "    pass\n" * lines
    findings = sizes.check_body_statistics([parse("sequencer/model/one.py", code)])
    assert bool(findings) == broken


def test_a_long_tail_of_bodies_is_found() -> None:
    short = "def f() -> None:\n    pass\n" * 18
    long = ("def f() -> None:\n" + "    pass\n" * 31) * 2
    source = parse("sequencer/model/one.py", short + long)
    assert [finding.rule for finding in sizes.check_body_statistics([source])] == [
        "body-statistics"
    ]


DEFINED = parse(
    "sequencer/model/one.py",
    "LIMIT = 1\n\n\ndef price() -> int:\n    return price()\n\n\nclass Order:\n    pass\n",
)


@pytest.mark.parametrize(
    ("path", "code", "alive"),
    [
        ("sequencer/chain/two.py", "", set()),
        ("tests/unit/test_one.py", "from sequencer.model.one import LIMIT, Order, price\n", set()),
        ("sequencer/chain/two.py", "from sequencer.model.one import price as p\n", {"price"}),
        ("scripts/two.py", "from sequencer.model import one\none.LIMIT\n", {"LIMIT"}),
        ("devnet/two.py", "import sequencer.model.one\nsequencer.model.one.Order\n", {"Order"}),
        ("scripts/two.py", "import sequencer.model.one as o\no.price\n", {"price"}),
        ("sequencer/chain/two.py", "other.LIMIT\nLIMIT\n", set()),
    ],
)
def test_names_that_nothing_uses_are_dead(path: str, code: str, alive: set[str]) -> None:
    findings = dead.check_dead([DEFINED, parse(path, code)], set(), {})
    names = {finding.message.removeprefix("nothing uses ") for finding in findings}
    assert names == {"LIMIT", "Order", "price"} - alive


def test_entry_points_and_own_uses_are_alive() -> None:
    code = "def main() -> None:\n    pass\n\n\ndef helper() -> None:\n    pass\n\n\nhelper()\n"
    source = parse("sequencer/__main__.py", code)
    assert dead.check_dead([source], {("sequencer.__main__", "main")}, {}) == []


def test_commands_are_alive_by_registration() -> None:
    code = "@app.command('show')\ndef show() -> None:\n    pass\n"
    assert dead.check_dead([parse("sequencer/cli/app.py", code)], set(), {}) == []


def test_a_kept_name_is_not_dead_and_must_be_needed() -> None:
    kept = {f"sequencer.model.one:{name}": "sample" for name in ("LIMIT", "Order", "price", "gone")}
    findings = dead.check_dead([DEFINED], set(), kept)
    assert [finding.message for finding in findings] == [
        "sequencer.model.one:gone need not be kept by name"
    ]
