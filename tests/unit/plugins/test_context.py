"""A plugin's bucket in memory: what a call wrote is handed over once, or was never written."""

from random import Random
from threading import get_ident

import pytest

from sequencer.plugins.context import NOBODY, MemoryBucket
from sequencer.plugins.protocol import BucketFull
from tests.strategies import Unchecked


def test_what_was_written_is_handed_over_once() -> None:
    bucket = MemoryBucket([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])
    bucket.put(b"a", b"1")
    bucket.put(b"b", b"5")
    bucket.put(b"b", b"6")
    bucket.delete(b"c")
    bucket.delete(b"d")
    bucket.put(b"e", b"7")
    bucket.delete(b"e")
    assert bucket.take_changes() == [(b"b", b"6"), (b"c", None)]
    assert bucket.take_changes() == []
    assert dict(bucket.items()) == {b"a": b"1", b"b": b"6"}


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_done_can_be_undone_or_told(seed: int) -> None:
    random = Random(seed)
    names = [b"%d" % number for number in range(6)]
    bucket, stored = MemoryBucket(bytes_max=60), dict[bytes, bytes]()
    for _ in range(200):
        before = dict(bucket.items())
        assert before == stored
        for _ in range(random.randrange(6)):
            name = random.choice(names)
            if random.random() < 0.3:
                bucket.delete(name)
                continue
            held, value = dict(bucket.items()), bytes(random.randrange(30))
            held[name] = value
            if sum(len(key) + len(each) for key, each in held.items()) <= 60:
                bucket.put(name, value)
            else:
                with pytest.raises(BucketFull, match="60 allowed"):
                    bucket.put(name, value)
        if random.random() < 0.5:
            bucket.undo_changes()
            assert dict(bucket.items()) == before
            assert bucket.take_changes() == []
            continue
        for key, changed in bucket.take_changes():
            if changed is None:
                del stored[key]
            else:
                stored[key] = changed


def test_items_are_in_the_order_of_their_keys() -> None:
    bucket = MemoryBucket([(b"b", b"1"), (b"aa", b"2"), (b"a", b"3"), (b"ab", b"4")])
    assert [key for key, _ in bucket.items()] == [b"a", b"aa", b"ab", b"b"]
    assert [key for key, _ in bucket.items(b"a")] == [b"a", b"aa", b"ab"]
    for key, _ in bucket.items():
        bucket.delete(key)
    assert [*bucket.items()] == []


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("a", b"", TypeError),
        (b"a", "", TypeError),
        (b"a", bytearray(b"1"), TypeError),
        (bytearray(b"a"), b"", TypeError),
        (b"a", None, TypeError),
        (1, 1, TypeError),
        (b"x" * 256, b"", ValueError),
        (b"a", bytes(100), BucketFull),
    ],
)
def test_what_is_no_key_or_value_sets_nothing(
    key: Unchecked, value: Unchecked, error: type[Exception]
) -> None:
    bucket = MemoryBucket([(b"a", b"1")], bytes_max=100)
    with pytest.raises(error):
        bucket.put(key, value)
    assert bucket.take_changes() == []
    assert [*bucket.items()] == [(b"a", b"1")]
    bucket.put(b"", bytes(98))
    assert bucket.get(b"") == bytes(98)


@pytest.mark.parametrize("is_another", [False, True])
def test_only_its_writer_writes(*, is_another: bool) -> None:
    bucket = MemoryBucket([(b"a", b"1")])
    bucket.writer = get_ident() + 1 if is_another else NOBODY
    with pytest.raises(RuntimeError, match="in its own thread"):
        bucket.put(b"a", b"2")
    with pytest.raises(RuntimeError, match="in its own thread"):
        bucket.delete(b"a")
    bucket.writer = get_ident()
    bucket.put(b"a", b"2")
    bucket.undo_changes()
    assert bucket.get(b"a") == b"1"
