"""Starting an embedded devnet beside whoever needs one, with its chain in their data folder."""

import sys
from collections.abc import Callable
from pathlib import Path

from devnet.embedded.place import CHAIN_FOLDER
from devnet.starknet_devnet import ACCOUNTS, LISTENING, RunningDevnet, start_process
from sequencer.config import environment_for_others


def start_embedded(
    folder: Path | None,
    log: Path,
    *,
    port: int = 0,
    note: Callable[[RunningDevnet], None] = lambda _: None,
) -> RunningDevnet:
    """Start an embedded devnet as `start_devnet` does, on the chain of a data folder.

    One that is not there is begun, in memory where the folder is None. Port 0 is a free one. Fails
    with DevnetFailed.
    """
    data = [] if folder is None else ["--data", str((folder / CHAIN_FOLDER).absolute())]
    options = ["--port", str(port), "--accounts", str(ACCOUNTS), *data]
    command = [sys.executable, "-m", "devnet.embedded", *options]
    failure = f"no embedded devnet on port {port}"
    return start_process(command, log, LISTENING, failure, note, environment_for_others())
