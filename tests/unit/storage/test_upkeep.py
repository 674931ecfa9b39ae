"""The small changes beside blocks, and that no rollback takes them back."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sequencer.model.records import Cursor, InboxFact
from sequencer.ports import Store, StoreFailed, StoreProblem
from sequencer.storage import keys
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.folder import open_folder
from sequencer.storage.simulated import Fault, SimulatedDisk, SimulatedKeyValue
from tests.unit.storage.builders import block, grown, hash_of, refused, roll_back, simulated


@pytest.fixture
def store(disk: SimulatedDisk) -> ChainStore:
    store = simulated(disk)
    grown(store, 4)
    return store


def test_checkpoints_are_named_and_dropped(disk: SimulatedDisk, store: ChainStore) -> None:
    store.create_checkpoint(2, "good", "operator")
    store.create_checkpoint(1, "older", "operator")
    found = simulated(disk).view.checkpoints()
    assert [(each.height, each.label) for each in found] == [(1, "older"), (2, "good")]
    record = store.view.block(2)
    assert record is not None
    assert (found[1].block_hash, found[1].state_root) == (record.block_hash, record.state_root)
    store.drop_checkpoint(found[0].sequence)
    assert [each.label for each in store.view.checkpoints()] == ["good"]
    with refused(StoreProblem.CHECKPOINT_UNKNOWN, disk):
        store.drop_checkpoint(found[0].sequence)
    with refused(StoreProblem.TARGET_UNKNOWN, disk):
        store.create_checkpoint(4, "ahead", "operator")
    with refused(StoreProblem.COMMIT_MALFORMED, disk):
        store.create_checkpoint(2, "x" * 65, "operator")


def test_a_checkpoint_takes_no_sequence(store: ChainStore) -> None:
    head = store.head
    store.create_checkpoint(2, "good", "operator")
    assert store.head == head


FACT = InboxFact(7, hash_of("message"), hash_of("all"), b"deposit")


def test_inbox_facts_are_retracted_and_come_again(disk: SimulatedDisk, store: ChainStore) -> None:
    other = msgspec.structs.replace(FACT, message_hash=hash_of("other"), payload=b"another")
    store.record_inbox([FACT, other])
    gone = msgspec.structs.replace(FACT, retracted=True)
    store.record_inbox([gone])
    assert {each.payload: each.retracted for each in store.view.inbox(7, 9)} == {
        b"deposit": True,
        b"another": False,
    }
    again = msgspec.structs.replace(FACT, chain_hash=hash_of("otherwise"))
    store.record_inbox([again])
    assert again in store.view.inbox(0, 9)
    assert store.view.inbox(8, 9) == []
    assert len(store.view.inbox(0, 1)) == 1
    with refused(StoreProblem.INBOX_CONFLICT, disk):
        store.record_inbox([msgspec.structs.replace(FACT, payload=b"changed")])


def test_a_rollback_takes_nothing_of_this_back(store: ChainStore) -> None:
    seen = ((hash_of("order"), 9),)
    store.commit_block(block(store, high_water=((b"p", 5),), seen=seen))
    store.record_inbox([FACT])
    cursor = Cursor(5, 5, store.head.block_hash)
    store.advance_cursor("plugin", cursor, [("plugin", b"k", b"v")])
    roll_back(store, 1)
    assert store.view.inbox(0, 9) == [FACT]
    assert store.view.high_water(b"p") == 5
    assert store.view.seen(hash_of("order")) is not None
    assert store.view.bucket_value("plugin", b"k") == b"v"
    assert store.view.cursors() == {"plugin": cursor}
    assert len(store.view.effects(0, 99)) == 6


def test_a_cursor_moves_with_its_bucket_and_never_back(
    disk: SimulatedDisk, store: ChainStore
) -> None:
    store.advance_cursor("plugin", Cursor(2, 2, bytes(32)), [("plugin", b"seen", b"2")])
    store.advance_cursor("plugin", Cursor(2, 2, bytes(32), parked=True))
    writes = disk.writes
    store.advance_cursor("plugin", Cursor(3, 3, bytes(32)), [("plugin", b"seen", None)])
    assert disk.writes == writes + 1
    assert store.view.bucket_value("plugin", b"seen") is None
    assert store.view.cursor("plugin") == Cursor(3, 3, bytes(32))
    assert store.view.cursor("other") is None
    for effect in (2, 5):
        with refused(StoreProblem.CURSOR_INVALID, disk):
            store.advance_cursor("plugin", Cursor(effect, 3, bytes(32)))


@pytest.fixture(params=["leveldb", "simulated"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ChainStore]:
    """Give a chain of two blocks, on a real disk or not."""
    is_real = request.param == "leveldb"
    store = open_folder(tmp_path / "data", create=True) if is_real else simulated(SimulatedDisk())
    grown(store, 2)
    yield store
    store.close()


def test_a_bucket_is_listed_by_length_and_belongs_to_one_plugin(either: Store) -> None:
    longest = b"\xff" * 255
    names = [b"", b"\x00", b"b", b"aa", b"zz", longest]
    changes = [("feed", name, b"of " + name) for name in reversed(names)]
    changes += [(other, b"b", other.encode()) for other in ("fee", "feed2", ".", "g")]
    either.advance_cursor("plugin:feed", Cursor(1, 1, bytes(32)), changes)
    view, close = either.snapshot()
    assert list(view.bucket("feed")) == [(name, b"of " + name) for name in names]
    assert list(view.bucket("fee")) == [(b"b", b"fee")]
    assert list(view.bucket("f")) == []
    assert [view.bucket_value("feed", name) for name in (b"", longest)] == [
        b"of ",
        b"of " + longest,
    ]
    assert view.bucket_value("feed", b"a") is None
    assert view.bucket_value("nobody", b"b") is None
    gone = [("feed", name, None) for name in names[1:]]
    either.advance_cursor("plugin:feed", Cursor(1, 1, bytes(32)), [*gone, ("feed", b"", b"")])
    assert list(either.view.bucket("feed")) == [(b"", b"")]
    assert either.view.bucket_value("feed", b"") == b""
    # The view from before stays as it was.
    assert view.bucket_value("feed", b"b") == b"of b"
    assert len(list(view.bucket("feed"))) == len(names)
    close()


def test_a_reader_that_is_forgotten_begins_anew(either: Store) -> None:
    cursor = Cursor(2, 2, either.head.block_hash)
    for reader in ("plugin:feed", "plugin:feed2"):
        either.advance_cursor(reader, cursor, [(reader, b"k", b"v")])
    head = either.head
    changes = [("plugin:feed", b"k", None), (".", b"feed", b"again")]
    for _ in range(2):
        either.forget_reader("plugin:feed", changes)
        assert either.view.cursors() == {"plugin:feed2": cursor}
        assert list(either.view.bucket("plugin:feed")) == []
        assert list(either.view.bucket("plugin:feed2")) == [(b"k", b"v")]
        assert either.view.bucket_value(".", b"feed") == b"again"
    either.forget_reader("nobody")
    assert either.head == head
    # Nothing holds it to where it was; it may begin with the first row again.
    either.advance_cursor("plugin:feed", Cursor(1, 1, bytes(32)))
    assert either.view.cursor("plugin:feed") == Cursor(1, 1, bytes(32))


def test_a_reader_is_forgotten_with_its_bucket_or_not_at_all(
    disk: SimulatedDisk, store: ChainStore
) -> None:
    cursor = Cursor(2, 2, bytes(32))
    store.advance_cursor("plugin", cursor, [("plugin", b"k", b"v")])
    writes = disk.writes
    disk.fault = Fault(at_write=writes + 1)
    with pytest.raises(StoreFailed):
        store.forget_reader("plugin", [("plugin", b"k", None)])
    view = simulated(disk).view
    assert (view.cursor("plugin"), view.bucket_value("plugin", b"k")) == (cursor, b"v")
    again = simulated(disk)
    again.forget_reader("plugin", [("plugin", b"k", None)])
    assert disk.writes == writes + 2
    view = simulated(disk).view
    assert (view.cursor("plugin"), view.bucket_value("plugin", b"k")) == (None, None)


def test_whoever_is_forgotten_holds_nothing_back(store: ChainStore) -> None:
    store.advance_cursor("plugin", Cursor(1, 1, bytes(32)))
    assert store.forget_effects(4, 9) == 1
    store.forget_reader("plugin")
    assert store.forget_effects(4, 9) == 2


def test_expired_marks_are_forgotten_a_few_at_a_time(
    disk: SimulatedDisk, store: ChainStore
) -> None:
    marks = [(hash_of(number), number) for number in range(6)]
    store.commit_block(block(store, seen=marks))
    renewed = hash_of(2)
    store.commit_block(block(store, seen=((renewed, 50),)))
    assert store.forget_seen(4, 2) == 2
    assert store.forget_seen(4, 2) == 1
    assert store.forget_seen(4, 2) == 0
    left = [number for number in range(6) if store.view.seen(hash_of(number)) is not None]
    assert left == [0, 2, 4, 5]
    assert store.forget_seen(51, 9) == 3
    assert store.view.seen(renewed) is None
    assert store.view.seen(hash_of(0)) is not None
    assert not list(SimulatedKeyValue(disk).scan(*keys.SEEN_UNTIL.range()))
