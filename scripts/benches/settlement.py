"""Benches of settlement on a devnet: a node that posts, and what the calls cost there.

Promises
- Each call is signed, sent, executed and waited for, on a devnet of the bench's own: the real one,
  which runs the compiled contract and is skipped by name without its binary, or the embedded one.
- A block counts as settled once the contract, asked after it took the post, stands at that block or
  above; the note says when the post, or one above it, was accepted, which is a question earlier.

Both make a block of each transaction at once: what a public network adds is not here.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

from devnet.appchain_facts import AppchainFacts, facts_of
from devnet.backends import DEVNET, EMBEDDED
from scripts.benches.devnets import Settling, on_devnet
from scripts.benches.measure import Figure, Sizes, percentile_ms, spread
from scripts.benches.world import OPERATOR_KEY, genesis_text
from sequencer.config import NodeConfig
from sequencer.engine.settler import SettlePace
from sequencer.engine.writer import Pace
from sequencer.model.limits import BLOCK_INTERVAL_MS
from sequencer.model.secret import Secret
from sequencer.model.settlement import Post, Sent
from sequencer.node import Given, open_chain, start_node
from sequencer.ports import Settlement
from sequencer.settlement.starknet import StarknetSettlement

ACCOUNTS = 10
"""Accounts of the chain that is posted: a root costs the same whatever is under it."""

_REASON = 1
_REVERTED_POSTS = 10
_EVERY_BLOCK = SettlePace(blocks=1, seconds=1)


def settle_posts_per_second_embedded(sizes: Sizes) -> Figure:
    """Posts one after the other, as fast as the contract's twin takes them from one account."""
    return _posts_figure(EMBEDDED, sizes)


def settle_posts_per_second_real(sizes: Sizes) -> Figure:
    """The same with the contract itself."""
    return _posts_figure(DEVNET, sizes)


def commit_to_settled_ms_embedded(sizes: Sizes) -> Figure:
    """From a block's commit until the contract is read at it, at the settler's default pace."""
    return _settled_figure(EMBEDDED, SettlePace(), sizes)


def commit_to_settled_ms_real(sizes: Sizes) -> Figure:
    """The same on the real devnet."""
    return _settled_figure(DEVNET, SettlePace(), sizes)


def commit_to_settled_ms_embedded_every_block(sizes: Sizes) -> Figure:
    """The same with a settler that posts every block that it finds, on the embedded devnet."""
    return _settled_figure(EMBEDDED, _EVERY_BLOCK, sizes)


def commit_to_settled_ms_real_every_block(sizes: Sizes) -> Figure:
    """The same on the real devnet."""
    return _settled_figure(DEVNET, _EVERY_BLOCK, sizes)


def l2_gas_update(sizes: Sizes) -> Figure:
    """Starknet's gas of computation of one post."""
    used = _gas(DEVNET, sizes.samples).updates
    return Figure(max(used), "l2 gas", f"the dearest of {len(used)}; the cheapest {min(used):,}")


def l2_gas_revert(sizes: Sizes) -> Figure:
    """The same of taking back ten posts."""
    gas = _gas(DEVNET, sizes.samples)
    note = f"{_REVERTED_POSTS} posts taken back; {gas.revert_one:,} for one, the contract's first"
    return Figure(gas.revert_many, "l2 gas", note)


class Gas(NamedTuple):
    """What calls cost: seconds and gas of each post, gas of taking back one post, and ten."""

    seconds: Sequence[float]
    updates: Sequence[int]
    revert_one: int
    revert_many: int


class Seen(NamedTuple):
    """A height at which the contract stood: when its post was accepted, and when it was read."""

    height: int
    accepted: float
    read: float


class Settled(NamedTuple):
    """How long blocks took from commit until accepted and until read, in seconds, and how many
    posts that were."""

    accepted: Sequence[float]
    read: Sequence[float]
    posts: int


class _Noted:
    """A contract that is asked, after each post, where it stands; all else is its own."""

    def __init__(self, contract: StarknetSettlement) -> None:
        self._contract = contract
        self.seen: list[Seen] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._contract, name)

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        sent = await self._contract.update_state(epoch, previous, new)
        accepted = time.perf_counter()
        standing = await self._contract.standing()
        self.seen.append(Seen(standing.newest.height, accepted, time.perf_counter()))
        return sent


def _posts_figure(choice: str, sizes: Sizes) -> Figure:
    seconds = _gas(choice, sizes.samples).seconds
    note = f"{len(seconds)} posts, each sent when the one before is accepted: {spread(seconds)}"
    return Figure(round(len(seconds) / sum(seconds), 1), "per second", note)


def _settled_figure(choice: str, pace: SettlePace, sizes: Sizes) -> Figure:
    seconds = pace.seconds + sizes.settling_seconds
    settled = on_devnet(choice, _begun, lambda world: _settled(world, pace, seconds))
    note = (
        f"{spread(settled.read)} of {len(settled.read)} blocks, {settled.posts} posts in "
        f"{seconds} s; one after {pace.blocks} blocks or {pace.seconds} s; "
        f"accepted at p50 {percentile_ms(settled.accepted, 50)}"
    )
    return Figure(percentile_ms(settled.read, 50), "ms", note)


async def _settled(world: Settling, pace: SettlePace, seconds: int) -> Settled:
    noted = _Noted(world.contract)
    given = Given(
        pace=Pace(heartbeat_ms=BLOCK_INTERVAL_MS),
        settlement=cast("Settlement", noted),
        settle_pace=pace,
    )
    config = NodeConfig(data_dir=world.data, operator_key=Secret(OPERATOR_KEY))
    node = await start_node(config, given)
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
    return _times(committed, noted.seen)


def _times(committed: Sequence[tuple[int, float]], seen: Sequence[Seen]) -> Settled:
    accepted, read = [], []
    for height, made in committed:
        first = next((each for each in seen if each.height >= height), None)
        if first is not None:
            accepted.append(first.accepted - made)
            read.append(first.read - made)
    return Settled(accepted, read, len(seen))


@cache
def _gas(choice: str, posts: int) -> Gas:
    return on_devnet(choice, _begun, lambda world: _measured_gas(world.contract, posts))


async def _measured_gas(contract: StarknetSettlement, posts: int) -> Gas:
    first = (await contract.standing()).newest
    before, seconds, updates = first, [], []
    for height in range(1, posts + 1):
        new = _post(height)
        start = time.perf_counter()
        updates.append((await contract.update_state(0, before, new)).l2_gas)
        seconds.append(time.perf_counter() - start)
        before = new
    one = await contract.revert_state_to(0, _post(posts - 1), _REASON)
    many = await contract.revert_state_to(1, _post(posts - 1 - _REVERTED_POSTS), _REASON)
    return Gas(seconds, updates, one.l2_gas, many.l2_gas)


def _post(height: int) -> Post:
    return Post(height, 2**250 + height, 2**249 + height)


def _begun(data: Path) -> AppchainFacts:
    """Begin a chain, and return what a contract has to know of it."""
    config = NodeConfig(data, Secret(OPERATOR_KEY), genesis=genesis_text(ACCOUNTS))
    store, recovered = open_chain(config)
    with closing(store):
        return facts_of(store.view, recovered.state)


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    settle_posts_per_second_embedded,
    settle_posts_per_second_real,
    commit_to_settled_ms_embedded,
    commit_to_settled_ms_real,
    commit_to_settled_ms_embedded_every_block,
    commit_to_settled_ms_real_every_block,
    l2_gas_update,
    l2_gas_revert,
)
