"""The help of every command: an example that its own parser takes, and words for each option."""

import re
import shlex
from collections.abc import Iterator

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from sequencer.cli.application import application
from sequencer.model.halts import ExitCode

EXAMPLE = re.compile(r"^Example: (perpchain .+)$", re.MULTILINE)
NO_FACTS = {
    "perpchain export": "its answer is the file",
    "perpchain node": "it is a server, with --json-logs",
}
"""Commands without `--json`, and why."""

PANELS = ["Try it", "Run a node", "Look", "An incident", "Drills", "Money", "Build on it", "Help"]


def _walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, TyperCommand]]:
    if isinstance(command, TyperGroup):
        for name, each in sorted(command.commands.items()):
            yield from _walk(each, (*words, name))
        return
    assert isinstance(command, TyperCommand)
    yield " ".join(words), command


COMMANDS = dict(_walk(get_command(application), ("perpchain",)))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_is_one_that_it_takes(name: str) -> None:
    command = COMMANDS[name]
    examples = EXAMPLE.findall(command.help or "")
    assert examples
    for example in examples:
        words, length = shlex.split(example), len(name.split())
        assert words[:length] == name.split()
        # Whatever its parser refuses raises: an option that is none, a value out of range.
        assert command.make_context(name, words[length:]).params


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_is_explained(name: str) -> None:
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_facts_can_be_had_as_json(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--json" in options) == (name not in NO_FACTS)


@pytest.mark.parametrize(
    "name", [name for name, each in COMMANDS.items() if any(part.required for part in each.params)]
)
def test_a_command_without_what_it_needs_says_which_and_ends_with_2(name: str) -> None:
    done = CliRunner().invoke(application, name.split()[1:])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Missing" in done.stderr
    assert f"{name} --help" in " ".join(done.stderr.split())


def test_the_help_shows_the_shape_of_the_program() -> None:
    told = CliRunner().invoke(application, ["--help"], env={"COLUMNS": "100"}).stdout
    places = [told.find(f" {panel} ") for panel in PANELS]
    assert -1 not in places
    assert places == sorted(places)
    assert "Exit codes: 0 done" in told
    # Nothing stands outside of a panel with a name.
    assert " Commands " not in told


def test_every_exit_code_has_a_meaning() -> None:
    told = CliRunner().invoke(application, ["exit-codes"]).stdout
    codes = {int(line.split()[0]) for line in told.splitlines()}
    assert codes == {*map(int, ExitCode), 21, 22, 23, 24, 130}
