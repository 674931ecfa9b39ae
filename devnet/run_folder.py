"""What a run keeps beside its chain, so that a run that was killed goes on as the same run.

Promises
- `run.json` is written whole or not at all; a run that was killed at any moment finds the one
  before or the one after.
- Options that would give other blocks are refused by name when a run goes on.
"""

import fcntl
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from devnet.kept_file import read_kept, write_kept
from sequencer.model.limits import RUN_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreFailed, StoreProblem

RUN_FILE = "run.json"
LOCK_FILE = "run.lock"

_SALT_BITS = 128


class RunOptions(msgspec.Struct, frozen=True):
    """What decides about a run's blocks, and where it posts. `seconds` 0: the whole recording."""

    seed: int
    incident: str
    seconds: int
    market_data: str
    manual: bool = False
    settlement: str = "auto"


class RunNotes(msgspec.Struct, frozen=True):
    """What a run knows and could not find out again.

    `salt` is that of its settlement contract. `good_height` is the block that it went back to and
    `bad_height` the head that it left, -1 before; `reverted_to` the block that the contract went
    back to, -1 for none. `commit_microseconds` is the rollback's one batch; from its order on,
    `apply_us` is to the node's being up again, `reverted_us` to the contract's being put back, and
    `total_ms` to the first order that was accepted again. 0 is what no process measured whole.
    """

    salt: int = 0
    good_height: int = -1
    bad_height: int = -1
    reverted_to: int = -1
    commit_microseconds: int = 0
    total_ms: int = 0
    suggest_us: int = 0
    plan_us: int = 0
    apply_us: int = 0
    reverted_us: int = 0


def choose_salt(seed: int, *, shared: bool) -> int:
    """Return the salt of a run's settlement contract.

    The contract's address is in the messages of its deposits, and so in block hashes: on a chain
    of the run's own it follows from the seed, on one that is `shared` from chance.
    """
    if shared:
        return secrets.randbits(_SALT_BITS)
    digest = hashlib.sha256(f"perpchain run {seed}".encode()).digest()
    return int.from_bytes(digest[: _SALT_BITS // 8], "big")


class _Kept(msgspec.Struct, frozen=True):
    options: RunOptions
    notes: RunNotes = RunNotes()


class RunFolder:
    """The file of a run in its data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._path = data_dir / RUN_FILE

    def is_begun(self, options: RunOptions) -> bool:
        """Say whether there is such a run already, which goes on. Nothing is written.

        Refusals: RUN_DIFFERS for other options or a chain that no run began, FILE_UNREADABLE.
        """
        kept = self._read()
        if kept is None:
            if self.data_dir.exists() and any(self.data_dir.iterdir()):
                words = f"{self.data_dir} holds something that no run began"
                raise Refused(Reason.RUN_DIFFERS, words)
            return False
        for name in RunOptions.__struct_fields__:
            asked, had = getattr(options, name), getattr(kept.options, name)
            if asked != had:
                words = f"{self.data_dir} was begun with {name} {had!r}, not {asked!r}"
                raise Refused(Reason.RUN_DIFFERS, words)
        return True

    def begin(self, options: RunOptions, salt: int) -> None:
        """Keep the options of a new run, and the salt of its settlement contract."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._write(_Kept(options, RunNotes(salt=salt)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other run out of the folder. Failure: STORE_LOCKED."""
        with (self.data_dir / LOCK_FILE).open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                words = f"a run goes on in {self.data_dir} already"
                raise StoreFailed(StoreProblem.STORE_LOCKED, words) from None
            yield

    @property
    def notes(self) -> RunNotes:
        """Return what was noted so far."""
        kept = self._read()
        return RunNotes() if kept is None else kept.notes

    def note(self, **changes: int) -> None:
        """Change some of the notes."""
        kept = self._read()
        if kept is not None:
            notes = msgspec.structs.replace(kept.notes, **changes)
            self._write(msgspec.structs.replace(kept, notes=notes))

    def _read(self) -> _Kept | None:
        return read_kept(self._path, _Kept, RUN_FILE_BYTES_MAX)

    def _write(self, kept: _Kept) -> None:
        write_kept(self._path, kept)
