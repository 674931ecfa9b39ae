"""verify, inspect and export on a store that was played, and on stores that were changed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from scripts import verify_chain
from sequencer.chain.stored import TABLES, decode_stored
from sequencer.exchange.state import Table
from sequencer.model.records import BlockRecord, Head
from sequencer.storage import keys
from sequencer.storage.digest import Digest
from sequencer.storage.encoding import (
    decode_record,
    decode_version,
    encode_record,
    encode_version,
)
from sequencer.storage.folder import open_folder
from sequencer.storage.key_value import Readable
from tests.e2e.commands import refused, run, shown
from tests.e2e.played_store import BLOCKS, Changes, another_receipt, change, played
from tests.unit.chain.network import address_of
from tests.unit.storage.builders import rollback


def cash_rows(source: Readable) -> Iterator[tuple[bytes, bytes]]:
    start, stop = keys.ROW.range(TABLES[Table.ACCOUNT].number)
    seen = set()
    for key, value in source.scan(start, stop):
        row = decode_version(key, value)
        if row is not None and key[:-8] not in seen:
            yield key, row
        seen.add(key[:-8])


def one_unit_more(source: Readable) -> Changes:
    key, row = next(cash_rows(source))
    changed = bytearray(row)
    changed[2] ^= 1
    yield key, encode_version(key, bytes(changed))


def one_unit_more_and_the_digest(source: Readable) -> Changes:
    """As somebody does who knows how the digest is made."""
    ((key, value),) = one_unit_more(source)
    number, name = key[1], key[3:-8]
    head_key = keys.HEAD.key()
    head = decode_record(head_key, source.get(head_key) or b"", Head)
    digest = Digest(head.digest)
    before = decode_version(key, source.get(key) or b"")
    digest.replace(number, name, before, decode_version(key, value))
    block_key = keys.BLOCK.key(head.height, head.block_sequence)
    block = decode_record(block_key, source.get(block_key) or b"", BlockRecord)
    block = msgspec.structs.replace(block, digest=digest.value())
    head = msgspec.structs.replace(head, digest=digest.value())
    assert decode_stored(number, name, decode_version(key, value) or b"")
    yield from ((key, value), (block_key, encode_record(block_key, block)))
    yield head_key, encode_record(head_key, head)


def another_header(source: Readable) -> Changes:
    key, value = next(source.scan(*keys.BLOCK.range(3)))
    block = decode_record(key, value, BlockRecord)
    header = bytearray(block.header)
    header[40] ^= 1
    yield key, encode_record(key, msgspec.structs.replace(block, header=bytes(header)))


def test_a_sound_store_is_verified(folder: Path) -> None:
    done = run("verify", "--full", folder)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.stdout.count(" ok\n") == 5
    told = shown("verify", folder)
    assert told["height"] == BLOCKS
    assert told["ok"] is True
    assert int(str(told["block_hash"]), 16) == int(played()[1][-1], 16)


CHANGES: dict[str, tuple[Callable[[Readable], Changes], str, bool]] = {
    "a row": (one_unit_more, "DIGEST_MISMATCH", False),
    "a row and the digest": (one_unit_more_and_the_digest, "the rows hash to", True),
    "a header": (another_header, "header of block 3", False),
    "a receipt": (another_receipt, "receipt of transaction 0", True),
}


@pytest.mark.parametrize(("changes", "words", "full"), CHANGES.values(), ids=CHANGES)
def test_a_changed_store_is_not(
    folder: Path, changes: Callable[[Readable], Changes], words: str, full: bool
) -> None:
    change(folder, changes)
    done = run("verify", *(["--full"] if full else []), folder)
    assert done.exit_code == 1
    assert words in done.stdout
    assert done.stderr.count("\n") == 1


def test_blocks_are_shown(folder: Path) -> None:
    latest = shown("inspect", "block", folder)
    assert latest["height"] == BLOCKS
    tenth = shown("inspect", "block", folder, 10)
    assert tenth == shown("inspect", "block", folder, str(tenth["block"]))
    assert int(str(tenth["block"]), 16) == int(played()[1][10], 16)
    assert "succeeded" in str(tenth["transactions"])
    root = shown("inspect", "root", folder, "--at", 10)
    assert root["state_root"] == tenth["state_root"]
    assert "digest" in run("inspect", "root", folder).stdout


def test_orphans_are_shown_as_such(folder: Path) -> None:
    before = shown("inspect", "block", folder, 20)
    store = open_folder(folder)
    order = rollback(store, 15)
    store.prepare(order)
    store.roll_back(order)
    store.close()
    orphan = shown("inspect", "block", folder, str(before["block"]))
    assert orphan["live"] == "no, orphaned by reorg 1"
    assert shown("inspect", "block", folder)["height"] == 15
    assert run("inspect", "block", folder, 20).exit_code == 2
    assert shown("verify", folder)["epoch"] == 1


def test_accounts_orders_and_transactions_are_shown(folder: Path) -> None:
    account = shown("inspect", "account", folder, hex(address_of("alice")))
    assert account["healthy"] == "yes"
    early = shown("inspect", "account", folder, hex(address_of("alice")), "--at", 1)
    assert early["cash"] == "100000.00000000"
    assert early["positions"] == []
    assert early != account
    orders = account["orders"]
    assert isinstance(orders, list)
    assert orders
    order = shown("inspect", "order", folder, orders[0])
    assert order["rests"] == "yes"
    taken_in = shown("inspect", "block", folder, str(order["taken_in_by_block"]))
    transactions = taken_in["transactions"]
    assert isinstance(transactions, list)
    hash_ = transactions[-1].split()[0]
    transaction = shown("inspect", "tx", folder, hash_)
    assert transaction["status"] == "succeeded"
    assert transaction["height"] == order["taken_in_by_block"]
    assert "nonce" in run("inspect", "account", folder, hex(address_of("op"))).stdout


def test_keys_are_counted(folder: Path) -> None:
    facts = shown("inspect", "keys", folder)
    for name in ("BLOCK", "BODY"):
        assert str(facts[name]).startswith(f"{BLOCKS + 1} keys, ")
    each = [int(str(facts[name]).split()[0]) for name in facts.keys() - {"all"}]
    assert str(facts["all"]).startswith(f"{sum(each)} keys, ")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("block", "99"), "BLOCK_UNKNOWN"),
        (("block", "0x99"), "BLOCK_UNKNOWN"),
        (("block", "--", "-1"), "BLOCK_UNKNOWN"),
        (("block", "nonsense"), "BLOCK_UNKNOWN"),
        (("block", "9" * 99), "BLOCK_UNKNOWN"),
        (("tx", "0x99"), "TRANSACTION_UNKNOWN"),
        (("tx", "nonsense"), "FELT_MALFORMED"),
        (("account", "0x99"), "ACCOUNT_UNKNOWN"),
        (("account", "0x" + "f" * 70), "FELT_MALFORMED"),
        (("order", "0x99"), "ORDER_UNKNOWN"),
        (("account", "0x1", "--at", "77"), "BLOCK_UNKNOWN"),
    ],
)
def test_what_is_not_there_is_one_line(folder: Path, arguments: tuple[str, ...], code: str) -> None:
    kind, *rest = arguments
    line = refused("inspect", kind, folder, *rest)
    assert line.startswith(f"perpchain inspect {kind}: {code}: ")


def test_a_chain_is_exported_and_executed_again(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "chain.jsonl"
    assert run("export", folder, file).exit_code == 0
    assert verify_chain.main([str(file)]) == 0
    assert file.read_bytes() == run("export", folder, "-").stdout_bytes
    # Genesis, what is kept beside the blocks, the blocks, the last line.
    assert file.read_bytes().count(b"\n") == 1 + 2 + BLOCKS + 1
    assert run("export", folder, tmp_path / "absent" / "file").exit_code == 2
    assert run("export", folder, tmp_path).exit_code == 2
    assert {path.name for path in tmp_path.iterdir()} == {"chain", "chain.witness", "chain.jsonl"}


def test_an_export_takes_the_place_of_files_alone(folder: Path, tmp_path: Path) -> None:
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    assert run("export", folder, pipe).exit_code == 2
    assert pipe.is_fifo()
    target.write_bytes(b"older")
    link.symlink_to(target)
    assert run("export", folder, link).exit_code == 0
    assert link.is_symlink()
    assert target.read_bytes().count(b"\n") == 1 + 2 + BLOCKS + 1


@pytest.mark.parametrize("name", ["chain/database/CURRENT", "chain/new", "chain.witness", "link"])
def test_an_export_never_takes_the_place_of_the_chain(
    folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "link").symlink_to(folder / "database" / "CURRENT")
    done = run("export", folder, tmp_path / name)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "own files" in done.stderr
    assert run("verify", folder).exit_code == 0


@pytest.mark.parametrize("command", [("verify",), ("inspect", "keys"), ("inspect", "root")])
def test_stores_that_cannot_be_used(folder: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    assert run(*command, tmp_path / "absent").exit_code == 10
    store = open_folder(folder)
    done = run(*command, folder)
    store.close()
    assert (done.exit_code, done.stderr.count("\n")) == (11, 1)
