"""Every write of a scenario fails, once and for ever, leaving nothing, a torn record or all of it.

Laws: after opening again the store is exactly at a boundary between two steps, nothing that was
acknowledged is lost, and the scenario can go on from there to the end it has without faults.
"""

from collections.abc import Callable
from functools import cache, partial
from itertools import product
from typing import NamedTuple

import msgspec
import pytest

from sequencer.model.commands import OrderPolicy
from sequencer.model.records import Cursor, Head, History, InboxFact, Latch, Stage
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage import keys
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.encoding import decode_record
from sequencer.storage.simulated import Fault, SimulatedDisk, SimulatedKeyValue, Trace
from tests.strategies import Unchecked
from tests.unit.storage.builders import (
    block,
    grown,
    hash_of,
    rollback,
    row_table,
    simulated,
    trie_changes,
    undo,
    walked,
)

Step = Callable[[ChainStore], object]


def commit(number: int) -> Step:
    def step(store: ChainStore) -> object:
        nodes, _ = trie_changes(store.view.state(), {number: number, number - 1: 0})
        rows = [(1, b"shared", b"%d" % number), (2, b"own %d" % number, b"row")]
        seen = ((hash_of(number), number),)
        return store.commit_block(block(store, rows, nodes=nodes, seen=seen))

    return step


def prepared(height: int) -> Step:
    return lambda store: store.prepare(rollback(store, height))


def rolled_back(store: ChainStore) -> object:
    """Carry out what is prepared, as it was prepared."""
    journal = next(each for each in store.open_journals() if each.stage is Stage.PREPARED)
    order = rollback(store, journal.target_height, plan_id=journal.plan_id)
    return store.roll_back(order)


def advanced(stage: Stage) -> Step:
    return lambda store: store.advance(store.open_journals()[0].plan_id, stage)


def collected(store: ChainStore) -> object:
    return store.collect(99, 3)


def pruned(history: History) -> Step:
    return lambda store: store.prune(history, 3, 99, 2)


FACT = InboxFact(1, hash_of("fact"), hash_of("all"), b"deposit")

SETTLED_FOR_GOOD = (advanced(Stage.SETTLED), advanced(Stage.NOTIFIED), advanced(Stage.DONE))


def commits(first: int, last: int) -> tuple[Step, ...]:
    return tuple(commit(number) for number in range(first, last + 1))


def commit_with(**parts: Unchecked) -> Step:
    rows = [(1, b"shared", b"with"), (3, b"other", b"row")]
    return lambda store: store.commit_block(block(store, rows, **parts))


def undone(store: ChainStore) -> object:
    newest = store.view.dead.newest()
    return undo(store, 0 if newest is None else newest.epoch)


def latched(store: ChainStore) -> object:
    return store.latch(Latch(0, OrderPolicy.KEEP))


def read_up(store: ChainStore) -> None:
    """A reader takes all there is, with what it writes for itself."""
    last = store.head.next_effect - 1
    name = b"k%d" % last
    cursor = Cursor(last, store.head.sequence, store.head.block_hash)
    store.advance_cursor("p", cursor, [("p", name, b"v"), ("p", b"gone", None)])


