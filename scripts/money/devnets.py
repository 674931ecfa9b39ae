"""Devnets of a campaign's or a test's own, by the name of what carries the contract."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starknet_py.net.client_models import ResourceBounds, ResourceBoundsMapping

from devnet.embedded.starting import start_embedded
from devnet.starknet_devnet import (
    VERSION,
    DevnetFailed,
    RunningDevnet,
    find_binary,
    start_devnet,
    stop_devnet,
)

EMBEDDED, REAL = "embedded", "real"
ABSENT = f"no starknet-devnet {VERSION} here: make devnet-real"

# Far above what a call costs: nothing is estimated, so a refused call is really executed.
BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(10_000, 10**13),
    l2_gas=ResourceBounds(100_000_000, 10**12),
    l1_data_gas=ResourceBounds(100_000, 10**13),
)
DECLARE_BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(10_000, 10**13),
    l2_gas=ResourceBounds(2_000_000_000, 10**11),
    l1_data_gas=ResourceBounds(100_000, 10**13),
)


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
        return start_embedded(None, log, port=port)
    binary = find_binary()
    if binary is None:
        raise DevnetFailed(ABSENT)
    return start_devnet(binary, log, port=port)
