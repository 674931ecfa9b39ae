"""Who reads a run's chain: followers of the outbox with cursors, and watchers of views.

Laws
- A follower builds the live chain from what it is told alone; nothing else tells it.
"""

import asyncio
from random import Random

from scripts.simulating.records import Records
from sequencer.engine.lookup import state_at
from sequencer.engine.rollback import read_notice
from sequencer.model.records import BlockRecord, Effect, EffectKind
from sequencer.node import Node

_SLOW_EVERY, _SLOW_SECONDS = 7, 0.6


class Follower:
    """Somebody who is told, over all lives of the node. `hashes` is the chain as it knows it.

    `is_taking`: a row is on its way to it. One that `fails` cannot take a row now and then.
    """

    def __init__(self, name: str, records: Records, random: Random, *, fails: bool) -> None:
        self.name = name
        self.hashes: list[bytes] = []
        self.effects: list[Effect] = []
        self.is_taking = False
        self._records = records
        self._random = random
        self._fails = fails
        self._undone: list[list[bytes]] = []
        self._expected: int | None = None

    def begin_life(self) -> None:
        """Hear from another process."""
        self._expected = None
        self.is_taking = False

    async def deliver(self, effect: Effect, block: BlockRecord | None) -> None:
        """Take one row; it takes its time."""
        known = len(self.effects)
        if self._expected is None:
            self._require(effect.number <= known + 1, f"row {effect.number} comes after {known}")
        else:
            self._require(effect.number == self._expected, f"row {effect.number} is out of order")
        self._expected = effect.number + 1
        self.is_taking = True
        try:
            is_slow = self._random.randrange(_SLOW_EVERY) == 0
            await asyncio.sleep(self._random.uniform(0, _SLOW_SECONDS if is_slow else 0.02))
            if self._fails and self._random.random() < 0.01:
                self._records.count("reader parked")
                raise OSError("cannot take any more")
            self._take(effect, block)
        finally:
            self.is_taking = False

    def _take(self, effect: Effect, block: BlockRecord | None) -> None:
        if effect.number <= len(self.effects):
            same = self.effects[effect.number - 1] == effect
            self._require(same, f"row {effect.number} is another one than before")
            self._records.count("row delivered again")
            return
        self.effects.append(effect)
        match effect.kind:
            case EffectKind.BLOCK:
                self._take_block(block)
            case EffectKind.ROLLBACK:
                self._take_rollback(effect)
            case EffectKind.UNDO:
                self._take_undo(effect)

    def _take_block(self, block: BlockRecord | None) -> None:
        if block is None:
            self._require(False, "a block's row has no block")
            return
        parent = self.hashes[-1] if self.hashes else bytes(32)
        fits = block.height == len(self.hashes) and block.parent_hash == parent
        self._require(fits, f"block {block.height} is not on block {len(self.hashes) - 1}")
        self.hashes.append(block.block_hash)
        self._undone.clear()
        self._records.say(f"{self.name} block {block.height} {block.block_hash.hex()}")

    def _take_rollback(self, effect: Effect) -> None:
        notice = read_notice(effect.payload)
        at_head = notice.last_height == len(self.hashes) - 1
        at_head &= self.hashes[-1] == notice.head_hash.to_bytes(32, "big")
        self._require(at_head, f"rollback from {notice.last_height}, I am at {len(self.hashes)}")
        self._undone.append(self.hashes[notice.first_height :])
        del self.hashes[notice.first_height :]
        right = self.hashes[-1] == notice.target_hash.to_bytes(32, "big")
        self._require(right, f"the target of {notice.first_height} is another block")
        self._records.say(f"{self.name} rolled back to {len(self.hashes) - 1}")

    def _take_undo(self, effect: Effect) -> None:
        notice = read_notice(effect.payload)
        self._require(bool(self._undone), "an undo of nothing")
        self.hashes += self._undone.pop() if self._undone else []
        right = self.hashes[-1] == notice.head_hash.to_bytes(32, "big")
        self._require(right, f"the undo does not lead to block {notice.last_height}")
        self._records.say(f"{self.name} restored to {len(self.hashes) - 1}")

    def _require(self, holds: bool, words: str) -> None:
        self._records.require(holds, f"{self.name}: {words}")


async def watch(node: Node, records: Records, random: Random) -> None:
    """Hold on to a view while the chain goes on: it must stay one height and one epoch."""
    while True:
        with node.views.at_head() as view:
            head, rows = view.head, [*view.state().rows(1)][:3]
            await asyncio.sleep(random.uniform(0.0, 0.3))
            block = view.block(head.height)
            same = view.head == head and [*view.state().rows(1)][:3] == rows
            same &= block is not None and block.block_hash == head.block_hash
            records.require(same, f"a view of block {head.height} has moved")
            if node.store.head.epoch != head.epoch:
                records.count("view held over a rollback or undo")
        await asyncio.sleep(random.uniform(0.1, 0.5))


async def watch_clients(node: Node, records: Records, random: Random) -> None:
    """Look at what clients are answered from: state, view, open blocks are always of one head."""
    while True:
        view, engine = node.client_views.view, node.engine
        head, block = view.head, view.block(view.head.height)
        same = block is not None and state_at(view, block).rows == engine.latest.state.rows
        records.require(same, f"clients see another state than that of block {head.height}")
        if engine.gate.final() is None:
            numbers = [closed.number for closed in engine.writer.pending()]
            follow = numbers == [*range(head.height + 1, head.height + 1 + len(numbers))]
            records.require(follow, f"blocks {numbers} are open above block {head.height}")
        if node.store.head.epoch != head.epoch:
            records.count("clients saw the head from before a decision")
        await asyncio.sleep(random.uniform(0.0, 0.2))
