"""The scripts for users, run as users run them."""

import asyncio
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from unittest.mock import patch

from tests.e2e.local_devnet import PATIENCE_SECONDS, ROOT


def command(name: str, *options: object) -> list[str]:
    return [sys.executable, f"scripts/{name}.py", *map(str, options)]


def ran(name: str, *options: object) -> subprocess.CompletedProcess[str]:
    """Run a script to its end."""
    return subprocess.run(
        command(name, *options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def called(name: str, *options: object) -> subprocess.CompletedProcess[str]:
    """Run a script to its end in this process: most of what it takes is loading its libraries."""
    script = import_module(f"scripts.{name}")
    words = [name, *map(str, options)]
    with (
        patch.object(sys, "argv", words),
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as error,
    ):
        code: int = script.main()
    return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())


async def finished(name: str, *options: object) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, while this process goes on answering."""
    return await asyncio.to_thread(ran, name, *options)


def traded(url: str) -> tuple[list[str], str]:
    """Have two new accounts trade; returns their addresses and what was said."""
    return traders_of(called("fund_and_trade", "--url", url))


def traders_of(done: subprocess.CompletedProcess[str]) -> tuple[list[str], str]:
    """Return the addresses that the script has said, and all that it said."""
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    return [words[1] for words in lines if words[0] == "account"], done.stdout