SCENARIOS: dict[str, tuple[Step, ...]] = {
    "blocks": commits(1, 8),
    "rows that go": (
        *commits(1, 3),
        lambda store: store.commit_block(block(store, [(1, b"shared", None), (2, b"own 1", None)])),
        *commits(4, 5),
    ),
    "an empty block": (*commits(1, 2), lambda store: store.commit_block(block(store)), commit(3)),
    "price marks": (
        commit(1),
        commit_with(high_water=((b"a", 5), (b"b", 7))),
        commit_with(high_water=((b"a", 3), (b"b", 9))),
    ),
    "messages": (
        commit(1),
        lambda store: store.record_inbox([FACT]),
        lambda store: store.record_inbox([msgspec.structs.replace(FACT, retracted=True)]),
        commit(2),
    ),
    "a reader of the outbox": (*commits(1, 3), read_up, *commits(4, 5), read_up),
    "outbox rows that were read": (
        *commits(1, 4),
        read_up,
        commit(5),
        lambda store: store.forget_effects(99, 3),
        lambda store: store.forget_effects(99, 3),
        commit(6),
    ),
    "marks that expire": (*commits(1, 5), *([lambda store: store.forget_seen(4, 2)] * 3)),
    "checkpoints": (
        *commits(1, 4),
        lambda store: store.create_checkpoint(1, "good", "operator"),
        lambda store: store.create_checkpoint(3, "better", "operator"),
        lambda store: store.drop_checkpoint(2),
        commit(5),
    ),
    "a latch": (*commits(1, 2), latched, commit_with(reopens=True), commit(3)),
    "a rollback": (*commits(1, 5), prepared(2), rolled_back, *commits(6, 7)),
    "a rollback in its stages": (
        *commits(1, 4),
        prepared(1),
        rolled_back,
        *SETTLED_FOR_GOOD,
        commit(5),
    ),
    "a rollback that is aborted": (
        *commits(1, 3),
        prepared(1),
        advanced(Stage.ABORTED),
        prepared(1),
        rolled_back,
    ),
    "an undo": (*commits(1, 5), prepared(1), rolled_back, undone, commit(6)),
    "an undo and a rollback again": (
        *commits(1, 4),
        prepared(1),
        rolled_back,
        undone,
        prepared(2),
        rolled_back,
        commit(5),
    ),
    "rollbacks one after the other": (
        *commits(1, 6),
        prepared(4),
        rolled_back,
        prepared(2),
        rolled_back,
        undone,
        undone,
        commit(7),
    ),
    "a rollback over a rollback": (
        *commits(1, 5),
        prepared(3),
        rolled_back,
        *commits(6, 8),
        prepared(1),
        rolled_back,
        commit(9),
    ),
    "collection": (
        *commits(1, 5),
        prepared(1),
        rolled_back,
        *SETTLED_FOR_GOOD,
        commit(6),
        *([collected] * 9),
    ),
    "pruning": (
        *commits(1, 7),
        *([pruned(History.NODES)] * 4),
        *([pruned(History.ROWS)] * 4),
        commit(8),
    ),
    "everything": (
        *commits(1, 6),
        lambda store: store.record_inbox([FACT]),
        lambda store: store.create_checkpoint(3, "good", "operator"),
        prepared(4),
        rolled_back,
        undone,
        commit(7),
        prepared(3),
        rolled_back,
        *SETTLED_FOR_GOOD,
        commit(8),
        lambda store: store.advance_cursor("p", Cursor(9, 9, bytes(32)), [("p", b"k", b"v")]),
        commit(9),
        lambda store: store.forget_seen(3, 9),
        *([collected] * 9),
        *([pruned(History.NODES)] * 4),
        *([pruned(History.ROWS)] * 4),
        commit(10),
    ),
}


def contents(disk: SimulatedDisk) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(SimulatedKeyValue(disk).scan(b"", b"\xff"))


class Scenario(NamedTuple):
    """Steps; the whole content before them and after each; the writes made by then."""

    steps: tuple[Step, ...]
    boundaries: list[tuple[tuple[bytes, bytes], ...]]
    writes: list[int]


@cache
def scenario(name: str) -> Scenario:
    """Run without faults."""
    disk = SimulatedDisk()
    store = simulated(disk)
    found, writes = [contents(disk)], [disk.writes]
    for step in SCENARIOS[name]:
        step(store)
        found.append(contents(disk))
        writes.append(disk.writes)
    return Scenario(SCENARIOS[name], found, writes)


def run(told: Scenario, disk: SimulatedDisk, start: int) -> int:
    """Run from a step on and return how many steps were acknowledged in all."""
    if failure_of(lambda: simulated(disk)) is not None:
        return start
    store = simulated(disk)
    for number, step in enumerate(told.steps[start:], start):
        failure = failure_of(partial(step, store))
        if failure is not None:
            assert failure_of(lambda: grown(store, 1)) is failure
            assert failure_of(lambda: store.record_inbox([FACT])) is failure
            require_served(told, store, number)
            return number
    return len(told.steps)


def failure_of(call: Callable[[], object]) -> StoreFailed | None:
    try:
        call()
    except StoreFailed as failure:
        return failure
    return None


def require_served(told: Scenario, store: ChainStore, acknowledged: int) -> None:
    """After a failure the last acknowledged head is still read."""
    key = keys.HEAD.key()
    head = dict(told.boundaries[acknowledged]).get(key)
    assert store.head == (Head() if head is None else decode_record(key, head, Head))
    assert len(list(store.checked_rows())) == len(row_table(store.view.state()))


