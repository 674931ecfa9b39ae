"""`python -m devnet.left_behind FOLDER [PARENT]`: tidy up after a devnet that was killed.

Promises
- The settlement chain that it started is stopped, and Ethereum beside it, if they are still the
  same processes; PARENT, the place of a temporary folder, is removed.
"""

import sys
from pathlib import Path
from shutil import rmtree

from devnet.ethereum_node import ETHEREUM_FILE
from devnet.starknet_devnet import DEVNET_FILE, stop_kept_devnet
from sequencer.config import forget_settlement


def tidy_up(folder: Path, parent: Path | None) -> None:
    """Stop what a devnet of this folder left running, and remove what was temporary."""
    try:
        stop_kept_devnet(folder / ETHEREUM_FILE)
        if (folder / DEVNET_FILE).exists():
            stop_kept_devnet(folder / DEVNET_FILE)
            forget_settlement(folder)
    finally:
        if parent is not None:
            rmtree(parent, ignore_errors=True)


if __name__ == "__main__":
    folder, *parents = map(Path, sys.argv[1:])
    tidy_up(folder, parents[0] if parents else None)
