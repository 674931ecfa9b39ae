"""What a block leaves behind as bytes: read back as it was, and nothing else is read."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.chain.codec import encode_row
from sequencer.chain.stored import (
    BLOCK_VERSION,
    TABLES,
    Body,
    block_of,
    decode_body,
    decode_header,
    decode_stored,
    encode_body,
    encode_header,
    node_changes,
    row_changes,
    rows_by_table,
    trie_name,
)
from sequencer.chain.text import to_text
from sequencer.exchange.state import State, Table
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Account, System
from sequencer.starknet.block import Header, Receipt
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.state import CLASSES_TRIE, CONTRACTS_TRIE, StateDiff
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    L1Handler,
    LegacyTransaction,
)
from sequencer.starknet.trie_node import Binary, Edge, Node, decode_node, encode_node
from tests.strategies import Unchecked, felts, refused
from tests.unit.chain.network import Network, exchange_call
from tests.unit.chain.stored_values import read_or_none, values_of

DECLARED = re.compile(r"self\.(\w+): dict\[.*, (\w+)\] = \{\}")
"""Where a state says which rows it keeps."""


def structs_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Make structs whose parts may be optional, mappings or unions, too."""
    fields = {field.name: any_of(field.type) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


def any_of(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401
    arguments = get_args(kind)
    if type(None) in arguments:
        return st.none() | any_of(arguments[0])
    if getattr(kind, "__name__", "") == "UnionType" or " | " in str(kind):
        return st.one_of(*map(any_of, arguments))
    if str(kind).startswith("collections.abc.Mapping"):
        return st.dictionaries(any_of(arguments[0]), any_of(arguments[1]), max_size=3)
    if arguments:
        return st.lists(any_of(arguments[0]), max_size=2).map(tuple)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs_of(kind)
    return values_of(kind)


def built() -> Network:
    """Return a chain with orders, trades, a transfer and a revert in its blocks."""
    network = Network()
    network.open()
    for number, (name, side) in enumerate((("bob", Side.SELL), ("alice", Side.BUY))):
        order = network.order(name, side, 60_000, number)
        signed = network.signed(name, order)
        from_op = network.invoke("op", exchange_call("execute_orders", items=[signed]))
        network.build(from_op)
    network.build(network.invoke("alice"), network.invoke("bob", (5, 6, [7])))
    return network


def test_every_table_has_a_number_of_its_own_that_never_changes() -> None:
    assert set(TABLES) == set(Table)
    numbers = [stored.number for stored in TABLES.values()]
    assert sorted(numbers) == list(range(1, len(Table) + 1))
    told = {"system": 1, "contract": 5, "account": 12, "order": 15, "unhealthy": 19}
    assert {table.value: TABLES[table].number for table in map(Table, told)} == told


def test_every_table_has_the_rows_that_a_state_has_there() -> None:
    state = State(System(operator=1, insurance=2, fees=3, time_ms=4))
    declared = dict(DECLARED.findall(inspect.getsource(State.__init__)))
    names = {id(rows): name for name, rows in vars(state).items() if name in declared}
    for table, rows in state.rows.items():
        alone = [type(row).__name__ for row in rows.values()]
        assert [TABLES[table].row.__name__] == (alone or [declared[names[id(rows)]]])


@pytest.mark.parametrize("table", list(Table))
def test_every_row_comes_back_from_its_table(table: Table) -> None:
    @settings(derandomize=True, max_examples=15)
    @given(values_of(TABLES[table].row), st.integers(-(2**64), 2**64) | st.text(max_size=5))
    def check(row: Any, key: int | str) -> None:  # noqa: ANN401
        ((number, name, before, after),) = row_changes({(table, key): (None, row)})
        assert before is None
        assert after is not None
        assert decode_stored(number, name, after) == (table, key, row)
        ((_, _, before, after),) = row_changes({(table, key): (row, None)})
        assert (before, after) == (encode_row(row), None)

    check()


def test_the_rows_of_a_state_come_back_as_a_state() -> None:
    state = built().state
    net = {
        (table, key): (None, row) for table, rows in state.rows.items() for key, row in rows.items()
    }
    stored = [(number, key, after or b"") for number, key, _, after in row_changes(net)]
    again = State.rebuilt(rows_by_table(stored))
    assert again.rows == state.rows
    assert rows_by_table([]) == {table: {} for table in Table}


@pytest.mark.parametrize("number", [0, len(Table) + 1, 255, -1])
def test_a_table_that_is_none_is_refused(number: int) -> None:
    with refused(Reason.ROW_MALFORMED):
        decode_stored(number, b"\x00\x00", encode_row(Account(5)))


nodes = st.one_of(
    st.builds(Binary, felts, felts),
    st.integers(1, 251).flatmap(
        lambda length: st.builds(Edge, felts, st.integers(0, 2**length - 1), st.just(length))
    ),
)


@settings(derandomize=True)
@given(nodes)
def test_every_trie_node_comes_back_and_no_part_of_it_is_one(node: Node) -> None:
    data = encode_node(node)
    assert decode_node(data) == node
    for cut in range(len(data)):
        with refused(Reason.ROW_MALFORMED):
            decode_node(data[:cut])
    for other in (data + b"\x00", b"\x02" + data[1:]):
        with refused(Reason.ROW_MALFORMED):
            decode_node(other)


@settings(derandomize=True)
@given(
    st.binary(max_size=80) | st.binary(min_size=34, max_size=36).map(lambda data: b"\x01" + data)
)
def test_bytes_are_a_node_in_one_way_or_none(data: bytes) -> None:
    node = read_or_none(lambda: decode_node(data))
    assert node is None or encode_node(node) == data


@pytest.mark.parametrize("end", ["00", "0108", "0302", "0308", "fb" + "ff" * 32, "0302ff"])
def test_an_edge_has_a_length_and_no_bits_beyond_it(end: str) -> None:
    data = b"\x01" + bytes(31) + b"\x05" + bytes.fromhex(end)
    if end == "0302":
        assert decode_node(data) == Edge(5, 2, 3)
        return
    with refused(Reason.ROW_MALFORMED):
        decode_node(data)


def test_names_of_tries_are_told_apart() -> None:
    ids = (CONTRACTS_TRIE, CLASSES_TRIE, -3, 0, 1, 2**251 - 257)
    names = [trie_name(trie) for trie in ids]
    assert len(set(names)) == len(ids)
    assert {len(name) for name in names} == {32}
    changes = list(node_changes({-1: {(0, 0): b"node", (1, 1): None}}))
    assert changes == [
        (trie_name(-1), 0, 0, b"node"),
        (trie_name(-1), 1, 1, None),
    ]


def test_headers_and_bodies_of_a_real_chain_come_back() -> None:
    network = built()
    reverted = [each for block in network.blocks for each in block.receipts if each.revert_reason]
    assert reverted
    for block in network.blocks:
        header = decode_header(encode_header(block.header))
        assert header == block.header
        body = Body(block.transactions, block.receipts, block.diff, "{}")
        again = decode_body(encode_body(body))
        assert again.genesis == "{}"
        assert encode_body(again) == encode_body(body)
        whole = block_of(block.hash, header, again)
        assert to_text(whole) == to_text(block)


TRANSACTIONS: Sequence[Unchecked] = (
    InvokeV3,
    DeclareV3,
    DeployAccountV3,
    L1Handler,
    LegacyTransaction,
)


@settings(derandomize=True, max_examples=60)
@given(
    st.lists(st.one_of(*map(structs_of, TRANSACTIONS)), max_size=3).map(tuple),
    st.lists(structs_of(Receipt), max_size=2).map(tuple),
    structs_of(StateDiff),
    st.text(max_size=9),
)
def test_every_body_comes_back(
    transactions: Unchecked, receipts: Unchecked, diff: StateDiff, genesis: str
) -> None:
    body = Body(transactions, receipts, diff, genesis)
    assert decode_body(encode_body(body)) == body


@settings(derandomize=True, max_examples=60)
@given(structs_of(Header))
def test_every_header_comes_back(header: Header) -> None:
    assert decode_header(encode_header(header)) == header


DECODERS: dict[str, Callable[[bytes], Any]] = {"header": decode_header, "body": decode_body}


def encoded(kind: str) -> bytes:
    block = built().blocks[-1]
    if kind == "header":
        return encode_header(block.header)
    return encode_body(Body(block.transactions, block.receipts, block.diff))


@pytest.mark.parametrize("kind", list(DECODERS))
def test_every_prefix_and_every_longer_one_is_refused(kind: str) -> None:
    data, decode = encoded(kind), DECODERS[kind]
    decode(data)
    with refused(Reason.BLOCK_VERSION_UNSUPPORTED):
        decode(b"")
    for cut in range(1, len(data)):
        with refused(Reason.ROW_MALFORMED):
            decode(data[:cut])
    with refused(Reason.ROW_MALFORMED):
        decode(data + b"\x00")


@pytest.mark.parametrize("kind", list(DECODERS))
def test_another_version_is_named(kind: str) -> None:
    data = encoded(kind)
    for version in {*range(256)} - {BLOCK_VERSION}:
        with pytest.raises(Refused, match=f"of version {version:02x}, this build reads") as caught:
            DECODERS[kind](bytes((version,)) + data[1:])
        assert caught.value.reason is Reason.BLOCK_VERSION_UNSUPPORTED


@settings(derandomize=True, max_examples=300)
@given(st.binary(max_size=120))
def test_bytes_that_nobody_wrote_are_refused_by_code(data: bytes) -> None:
    for decode, encode in ((decode_header, encode_header), (decode_body, encode_body)):
        found = read_or_none(lambda decode=decode: decode(bytes((BLOCK_VERSION,)) + data))  # type: ignore[misc]
        assert found is None or encode(found) == bytes((BLOCK_VERSION,)) + data


def test_mappings_are_written_in_one_order() -> None:
    one = StateDiff({1: {2: 3, 4: 5}, 6: {}}, {7: 8, 9: FELT_PRIME - 1})
    other = StateDiff({6: {}, 1: {4: 5, 2: 3}}, {9: FELT_PRIME - 1, 7: 8})
    assert encode_body(Body((), (), one)) == encode_body(Body((), (), other))
