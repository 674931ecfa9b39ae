"""Start-up is recovery: what is refused, by name, and what goes on."""

from collections.abc import Callable

import msgspec
import pytest

from sequencer.model.records import (
    NO_HASH,
    BlockRecord,
    DeadInterval,
    Head,
    Incident,
    RollbackJournal,
    Witness,
)
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage import keys
from sequencer.storage.access import fetch
from sequencer.storage.encoding import Record, encode_record
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue
from sequencer.storage.witness import SLOT_BYTES, SLOTS, encode_slot
from tests.strategies import Unchecked
from tests.unit.storage.builders import (
    grown,
    hash_of,
    refused,
    roll_back,
    rollback,
    simulated,
    undo,
)


@pytest.fixture
def disk() -> SimulatedDisk:
    disk = SimulatedDisk()
    store = simulated(disk)
    grown(store, 5)
    roll_back(store, 2)
    grown(store, 2)
    return disk


def failure_of(disk: SimulatedDisk) -> StoreProblem:
    writes = disk.writes
    with pytest.raises(StoreFailed) as caught:
        simulated(disk)
    assert disk.writes == writes
    return caught.value.problem


def changed(disk: SimulatedDisk, key: bytes, kind: type[Record], **parts: Unchecked) -> None:
    """Change a record behind the store's back, checksum and all."""
    raw = SimulatedKeyValue(disk)
    record: Unchecked = fetch(raw, kind, key)
    raw.write([(key, encode_record(key, msgspec.structs.replace(record, **parts)))])


def block_key(disk: SimulatedDisk, height: int) -> bytes:
    record = simulated(disk).view.block(height)
    assert record is not None
    return keys.BLOCK.key(height, record.sequence)


def test_a_sound_store_opens(disk: SimulatedDisk) -> None:
    store = simulated(disk)
    assert store.acknowledged
    assert (store.head.height, store.head.epoch) == (4, 1)


DAMAGE: dict[str, tuple[Callable[[SimulatedDisk], None], StoreProblem]] = {
    "format": (
        lambda disk: changed(disk, b"M", Head, format=2),
        StoreProblem.FORMAT_UNKNOWN,
    ),
    "no head": (
        lambda disk: SimulatedKeyValue(disk).write([(b"M", None)]),
        StoreProblem.HEAD_MISSING,
    ),
    "head of another block": (
        lambda disk: changed(disk, b"M", Head, block_hash=hash_of(1)),
        StoreProblem.HEAD_INCONSISTENT,
    ),
    "head with another root": (
        lambda disk: changed(disk, b"M", Head, state_root=hash_of(1)),
        StoreProblem.HEAD_INCONSISTENT,
    ),
    "head with another digest": (
        lambda disk: changed(disk, b"M", Head, digest=hash_of(1)),
        StoreProblem.HEAD_INCONSISTENT,
    ),
    "head on an orphan": (
        lambda disk: changed(disk, b"M", Head, block_sequence=5),
        StoreProblem.HEAD_INCONSISTENT,
    ),
    "head beyond the blocks": (
        lambda disk: changed(disk, b"M", Head, height=5),
        StoreProblem.HEAD_INCONSISTENT,
    ),
    "epoch of no rollback": (
        lambda disk: changed(disk, b"M", Head, epoch=0),
        StoreProblem.HEAD_INCONSISTENT,
    ),
    "interval from nowhere": (
        lambda disk: changed(disk, keys.DEAD_INTERVAL.key(1), DeadInterval, last=6),
        StoreProblem.HEAD_INCONSISTENT,
    ),
    "interval gone": (
        lambda disk: SimulatedKeyValue(disk).write([(keys.DEAD_INTERVAL.key(1), None)]),
        StoreProblem.HEAD_INCONSISTENT,
    ),
    "another parent": (
        lambda disk: changed(disk, block_key(disk, 3), BlockRecord, parent_hash=hash_of(1)),
        StoreProblem.HEADERS_BROKEN,
    ),
    "a block gone": (
        lambda disk: SimulatedKeyValue(disk).write([(block_key(disk, 1), None)]),
        StoreProblem.HEADERS_BROKEN,
    ),
    "another incident": (
        lambda disk: changed(disk, keys.INCIDENT.key(1), Incident, details=b"nothing to see"),
        StoreProblem.INCIDENTS_BROKEN,
    ),
    "no incident": (
        lambda disk: SimulatedKeyValue(disk).write([(keys.INCIDENT.key(1), None)]),
        StoreProblem.INCIDENTS_BROKEN,
    ),
    "renumbered incident": (
        lambda disk: changed(disk, keys.INCIDENT.key(1), Incident, number=2),
        StoreProblem.INCIDENTS_BROKEN,
    ),
    "a damaged head": (
        lambda disk: SimulatedKeyValue(disk).write([(b"M", b"12345")]),
        StoreProblem.RECORD_CORRUPT,
    ),
}


