"""Benches of settlement on a starknet-devnet: a node that posts, and what the calls cost there.

Promises
- The contract is the compiled one, deployed on a devnet of the bench's own; each call is signed,
  executed and waited for. Without the binary these benches are skipped by name.
- A block counts as settled when the transaction that posts it, or one above it, has succeeded.

The devnet makes a block of each transaction at once: what a public network adds is not here.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from devnet.backends import DEVNET, open_backend, stop_backend
from devnet.starknet_devnet import VERSION, find_binary
from scripts.benches.cache import ROOT
from scripts.benches.measure import Figure, Sizes, Skipped, percentile_ms, spread
from scripts.benches.world import OPERATOR_KEY, genesis_text
from sequencer.config import NodeConfig
from sequencer.engine.settler import SettlePace
from sequencer.engine.writer import Pace
from sequencer.model.limits import BLOCK_INTERVAL_MS
from sequencer.model.records import BlockRecord
from sequencer.model.secret import Secret
from sequencer.model.settlement import Post, Sent
from sequencer.node import Given, open_chain, start_node
from sequencer.ports import Settlement
from sequencer.settlement.starknet import StarknetSettlement

ACCOUNTS = 10
"""Accounts of the chain that is posted: a root costs the same whatever is under it."""

_T = TypeVar("_T")
_SALT = 1
_REVERTED_POSTS = 10
_EVERY_BLOCK = SettlePace(blocks=1, seconds=1)


def settle_posts_per_second_real(sizes: Sizes) -> Figure:
    """Posts one after the other, as fast as the contract takes them from one account."""
    gas = _gas(sizes.samples)
    note = f"{len(gas.seconds)} posts, each sent when the one before is accepted: "
    return Figure(
        round(len(gas.seconds) / sum(gas.seconds), 1), "per second", note + spread(gas.seconds)
    )


def commit_to_settled_ms_real(sizes: Sizes) -> Figure:
    """From a block's commit to the contract standing at it, at the settler's default pace."""
    pace = SettlePace()
    return _settled_figure(pace, pace.seconds + sizes.settling_seconds)


def commit_to_settled_ms_real_every_block(sizes: Sizes) -> Figure:
    """The same with a settler that posts every block that it finds."""
    return _settled_figure(_EVERY_BLOCK, sizes.settling_seconds)


def l2_gas_update(sizes: Sizes) -> Figure:
    """Starknet's gas of computation of one post."""
    used = _gas(sizes.samples).updates
    return Figure(max(used), "l2 gas", f"the dearest of {len(used)}; the cheapest {min(used):,}")


def l2_gas_revert(sizes: Sizes) -> Figure:
    """The same of taking back ten posts."""
    gas = _gas(sizes.samples)
    note = f"{_REVERTED_POSTS} posts taken back; {gas.revert_one:,} for one, the contract's first"
    return Figure(gas.revert_many, "l2 gas", note)


class Gas(NamedTuple):
    """What calls cost: seconds and gas of each post, gas of taking back one post, and ten."""

    seconds: Sequence[float]
    updates: Sequence[int]
    revert_one: int
    revert_many: int


class Settled(NamedTuple):
    """How long blocks took from commit to contract, in seconds, over how many posts."""

    seconds: Sequence[float]
    posts: int


class _Noted:
    """A contract with a note of each post that has succeeded; all else is the contract's own."""

    def __init__(self, contract: StarknetSettlement) -> None:
        self._contract = contract
        self.posted: list[tuple[int, float]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._contract, name)

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        sent = await self._contract.update_state(epoch, previous, new)
        self.posted.append((new.height, time.perf_counter()))
        return sent


def _settled_figure(pace: SettlePace, seconds: int) -> Figure:
    settled = _on_devnet(lambda data, contract: _settled(data, contract, pace, seconds))
    note = (
        f"{spread(settled.seconds)} of {len(settled.seconds)} blocks, {settled.posts} posts in "
        f"{seconds} s; one after {pace.blocks} blocks or {pace.seconds} s"
    )
    return Figure(percentile_ms(settled.seconds, 50), "ms", note)


async def _settled(
    data: Path, contract: StarknetSettlement, pace: SettlePace, seconds: int
) -> Settled:
    noted = _Noted(contract)
    given = Given(
        pace=Pace(heartbeat_ms=BLOCK_INTERVAL_MS),
        settlement=cast("Settlement", noted),
        settle_pace=pace,
    )
    node = await start_node(NodeConfig(data_dir=data, operator_key=Secret(OPERATOR_KEY)), given)
    committed: list[tuple[int, float]] = []
    try:
        node.engine.writer.listen(
            lambda: committed.append((node.store.head.height, time.perf_counter()))
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(node.run(()))
            await asyncio.sleep(seconds)
            node.stop()
            await running
    finally:
        node.close()
    taken = [
        next((at for posted, at in noted.posted if posted >= height), None)
        for height, _ in committed
    ]
    times = [at - made for at, (_, made) in zip(taken, committed, strict=True) if at is not None]
    return Settled(times, len(noted.posted))


@cache
def _gas(posts: int) -> Gas:
    return _on_devnet(lambda _, contract: _measured_gas(contract, posts))


async def _measured_gas(contract: StarknetSettlement, posts: int) -> Gas:
    first = (await contract.standing()).newest
    before, seconds, updates = first, [], []
    for height in range(1, posts + 1):
        new = _post(height)
        start = time.perf_counter()
        updates.append((await contract.update_state(0, before, new)).l2_gas)
        seconds.append(time.perf_counter() - start)
        before = new
    one = await contract.revert_state_to(0, _post(posts - 1), _SALT)
    many = await contract.revert_state_to(1, _post(posts - 1 - _REVERTED_POSTS), _SALT)
    return Gas(seconds, updates, one.l2_gas, many.l2_gas)


def _post(height: int) -> Post:
    return Post(height, 2**250 + height, 2**249 + height)


def _on_devnet(measure: Callable[[Path, StarknetSettlement], Awaitable[_T]]) -> _T:
    """Measure with a fresh chain and a contract that stands at its block 0."""
    if find_binary() is None:
        raise Skipped(f"no starknet-devnet {VERSION} here: make devnet-real")
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix="bench-") as folder:
        data = Path(folder) / "data"
        return asyncio.run(_measured_on_devnet(Path(folder), data, measure))


async def _measured_on_devnet(
    folder: Path, data: Path, measure: Callable[[Path, StarknetSettlement], Awaitable[_T]]
) -> _T:
    backend = await open_backend(DEVNET, folder, _begun(data), _SALT, lambda _: None)
    try:
        if backend.settlement is None:
            raise SystemExit("a devnet without a contract")
        try:
            return await measure(data, backend.settlement)
        finally:
            await backend.settlement.close()
    finally:
        stop_backend(backend, folder)


def _begun(data: Path) -> BlockRecord:
    """Begin a chain, and return its block 0."""
    config = NodeConfig(data, Secret(OPERATOR_KEY), genesis=genesis_text(ACCOUNTS))
    store, _ = open_chain(config)
    try:
        first = store.view.block(0)
        if first is None:
            raise SystemExit("a chain without a first block")
        return first
    finally:
        store.close()


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    settle_posts_per_second_real,
    commit_to_settled_ms_real,
    commit_to_settled_ms_real_every_block,
    l2_gas_update,
    l2_gas_revert,
)
