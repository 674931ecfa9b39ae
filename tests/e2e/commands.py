"""The operator's commands as they are typed, run in this process: that is quicker than another."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from sequencer.cli.application import application


def run(*arguments: object) -> Result:
    return CliRunner().invoke(application, [*map(str, arguments)])


def shown(*arguments: object) -> dict[str, object]:
    """Return the facts that a command shows."""
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    facts: dict[str, object] = json.loads(done.stdout)
    return facts


def refused(*arguments: object, code: int = 2) -> str:
    """Expect one line that says why, and return it."""
    done = run(*arguments)
    assert done.exit_code == code, done.stdout + done.stderr
    assert (done.stderr.count("\n"), done.stdout) == (1, "")
    return done.stderr


def left(folder: Path) -> list[str]:
    """List what a folder holds."""
    return sorted(path.name for path in folder.iterdir())
