"""Blocks: what one commit makes true, what is refused, what a view shows."""

import threading
from collections.abc import Callable

import pytest

from sequencer.model.commands import OrderPolicy
from sequencer.model.limits import STORE_ROWS_COMPARED_MAX
from sequencer.model.records import Cursor, EffectKind, Head, Latch, Mark
from sequencer.ports import StoreFailed, StoreProblem, StoreRefused
from sequencer.storage import keys
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.commit import block_batch
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue
from tests.strategies import Unchecked
from tests.unit.storage.builders import (
    TRIE,
    block,
    grown,
    hash_of,
    refused,
    row_table,
    simulated,
    trie_changes,
    walked,
)


def test_an_empty_store_is_before_genesis(store: ChainStore) -> None:
    assert store.head == Head()
    assert store.acknowledged
    assert list(store.checked_rows()) == []
    assert store.view.block(0) is None
    assert store.view.state().row(1, b"a") is None


def test_a_block_is_one_write_and_one_witness(disk: SimulatedDisk, store: ChainStore) -> None:
    assert disk.writes == 1
    head = grown(store, 1)[0]
    assert disk.writes == 3
    assert (head.height, head.sequence, head.block_sequence, head.epoch) == (0, 1, 1, 0)
    assert head.next_sequence == 2
    assert simulated(disk).head == head == store.head


def test_rows_are_read_at_every_height(store: ChainStore) -> None:
    grown(store, 5)
    assert store.view.state().row(1, b"shared") == b"at 4"
    for height in range(5):
        record = store.view.block(height)
        assert record is not None
        state = store.view.state_at(record)
        assert state.row(1, b"shared") == b"at %d" % height
        expected = {(2, b"own %d" % each): b"row" for each in range(height + 1)}
        assert row_table(state) == {**expected, (1, b"shared"): b"at %d" % height}
        assert [key for _, key, _ in state.rows(2)] == [b"own %d" % n for n in range(height + 1)]


def test_removed_rows_are_gone_at_the_head_alone(store: ChainStore) -> None:
    grown(store, 2)
    store.commit_block(block(store, [(1, b"shared", None), (2, b"absent", None)]))
    assert store.view.state().row(1, b"shared") is None
    before = store.view.block(1)
    assert before is not None
    assert store.view.state_at(before).row(1, b"shared") == b"at 1"


def test_a_row_set_to_what_it_was_is_no_change(disk: SimulatedDisk, store: ChainStore) -> None:
    grown(store, 1)
    digest = store.head.digest
    store.commit_block(block(store, [(1, b"shared", b"at 0")]))
    assert len([*SimulatedKeyValue(disk).scan(*keys.ROW.range(1, b"shared"))]) == 1
    assert store.head.digest == digest


@pytest.mark.parametrize("before", [None, b"at 1"])
def test_a_row_that_differs_from_memory_stops_the_store(
    disk: SimulatedDisk, store: ChainStore, before: bytes | None
) -> None:
    grown(store, 1)
    writes = disk.writes
    with pytest.raises(StoreFailed, match="ROW_DIFFERS") as first:
        store.commit_block(block(store, rows=[(1, b"shared", before, b"new")]))
    with pytest.raises(StoreFailed) as second:
        grown(store, 1)
    assert second.value is first.value
    assert disk.writes == writes


def test_every_row_of_large_blocks_takes_its_turn_to_be_compared() -> None:
    rows = [(1, b"%d" % number, None, b"x") for number in range(3 * STORE_ROWS_COMPARED_MAX)]
    wrong = [(*row[:2], b"wrong", row[3]) for row in rows]
    stopped = set()
    for start in range(6):
        store = simulated(SimulatedDisk())
        grown(store, start)
        for at in range(len(rows)):
            parts = [*rows[:at], wrong[at], *rows[at + 1 :]]
            try:
                block_batch(store.view, block(store, rows=parts))
            except StoreFailed:
                stopped.add((start % 3, at))
    assert {at for _, at in stopped} == set(range(len(rows)))


