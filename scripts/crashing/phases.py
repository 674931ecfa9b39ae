"""What the engine is doing when it is killed: its scenarios, each in phases.

A phase is prepared out of reach, then every call that it makes is a place at which it can be
killed. All of it happens in one thread of ours; the database's own thread works beside it.

Laws
- A block is acknowledged, in the file of answers, only after `seal` has returned.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scripts.crashing.chain import config_of, make_block, make_producer
from scripts.crashing.checking import check, read_answers
from scripts.crashing.rolled import check_rolled, go_back, take_back
from scripts.crashing.tracing import ANSWERS, DATA
from sequencer.engine import upkeep
from sequencer.engine.recovery import mark_planned_stop
from sequencer.engine.rollback import resume
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.engine.upkeep import Keeping, keep_up
from sequencer.model.records import Cursor, Head, History
from sequencer.node import open_chain
from sequencer.storage import leveldb

Act = Callable[[], None]

BLOCKS_MAX = 24
"""No scenario makes more blocks than this."""

_KEEPING = Keeping(trie_blocks=4, row_blocks=5, effects=3)
_SMALL_BUFFER_BYTES = 64 * 1024
_READER = "lines"


class Phase(NamedTuple):
    """A part of a scenario. `prepare` returns what is then watched.

    `template` names the folder that it begins with, "" for none. `deep` recoveries are killed, one
    after the other, each on what the one before has left. `check` opens what is left.
    """

    scenario: str
    name: str
    template: str
    prepare: Callable[[Path], Act]
    deep: int = 1
    check: Callable[[Path, list[bytes]], int] = check


class Engine:
    """The engine on the folder of a run, driven by hand, in one thread."""

    def __init__(self, folder: Path) -> None:
        self.store, recovered = open_chain(config_of(folder / DATA))
        height = self.store.head.height
        self._sealer = Sealer(self.store, TrieCache(lambda: self.store.view))
        self._producer = make_producer(recovered.state, height + 1)
        self._answers = os.open(folder / ANSWERS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        # What was durable and not acknowledged is announced by whoever comes next.
        if not any(answer.height == height for answer in read_answers(folder)):
            self.acknowledge(self.store.head)

    def acknowledge(self, head: Head) -> None:
        """Tell whoever asked, in one call."""
        line = f"{head.height} {head.block_hash.hex()} {head.sequence}\n"
        os.write(self._answers, line.encode())

    def make_blocks(self, count: int, *, keeping: Keeping | None = None) -> None:
        """Make blocks, each with what a node does after it."""
        for _ in range(count):
            closed = make_block(self._producer)
            head = self._sealer.seal(closed, Extras()).head
            self.acknowledge(head)
            cursor = Cursor(head.next_effect - 1, head.sequence, head.block_hash)
            self.store.advance_cursor(_READER, cursor)
            if keeping is not None:
                keep_up(self.store, closed.time_ms, keeping)

    def stop(self) -> None:
        """Stop as planned."""
        mark_planned_stop(self.store)
        self.store.close()


def _begin(folder: Path) -> Act:
    return lambda: Engine(folder).make_blocks(1)


def _make(count: int) -> Callable[[Path], Act]:
    def prepare(folder: Path) -> Act:
        engine = Engine(folder)
        return lambda: engine.make_blocks(count)

    return prepare


def _stop(folder: Path) -> Act:
    engine = Engine(folder)
    engine.make_blocks(1)
    return engine.stop


def _recover(folder: Path) -> Act:
    return lambda: Engine(folder).make_blocks(1)


def _keep_up(folder: Path) -> Act:
    _use(upkeep, UPKEEP_BLOCKS=2)
    engine = Engine(folder)
    return lambda: engine.make_blocks(3, keeping=_KEEPING)


def _rotate(folder: Path) -> Act:
    use_small_buffer()
    engine = Engine(folder)
    return lambda: engine.make_blocks(9)


def _compact(folder: Path) -> Act:
    use_small_buffer()
    engine = Engine(folder)

    def act() -> None:
        for history in History:
            engine.store.compact(history)
            engine.make_blocks(1)

    return act


def _go_back(folder: Path) -> Act:
    engine = Engine(folder)

    def act() -> None:
        engine.acknowledge(go_back(engine.store))
        resume(engine.store)

    return act


def _take_back(folder: Path) -> Act:
    engine = Engine(folder)
    engine.acknowledge(go_back(engine.store))
    return lambda: engine.acknowledge(take_back(engine.store))


def _open(folder: Path) -> Act:
    def act() -> None:
        Engine(folder).store.close()

    return act


def _resume_committed(folder: Path) -> Act:
    engine = Engine(folder)
    engine.acknowledge(go_back(engine.store))

    def act() -> None:
        head = engine.store.head
        cursor = Cursor(head.next_effect - 1, head.sequence, head.block_hash)
        engine.store.advance_cursor(_READER, cursor)
        resume(engine.store)

    return act


def use_small_buffer() -> None:
    """Make the database put what it has in tables soon, in this process alone."""
    _use(leveldb, STORE_WRITE_BUFFER_BYTES=_SMALL_BUFFER_BYTES)


def _use(module: object, **values: int) -> None:
    """Put other limits in place, in this process alone."""
    vars(module).update(values)


def grow(folder: Path, blocks: int, *, planned: bool) -> None:
    """Make a chain of so many blocks for others to begin with."""
    engine = Engine(folder)
    engine.make_blocks(blocks)
    if planned:
        engine.stop()


PHASES = (
    Phase("start", "create", "", _begin),
    Phase("blocks", "narrow", "three", _make(2)),
    Phase("blocks", "wide", "four", _make(1)),
    Phase("blocks", "stop", "three", _stop),
    Phase("recovery", "clean", "unplanned", _recover, 3),
    Phase("recovery", "torn", "torn", _recover, 3),
    Phase("recovery", "unwitnessed", "unwitnessed", _recover, 3),
    Phase("recovery", "compacting", "compacting", _recover, 3),
    Phase("upkeep", "prune", "twelve", _keep_up),
    Phase("compaction", "rotate", "twelve", _rotate),
    Phase("compaction", "compact", "twelve", _compact),
    Phase("rollback", "apply", "four", _go_back, check=check_rolled),
    Phase("rollback", "undo", "four", _take_back, check=check_rolled),
    Phase("rollback", "resume", "four", _resume_committed, check=check_rolled),
    Phase("rollback", "prepared", "prepared", _open, 3, check_rolled),
    Phase("rollback", "unwitnessed", "rolled", _open, 3, check_rolled),
)
"""Every phase, in the order in which they run."""

GROWN = {"three": 3, "four": 4, "twelve": 12, "unplanned": 4}
"""Templates that are made by growing, with their blocks."""

KILLED = {
    "torn": ("blocks", "wide", ("log", "write", 2)),
    "unwitnessed": ("blocks", "narrow", ("witness", "pwrite64", 1)),
    "compacting": ("compaction", "rotate", ("table", "fdatasync", 2)),
    "prepared": ("rollback", "apply", ("log", "fdatasync", 2)),
    "rolled": ("rollback", "apply", ("witness", "pwrite64", 1)),
}
"""Templates that a kill leaves: the phase, and where it is killed."""
