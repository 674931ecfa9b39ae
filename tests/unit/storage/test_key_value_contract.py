"""One contract, two stores: LevelDB and the simulated disk must not be told apart."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.model.records import Witness
from sequencer.ports import StoreProblem
from sequencer.storage.key_value import KeyValue, WitnessSlots
from sequencer.storage.leveldb import open_leveldb
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue, SimulatedWitness
from sequencer.storage.witness import WitnessFile
from tests.unit.storage.builders import failing

Opener = Callable[[], KeyValue]
WitnessOpener = Callable[[], WitnessSlots]


@pytest.fixture(params=["leveldb", "simulated"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Give a function that opens the same store again and again."""
    disk = SimulatedDisk()
    opened: list[KeyValue] = []

    def reopen() -> KeyValue:
        for before in opened:
            before.close()
        if request.param == "leveldb":
            opened.append(open_leveldb(tmp_path / "data", create=not opened))
        else:
            opened.append(SimulatedKeyValue(disk))
        return opened[-1]

    yield reopen
    for last in opened:
        last.close()


def everything(store: KeyValue) -> list[tuple[bytes, bytes]]:
    return list(store.scan(b"", b"\xff" * 9))


def test_a_batch_is_there_after_it_and_after_reopening(opener: Opener) -> None:
    store = opener()
    store.write([(b"b", b"2"), (b"a", b"1"), (b"gone", None), (b"empty", b"")])
    for _ in range(2):
        assert store.get(b"a") == b"1"
        assert store.get(b"empty") == b""
        assert store.get(b"gone") is None
        assert everything(store) == [(b"a", b"1"), (b"b", b"2"), (b"empty", b"")]
        store = opener()


def test_the_last_value_of_a_key_counts(opener: Opener) -> None:
    store = opener()
    store.write([(b"a", b"1"), (b"a", None), (b"a", b"2"), (b"b", b"1"), (b"b", None)])
    assert everything(store) == [(b"a", b"2")]


def test_an_empty_batch_changes_nothing(opener: Opener) -> None:
    store = opener()
    store.write([])
    assert everything(store) == []


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (b"", b"z", "abcd"),
        (b"b", b"d", "bc"),
        (b"b", b"b\x00", "b"),
        (b"b", b"b", ""),
        (b"c", b"a", ""),
        (b"aa", b"cc", "bc"),
        (b"d\x00", b"z", ""),
    ],
)
def test_a_scan_takes_start_and_leaves_stop(
    opener: Opener, start: bytes, stop: bytes, expected: str
) -> None:
    store = opener()
    store.write([(name, name) for name in (b"a", b"b", b"c", b"d")])
    names = [key.decode() for key, _ in store.scan(start, stop)]
    assert "".join(names) == expected
    back = [key.decode() for key, _ in store.scan(start, stop, reverse=True)]
    assert "".join(back) == expected[::-1]


def test_a_scan_shows_the_moment_of_its_call(opener: Opener) -> None:
    store = opener()
    store.write([(b"a", b"1"), (b"b", b"1")])
    found = store.scan(b"", b"z")
    store.write([(b"a", b"2"), (b"b", None), (b"c", b"2")])
    assert list(found) == [(b"a", b"1"), (b"b", b"1")]


def test_a_snapshot_stays_as_it_is(opener: Opener) -> None:
    store = opener()
    store.write([(b"a", b"1")])
    snapshot = store.snapshot()
    store.write([(b"a", None), (b"b", b"2")])
    assert snapshot.get(b"a") == b"1"
    assert list(snapshot.scan(b"", b"z")) == [(b"a", b"1")]
    assert list(snapshot.scan(b"", b"z", reverse=True)) == [(b"a", b"1")]
    snapshot.close()
    snapshot.close()
    with failing(StoreProblem.STORE_CLOSED):
        snapshot.get(b"a")
    assert store.get(b"b") == b"2"


def test_everything_fails_after_closing(opener: Opener) -> None:
    store = opener()
    store.write([(b"a", b"1"), (b"b", b"1")])
    found = store.scan(b"", b"z")
    next(found)
    store.close()
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.get(b"a"),
        lambda: next(store.scan(b"", b"z")),
        lambda: next(found),
        lambda: store.write([(b"a", b"2")]),
        store.snapshot,
        lambda: store.compact(b"", b"z"),
    ]
    for call in calls:
        with failing(StoreProblem.STORE_CLOSED):
            call()


def test_compaction_loses_nothing(opener: Opener) -> None:
    store = opener()
    store.write([(b"%04d" % number, b"x" * 100) for number in range(500)])
    store.write([(b"%04d" % number, None) for number in range(0, 500, 2)])
    store.compact(b"", b"z")
    assert [key for key, _ in everything(store)] == [b"%04d" % n for n in range(1, 500, 2)]


_keys = st.binary(max_size=3)
_batches = st.lists(st.lists(st.tuples(_keys, st.none() | st.binary(max_size=2)), max_size=6))


@settings(max_examples=60)
@given(batches=_batches, start=_keys, stop=_keys)
def test_the_simulated_store_is_an_ordered_map(
    batches: list[list[tuple[bytes, bytes | None]]], start: bytes, stop: bytes
) -> None:
    disk, model = SimulatedDisk(), dict[bytes, bytes]()
    store = SimulatedKeyValue(disk)
    for batch in batches:
        held = store.snapshot()
        before = dict(model)
        store.write(batch)
        for key, value in batch:
            model.pop(key, None)
            model |= {} if value is None else {key: value}
        assert dict(held.scan(b"", b"\xff" * 4)) == before
    expected = sorted(item for item in model.items() if start <= item[0] < stop)
    assert list(store.scan(start, stop)) == expected
    assert list(store.scan(start, stop, reverse=True)) == expected[::-1]


@pytest.fixture(params=["file", "simulated"])
def witness_opener(request: pytest.FixtureRequest, tmp_path: Path) -> WitnessOpener:
    disk = SimulatedDisk()
    path = tmp_path / "data.witness"
    return lambda: WitnessFile(path) if request.param == "file" else SimulatedWitness(disk)


def test_the_witness_remembers_the_newest(witness_opener: WitnessOpener) -> None:
    witness = witness_opener()
    assert witness.read() is None
    for sequence in range(1, 6):
        newest = Witness(sequence // 3, sequence, bytes([sequence]) * 32)
        witness.write(newest)
        assert witness.read() == newest
        assert witness_opener().read() == newest
    witness.close()
    witness.close()
    with failing(StoreProblem.STORE_CLOSED):
        witness.write(Witness(9, 9, bytes(32)))
