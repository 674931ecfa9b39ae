"""An Ethereum chain on this machine: anvil, found, fetched when it is asked for, started, stopped.

    python -m devnet.ethereum_node     fetch it now

Promises
- Only the version that the contracts are tested with is ever run; it comes from npm, by its hash.
- Nothing is fetched unless somebody asks for Ethereum.
- It starts and stops as starknet-devnet does; its log does not grow with what it is asked.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from devnet.npm_packages import PackagesAbsent, has_npm, install, is_installed
from devnet.starknet_devnet import RunningDevnet, start_process
from sequencer.config import cache_folder

VERSION = "1.7.1"
ETHEREUM_FILE = "ethereum.json"
"""Where whoever started a chain keeps which process it is, in a folder of its own."""

HOW_TO_GET = (
    f"no anvil {VERSION} here; `python -m devnet.ethereum_node` fetches it, with Node and npm"
)

_SOURCES = Path(__file__).parent / "ethereum_anvil"
_BINARIES = "node_modules/@foundry-rs/anvil-*/bin/anvil"
_LISTENING = re.compile(r"Listening on (127\.0\.0\.1:\d+)")
# Old states are dropped, and not written to a disk of somebody else's.
_ARGUMENTS = ("--host", "127.0.0.1", "--prune-history", "512", "--no-cors")


def find_anvil() -> Path | None:
    """Look in the user's cache; nothing is fetched."""
    folder = _folder()
    if not is_installed(_SOURCES, folder):
        return None
    return next(folder.glob(_BINARIES), None)


def can_fetch_anvil() -> bool:
    """Say whether what fetches it is there; a network may still be missing."""
    return has_npm()


def fetch_anvil() -> Path:
    """Return the binary, fetched by npm where it is not there. Fails with PackagesAbsent."""
    install(_SOURCES, _folder())
    binary = find_anvil()
    if binary is None:
        raise PackagesAbsent("npm has no anvil for this machine")
    return binary


def start_anvil(
    binary: Path,
    log: Path,
    *,
    state: Path | None = None,
    block_seconds: int = 0,
    note: Callable[[RunningDevnet], None] = lambda _: None,
) -> RunningDevnet:
    """Start a chain on a free port. `block_seconds` 0: a block for each transaction.

    `state` is a file that it goes on from, and leaves behind when it is told to stop. `log` and
    `note` are as in `start_devnet`. Fails with DevnetFailed.
    """
    command = [str(binary), "--port", "0", *_ARGUMENTS]
    if state is not None:
        command += ["--state", str(state.absolute())]
    if block_seconds:
        command += ["--block-time", str(block_seconds)]
    return start_process(command, log, _LISTENING, "no anvil", note)


def _folder() -> Path:
    return cache_folder() / f"anvil-{VERSION}"


def _main() -> int:
    try:
        binary = fetch_anvil()
    except PackagesAbsent as absent:
        sys.stderr.write(f"no anvil: {absent}\n")
        return 2
    sys.stdout.write(f"anvil {VERSION} is at {binary}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
