"""Damage to the files of a real store: refused by name, or harmless, and never a wrong answer.

A store with tables, a log, rollbacks and collected state is copied, damaged and opened. Where it
opens, everything that it says is compared with what was written, and its head is the last one.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from sequencer.model.records import Head, History, Stage
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.folder import open_folder
from sequencer.storage.leveldb import DATABASE_FOLDER
from tests.unit.storage.builders import block, hash_of, rollback, row_table, trie_changes, walked

BLOCKS = 36
CASES = 240

Said = dict[str, object]


class World(NamedTuple):
    """A pristine data folder with its witness, older copies of it, and all that it says."""

    folder: Path
    copies: list[Path]
    head: Head
    said: Said


def say(store: ChainStore) -> Said:
    """Read everything that a store can be asked."""
    view = store.view
    said: Said = {"rows": sorted(store.checked_rows()), "head": store.head}
    said["trie"] = walked(view.state())
    said["never rewound"] = [view.effects(0, 999), view.cursors(), view.incidents()]
    said["plans"] = [view.journals(), view.checkpoints(), view.dead.all, view.retention()]
    for height in range(view.head.height + 1):
        record = view.block(height)
        assert record is not None
        said[f"block {height}"] = (record, view.body(record))
        said[f"state {height}"] = row_table(view.state_at(record))
        assert view.block_by_hash(record.block_hash) == record
        place = view.transaction(hash_of("transaction", record.sequence))
        said[f"transaction {height}"] = place
    return said


def append(store: ChainStore, random: Random) -> None:
    leaves = {random.randrange(256): random.randrange(3) for _ in range(4)}
    nodes, _ = trie_changes(store.view.state(), leaves)
    rows = {random.randbytes(1): random.choice((None, random.randbytes(60))) for _ in range(12)}
    changes = [(random.randrange(3), key, value) for key, value in rows.items()]
    transaction = hash_of("transaction", store.head.next_sequence)
    body = random.randbytes(300)
    commit = block(store, changes, nodes=nodes, transactions=(transaction,), body=body)
    store.commit_block(commit)


def roll_back_and_finish(store: ChainStore, height: int) -> None:
    order = rollback(store, height)
    store.prepare(order)
    store.roll_back(order)
    for stage in (Stage.SETTLED, Stage.NOTIFIED, Stage.DONE):
        store.advance(order.plan_id, stage)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make the store, copying it as it grows: tables by compaction, then a log."""
    base = tmp_path_factory.mktemp("corruption")
    folder, random, copies = base / "data", Random(7), list[Path]()
    store = open_folder(folder, create=True)
    for number in range(BLOCKS):
        append(store, random)
        if number in {14, 30}:
            roll_back_and_finish(store, store.head.height - 4)
        if number in {9, 20}:
            for history in History:
                store.compact(history)
        if number in {5, 12, 22, 33}:
            store.close()
            copies.append(base / f"copy {number}")
            shutil.copytree(folder, copies[-1])
            store = open_folder(folder)
        if number == 24:
            store.collect(1, 20)
    said, head = say(store), store.head
    store.close()
    return World(folder, copies, head, said)


def witness_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".witness")


def flip_bit(path: Path, random: Random, _: World) -> None:
    data = bytearray(path.read_bytes())
    if data:
        at = random.randrange(len(data) * 8)
        data[at >> 3] ^= 1 << (at & 7)
        path.write_bytes(data)


def zero_block(path: Path, random: Random, _: World) -> None:
    data = bytearray(path.read_bytes())
    if data:
        at = random.randrange(len(data)) & ~511
        data[at : at + 512] = bytes(len(data[at : at + 512]))
        path.write_bytes(data)


def cut(path: Path, random: Random, _: World) -> None:
    os.truncate(path, random.randrange(path.stat().st_size + 1))


def delete(path: Path, _: Random, __: World) -> None:
    path.unlink()


def put_older(path: Path, random: Random, world: World) -> None:
    """Put an older copy of one file in place, or one of a name that is gone by now."""
    copy = random.choice(world.copies) / DATABASE_FOLDER
    older = random.choice(sorted(copy.iterdir()))
    shutil.copyfile(older, path.parent / older.name)