@pytest.mark.parametrize(("damage", "problem"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused_by_name(
    disk: SimulatedDisk, damage: Callable[[SimulatedDisk], None], problem: StoreProblem
) -> None:
    damage(disk)
    assert failure_of(disk) is problem


def test_an_undo_without_its_journal_fails_and_stops_the_store(disk: SimulatedDisk) -> None:
    store = simulated(disk)
    order = rollback(store, 1)
    store.prepare(order)
    store.roll_back(order)
    SimulatedKeyValue(disk).write([(keys.JOURNAL.key(order.plan_id), None)])
    with pytest.raises(StoreFailed, match="HEAD_INCONSISTENT") as first:
        undo(store, 2)
    with pytest.raises(StoreFailed) as second:
        grown(store, 1)
    assert second.value is first.value
    assert store.view.state().row(1, b"shared") == b"at 1"


def put_witness(disk: SimulatedDisk, *slots: Witness) -> None:
    disk.witness_bytes = bytes(SLOTS * SLOT_BYTES)
    for at, slot in enumerate(slots):
        disk.put_slot(at, encode_slot(slot))


@pytest.mark.parametrize(("epoch", "sequence"), [(1, 9), (2, 8), (2, 0), (0, 9), (9, 9)])
def test_a_head_below_the_witness_is_refused(
    disk: SimulatedDisk, epoch: int, sequence: int
) -> None:
    put_witness(disk, Witness(epoch, sequence, simulated(disk).head.block_hash))
    assert failure_of(disk) is StoreProblem.HEAD_BELOW_WITNESS


def test_an_empty_store_with_a_witness_is_refused(disk: SimulatedDisk) -> None:
    fresh = SimulatedDisk()
    fresh.witness_bytes = disk.witness_bytes
    assert failure_of(fresh) is StoreProblem.HEAD_BELOW_WITNESS


@pytest.mark.parametrize(("epoch", "sequence"), [(1, 8), (1, 7), (0, 2)])
def test_a_witness_of_another_chain_is_refused(
    disk: SimulatedDisk, epoch: int, sequence: int
) -> None:
    put_witness(disk, Witness(epoch, sequence, hash_of("another chain")))
    assert failure_of(disk) is StoreProblem.WITNESS_DISAGREES


def test_a_head_beyond_its_witness_goes_on_and_is_witnessed(disk: SimulatedDisk) -> None:
    head = simulated(disk).head
    parent = simulated(disk).view.block(3)
    assert parent is not None
    put_witness(disk, Witness(1, head.sequence - 1, parent.block_hash))
    store = simulated(disk)
    assert store.acknowledged
    put_witness(disk, Witness(1, head.sequence + 1, head.block_hash))
    assert failure_of(disk) is StoreProblem.HEAD_BELOW_WITNESS


def test_without_a_witness_nothing_changes_until_acknowledged(disk: SimulatedDisk) -> None:
    disk.witness_bytes = bytes(SLOTS * SLOT_BYTES)
    store = simulated(disk)
    assert not store.acknowledged
    assert store.view.state().row(1, b"shared") == b"at 4"
    with refused(StoreProblem.WITNESS_UNACKNOWLEDGED, disk):
        grown(store, 1)
    with refused(StoreProblem.WITNESS_UNACKNOWLEDGED, disk):
        store.prepare(rollback(store, 1))
    assert not simulated(disk).acknowledged
    store.acknowledge()
    grown(store, 1)
    assert simulated(disk).acknowledged


def test_one_valid_slot_is_enough(disk: SimulatedDisk) -> None:
    head = simulated(disk).head
    put_witness(disk, Witness(head.epoch, head.sequence, head.block_hash))
    assert simulated(disk).acknowledged
    assert head.block_hash != NO_HASH


def test_a_prepared_rollback_is_found_and_can_be_aborted(disk: SimulatedDisk) -> None:
    store = simulated(disk)
    order = rollback(store, 1)
    store.prepare(order)
    journal = [each for each in simulated(disk).open_journals() if each.plan_id == order.plan_id]
    assert [type(each) for each in journal] == [RollbackJournal]
    assert journal[0].planned == simulated(disk).head.mark
