"""Devnets for benches: a fresh chain, a devnet of its own, and the contract at the chain's block 0.

Promises
- The real devnet runs the compiled contract. The embedded one runs its twin, and has its chain on
  LevelDB, synced, as under `perpchain run`.
- The devnet is a process of its own beside the bench, and is gone when the bench is over.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from devnet.appchain_facts import AppchainFacts
from devnet.backends import DEVNET, open_backend, stop_backend
from devnet.starknet_devnet import find_binary
from scripts.benches.cache import DATA, ROOT
from scripts.benches.measure import Skipped
from scripts.money.devnets import ABSENT
from sequencer.settlement.starknet import StarknetSettlement

_T = TypeVar("_T")
_SALT = 1


class Settling(NamedTuple):
    """A chain's data folder, a contract that stands at its block 0, and the folder of both, where
    `read_settlement` finds who may post."""

    folder: Path
    data: Path
    contract: StarknetSettlement


def on_devnet(
    choice: str,
    begin: Callable[[Path], AppchainFacts],
    measure: Callable[[Settling], Awaitable[_T]],
) -> _T:
    """Begin a chain in a data folder, and measure with a devnet that has its contract.

    `choice` is a backend's name. Skipped where that is the real one and there is none.
    """
    if choice == DEVNET and find_binary() is None:
        raise Skipped(ABSENT)
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix="bench-") as folder:
        return asyncio.run(_measured(choice, Path(folder), begin, measure))


async def _measured(
    choice: str,
    folder: Path,
    begin: Callable[[Path], AppchainFacts],
    measure: Callable[[Settling], Awaitable[_T]],
) -> _T:
    data = folder / DATA
    backend = await open_backend(choice, folder, begin(data), _SALT, lambda _: None)
    try:
        if backend.settlement is None:
            raise SystemExit("a devnet without a contract")
        try:
            return await measure(Settling(folder, data, backend.settlement))
        finally:
            await backend.settlement.close()
    finally:
        stop_backend(backend, folder)
