"""What is typed wrong, to the program itself: one line on standard error, and code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.crashing.watched import interruptible
from tests.e2e.node_process import PATIENCE_SECONDS

PROGRAM = str(Path(sys.executable).with_name("perpchain"))


def typed(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [PROGRAM, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("nonsense",), "perpchain: No such command 'nonsense'; next: perpchain --help"),
        (("reorg", "x"), "perpchain reorg: No such command 'x'; next: perpchain reorg --help"),
        (
            ("mode", "x", "shut"),
            "perpchain mode: Invalid value for 'to': 'shut' is not one of 'halted', "
            "'cancel-only', 'post-only', 'open'; next: perpchain mode --help",
        ),
        (
            ("status", "--x\x1b[2J"),
            "perpchain status: No such option: --x\\x1b[2J; next: perpchain status --help",
        ),
        (
            ("run", "--incident", "none", "--manual"),
            "perpchain run: Invalid value for --manual: needs an incident; "
            "next: perpchain run --help",
        ),
    ],
)
def test_what_no_command_takes_is_one_line(words: tuple[str, ...], line: str) -> None:
    assert typed(*words) == (2, "", f"{line}\n")


def test_nothing_at_all_shows_the_help() -> None:
    code, out, err = typed("reorg")
    assert (code, err, "Usage: perpchain reorg" in out) == (2, "", True)
    assert typed("--help")[0] == 0


INTERRUPTING = """
import os, signal, sys

name = sys.argv.pop(1)


class Interrupter:
    def find_spec(self, wanted, path=None, target=None):
        if wanted == name:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Interrupter())
from sequencer.__main__ import main
main()
"""
"""A program that is interrupted while it loads a module."""


@pytest.mark.parametrize(
    "module",
    ["sequencer.cli.application", "plyvel", "sequencer.cli.withdraw", "devnet.run", "starknet_py"],
)
def test_ctrl_c_ends_it_without_words_while_it_loads(module: str, tmp_path: Path) -> None:
    with interruptible():
        done = subprocess.run(
            [sys.executable, "-c", INTERRUPTING, module, "run", "--settlement", "none"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=tmp_path,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (130, b"")
    assert [*tmp_path.iterdir()] == []
