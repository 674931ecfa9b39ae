"""One writer: a lock that the system holds, and a token that only the last writer knows.

Laws
- The lock is on the data folder itself: there is no lock file that somebody could delete, and it
  is held as long as the process lives, stopped ones included.
- LevelDB's own lock is not enough: a second open in one process fails and lets go of it
  (measured), and then another process can open the same files.
- The token is read again before every batch. Where it is another one, somebody replaced this
  writer, and its batch is refused.
"""

import os
import secrets
import sys
from contextlib import ExitStack
from pathlib import Path

from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.sync import replace_durably

if sys.platform != "win32":
    import fcntl

TOKEN_FILE = "writer"
"""The file with the writer's token, in the data folder."""

_TOKEN_BYTES = 16


class WriterLock:
    """The right to write to a folder, from construction to `close`.

    Failures: STORE_LOCKED where somebody else has it, LOCK_UNSUPPORTED on systems without `flock`.
    """

    __slots__ = ("_folder", "_process", "_token", "_token_path")

    def __init__(self, folder: Path) -> None:
        if sys.platform == "win32":
            raise StoreFailed(StoreProblem.LOCK_UNSUPPORTED, "no flock on this system")
        self._process = os.getpid()
        self._token = secrets.token_hex(_TOKEN_BYTES).encode()
        self._token_path = folder / TOKEN_FILE
        self._folder: int | None = os.open(folder, os.O_RDONLY)
        with ExitStack() as opened:
            opened.callback(self.close)
            _lock(self._folder, folder)
            replace_durably(self._token_path, self._token)
            opened.pop_all()

    def check(self) -> None:
        """Fail with WRITER_FORKED or WRITER_REPLACED unless this is still the one writer."""
        if os.getpid() != self._process:
            raise StoreFailed(StoreProblem.WRITER_FORKED, f"process {self._process} is the writer")
        try:
            token = self._token_path.read_bytes()
        except OSError as error:
            raise StoreFailed(StoreProblem.WRITER_REPLACED, f"no token: {error}") from error
        if token != self._token:
            raise StoreFailed(StoreProblem.WRITER_REPLACED, "another writer's token is in place")

    def close(self) -> None:
        """Let go. Can be repeated."""
        folder, self._folder = self._folder, None
        if folder is not None:
            os.close(folder)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StoreFailed(
            StoreProblem.STORE_LOCKED, f"another writer has {folder}: stop it first ({error})"
        ) from error
