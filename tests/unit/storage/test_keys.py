"""Keys of every kind: read back, in order, apart from one another, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.storage import keys
from sequencer.storage.keys import Kind, Part, after

KINDS = {name: kind for name, kind in vars(keys).items() if isinstance(kind, Kind)}

_hashes = st.binary(min_size=32, max_size=32)
_numbers = st.one_of(st.sampled_from((0, 1, 255, 256, 2**32, 2**64 - 1)), st.integers(0, 2**64 - 1))
_parts = {
    "table": st.integers(0, 255),
    "depth": st.integers(0, 255),
    "path": st.integers(0, 2**251 - 1),
    "key": st.binary(max_size=255),
    "reader": st.binary(max_size=255),
    "plugin": st.binary(max_size=255),
    "source": st.binary(max_size=255),
    "block hash": _hashes,
    "transaction hash": _hashes,
    "message hash": _hashes,
    "hash": _hashes,
    "trie": _hashes,
    "plan id": _hashes,
}


def values_of(kind: Kind) -> st.SearchStrategy[tuple[Part, ...]]:
    return st.tuples(*(_parts.get(field.name, _numbers) for field in kind.fields))


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_keys_are_read_back(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    values = data.draw(values_of(kind))
    key = kind.key(*values)
    assert kind.parts(key) == values
    for shorter in range(len(key)):
        with pytest.raises(ValueError, match=r"ends early|not a key"):
            kind.parts(key[:shorter])
    with pytest.raises(ValueError, match="after its end"):
        kind.parts(key + b"\x00")
    for count in range(len(values) + 1):
        start, stop = kind.range(*values[:count])
        assert start <= key < stop


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_different_values_have_keys_apart(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    one, two = data.draw(values_of(kind)), data.draw(values_of(kind))
    assert (kind.key(*one) == kind.key(*two)) == (one == two)


@given(st.binary(max_size=6), st.binary(max_size=6), _numbers, _numbers)
def test_versions_of_rows_are_never_mixed(one: bytes, two: bytes, first: int, second: int) -> None:
    start, stop = keys.ROW.range(1, one)
    inside = start <= keys.ROW.key(1, two, second) < stop
    assert inside == (one == two)
    if first < second:
        assert keys.ROW.key(1, one, second) < keys.ROW.key(1, one, first)


@given(st.integers(0, 255), st.binary(max_size=255), _hashes, st.integers(0, 251), _numbers)
def test_keys_in_a_hurry_are_the_same(
    table: int, key: bytes, trie: bytes, depth: int, sequence: int
) -> None:
    path = sequence >> max(0, 64 - depth)
    version = keys.newest_first(sequence)
    assert keys.row_item(table, key) + version == keys.ROW.key(table, key, sequence)
    assert keys.node_item(trie, depth, path) + version == keys.NODE.key(trie, depth, path, sequence)
    assert keys.sequence_of(keys.ROW.key(table, key, sequence)) == sequence


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (keys.BLOCK, (-1, 0)),
        (keys.BLOCK, (2**64, 0)),
        (keys.BLOCK, (b"1", 0)),
        (keys.JOURNAL, (bytes(31),)),
        (keys.JOURNAL, (1,)),
        (keys.ROW, (256, b"", 1)),
        (keys.ROW, (1, bytes(256), 1)),
        (keys.ROW, (1, b"", 2**64)),
    ],
)
def test_values_that_do_not_fit_are_refused(kind: Kind, values: tuple[Part, ...]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        kind.key(*values)


def test_no_kind_begins_with_another_ones_byte() -> None:
    prefixes = [kind.prefix for kind in KINDS.values()]
    assert len(set(prefixes)) == len(prefixes)
    assert {len(prefix) for prefix in prefixes} == {1}


def test_the_key_after_a_range() -> None:
    assert after(b"a") == b"b"
    assert after(b"a\xff\xff") == b"b"
