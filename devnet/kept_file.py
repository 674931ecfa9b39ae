"""A small JSON file beside a chain that is there whole, or as it was before.

Promises
- Whoever reads it finds what was written last, or what was there before: a kill at any moment
  leaves nothing half.
"""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from sequencer.config import read_limited
from sequencer.model.refusals import Reason, Refused

_T = TypeVar("_T", bound=msgspec.Struct)


def write_kept(path: Path, kept: msgspec.Struct) -> None:
    """Put a value in the place of what was there, durably. Error: OSError."""
    # Another name first: whoever reads finds a whole file, whatever happens to us.
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(kept))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read_kept(path: Path, kind: type[_T], bytes_max: int) -> _T | None:
    """Return what was kept, None where nothing was. Refusals: RUN_DIFFERS, FILE_UNREADABLE."""
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(read_limited(path, bytes_max), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(Reason.RUN_DIFFERS, f"{path}: {error}") from None
