"""Pages for people name only what is there, and the checks find what is not."""

from collections.abc import Iterator
from functools import cache
from typing import Protocol, cast

import pytest
from typer.main import get_command

from sequencer.cli.application import application
from tests.tidy.pages import Names, Options, Page, check_pages, project_names, read_pages


class _Parameter(Protocol):
    opts: list[str]
    secondary_opts: list[str]


class _Command(Protocol):
    params: list[_Parameter]


def _commands(command: _Command, name: str) -> Iterator[tuple[str, frozenset[str]]]:
    options = (*(each for p in command.params for each in (*p.opts, *p.secondary_opts)), "--help")
    yield name, frozenset(options)
    inner: dict[str, _Command] = getattr(command, "commands", {})
    for word, each in inner.items():
        yield from _commands(each, f"{name} {word}".strip())


@cache
def typed() -> Options:
    return dict(_commands(cast("_Command", get_command(application)), ""))


@cache
def names() -> Names:
    return project_names(typed())


def found(text: str) -> list[tuple[int, str]]:
    page = Page("docs/sample.md", text)
    pages = {**read_pages(), page.path: page}
    return [
        (each.line, each.rule) for each in check_pages(pages, names()) if each.path == page.path
    ]


def test_what_pages_name_is_there() -> None:
    findings = check_pages(read_pages(), names())
    assert not findings, "\n".join(["", *map(str, findings)])


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("link", "see [it](gone.md)"),
        ("link", "![a picture](pictures/gone.svg)"),
        ("anchor", "see [it](operate.md#no-such-heading)"),
        ("anchor", "see [it](#no-such-heading)"),
        ("command", "`make gone`"),
        ("command", "```\nperpchain gone CHAIN\n```"),
        ("command", "`perpchain reorg gone CHAIN`"),
        ("command", "`perpchain reorg apply CHAIN ID --gone`"),
        ("command", "`python scripts/gone.py`"),
        ("command", "```\npython scripts/bench.py --gone\n```"),
        ("file", "`engine/gone.py`"),
        ("code", "`GONE_FOR_GOOD`"),
    ],
)
def test_what_is_not_there_is_found(rule: str, text: str) -> None:
    line = 4 if "\n" in text else 3
    assert found(f"# Sample\n\n{text}\n") == [(line, rule)]


@pytest.mark.parametrize(
    "text",
    [
        "see [it](operate.md), [here](#sample) and [there](https://example.org/x.md)",
        "`make check`, `make PYTHON=python3.11 check`, and to make gone",
        "`perpchain reorg apply CHAIN ID --reason '...'`",
        "```\nperpchain devnet --bots --json > devnet.json\n```",
        "`python scripts/bench.py --only NAME`, `python -m json.tool --gone`",
        "`engine/writer.py`, `sequencer/node.py`, `DIR/gone.json`, `PLAN_STALE`, `GONE`",
    ],
)
def test_what_is_there_passes(text: str) -> None:
    assert found(f"# Sample\n\n{text}\n") == []
