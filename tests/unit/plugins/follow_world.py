"""A follower with a ledger as its plugin, at a node that a test moves; what it has in the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sequencer.chain.block import Block
from sequencer.model.refusals import Refused
from sequencer.plugins.follow.follower import Follower, FollowPlan, Summary
from sequencer.plugins.follow.heads import websocket_urls
from sequencer.plugins.follow.store import FollowStore
from sequencer.plugins.protocol import Classes
from sequencer.starknet.published import StateUpdate
from tests.ledger_plugin import (
    LINES_FILE,
    Ledger,
    blocks_of_calls,
    fingerprint,
    nonce_place,
    read_blocks,
    read_values,
)
from tests.unit.plugins.fake_node import BEFORE, LAST, FakeNode

PATIENCE_SECONDS = 60


class MatchingLedger(Ledger):
    """It refuses a block whose state update, or place, is another one's, whatever hashes say."""

    def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> None:
        hashes = [receipt.transaction_hash for receipt in block.receipts]
        assert state_update.diff.nonces.get(LAST) == (hashes[-1] if hashes else None)
        if self._is_exact and hashes:
            assert state_update.diff.nonces[BEFORE] == self._get(nonce_place(LAST))
        super().new_block(block, state_update, new_classes)


class Lines:
    """A log that is kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, **values: object) -> None:
        self.lines.append(f"{event} {values}")

    def warning(self, event: str, **values: object) -> None:
        self.lines.append(f"{event} {values}")


def plan_of(node: FakeNode, folder: Path, **more: object) -> FollowPlan:
    """Return the plan to follow a node until its tip."""
    fields: dict[str, object] = {
        "url": node.url,
        "socket_urls": (),
        "name": "ledger",
        "factory": MatchingLedger,
        "options": {},
        "folder": folder,
        "is_once": True,
    }
    if more.get("start", 0) == 0:
        fields["options"] = {"exact": "yes"}
    return FollowPlan(**(fields | more))  # type: ignore[arg-type]


async def follow_once(node: FakeNode, folder: Path, **more: object) -> Summary:
    """Follow until the tip, and expect the ledger to have the node's chain."""
    follower = Follower(plan_of(node, folder, **more), Lines())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await follower.run()
    if not more.get("is_dry"):
        require_same(node, folder)
    return follower.summary


async def refusal_of(node: FakeNode, folder: Path, **more: object) -> Refused:
    """Follow, and return why it ended."""
    try:
        await Follower(plan_of(node, folder, **more), Lines()).run()
    except Refused as refused:
        return refused
    raise AssertionError("it ended well")


@asynccontextmanager
async def following(
    node: FakeNode, folder: Path, *, is_told: bool = True, **more: object
) -> AsyncIterator[Lines]:
    """Follow until the end of the block; `is_told`: over WebSocket too."""
    lines = Lines()
    sockets = websocket_urls(node.url) if is_told else ()
    plan = plan_of(node, folder, is_once=False, socket_urls=sockets, **more)
    follower = Follower(plan, lines)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(follower.run())
        try:
            yield lines
        finally:
            follower.stop()
            await task


def kept_blocks(folder: Path) -> dict[int, str]:
    """Return the blocks that the calls tell of so far; the ledger may be running."""
    path = folder / "plugin" / LINES_FILE
    return blocks_of_calls(path.read_text()) if path.exists() else {}


def node_blocks(node: FakeNode, start: int = 0) -> dict[int, str]:
    """Return the node's blocks as a ledger has them."""
    return {each.read.header.number: fingerprint(each.read) for each in node.chain[start:]}


async def until_same(node: FakeNode, folder: Path) -> None:
    """Wait until the ledger has been told of the node's chain."""
    await until(lambda: kept_blocks(folder) == node_blocks(node))


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def require_same(node: FakeNode, folder: Path) -> None:
    """Compare all that the ledger has, in its bucket and outside, with the node's chain."""
    store = FollowStore(folder)
    try:
        bucket, start = store.bucket(), store.begun().start
    finally:
        store.close()
    assert read_blocks(bucket) == node_blocks(node, start)
    assert kept_blocks(folder) == node_blocks(node, start)
    state, values = node.state(len(node.chain) - 1), read_values(bucket)
    if start == 0:
        assert values == state
    else:
        assert all(state.get(place, 0) == value for place, value in values.items())
