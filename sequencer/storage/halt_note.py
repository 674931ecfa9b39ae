"""The note that a halt leaves in the data folder: while it is there, every start comes up HALTED.

Laws
- A note is whole or absent, also after a power cut. Where the disk takes no note the halt stands
  all the same in this process, and the failure that caused it will be met again at the next start.
"""

import shutil
from pathlib import Path

from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.sync import replace_durably, sync_folder

HALT_FILE = "HALTED"
"""The note's file, in the data folder."""

_BYTES_MAX = 64 * 1024


class HaltFile:
    """The note of a data folder."""

    __slots__ = ("_path",)

    def __init__(self, folder: Path) -> None:
        self._path = folder / HALT_FILE

    def read(self) -> str:
        """Return why the chain was halted, "" where there is no note."""
        if not self._path.exists():
            return ""
        with self._path.open("rb") as file:
            return file.read(_BYTES_MAX).decode(errors="replace").strip() or "an empty note"

    def write(self, reason: str) -> None:
        """Leave a note, unless the disk takes none."""
        try:
            replace_durably(self._path, reason.encode() + b"\n")
        except OSError:
            return

    def clear(self) -> None:
        """Take the note away. Failure: WRITE_FAILED."""
        try:
            if self._path.exists():
                self._path.unlink()
                sync_folder(self._path.parent)
        except OSError as error:
            raise _failed(self._path, error) from error


class FolderSpace:
    """The room on the disk of a data folder."""

    __slots__ = ("_folder",)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def free_bytes(self) -> int:
        """Return bytes that may still be written. Failure: WRITE_FAILED."""
        try:
            return shutil.disk_usage(self._folder).free
        except OSError as error:
            raise _failed(self._folder, error) from error


def _failed(path: Path, error: OSError) -> StoreFailed:
    return StoreFailed(StoreProblem.WRITE_FAILED, f"{path.name}: {error.strerror or error}")