def append_garbage(path: Path, random: Random, _: World) -> None:
    with path.open("ab") as file:
        file.write(random.randbytes(random.randrange(1, 2_000)))


DAMAGES = (flip_bit, flip_bit, flip_bit, zero_block, cut, cut, delete, put_older, append_garbage)


def outcome(folder: Path, world: World) -> str:
    """Open a damaged store and return what came of it."""
    try:
        store = open_folder(folder)
    except StoreFailed as failure:
        return failure.problem.value
    try:
        assert store.head == world.head, "an older head"
        assert say(store) == world.said, "a wrong answer"
    except StoreFailed as failure:
        return failure.problem.value
    else:
        return "harmless"
    finally:
        store.close()


def damaged_copy(world: World, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world.folder, folder)
    shutil.copyfile(witness_of(world.folder), witness_of(folder))
    return folder


def test_the_pristine_store_has_all_kinds_of_files(world: World, tmp_path: Path) -> None:
    suffixes = Counter(path.suffix for path in (world.folder / DATABASE_FOLDER).iterdir())
    assert suffixes[".ldb"] >= 2
    assert suffixes[".log"] == 1
    assert outcome(damaged_copy(world, tmp_path / "data"), world) == "harmless"


def test_damage_is_refused_or_harmless_never_a_wrong_answer(world: World, tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(CASES):
        random = Random(seed)
        folder = damaged_copy(world, tmp_path / "data")
        paths = sorted(path for path in (folder / DATABASE_FOLDER).iterdir() if path.stat().st_size)
        damage: Callable[[Path, Random, World], None] = random.choice(DAMAGES)
        damage(random.choice(paths), random, world)
        outcomes[outcome(folder, world)] += 1
    assert sum(outcomes.values()) == CASES
    assert outcomes[StoreProblem.STORE_CORRUPT.value] > 60, outcomes
    assert outcomes[StoreProblem.HEAD_BELOW_WITNESS.value] > 3, outcomes
    assert outcomes["harmless"] > 10, outcomes


def test_a_log_cut_anywhere_is_never_an_older_head(world: World, tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    log = next((world.folder / DATABASE_FOLDER).glob("*.log"))
    size = log.stat().st_size
    for at in range(0, size, max(1, size // 60)):
        folder = damaged_copy(world, tmp_path / "data")
        os.truncate(folder / DATABASE_FOLDER / log.name, at)
        outcomes[outcome(folder, world)] += 1
    assert outcomes["harmless"] == 0, outcomes
    assert outcomes[StoreProblem.HEAD_BELOW_WITNESS.value] > 50, outcomes


def test_an_older_copy_of_the_whole_folder_is_refused(world: World, tmp_path: Path) -> None:
    for number, copy in enumerate(world.copies):
        folder = tmp_path / f"data {number}"
        shutil.copytree(copy, folder)
        shutil.copyfile(witness_of(world.folder), witness_of(folder))
        assert outcome(folder, world) == StoreProblem.HEAD_BELOW_WITNESS.value


def test_damage_to_the_witness_never_opens_an_older_store(world: World, tmp_path: Path) -> None:
    states: Counter[str] = Counter()
    for seed in range(60):
        random = Random(seed)
        folder = damaged_copy(world, tmp_path / "data")
        for _ in range(random.randrange(1, 4)):
            data = bytearray(witness_of(folder).read_bytes())
            at = random.choice((0, 4096)) + random.randrange(100)
            data[at] ^= 1 << random.randrange(8)
            witness_of(folder).write_bytes(data)
        store = open_folder(folder)
        assert store.head == world.head
        states["acknowledged" if store.acknowledged else "not acknowledged"] += 1
        store.close()
    assert len(states) == 2, states


def test_every_old_copy_is_sound_by_itself(world: World, tmp_path: Path) -> None:
    """What makes the copies dangerous: without the witness nothing is wrong with them."""
    for number, copy in enumerate(world.copies):
        folder = tmp_path / f"data {number}"
        shutil.copytree(copy, folder)
        store = open_folder(folder)
        assert not store.acknowledged
        assert store.head.sequence < world.head.sequence
        assert say(store)
        store.close()