def test_rows_with_many_versions_are_listed(store: ChainStore) -> None:
    for number in range(60):
        rows = [(1, b"hot", b"%d" % number), (1, b"later", b"x" if number > 40 else None)]
        store.commit_block(block(store, [*rows, (1, b"zero", b"0")]))
    assert len(row_table(store.view.state())) == 3
    for height in (0, 20, 40, 41, 59):
        record = store.view.block(height)
        assert record is not None
        expected = {(1, b"hot"): b"%d" % height, (1, b"zero"): b"0"}
        if height > 40:
            expected[1, b"later"] = b"x"
        assert row_table(store.view.state_at(record)) == expected


def test_the_rows_are_checked_against_the_digest(disk: SimulatedDisk, store: ChainStore) -> None:
    grown(store, 3)
    assert len(list(store.checked_rows())) == 4
    key = keys.ROW.key(2, b"own 1", 2)
    SimulatedKeyValue(disk).write([(key, None)])
    with pytest.raises(StoreFailed, match="DIGEST_MISMATCH"):
        list(store.checked_rows())


def test_tries_are_read_at_every_height(store: ChainStore) -> None:
    contents: list[dict[int, int]] = []
    leaves = [{1: 5, 200: 6}, {1: 0, 7: 8}, {200: 0, 7: 0}, {9: 9}]
    for change in leaves:
        nodes, _ = trie_changes(store.view.state(), change)
        store.commit_block(block(store, nodes=nodes))
        now = {**(contents[-1] if contents else {}), **change}
        contents.append({key: value for key, value in now.items() if value})
    for height, expected in enumerate(contents):
        record = store.view.block(height)
        assert record is not None
        assert walked(store.view.state_at(record)) == expected
    assert store.view.state().node(bytes(32), 0, 0) is None


def test_blocks_are_found_by_height_and_by_hash(store: ChainStore) -> None:
    heads = grown(store, 3)
    for head in heads:
        record = store.view.block(head.height)
        assert record is not None
        assert record == store.view.block_by_hash(head.block_hash)
        assert (record.block_hash, record.state_root) == (head.block_hash, head.state_root)
        assert record.header == b"header %d" % head.height
        assert store.view.body(record) == b"body %d" % head.sequence
        assert store.view.orphaned_by(record) == 0
    assert store.view.block(3) is None
    assert store.view.block(-1) is None
    assert store.view.block_by_hash(bytes(32)) is None


def test_transactions_marks_and_high_water_come_with_the_block(store: ChainStore) -> None:
    grown(store, 1)
    hashes = [hash_of(number) for number in range(3)]
    store.commit_block(
        block(
            store,
            transactions=hashes,
            seen=((hashes[0], 0), (hashes[1], 500)),
            high_water=((b"publisher/BTC", 70), (b"publisher/BTC", 60)),
        )
    )
    place = store.view.transaction(hashes[2])
    assert place is not None
    assert (place.height, place.sequence, place.index) == (1, 2, 2)
    assert store.view.transaction(hash_of("other")) is None
    mark = store.view.seen(hashes[1])
    assert mark is not None
    assert (mark.sequence, mark.until_ms) == (2, 500)
    assert store.view.high_water(b"publisher/BTC") == 70
    assert store.view.high_water(b"other") == 0


def test_high_water_never_falls(store: ChainStore) -> None:
    store.commit_block(block(store, high_water=((b"p", 70),)))
    store.commit_block(block(store, high_water=((b"p", 60),)))
    assert store.view.high_water(b"p") == 70


def test_effects_are_numbered_through_all_commits(store: ChainStore) -> None:
    grown(store, 2)
    several = ((EffectKind.BLOCK, b"one"), (EffectKind.BLOCK, b"two"))
    store.commit_block(block(store, effects=several))
    numbers = [(effect.number, effect.sequence) for effect in store.view.effects(0, 99)]
    assert numbers == [(1, 1), (2, 2), (3, 3), (4, 3)]
    assert [effect.payload for effect in store.view.effects(2, 1)] == [b"one"]
    assert store.view.effects(4, 9) == []
    assert store.head.next_effect == 5


