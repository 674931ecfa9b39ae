"""Benches of going back in the store: the one batch of a rollback, that of an undo, and planning.

Promises
- Every round is a real one: prepared, applied and undone on a LevelDB folder, synced, witnessed.
- A figure's note says what its median consists of: building, the database's sync, the witness's.
"""

import time
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from scripts.benches.cache import DATA, copied
from scripts.benches.measure import Figure, Sizes, World, percentile_ms, spread
from scripts.benches.reopening import UNDONE_SECONDS, reopened
from scripts.benches.world import kept_world
from sequencer.engine.plan import make_plan
from sequencer.model.commands import OrderPolicy
from sequencer.model.commits import RollbackOrder, UndoOrder
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.folder import open_folder, witness_beside
from sequencer.storage.leveldb import LevelStore, open_leveldb
from sequencer.storage.witness import WitnessFile

_T = TypeVar("_T")

PLANNED_BLOCKS = 100
"""How many blocks a plan goes back."""

_WORDS = b"x" * 300
"""As long as a notice or a record's details are."""


def rollback_commit_ms_1_blocks(sizes: Sizes) -> Figure:
    """The one batch that goes back a block."""
    return _commit_figure(sizes, 1)


def rollback_commit_ms_100_blocks(sizes: Sizes) -> Figure:
    """The same for a hundred blocks."""
    return _commit_figure(sizes, 100)


def rollback_commit_ms_10000_blocks(sizes: Sizes) -> Figure:
    """The same for ten thousand blocks."""
    return _commit_figure(sizes, 10_000)


def undo_commit_ms(sizes: Sizes) -> Figure:
    """The one batch that takes a rollback of a hundred blocks back."""
    world = _world_of(sizes, 100)
    return _figure(_rounds(world, 100, sizes.samples).undone, world)


def plan_ms(sizes: Sizes) -> Figure:
    """A plan: the target's rows read, its root worked out again, all blocks above it counted."""
    world = _world_of(sizes, PLANNED_BLOCKS)
    folder, _ = kept_world(world)
    times = []
    with copied(folder) as copy, closing(open_folder(copy / DATA)) as store:
        target = str(store.head.height - PLANNED_BLOCKS)
        for _ in range(sizes.rounds):
            start = time.perf_counter()
            make_plan(store.view, target, OrderPolicy.CANCEL_ALL_BUT_TPSL)
            times.append(time.perf_counter() - start)
    note = f"{spread(times)} of {len(times)}; {PLANNED_BLOCKS} blocks back; {_words(world)}"
    return Figure(percentile_ms(times, 50), "ms", note)


