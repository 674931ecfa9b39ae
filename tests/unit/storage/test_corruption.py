"""A few damaged stores of the campaign: refused by name, or harmless, never a wrong answer."""

import os
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from scripts.storing.chains import say
from scripts.storing.damage import (
    HARMLESS,
    KINDS,
    World,
    copied,
    damage,
    files_of,
    make_world,
    outcome,
)
from sequencer.ports import StoreProblem
from sequencer.storage.folder import open_folder, witness_beside

CASES = 60


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("corruption"), Random(7))


def test_the_pristine_store_has_all_kinds_of_files(world: World, tmp_path: Path) -> None:
    found = {kind: len(files_of(world.folder, kind)) for kind in KINDS if kind != "folder"}
    assert found.pop("table") >= 2
    assert set(found.values()) == {1}
    assert outcome(copied(world.folder, tmp_path / "data"), world)[0] == HARMLESS


def test_damage_is_refused_or_harmless_never_a_wrong_answer(world: World, tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(CASES):
        folder = copied(world.folder, tmp_path / "data")
        assert damage(folder, Random(seed), world)
        outcomes[outcome(folder, world)[0]] += 1
    assert outcomes.total() == CASES
    assert outcomes[StoreProblem.STORE_CORRUPT.value] > 15, outcomes
    assert outcomes[StoreProblem.HEAD_BELOW_WITNESS.value] > 1, outcomes
    assert outcomes[HARMLESS] > 10, outcomes


def test_a_seed_decides_the_damage(world: World, tmp_path: Path) -> None:
    def harmed(seed: int) -> tuple[list[str], dict[str, bytes]]:
        folder = copied(world.folder, tmp_path / "data")
        names = damage(folder, Random(seed), world)
        return names, {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert [harmed(seed) for seed in range(4)] == [harmed(seed) for seed in range(4)]


def test_a_log_cut_anywhere_is_never_an_older_head(world: World, tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    (log,) = files_of(world.folder, "log")
    size = log.stat().st_size
    for at in range(0, size, max(1, size // 30)):
        folder = copied(world.folder, tmp_path / "data")
        os.truncate(folder / log.relative_to(world.folder), at)
        outcomes[outcome(folder, world)[0]] += 1
    assert outcomes[HARMLESS] == 0, outcomes
    assert outcomes[StoreProblem.HEAD_BELOW_WITNESS.value] > 25, outcomes


def test_an_older_copy_of_the_whole_folder_is_refused(world: World, tmp_path: Path) -> None:
    for number, copy in enumerate(world.copies):
        folder = tmp_path / f"data {number}"
        shutil.copytree(copy, folder)
        shutil.copyfile(witness_beside(world.folder), witness_beside(folder))
        assert outcome(folder, world) == [StoreProblem.HEAD_BELOW_WITNESS.value]


def test_damage_to_the_witness_never_opens_an_older_store(world: World, tmp_path: Path) -> None:
    states: Counter[bool] = Counter()
    for seed in range(30):
        random = Random(seed)
        folder = copied(world.folder, tmp_path / "data")
        for _ in range(random.randrange(1, 4)):
            data = bytearray(witness_beside(folder).read_bytes())
            at = random.choice((0, 4096)) + random.randrange(100)
            data[at] ^= 1 << random.randrange(8)
            witness_beside(folder).write_bytes(data)
        store = open_folder(folder)
        assert store.head == world.head
        states[store.acknowledged] += 1
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
