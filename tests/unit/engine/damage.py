"""Changes behind a store's back, with checksums that fit: of rows, nodes, bodies and headers."""

from collections.abc import Callable

import msgspec

from sequencer.chain.codec import encode_row
from sequencer.chain.stored import TABLES, Body, decode_body, encode_body
from sequencer.engine.lookup import find_block
from sequencer.exchange.state import Table
from sequencer.model.records import BlockRecord, Head
from sequencer.starknet.state import StateDiff
from sequencer.storage import keys
from sequencer.storage.digest import Digest
from sequencer.storage.encoding import (
    decode_record,
    decode_version,
    encode_record,
    encode_version,
    pack,
    unpack,
)
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.engine.rolling import Chain
from tests.unit.storage.builders import simulated


def put(disk: SimulatedDisk, key: bytes, value: bytes | None) -> None:
    """Change something, or take it away."""
    disk.append([(key, value)])


def tear(disk: SimulatedDisk, key: bytes) -> None:
    """Cut off the last byte of a value."""
    put(disk, key, disk.contents.values[key][:-1])


def put_newest(disk: SimulatedDisk, item: bytes, data: bytes | None) -> None:
    """Replace the newest version of an item: a row, or a node of a trie."""
    newest, _ = next(disk.contents.scan(item, item + b"\xff" * 9, reverse=False))
    put(disk, newest, encode_version(newest, data))


def put_row(disk: SimulatedDisk, table: int, key: bytes, row: msgspec.Struct) -> None:
    """Replace the newest version of a row."""
    put_newest(disk, keys.row_item(table, key), encode_row(row))


def make_digest_fit(disk: SimulatedDisk, table: int, key: bytes, row: msgspec.Struct) -> None:
    """Change a row, and head and block so that they believe in it: only the root is left."""
    store = simulated(disk)
    head = store.head
    before = store.view.state().row(table, key)
    digest = Digest(head.digest)
    digest.replace(table, key, before, encode_row(row))
    put_row(disk, table, key, row)
    block_key = keys.BLOCK.key(head.height, head.block_sequence)
    block = decode_record(block_key, disk.contents.values[block_key], BlockRecord)
    changed: Head = msgspec.structs.replace(head, digest=digest.value())
    put(disk, keys.HEAD.key(), encode_record(keys.HEAD.key(), changed))
    record = msgspec.structs.replace(block, digest=digest.value())
    put(disk, block_key, encode_record(block_key, record))


def planted(disk: SimulatedDisk, table: Table, height: int) -> None:
    """Change the row of a table that is valid at a height, with a valid checksum."""
    start, stop = keys.ROW.range(TABLES[table].number)
    for key, value in disk.contents.scan(start, stop, reverse=False):
        row = decode_version(key, value)
        if row is not None and keys.ROW.parts(key)[-1] == height + 1:
            changed = bytearray(row)
            changed[2] ^= 1
            put(disk, key, encode_version(key, bytes(changed)))
            return
    raise AssertionError("there is no such row")


def change_body(chain: Chain, height: int, change: Callable[[Body], Body]) -> None:
    key = body_key(chain, height)
    body = decode_body(unpack(key, chain.disk.contents.values[key]))
    put(chain.disk, key, pack(key, encode_body(change(body))))
    chain.load()


def body_key(chain: Chain, height: int) -> bytes:
    return keys.BODY.key(height, find_block(chain.store.view, str(height)).sequence)


def change_header(chain: Chain, height: int) -> None:
    block = find_block(chain.store.view, str(height))
    key = keys.BLOCK.key(height, block.sequence)
    record = decode_record(key, chain.disk.contents.values[key], BlockRecord)
    header = bytearray(record.header)
    header[40] ^= 1
    put(chain.disk, key, encode_record(key, msgspec.structs.replace(record, header=bytes(header))))
    chain.load()


def another_receipt(body: Body) -> Body:
    first, *others = body.receipts
    return msgspec.structs.replace(
        body, receipts=(msgspec.structs.replace(first, actual_fee=1), *others)
    )


def a_receipt_less(body: Body) -> Body:
    return msgspec.structs.replace(body, receipts=body.receipts[:-1])


def another_diff(body: Body) -> Body:
    return msgspec.structs.replace(body, diff=StateDiff())


def a_transaction_less(body: Body) -> Body:
    return msgspec.structs.replace(body, transactions=body.transactions[:-1])
