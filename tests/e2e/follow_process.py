"""A follower in a process of its own, and its ledger compared with the node that it follows."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from starknet_py.net.client_errors import ClientError
from starknet_py.net.http_client import RpcHttpClient

from sequencer.chain.block import Block
from sequencer.plugins.follow.reading import read_remote
from sequencer.plugins.follow.store import FollowStore
from sequencer.starknet.transactions import transaction_hash
from tests.e2e.local_devnet import PATIENCE_SECONDS
from tests.e2e.prepared import prepared
from tests.ledger_plugin import (
    LINES_FILE,
    blocks_of_calls,
    fingerprint,
    read_blocks,
    read_values,
)
from tests.unit.plugins.fake_node import Place, values_of

_METHODS = {"s": "getStorageAt", "n": "getNonce", "c": "getClassHashAt"}
_TOGETHER = 16
_NO_CONTRACT = 20


class FollowProcess:
    """`perpchain follow` with a ledger, what it keeps in `folder`."""

    def __init__(self, url: str, folder: Path, *options: str) -> None:
        self.url, self.folder = url, folder
        words = ["follow", url, "--data-dir", str(folder)]
        words += ["--plugin", "tests.ledger_plugin:Ledger", "--json", *options]
        self._said = [folder.with_suffix(f".{name}") for name in ("out", "error")]
        self._process = prepared(words, self._said)

    def end(self, number: signal.Signals | None = signal.SIGTERM) -> tuple[int | None, str, str]:
        """Tell it to stop, or wait until it does; returns its code and what it printed."""
        if number is not None and self._process.is_alive():
            os.kill(self._process.pid or 0, number)
        self._process.join(PATIENCE_SECONDS)
        out, error = (path.read_text() for path in self._said)
        return self._process.exitcode, out, error

    def summary(self, number: signal.Signals | None = signal.SIGTERM) -> dict[str, Any]:
        """End it well, and return what it says of itself."""
        code, out, error = self.end(number)
        assert code == 0, error
        assert "Traceback" not in error
        said: dict[str, Any] = msgspec.json.decode(out)
        return said


@contextmanager
def follow_process(url: str, folder: Path, *options: str) -> Iterator[FollowProcess]:
    """Follow, and leave no process behind."""
    following = FollowProcess(url, folder, *options)
    try:
        yield following
    finally:
        following.end(signal.SIGKILL)


def told_blocks(folder: Path) -> dict[int, str]:
    """Return the blocks that the calls so far tell of, apart from a line that is being written."""
    return blocks_of_calls("".join(call_lines(folder)))


def call_lines(folder: Path) -> list[str]:
    """Return the lines that the ledger has written of its calls."""
    path = folder / "plugin" / LINES_FILE
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line.endswith("\n")]


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def until_told(url: str, folder: Path) -> None:
    """Wait until a follower has been told of all that its node has."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while told_blocks(folder) != await node_blocks(url):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def node_blocks(url: str) -> dict[int, str]:
    """Return a node's blocks as a ledger has them."""
    return (await _read_chain(url))[0]


async def require_same(url: str, folder: Path) -> None:
    """Compare all that a follower's ledger has, in its bucket and outside, with the node."""
    store = FollowStore(folder)
    try:
        bucket = store.bucket()
    finally:
        store.close()
    blocks, told = await _read_chain(url)
    assert read_blocks(bucket) == blocks
    assert told_blocks(folder) == blocks
    values = read_values(bucket)
    # Some nodes do not answer for contracts that nobody deployed: there, what blocks set is true.
    state = {place: told.get(place, 0) for place in {*told, *values}}
    state |= await _read_values(url, [*state], max(blocks))
    differing = {
        place: (values.get(place, 0), value)
        for place, value in state.items()
        if values.get(place, 0) != value
    }
    assert not differing, differing


def require_true_hashes(block: Block, chain_id: int) -> None:
    """Work out the hash of each transaction from what was read of it."""
    for transaction, receipt in zip(block.transactions, block.receipts, strict=True):
        assert transaction_hash(transaction, chain_id) == receipt.transaction_hash


async def _read_chain(url: str) -> tuple[dict[int, str], dict[Place, int]]:
    """Read all blocks, and what they set in the end."""
    node = RpcHttpClient(url)
    chain_id = int(await node.call("chainId", {}), 16)
    blocks: dict[int, str] = {}
    places: dict[Place, int] = {}
    for height in range(await node.call("blockNumber", {}) + 1):
        params = {"block_id": {"block_number": height}}
        block = await node.call("getBlockWithReceipts", params)
        update = await node.call("getStateUpdate", params)
        read = read_remote(block, update).told.block
        require_true_hashes(read, chain_id)
        blocks[height] = fingerprint(read)
        places |= values_of(update)
    return blocks, places


async def _read_values(url: str, places: Sequence[Place], height: int) -> dict[Place, int]:
    node, turns = RpcHttpClient(url), asyncio.Semaphore(_TOGETHER)

    async def read(place: Place) -> int | None:
        kind, address, key = place
        params = {"contract_address": hex(address), "block_id": {"block_number": height}}
        if kind == "s":
            params["key"] = hex(key)
        async with turns:
            try:
                return int(await node.call(_METHODS[kind], params), 16)
            except ClientError as error:
                if str(error.code) != str(_NO_CONTRACT):
                    raise
                return None

    values = await asyncio.gather(*map(read, places))
    pairs = zip(places, values, strict=True)
    return {place: value for place, value in pairs if value is not None}
