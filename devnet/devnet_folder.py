"""The data folder of a local devnet: what it was begun with, and what is left of it.

Promises
- A folder that was named is kept, and goes on as the same chain: options that would give another
  block 0 are refused by name, those that nobody gives are the folder's.
- One that was not named is temporary and gone at the end, with the settlement chain of its own:
  also where the process was killed.
"""

import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import msgspec

from devnet.kept_file import read_kept, write_kept
from sequencer.model.devnet_limits import DEVNET_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused

OPTIONS_FILE = "local.json"

_SALT_BITS = 128
_CHAIN_FOLDER = "chain"
# The guard of a devnet waits for a word of it. Without one it is gone, and left something behind.
_GUARD = 'read word || exec "$@"'
_GUARD_END_SECONDS_MAX = 10


class DevnetOptions(msgspec.Struct, frozen=True):
    """What decides about block 0. `balance` in whole tokens."""

    seed: int = 1
    accounts: int = 10
    balance: int = 1_000_000


class _Kept(msgspec.Struct, frozen=True):
    """`salt` is for a contract on somebody else's chain. `opened`: trading was opened once."""

    options: DevnetOptions
    salt: int
    opened: bool = False


class DevnetFolder:
    """The folder of one devnet; `data_dir` is where its chain is."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._path = data_dir / OPTIONS_FILE

    def begin(self, asked: Mapping[str, int]) -> DevnetOptions:
        """Begin a new chain or find the one that is there; returns the options that hold.

        `asked` has those that somebody gave. Refusals: RUN_DIFFERS, FILE_UNREADABLE. Error:
        OSError.
        """
        kept = self._read()
        if kept is None:
            if self.data_dir.exists() and any(self.data_dir.iterdir()):
                words = f"{self.data_dir} holds something that no devnet began"
                raise Refused(Reason.RUN_DIFFERS, words)
            self.data_dir.mkdir(parents=True, exist_ok=True)
            options = DevnetOptions(**asked)
            self._write(_Kept(options, secrets.randbits(_SALT_BITS)))
            return options
        for name, value in asked.items():
            had = getattr(kept.options, name)
            if value != had:
                words = f"{self.data_dir} was begun with {name} {had}, not {value}"
                raise Refused(Reason.RUN_DIFFERS, words)
        return kept.options

    @property
    def salt(self) -> int:
        """Return a number that no other devnet has."""
        kept = self._read()
        return 0 if kept is None else kept.salt

    @property
    def is_opened(self) -> bool:
        """Say whether trading was opened once; what an operator does about it later is his."""
        kept = self._read()
        return kept is not None and kept.opened

    def note_opened(self) -> None:
        """Remember that trading was opened. Error: OSError."""
        kept = self._read()
        if kept is not None:
            self._write(msgspec.structs.replace(kept, opened=True))

    def _read(self) -> _Kept | None:
        return read_kept(self._path, _Kept, DEVNET_FILE_BYTES_MAX)

    def _write(self, kept: _Kept) -> None:
        write_kept(self._path, kept)


@contextmanager
def devnet_folder(named: Path | None) -> Iterator[DevnetFolder]:
    """Give the folder that was named, or a temporary one, and see that nothing is left behind."""
    parent = Path(mkdtemp(prefix="perpchain-devnet-")) if named is None else None
    folder = named if parent is None else parent / _CHAIN_FOLDER
    if folder is None:
        raise TypeError("no folder")
    try:
        with _guarded(folder, parent):
            yield DevnetFolder(folder)
    finally:
        if parent is not None:
            rmtree(parent, ignore_errors=True)


@contextmanager
def _guarded(folder: Path, parent: Path | None) -> Iterator[None]:
    command = ["/bin/sh", "-c", _GUARD, "sh", sys.executable, "-m", "devnet.left_behind"]
    command += [str(folder.absolute()), *([] if parent is None else [str(parent.absolute())])]
    quiet = subprocess.DEVNULL
    # A session of its own: what a terminal sends to everybody is not for the guard.
    guard = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        yield
    finally:
        with suppress(OSError):
            guard.communicate(b"done\n")
        guard.wait(_GUARD_END_SECONDS_MAX)
