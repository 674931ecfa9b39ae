"""A data folder in the making: it appears whole in its place, or not at all.

Promises
- Until `finish` nothing stands in its place. What a kill or a power cut leaves lies in a folder
  beside it, by the same name with `.partial` behind; nobody takes that for a chain, and the next
  one that is made there takes it away first.
- Two cannot make the same folder at once: the second one is refused.

Laws
- A witness says that a store is the newest one of its chain, and a folder made here cannot know
  that. So none is made beside it, and where one lies there of old nothing is made.
"""

import errno
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from stat import S_IMODE
from time import sleep

from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.folder import witness_beside
from sequencer.storage.lock import TOKEN_FILE
from sequencer.storage.reached import reached
from sequencer.storage.sync import sync_folder

if sys.platform != "win32":
    import fcntl

PARTIAL_SUFFIX = ".partial"
"""What follows a folder's name in the name of the one in which it is made."""

_INSIDE = "chain"
_REMOVALS_MAX, _REMOVAL_SECONDS = 40, 0.05


def place_of(path: str | Path) -> Path:
    """Return where a path leads, links followed. Refusal: FILE_UNREADABLE for what names no place.

    Anybody who may ask for a copy names one: whatever it is, it is no failure of the node's.
    """
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise Refused(Reason.FILE_UNREADABLE, f"{str(path)!r:.200}: {error}") from None


def require_place(target: Path) -> None:
    """Refuse a place that is taken, or that has nothing above it.

    Refusals: FOLDER_TAKEN, FILE_UNREADABLE.
    """
    try:
        _require_free(target)
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise Refused(Reason.FILE_UNREADABLE, f"{str(target)!r:.200}: {words}") from None


def _require_free(target: Path) -> None:
    if not target.name:
        raise Refused(Reason.FOLDER_TAKEN, f"{target} has no name")
    if not target.parent.is_dir():
        raise Refused(Reason.FILE_UNREADABLE, f"{target.parent} is no folder")
    witness = witness_beside(target)
    if os.path.lexists(witness):
        raise Refused(Reason.FOLDER_TAKEN, f"{witness} is that of another chain")
    if os.path.lexists(target) and not _is_empty_folder(target):
        raise Refused(Reason.FOLDER_TAKEN, f"{target} is there already: name a new folder")


class Staging:
    """The making of a folder. `folder` is where it is made; whoever makes it creates that.

    Refusals: those of `require_place`; BUSY while somebody else makes the same one. Failure:
    WRITE_FAILED.
    """

    def __init__(self, target: Path) -> None:
        require_place(target)
        self._target = target
        self._partial = target.with_name(target.name + PARTIAL_SUFFIX)
        self.folder = self._partial / _INSIDE
        try:
            with ExitStack() as opened:
                self._lock = _locked(self._partial)
                opened.callback(os.close, self._lock)
                _clear(self._partial)
                opened.pop_all()
        except OSError as error:
            raise _failed(error, self._partial) from None

    def finish(self) -> None:
        """Put the folder in its place, durably. Refusal: FOLDER_TAKEN. Failure: WRITE_FAILED."""
        require_place(self._target)
        try:
            if self._target.exists():
                _narrow(self.folder, self._target)
            sync_folder(self.folder)
            reached("folder.whole")
            self.folder.rename(self._target)
            reached("folder.placed")
            sync_folder(self._target.parent)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise Refused(Reason.FOLDER_TAKEN, f"{self._target} is there by now") from None
            raise _failed(error, self._target) from None

    def close(self) -> None:
        """Take away what is not in its place. Can be repeated."""
        lock, self._lock = self._lock, -1
        if lock < 0:
            return
        # A node that was told to give a copy up takes a moment to let go of it.
        for _ in range(_REMOVALS_MAX):
            shutil.rmtree(self._partial, ignore_errors=True)
            if not os.path.lexists(self._partial):
                break
            sleep(_REMOVAL_SECONDS)
        os.close(lock)


def _locked(partial: Path) -> int:
    """Make the folder and hold it; nobody else may hold it, nor may it be gone by then."""
    partial.mkdir(exist_ok=True)
    descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held, named = os.fstat(descriptor), partial.stat()
        if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    raise Refused(Reason.BUSY, f"somebody else makes {partial}")


def _clear(partial: Path) -> None:
    """Take away what somebody left who died while making it; whatever else lies there stays."""
    inside = [*partial.iterdir()]
    # The token is of whoever tried to open this for a chain.
    ours = {_INSIDE, _INSIDE + PARTIAL_SUFFIX, TOKEN_FILE}
    if strange := [each for each in inside if each.name not in ours]:
        raise Refused(Reason.FOLDER_TAKEN, f"{strange[0]} lies where a folder is to be made")
    for each in inside:
        if each.name == TOKEN_FILE:
            each.unlink()
        else:
            shutil.rmtree(each)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and next(path.iterdir(), None) is None


def _narrow(folder: Path, replaced: Path) -> None:
    """Let nobody into a folder whom the empty one that it replaces kept out."""
    folder.chmod(S_IMODE(folder.stat().st_mode) & S_IMODE(replaced.stat().st_mode))


def _failed(error: OSError, path: Path) -> StoreFailed:
    words = f"{error.filename or path}: {error.strerror or error}"
    return StoreFailed(StoreProblem.WRITE_FAILED, words)
