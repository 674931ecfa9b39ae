"""The one way to make a file's content survive a power cut."""

import os
from pathlib import Path


def durable_sync(descriptor: int) -> None:
    """Wait until what was written to a file is on the disk."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: a new file is none without its name."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, content: bytes) -> None:
    """Put a file in place of another one: whatever happens, one of the two is there whole."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        durable_sync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)
