"""Nonces, classes and slots: at every block, at the head, and in what is open above it."""

import pytest

from sequencer.api.json_rpc import LIMIT_EXCEEDED, PARAMS_INVALID
from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.commitment import EXCHANGE_ADDRESS, PUBLIC_KEY_SLOT
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.shipped_class import SHIPPED, casm_fields, class_fields
from sequencer.chain.slots import ROWS_ROOT_SLOT
from sequencer.chain.token_contract import TOKEN, TOKEN_ADDRESS
from sequencer.engine import state_reads
from sequencer.engine.lookup import find_block, rows_at
from sequencer.exchange.state import Table
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.reading import ALICE, BOB, Ledger, full_ledger
from tests.unit.chain.network import PRIVATE, address_of, key_of
from tests.unit.engine.rolling import deposit

EXCHANGE_AT, ROWS = hex(EXCHANGE_ADDRESS), hex(ROWS_ROOT_SLOT)
FLAGS = ["INCLUDE_LAST_UPDATE_BLOCK"]


async def test_contracts_at_every_block_are_those_of_its_rows(ledger: Ledger) -> None:
    everywhere = {*map(address_of, PRIVATE), EXCHANGE_ADDRESS, TOKEN_ADDRESS}
    everywhere.add(ledger.deployment().address())
    for height in range(ledger.head.height + 1):
        record = find_block(ledger.store.view, str(height))
        contracts = rows_at(ledger.store.view, record)[Table.CONTRACT]
        block_id = {"block_number": height}
        for address in everywhere:
            contract = contracts.get(address)
            if contract is None:
                assert await ledger.code("getNonce", block_id, hex(address)) == 20
                assert await ledger.code("getClassHashAt", block_id, hex(address)) == 20
                assert await ledger.code("getClassAt", block_id, hex(address)) == 20
                assert await ledger.code("getStorageAt", hex(address), "0x1", block_id) == 20
                continue
            assert await ledger.told("getNonce", block_id, hex(address)) == hex(contract.nonce)
            told = await ledger.told("getClassHashAt", block_id, hex(address))
            assert told == hex(contract.class_hash)


async def test_the_newest_state_counts_what_is_open() -> None:
    ledger = full_ledger()
    bob = hex(BOB)
    before = int(await ledger.told("getNonce", "latest", bob), 16)
    new = ledger.deployment(9_003)
    assert await ledger.code("getNonce", "pre_confirmed", hex(new.address())) == 20
    ledger.open(ledger.transfer("bob", 3), new, deposit(2, ALICE, 1_000_000))
    assert await ledger.told("getNonce", "latest", bob) == hex(before)
    assert await ledger.told("getNonce", "pre_confirmed", bob) == hex(before + 1)
    assert await ledger.told("getNonce", "pre_confirmed", hex(new.address())) == "0x1"
    assert await ledger.told("getClassHashAt", "pre_confirmed", hex(new.address())) == hex(
        ACCOUNT.class_hash
    )
    key = (hex(new.address()), hex(PUBLIC_KEY_SLOT))
    assert await ledger.told("getStorageAt", *key, "pre_confirmed") == hex(key_of(9_003))
    assert await ledger.code("getStorageAt", *key, "latest") == 20
    rows = await ledger.told("getStorageAt", EXCHANGE_AT, ROWS, "pre_confirmed")
    assert rows != await ledger.told("getStorageAt", EXCHANGE_AT, ROWS, "latest")
    update = await ledger.told("getStateUpdate", "pre_confirmed")
    for each in update["state_diff"]["storage_diffs"]:
        for entry in each["storage_entries"]:
            slot = (each["address"], entry["key"], "pre_confirmed", FLAGS)
            told = await ledger.told("getStorageAt", *slot)
            assert told == {
                "value": entry["value"],
                "last_update_block": ledger.head.height + 1,
            }
    height = ledger.head.height
    old = (hex(ALICE), hex(PUBLIC_KEY_SLOT), "pre_confirmed")
    assert await ledger.told("getStorageAt", *old) == hex(key_of(PRIVATE["alice"]))
    flagged = await ledger.told("getStorageAt", *old, FLAGS)
    assert flagged == {"value": hex(key_of(PRIVATE["alice"])), "last_update_block": 0}
    ledger.block()
    assert ledger.head.height == height + 1
    assert await ledger.told("getStorageAt", EXCHANGE_AT, ROWS, "latest") == rows


async def test_the_last_update_is_that_of_the_branch(ledger: Ledger) -> None:
    for height in range(1, ledger.head.height + 1):
        told = await ledger.told("getStorageAt", EXCHANGE_AT, ROWS, {"block_number": height}, FLAGS)
        assert told["last_update_block"] == height
    orphan = next(
        record
        for sequence in range(ledger.head.sequence)
        if (record := ledger.store.view.block_at(9, sequence)) is not None
        and ledger.store.view.orphaned_by(record)
    )
    name = {"block_hash": hex(int.from_bytes(orphan.block_hash, "big"))}
    told = await ledger.told("getStorageAt", EXCHANGE_AT, ROWS, name, FLAGS)
    assert told["last_update_block"] == 9
    never = await ledger.told("getStorageAt", EXCHANGE_AT, "0x5", "latest", FLAGS)
    assert never == {"value": "0x0", "last_update_block": 0}


async def test_looking_too_far_back_is_refused(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_reads, "SLOT_VERSIONS_MAX", 1)
    slot = (EXCHANGE_AT, "0x5", "latest", FLAGS)
    assert await ledger.code("getStorageAt", *slot) == LIMIT_EXCEEDED


async def test_keys_and_addresses_come_in_any_form(ledger: Ledger) -> None:
    told = await ledger.told("getStorageAt", EXCHANGE_AT, ROWS, "latest")
    padded = "0X0" + ROWS[2:].upper()
    assert await ledger.told("getStorageAt", EXCHANGE_AT, padded, "latest") == told
    wrong: list[Unchecked] = [5, "5", "0x", hex(2**251), "0x" + "f" * 64, None, [], {}]
    for each in wrong:
        assert await ledger.code("getStorageAt", EXCHANGE_AT, each, "latest") == PARAMS_INVALID
        assert await ledger.code("getStorageAt", each, ROWS, "latest") == PARAMS_INVALID
        assert await ledger.code("getNonce", "latest", each) == PARAMS_INVALID
    flags = ["INCLUDE_PROOF_FACTS"]
    assert await ledger.code("getStorageAt", EXCHANGE_AT, ROWS, "latest", flags) == PARAMS_INVALID


async def test_classes_are_those_that_come_with_the_node(ledger: Ledger) -> None:
    for class_hash, shipped in SHIPPED.items():
        for block_id in ({"block_number": 0}, "latest", "pre_confirmed"):
            told = await ledger.told("getClass", block_id, hex(class_hash))
            assert told == class_fields(shipped.sierra)
        casm = await ledger.told("getCompiledCasm", hex(class_hash))
        assert casm == casm_fields(shipped.casm)
    for address, native in (
        (EXCHANGE_ADDRESS, EXCHANGE),
        (TOKEN_ADDRESS, TOKEN),
        (ALICE, ACCOUNT),
    ):
        for block_id in ({"block_number": 0}, "latest", "pre_confirmed"):
            told = await ledger.told("getClassAt", block_id, hex(address))
            assert told == class_fields(native.sierra)
    assert await ledger.code("getClass", "latest", "0x1") == 28
    assert await ledger.code("getCompiledCasm", "0x1") == 28
    assert await ledger.code("getClassAt", "latest", "0x1") == 20
