"""The scripts for users, run as users run them."""

import asyncio
import subprocess
import sys

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


async def finished(name: str, *options: object) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, while this process goes on answering."""
    return await asyncio.to_thread(ran, name, *options)


def traded(url: str) -> tuple[list[str], str]:
    """Have two new accounts trade; returns their addresses and what was said."""
    done = ran("fund_and_trade", "--url", url)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    return [words[1] for words in lines if words[0] == "account"], done.stdout
