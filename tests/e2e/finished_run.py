"""A run that has ended, and copies of its folder to do harm to."""

import shutil
from pathlib import Path
from typing import Any

import msgspec

from devnet.proof import EXPORT_FILE


class Finished(msgspec.Struct, frozen=True):
    """Where a run's chain is, its summary, and what it said."""

    data: Path
    summary: dict[str, Any]
    lines: list[str]

    @property
    def export(self) -> bytes:
        """Return its export."""
        return (self.data / EXPORT_FILE).read_bytes()

    def copy(self, folder: Path) -> Path:
        """Copy the chain, and the witness that lies beside it."""
        shutil.copytree(self.data, folder)
        witness = self.data.with_suffix(".witness")
        shutil.copyfile(witness, folder.with_suffix(".witness"))
        return folder
