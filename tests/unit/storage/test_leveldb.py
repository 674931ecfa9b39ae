"""A real database: made when told, final in its first failure, and never a wrong value."""

from pathlib import Path
from random import Random

import plyvel  # type: ignore[import-untyped]
import pytest

from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.folder import open_folder
from sequencer.storage.leveldb import DATABASE_FOLDER, LevelStore, open_leveldb
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue
from tests.unit.storage.builders import failing, grown


def test_a_store_is_made_only_when_told(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    with failing(StoreProblem.STORE_ABSENT):
        open_leveldb(folder, create=False)
    assert not folder.exists()
    open_leveldb(folder, create=True).close()
    with failing(StoreProblem.STORE_PRESENT):
        open_leveldb(folder, create=True)
    open_leveldb(folder, create=False).close()


def test_a_folder_without_current_is_not_an_empty_one(tmp_path: Path) -> None:
    store = open_leveldb(tmp_path, create=True)
    store.write([(b"a", b"1")])
    store.close()
    (tmp_path / DATABASE_FOLDER / "CURRENT").unlink()
    for create, problem in (
        (False, StoreProblem.STORE_CORRUPT),
        (True, StoreProblem.STORE_PRESENT),
    ):
        with failing(problem):
            open_leveldb(tmp_path, create=create)


class FailingDatabase:
    """A database whose disk is full; everything else is real."""

    def __init__(self, real: "plyvel.DB") -> None:
        self._real = real
        self.fails = True

    def __getattr__(self, name: str) -> object:
        if name == "write_batch" and self.fails:
            raise plyvel.IOError(b"IO error: 000003.log: No space left on device")
        return getattr(self._real, name)


def test_the_first_write_error_is_final_and_reads_go_on(tmp_path: Path) -> None:
    store = open_leveldb(tmp_path, create=True)
    store.write([(b"a", b"1")])
    broken = FailingDatabase(store._database)
    store._database = broken
    with pytest.raises(StoreFailed, match="No space left on device") as first:
        store.write([(b"a", b"2")])
    assert first.value.problem is StoreProblem.WRITE_FAILED
    broken.fails = False
    with pytest.raises(StoreFailed) as second:
        store.write([(b"a", b"3")])
    assert second.value is first.value
    assert store.get(b"a") == b"1"
    assert list(store.scan(b"", b"z")) == [(b"a", b"1")]
    store.close()


def test_a_batch_that_cannot_be_built_leaves_nothing(tmp_path: Path) -> None:
    store = open_leveldb(tmp_path, create=True)
    with pytest.raises(TypeError):
        store.write([(b"a", b"1"), (b"b", "text")])  # type: ignore[list-item]
    assert store.get(b"a") is None
    store.close()


def damaged(folder: Path) -> LevelStore:
    """Fill a store, flip a bit in the middle of its largest table, and open it."""
    store = open_leveldb(folder, create=True)
    random = Random(1)
    store.write([(b"%05d" % number, random.randbytes(100)) for number in range(4_000)])
    store.compact(b"", b"\xff")
    store.close()
    tables = (folder / DATABASE_FOLDER).glob("*.ldb")
    path = max(tables, key=lambda each: each.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return open_leveldb(folder, create=False)


def test_a_damaged_table_gives_an_error_never_a_value(tmp_path: Path) -> None:
    store = damaged(tmp_path)
    problems = []
    for number in range(4_000):
        key = b"%05d" % number
        for read in (
            lambda key=key: (key, store.get(key)),
            lambda key=key: next(store.scan(key, b"\xff"), None),
            lambda key=key: next(store.scan(b"", key + b"\x00", reverse=True), None),
        ):
            try:
                found = read()
            except StoreFailed as failure:
                problems.append(failure.problem)
            else:
                assert found is not None
                assert found[0] == key
                assert found[1] is not None
    assert len(problems) > 50
    assert set(problems) == {StoreProblem.STORE_CORRUPT}
    with failing(StoreProblem.STORE_CORRUPT):
        list(store.scan(b"", b"\xff"))
    store.close()


@pytest.mark.parametrize("third", [1, 2])
def test_a_hole_in_the_log_is_refused(tmp_path: Path, third: int) -> None:
    """By default LevelDB drops the block with the flipped bit and goes on behind it."""
    store = open_leveldb(tmp_path, create=True)
    for number in range(30):
        store.write([(b"%05d" % number, bytes(4_000))])
    store.close()
    log = next((tmp_path / DATABASE_FOLDER).glob("*.log"))
    data = bytearray(log.read_bytes())
    data[len(data) * third // 3] ^= 1
    log.write_bytes(data)
    with failing(StoreProblem.STORE_CORRUPT):
        open_leveldb(tmp_path, create=False)


@pytest.mark.parametrize("seed", range(3))
def test_both_stores_agree_on_everything(tmp_path: Path, seed: int) -> None:
    random = Random(seed)

    def some_key() -> bytes:
        return bytes(random.choices(b"ab\x00\xff", k=random.randrange(4)))

    real = open_leveldb(tmp_path, create=True)
    simulated = SimulatedKeyValue(SimulatedDisk(seed))
    for step in range(60):
        batch = [
            (some_key(), random.choice((None, b"", b"%d" % step)))
            for _ in range(random.randrange(5))
        ]
        for store in (real, simulated):
            store.write(batch)
        for _ in range(20):
            start, stop, reverse = some_key(), some_key(), random.random() < 0.5
            found = [list(store.scan(start, stop, reverse=reverse)) for store in (real, simulated)]
            assert found[0] == found[1], (start, stop, reverse)
            assert real.get(start) == simulated.get(start)
    real.close()


def test_a_chain_in_a_folder_has_its_witness_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = open_folder(folder, create=True)
    heads = grown(store, 3)
    store.close()
    assert (tmp_path / "data.witness").is_file()
    store = open_folder(folder)
    assert store.head == heads[-1]
    store.close()
    elsewhere = tmp_path / "elsewhere"
    store = open_folder(folder, witness=elsewhere)
    assert not store.acknowledged
    store.acknowledge()
    store.close()
    assert elsewhere.is_file()


def test_a_folder_is_free_again_where_opening_fails(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = open_folder(folder, create=True)
    grown(store, 1)
    store.close()
    raw = open_leveldb(folder, create=False)
    raw.write([(b"M", None)])
    raw.close()
    for _ in range(2):
        with failing(StoreProblem.HEAD_MISSING):
            open_folder(folder)