def recovered(told: Scenario, disk: SimulatedDisk, acknowledged: int) -> int:
    """Open again and return the step whose boundary the store is at."""
    now = contents(disk)
    at = [number for number, each in enumerate(told.boundaries) if each == now]
    assert at, f"no boundary, acknowledged {acknowledged}"
    assert at[-1] >= acknowledged
    assert at[0] <= acknowledged + 1
    store = simulated(disk)
    assert store.acknowledged
    assert len(list(store.checked_rows())) == len(row_table(store.view.state()))
    walked(store.view.state())
    return at[-1]


@pytest.mark.parametrize("cut", [False, True], ids=["process", "power"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_write_fails(name: str, cut: bool) -> None:
    """Once and for ever, leaving nothing, a torn record, or all of it unsynced."""
    told = scenario(name)
    hit = 0
    for trace, for_ever in product(Trace, (False, True)):
        for at_write in range(1, told.writes[-1] + 1):
            disk = SimulatedDisk(at_write, Fault(at_write, for_ever, trace))
            acknowledged = run(told, disk, 0)
            hit += disk.failures
            disk.fault = Fault()
            if cut:
                disk.power_cut()
            step = recovered(told, disk, acknowledged)
            assert run(told, disk, step) == len(told.steps)
            assert contents(disk) == told.boundaries[-1]
    assert hit >= 2 * len(Trace) * told.writes[-1]


def test_there_are_enough_scenarios_and_no_two_alike() -> None:
    ends = {scenario(name).boundaries[-1] for name in SCENARIOS}
    assert len(ends) == len(SCENARIOS) >= 20


def test_a_write_fails_while_recovering() -> None:
    """Crash between batch and witness, and again where start-up writes the witness."""
    told = scenario("everything")
    hit = 0
    for at_write in range(1, told.writes[8]):
        disk = SimulatedDisk(at_write, Fault(at_write))
        acknowledged = run(told, disk, 0)
        before = disk.writes
        disk.fault = Fault(before + 1)
        failure = failure_of(partial(simulated, disk))
        assert failure is None or failure.problem is StoreProblem.WITNESS_FAILED
        hit += failure is not None
        disk.fault = Fault()
        assert run(told, disk, recovered(told, disk, acknowledged)) == len(told.steps)
    assert hit > 3


@pytest.mark.parametrize("capacity_bytes", range(500, 12_000, 700))
def test_a_full_disk_stops_at_a_boundary(capacity_bytes: int) -> None:
    told = scenario("everything")
    disk = SimulatedDisk(1, capacity_bytes=capacity_bytes)
    acknowledged = run(told, disk, 0)
    assert acknowledged < len(told.steps)
    disk.capacity_bytes = 0
    disk.power_cut()
    assert run(told, disk, recovered(told, disk, acknowledged)) == len(told.steps)
    assert contents(disk) == told.boundaries[-1]


def test_time_passes_by_the_seed_alone() -> None:
    ticks = []
    for seed in (1, 1, 2):
        disk = SimulatedDisk(seed)
        run(scenario("everything"), disk, 0)
        ticks.append(disk.ticks)
    assert ticks[0] == ticks[1] != ticks[2]
    assert ticks[0] > scenario("everything").writes[-1]


def test_an_older_copy_of_the_disk_is_refused() -> None:
    """Every boundary with the witness of every later one."""
    refused = 0
    disk = SimulatedDisk()
    store = simulated(disk)
    copies: list[tuple[tuple[int, int], tuple[tuple[bytes, bytes], ...], bytes]] = []
    for step in SCENARIOS["everything"]:
        step(store)
        copies.append(((store.head.epoch, store.head.sequence), contents(disk), disk.witness_bytes))
    for age, content, _ in copies:
        for later, _, witness in copies:
            other = SimulatedDisk()
            SimulatedKeyValue(other).write(content)
            other.witness_bytes = witness
            if later <= age:
                assert simulated(other).acknowledged
                continue
            with pytest.raises(StoreFailed, match="HEAD_BELOW_WITNESS"):
                simulated(other)
            refused += 1
    assert refused > 100


def test_a_fault_hits_its_write_alone_or_all_from_there_on() -> None:
    assert [Fault(2).hits(number) for number in (1, 2, 3)] == [False, True, False]
    assert [Fault(2, for_ever=True).hits(number) for number in (1, 2, 3)] == [False, True, True]
    assert not Fault().hits(1)