MALFORMED: dict[str, dict[str, Unchecked]] = {
    "height": {"height": 5},
    "block hash": {"block_hash": b"short"},
    "state root": {"state_root": bytes(33)},
    "a row twice": {"rows": [(1, b"a", None, b"1"), (1, b"a", None, None)]},
    "a node twice": {"nodes": [(TRIE, 1, 1, b"1"), (TRIE, 1, 1, b"2")]},
    "a transaction twice": {"transactions": [bytes(32), bytes(32)]},
    "row table": {"rows": [(256, b"a", None, b"1")]},
    "row key": {"rows": [(1, bytes(256), None, b"1")]},
    "trie": {"nodes": [(b"short", 1, 1, b"1")]},
    "depth": {"nodes": [(TRIE, 252, 1, b"1")]},
    "path": {"nodes": [(TRIE, 3, 8, b"1")]},
    "transaction": {"transactions": [b"short"]},
    "seen hash": {"seen": [(b"short", 1)]},
    "seen time": {"seen": [(bytes(32), 2**64)]},
}


@pytest.mark.parametrize("parts", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_commit_is_refused(
    disk: SimulatedDisk, store: ChainStore, parts: dict[str, Unchecked]
) -> None:
    head = grown(store, 1)[0]
    with refused(StoreProblem.COMMIT_MALFORMED, disk):
        store.commit_block(block(store, **parts))
    assert store.head == head
    grown(store, 1)


@pytest.mark.parametrize("mark", [Mark(1, 2, bytes(32)), Mark(0, 1, bytes(32)), Mark(0, 0, b"")])
def test_a_commit_for_another_head_is_refused(
    disk: SimulatedDisk, store: ChainStore, mark: Mark
) -> None:
    grown(store, 2)
    with refused(StoreProblem.HEAD_MOVED, disk):
        store.commit_block(block(store, planned=mark))


def test_a_latch_stops_blocks_until_one_reopens(disk: SimulatedDisk, store: ChainStore) -> None:
    grown(store, 1)
    latch = Latch(0, OrderPolicy.KEEP)
    head = store.latch(latch)
    assert (head.latch, head.sequence) == (latch, 1)
    store = simulated(disk)
    assert store.head == head
    with refused(StoreProblem.HALT_LATCHED, disk):
        store.commit_block(block(store, reopens=False))
    assert store.commit_block(block(store, reopens=True)).latch is None


def test_one_thread_changes_the_store(disk: SimulatedDisk, store: ChainStore) -> None:
    grown(store, 1)
    errors: list[StoreProblem] = []

    def elsewhere() -> None:
        with pytest.raises(StoreRefused) as caught:
            grown(store, 1)
        errors.append(caught.value.problem)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert errors == [StoreProblem.WRITER_THREAD]
    grown(store, 1)


def test_a_snapshot_shows_one_head_whatever_follows(store: ChainStore) -> None:
    grown(store, 2)
    view, close = store.snapshot()
    grown(store, 2)
    assert view.head.height == 1
    assert view.state().row(1, b"shared") == b"at 1"
    assert view.block(2) is None
    close()
    with pytest.raises(StoreFailed, match="STORE_CLOSED"):
        view.state().row(1, b"shared")


def test_nothing_works_after_closing(store: ChainStore) -> None:
    grown(store, 2)
    store.close()
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: grown(store, 1),
        lambda: store.latch(Latch(0, OrderPolicy.KEEP)),
        lambda: store.view.block(0),
        lambda: store.advance_cursor("p", Cursor(1, 1, bytes(32))),
        store.snapshot,
    ]
    for call in calls:
        with pytest.raises(StoreFailed, match="STORE_CLOSED"):
            call()
