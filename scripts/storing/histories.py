"""Seeded histories of a store: blocks, rollbacks, undos, upkeep, each step one call.

Promises
- A history follows from its seed alone. A step does the same whenever the store is at its
  boundary, so a history can be gone on with from there.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from scripts.storing.chains import block, hash_of, rollback, simulated, trie_changes, undo_order
from sequencer.model.commands import OrderPolicy
from sequencer.model.records import Cursor, History, InboxFact, Latch, Stage
from sequencer.ports import StoreRefused
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk

Act = Callable[[ChainStore, Random], object]

_READERS = ("p", "q")
_LEAVES, _KEYS = 256, 24
_ROW_BYTES_MAX = 40
_STAGES: Mapping[Stage, tuple[Stage, ...]] = {
    Stage.PREPARED: (Stage.ABORTED,),
    Stage.COMMITTED: (Stage.SETTLED,),
    Stage.SETTLED: (Stage.NOTIFIED,),
    Stage.NOTIFIED: (Stage.DONE,),
}


def commit(store: ChainStore, random: Random) -> None:
    """Append a block with rows, trie nodes and marks."""
    leaves = {random.randrange(_LEAVES): random.randrange(3) for _ in range(3)}
    nodes, _ = trie_changes(store.view.state(), leaves)
    rows = {
        (random.randrange(1, 4), b"%d" % random.randrange(_KEYS)): random.choice(
            (None, random.randbytes(random.randrange(_ROW_BYTES_MAX)))
        )
        for _ in range(random.randrange(7))
    }
    sequence = store.head.next_sequence
    transaction = hash_of("transaction", sequence)
    made = block(
        store,
        [(table, key, value) for (table, key), value in rows.items()],
        nodes=nodes,
        transactions=(transaction,),
        seen=((hash_of("seen", sequence), random.choice((0, store.head.height + 3))),),
        high_water=((b"a", sequence),),
        body=random.randbytes(random.randrange(1, 200)),
    )
    store.commit_block(made)


def _prepare(store: ChainStore, random: Random) -> None:
    height = max(0, store.head.height - random.randrange(1, 6))
    store.prepare(rollback(store, height))


def _roll_back(store: ChainStore, _: Random) -> None:
    journal = next(each for each in store.open_journals() if each.stage is Stage.PREPARED)
    order = rollback(store, journal.target_height, plan_id=journal.plan_id)
    store.roll_back(order)


def _undo(store: ChainStore, _: Random) -> None:
    newest = store.view.dead.newest()
    store.undo(undo_order(store, 0 if newest is None else newest.epoch))


def _advance(store: ChainStore, random: Random) -> None:
    open_now = store.open_journals()
    # A rollback that is prepared is carried out more often than not.
    journal = random.choice([each for each in open_now if each.reorg_id or random.random() < 0.2])
    store.advance(journal.plan_id, random.choice(_STAGES[journal.stage]))


def _read_up(store: ChainStore, random: Random) -> None:
    last = store.head.next_effect - 1
    cursor = Cursor(last, store.head.sequence, store.head.block_hash)
    name = random.choice(_READERS)
    bucket = [(name, b"k%d" % last, b"v"), (name, b"k", random.choice((None, b"w")))]
    store.advance_cursor(name, cursor, bucket)


def _checkpoint(store: ChainStore, random: Random) -> None:
    pinned = store.view.checkpoints()
    if pinned and random.random() < 0.5:
        store.drop_checkpoint(random.choice(pinned).sequence)
        return
    store.create_checkpoint(random.randrange(store.head.height + 1), "good", "operator")


def _record(store: ChainStore, random: Random) -> None:
    number = random.randrange(1, 9)
    name = hash_of("fact", number)
    fact = InboxFact(number, name, hash_of("all"), b"deposit", retracted=random.random() < 0.3)
    store.record_inbox([fact])


def _forget(store: ChainStore, random: Random) -> None:
    if random.random() < 0.5:
        store.forget_seen(store.head.height, random.randrange(1, 4))
        return
    store.forget_effects(store.head.next_effect, random.randrange(1, 4))


def _prune(store: ChainStore, random: Random) -> None:
    history = random.choice((*History,))
    store.prune(history, max(0, store.head.height - 4), store.head.height, 5)


ACTS: Mapping[str, tuple[int, Act]] = {
    "commit": (34, commit),
    "prepare": (24, _prepare),
    "roll back": (90, _roll_back),
    "undo": (60, _undo),
    "advance": (60, _advance),
    "latch": (3, lambda store, _: store.latch(Latch(store.head.epoch, OrderPolicy.KEEP))),
    "read up": (12, _read_up),
    "checkpoint": (3, _checkpoint),
    "record": (3, _record),
    "forget": (12, _forget),
    "collect": (40, lambda store, _: store.collect(store.head.epoch, 3)),
    "prune": (8, _prune),
}
"""What a store can be told, by name, with how often out of some."""


class Step(NamedTuple):
    """One call: its name in ACTS, and the seed of what is chosen in it."""

    name: str
    seed: str

    def take(self, store: ChainStore) -> None:
        """Make the call."""
        ACTS[self.name][1](store, Random(self.seed))


class Boundary(NamedTuple):
    """A disk between two steps, and how many writes were made by then."""

    disk: SimulatedDisk
    contents: tuple[tuple[bytes, bytes], ...]


class Told(NamedTuple):
    """A history: its steps, and the boundary before each and after the last."""

    steps: Sequence[Step]
    boundaries: Sequence[Boundary]


def tell(seed: int, count: int) -> Told:
    """Make a history of so many steps, each of which writes something."""
    random, disk = Random(f"history {seed}"), SimulatedDisk()
    store = simulated(disk)
    steps, boundaries = list[Step](), [boundary(disk)]
    names, weights = [*ACTS], [weight for weight, _ in ACTS.values()]
    tried = 0
    while len(steps) < count:
        tried += 1
        name = "commit" if len(steps) < 3 else random.choices(names, weights)[0]
        step, writes = Step(name, f"{seed} {tried}"), disk.writes
        try:
            step.take(store)
        except (StoreRefused, StopIteration, IndexError):
            # Refused, or there is nothing to do it with: a refusal writes nothing.
            continue
        if disk.writes > writes:
            steps.append(step)
            boundaries.append(boundary(disk))
    return Told(steps, boundaries)


def boundary(disk: SimulatedDisk) -> Boundary:
    """Keep what a disk holds now."""
    return Boundary(copied(disk), tuple(disk.contents.scan(b"", b"\xff", reverse=False)))


def copied(disk: SimulatedDisk, seed: int = 0) -> SimulatedDisk:
    """Copy what a disk holds; neither of the two sees what happens to the other."""
    copy = SimulatedDisk(seed)
    disk.contents.held = True
    copy.contents, copy.witness_bytes = disk.contents, disk.witness_bytes
    copy.used_bytes = disk.used_bytes
    return copy
