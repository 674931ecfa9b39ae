"""Devnets of a campaign's or a test's own, by the name of what carries the contract."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devnet.starknet_devnet import (
    ACCOUNTS,
    LISTENING,
    VERSION,
    DevnetFailed,
    RunningDevnet,
    find_binary,
    start_devnet,
    start_process,
    stop_devnet,
)
from sequencer.config import environment_for_others

EMBEDDED, REAL = "embedded", "real"
ABSENT = f"no starknet-devnet {VERSION} here: make devnet-real"


@contextmanager
def devnet_at(backend: str, log: Path, port: int = 0) -> Iterator[str]:
    """Run a devnet, and give its address; an embedded one is in memory alone. Port 0 is a free one.

    Failure: DevnetFailed.
    """
    devnet = _start(backend, log, port)
    try:
        yield devnet.url
    finally:
        stop_devnet(devnet)


def _start(backend: str, log: Path, port: int) -> RunningDevnet:
    if backend == EMBEDDED:
        command = [
            sys.executable,
            "-m",
            "devnet.embedded",
            "--accounts",
            str(ACCOUNTS),
            "--port",
            str(port),
        ]
        environment = environment_for_others()
        return start_process(
            command, log, LISTENING, f"no embedded devnet on port {port}", environment=environment
        )
    binary = find_binary()
    if binary is None:
        raise DevnetFailed(ABSENT)
    return start_devnet(binary, log, port=port)