def rollback_total_ms(sizes: Sizes) -> Figure:
    """From the order to go back, on a running node, to the first post-only order accepted."""
    world = _world_of(sizes, PLANNED_BLOCKS)
    folder, _ = kept_world(world)
    with copied(folder) as copy:
        stories = reopened(copy / DATA, world, sizes.rounds)
    totals = [sum(story.values()) for story in stories]
    middle = stories[totals.index(sorted(totals)[len(totals) // 2])]
    parts = ", ".join(f"{name} {seconds * 1_000:.1f}" for name, seconds in middle.items())
    note = (
        f"{spread(totals)} of {len(totals)}; the middle one in ms: {parts}; "
        f"the blocks of {UNDONE_SECONDS} s undone; {_words(world)}"
    )
    return Figure(percentile_ms(totals, 50), "ms", note)


class Batches(NamedTuple):
    """What one kind of batch took, in seconds: whole, in the database, at the witness, and how much
    of that was waiting for a CPU that others had."""

    whole: list[float]
    written: list[float]
    witnessed: list[float]
    queued: list[float]


class Rounds(NamedTuple):
    """Rollbacks and the undos that followed them."""

    applied: Batches
    undone: Batches


class _Watch:
    """Adds up the seconds of calls until it is read."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def around(self, call: Callable[[_T], None]) -> Callable[[_T], None]:
        """Put this clock around a call."""

        def timed(argument: _T) -> None:
            start = time.perf_counter()
            call(argument)
            self._seconds += time.perf_counter() - start

        return timed

    def read(self) -> float:
        """Return the seconds so far, and begin again."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


class _Database:
    """A database with a clock around its batches."""

    def __init__(self, store: LevelStore, watch: _Watch) -> None:
        self.get, self.scan, self.snapshot = store.get, store.scan, store.snapshot
        self.compact, self.close = store.compact, store.close
        self.write = watch.around(store.write)


class _Slots:
    """A witness with a clock around what it writes."""

    def __init__(self, file: WitnessFile, watch: _Watch) -> None:
        self.read, self.close = file.read, file.close
        self.write = watch.around(file.write)


class _Timed:
    """A store whose rollbacks and undos are timed."""

    def __init__(self, data: Path) -> None:
        self._database, self._witness = _Watch(), _Watch()
        beside = witness_beside(data)
        slots = _Slots(WitnessFile(beside), self._witness)
        self.store = ChainStore(_Database(open_leveldb(data, create=False), self._database), slots)

    def note(self, batches: Batches, change: Callable[[], object]) -> None:
        """Make a change and note what it took."""
        self._database.read()
        self._witness.read()
        queued = _seconds_queued()
        start = time.perf_counter()
        change()
        batches.whole.append(time.perf_counter() - start)
        batches.written.append(self._database.read())
        batches.witnessed.append(self._witness.read())
        batches.queued.append(_seconds_queued() - queued)


def _seconds_queued() -> float:
    """Return how long this thread has been ready and had no CPU; 0 where no system says so."""
    told = Path("/proc/thread-self/schedstat")
    return int(told.read_text().split()[1]) / 1_000_000_000 if told.exists() else 0.0


def _commit_figure(sizes: Sizes, back: int) -> Figure:
    world = _world_of(sizes, back)
    return _figure(_rounds(world, back, sizes.samples).applied, world)


def _figure(batches: Batches, world: World) -> Figure:
    whole, written, witnessed, queued = (percentile_ms(each, 50) for each in batches)
    note = (
        f"{spread(batches.whole)} of {len(batches.whole)}; in the middle {written} in the database "
        f"with its sync, {witnessed} at the witness with its own, {queued} of all that in line for "
        f"a CPU; {_words(world)}"
    )
    return Figure(whole, "ms", note)


@cache
def _rounds(world: World, back: int, count: int) -> Rounds:
    folder, _ = kept_world(world)
    rounds = Rounds(Batches([], [], [], []), Batches([], [], [], []))
    with copied(folder) as copy:
        timed = _Timed(copy / DATA)
        with closing(timed.store):
            for number in range(count):
                _go_back_and_return(timed, number, back, rounds)
    return rounds


def _go_back_and_return(timed: _Timed, number: int, back: int, rounds: Rounds) -> None:
    store = timed.store
    head = store.head
    target = store.view.block(head.height - back)
    if target is None:
        raise SystemExit(f"no block {back} below block {head.height}")
    order = RollbackOrder(
        plan_id=number.to_bytes(32, "big"),
        planned=head.mark,
        target_height=target.height,
        target_hash=target.block_hash,
        policy=OrderPolicy.CANCEL_ALL_BUT_TPSL,
        effect=_WORDS,
        details=_WORDS,
    )
    store.prepare(order)
    timed.note(rounds.applied, lambda: store.roll_back(order))
    _require_height(store.head.height, target.height)
    undo = UndoOrder(store.head.mark, store.head.epoch, _WORDS, _WORDS)
    timed.note(rounds.undone, lambda: store.undo(undo))
    _require_height(store.head.height, head.height)


def _require_height(height: int, wanted: int) -> None:
    if height != wanted:
        raise SystemExit(f"the head is block {height}, not {wanted}")


def _world_of(sizes: Sizes, back: int) -> World:
    """Return the world to go back in: long enough for it."""
    world = sizes.rollback
    return world._replace(blocks=max(world.blocks, back + 2))


def _words(world: World) -> str:
    return f"{world.accounts} accounts, {world.holders} with positions, {world.blocks} blocks"


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    rollback_commit_ms_1_blocks,
    rollback_commit_ms_100_blocks,
    rollback_commit_ms_10000_blocks,
    undo_commit_ms,
    plan_ms,
    rollback_total_ms,
)
