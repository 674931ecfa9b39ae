"""Every write of a scenario fails, once and for ever, leaving nothing, a torn record or all of it.

Laws: after opening again the store is exactly at a boundary between two steps, nothing that was
acknowledged is lost, and the scenario can go on from there to the end it has without faults.
"""

from collections.abc import Callable
from functools import partial

import msgspec
import pytest

from sequencer.model.records import Cursor, Head, History, InboxFact, Stage
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage import keys
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.encoding import decode_record
from sequencer.storage.simulated import Fault, SimulatedDisk, SimulatedKeyValue, Trace
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


FACT = InboxFact(1, hash_of("fact"), 1, hash_of("source"), b"deposit")

SCENARIO: tuple[Step, ...] = (
    *(commit(number) for number in range(1, 7)),
    lambda store: store.record_inbox([FACT]),
    lambda store: store.create_checkpoint(3, "good", "operator"),
    prepared(4),
    rolled_back,
    lambda store: undo(store, 1),
    commit(7),
    prepared(3),
    rolled_back,
    advanced(Stage.SETTLED),
    advanced(Stage.NOTIFIED),
    advanced(Stage.DONE),
    commit(8),
    lambda store: store.advance_cursor("p", Cursor(9, 9, bytes(32)), [("p", b"k", b"v")]),
    commit(9),
    lambda store: store.forget_seen(3, 9),
    *([collected] * 9),
    *([pruned(History.NODES)] * 4),
    *([pruned(History.ROWS)] * 4),
    commit(10),
)


def contents(disk: SimulatedDisk) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(SimulatedKeyValue(disk).scan(b"", b"\xff"))


def boundaries() -> tuple[list[tuple[tuple[bytes, bytes], ...]], list[int]]:
    """Run without faults: the whole content after each step, and the writes made by then."""
    disk = SimulatedDisk()
    store = simulated(disk)
    found, writes = [contents(disk)], [disk.writes]
    for step in SCENARIO:
        step(store)
        found.append(contents(disk))
        writes.append(disk.writes)
    return found, writes


BOUNDARIES, WRITES = boundaries()


def run(disk: SimulatedDisk, start: int) -> int:
    """Run from a step on and return how many steps were acknowledged in all."""
    if failure_of(lambda: simulated(disk)) is not None:
        return start
    store = simulated(disk)
    for number, step in enumerate(SCENARIO[start:], start):
        failure = failure_of(partial(step, store))
        if failure is not None:
            assert failure_of(lambda: grown(store, 1)) is failure
            assert failure_of(lambda: store.record_inbox([FACT])) is failure
            require_served(store, number)
            return number
    return len(SCENARIO)


def failure_of(call: Callable[[], object]) -> StoreFailed | None:
    try:
        call()
    except StoreFailed as failure:
        return failure
    return None


def require_served(store: ChainStore, acknowledged: int) -> None:
    """After a failure the last acknowledged head is still read."""
    key = keys.HEAD.key()
    head = dict(BOUNDARIES[acknowledged]).get(key)
    assert store.head == (Head() if head is None else decode_record(key, head, Head))
    assert len(list(store.checked_rows())) == len(row_table(store.view.state()))


def recovered(disk: SimulatedDisk, acknowledged: int) -> int:
    """Open again and return the step whose boundary the store is at."""
    now = contents(disk)
    at = [number for number, each in enumerate(BOUNDARIES) if each == now]
    assert at, f"no boundary, acknowledged {acknowledged}"
    assert at[-1] >= acknowledged
    assert at[0] <= acknowledged + 1
    store = simulated(disk)
    assert store.acknowledged
    assert len(list(store.checked_rows())) == len(row_table(store.view.state()))
    walked(store.view.state())
    return at[-1]


@pytest.mark.parametrize("cut", [False, True], ids=["process", "power"])
@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("trace", Trace)
def test_every_write_fails(trace: Trace, for_ever: bool, cut: bool) -> None:
    hit = 0
    for at_write in range(1, WRITES[-1] + 1):
        disk = SimulatedDisk(at_write, Fault(at_write, for_ever, trace))
        acknowledged = run(disk, 0)
        hit += disk.failures
        disk.fault = Fault()
        if cut:
            disk.power_cut()
        step = recovered(disk, acknowledged)
        assert run(disk, step) == len(SCENARIO)
        assert contents(disk) == BOUNDARIES[-1]
    assert hit >= WRITES[-1]


def test_a_write_fails_while_recovering() -> None:
    """Crash between batch and witness, and again where start-up writes the witness."""
    hit = 0
    for at_write in range(1, WRITES[8]):
        disk = SimulatedDisk(at_write, Fault(at_write))
        acknowledged = run(disk, 0)
        before = disk.writes
        disk.fault = Fault(before + 1)
        failure = failure_of(partial(simulated, disk))
        assert failure is None or failure.problem is StoreProblem.WITNESS_FAILED
        hit += failure is not None
        disk.fault = Fault()
        assert run(disk, recovered(disk, acknowledged)) == len(SCENARIO)
    assert hit > 3


@pytest.mark.parametrize("capacity_bytes", range(500, 12_000, 700))
def test_a_full_disk_stops_at_a_boundary(capacity_bytes: int) -> None:
    disk = SimulatedDisk(1, capacity_bytes=capacity_bytes)
    acknowledged = run(disk, 0)
    assert acknowledged < len(SCENARIO)
    disk.capacity_bytes = 0
    disk.power_cut()
    assert run(disk, recovered(disk, acknowledged)) == len(SCENARIO)
    assert contents(disk) == BOUNDARIES[-1]


def test_time_passes_by_the_seed_alone() -> None:
    ticks = []
    for seed in (1, 1, 2):
        disk = SimulatedDisk(seed)
        run(disk, 0)
        ticks.append(disk.ticks)
    assert ticks[0] == ticks[1] != ticks[2]
    assert ticks[0] > WRITES[-1]


def test_an_older_copy_of_the_disk_is_refused() -> None:
    """Every boundary with the witness of every later one."""
    refused = 0
    disk = SimulatedDisk()
    store = simulated(disk)
    copies: list[tuple[tuple[int, int], tuple[tuple[bytes, bytes], ...], bytes]] = []
    for step in SCENARIO:
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


def test_every_fault_is_counted() -> None:
    assert msgspec.structs.asdict(Fault()) == {
        "at_write": 0,
        "for_ever": False,
        "trace": Trace.NOTHING,
    }
    assert [Fault(2).hits(number) for number in (1, 2, 3)] == [False, True, False]
    assert [Fault(2, for_ever=True).hits(number) for number in (1, 2, 3)] == [False, True, True]
    assert not Fault().hits(1)
