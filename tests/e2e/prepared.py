"""Commands in processes of their own that are forked with everything imported.

To import it takes longer than most of what they do.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from sequencer.__main__ import main
from sequencer.model.halts import ExitCode
from sequencer.storage import copying, reached
from tests.e2e.local_devnet import PATIENCE_SECONDS, ROOT

_PREPARED = get_context("forkserver")
_PREPARED.set_forkserver_preload(
    [
        *("__main__", __name__, "tests.ledger_plugin"),
        *("sequencer.cli.application", "sequencer.plugins.follow.follower"),
    ]
)

INTERRUPTED = 130
"""What a command ends with that somebody interrupts."""

_TOGETHER_BYTES = 20_000
"""So much of a copy is written together, that a short chain takes some steps."""


def prepared(
    words: Sequence[object], said: Sequence[Path], arm: Callable[[], None] | None = None
) -> ForkServerProcess:
    """Start a command whose outputs are two files; `arm` is called in there first."""
    process = _PREPARED.Process(target=_be, args=([*map(str, words)], said, arm))
    process.start()
    return process


def signal_at(point: str, number: int, kind: signal.Signals) -> Callable[[], None]:
    """Return what makes a process get a signal when it comes to a point for the n-th time."""
    return partial(_arm, point, number, kind)


def killed_at(
    point: str, number: int, *words: object, kind: signal.Signals = signal.SIGKILL
) -> int | None:
    """Run a command that gets a signal at a point; returns its code, and expects no stack trace."""
    with TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("out", "error")]
        process = prepared(words, said, signal_at(point, number, kind))
        process.join(PATIENCE_SECONDS)
        error = said[1].read_text()
    assert "Traceback" not in error, error
    assert process.exitcode != ExitCode.INPUT, error
    return process.exitcode


def _be(words: Sequence[str], said: Sequence[Path], arm: Callable[[], None] | None) -> None:
    """Be the command from here on."""
    os.chdir(ROOT)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    # Whoever runs in the background is told to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["perpchain", *words]
    if arm is not None:
        arm()
    main()


def _arm(point: str, left: int, kind: signal.Signals) -> None:
    vars(copying)["BACKUP_BATCH_BYTES"] = _TOGETHER_BYTES

    def count(name: str) -> None:
        nonlocal left
        left -= name == point
        if left == 0:
            os.kill(os.getpid(), kind)

    reached.on_reached = count
