"""Devnets of a campaign's or a test's own, by the name of what carries the contract."""

from collections.abc import Iterator, Sequence
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
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector

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

_L1_FEE = 0x123456789


def l1_message(sender: int, contract: Felt, felts: Sequence[Felt], nonce: int) -> dict[str, object]:
    """Return what a devnet's postman takes for a call of `deposit_from_l1` by a bridge."""
    return {
        "l1_contract_address": hex(sender),
        "l2_contract_address": hex(contract),
        "entry_point_selector": hex(selector("deposit_from_l1")),
        "payload": [hex(felt) for felt in felts],
        "paid_fee_on_l1": hex(_L1_FEE),
        "nonce": hex(nonce),
    }


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
