"""`python -m devnet.left_behind FOLDER [PARENT]`: tidy up after a devnet that was killed.

Promises
- The settlement chain that it started is stopped, and Ethereum beside it, if they are still the
  same processes; PARENT, the place of a temporary folder, is removed.
"""

import sys
from pathlib import Path
from shutil import rmtree

import msgspec

from devnet.ethereum_node import stop_kept_ethereum
from devnet.starknet_devnet import DEVNET_FILE, RunningDevnet, stop_devnet
from sequencer.config import forget_settlement


def tidy_up(folder: Path, parent: Path | None) -> None:
    """Stop what a devnet of this folder left running, and remove what was temporary."""
    file = folder / DEVNET_FILE
    try:
        stop_kept_ethereum(folder)
        if file.exists():
            stop_devnet(msgspec.json.decode(file.read_bytes(), type=RunningDevnet))
            forget_settlement(folder)
            file.unlink(missing_ok=True)
    finally:
        if parent is not None:
            rmtree(parent, ignore_errors=True)


if __name__ == "__main__":
    folder, *parents = map(Path, sys.argv[1:])
    tidy_up(folder, parents[0] if parents else None)
