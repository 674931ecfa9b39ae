"""Proofs, verified by somebody who has read nothing but the protocol.

The verifier here is written from the protocol's description with the hashes of other libraries; it
shares no line with what makes the proofs.
"""

from collections.abc import Callable, Sequence

import pytest
from poseidon_py.poseidon_hash import (  # type: ignore[import-untyped]
    poseidon_hash,
    poseidon_hash_many,
)
from starknet_py.hash.utils import pedersen_hash

from sequencer.api.json_rpc import PARAMS_INVALID
from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.commitment import EXCHANGE_ADDRESS, PUBLIC_KEY_SLOT
from sequencer.chain.shipped_class import SHIPPED
from sequencer.chain.slots import ROWS_ROOT_SLOT
from sequencer.chain.token_contract import TOKEN, TOKEN_ADDRESS
from sequencer.engine.lookup import read_block
from sequencer.model.api_limits import PROOF_KEYS_MAX
from sequencer.model.records import BlockRecord, History, Stage
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.reading import ALICE, BOB, Ledger
from tests.unit.chain.network import PRIVATE, key_of

PRIME = 2**251 + 17 * 2**192 + 1
HEIGHT = 251
STATE, CLASS_LEAF = (
    int.from_bytes(name, "big") for name in (b"STARKNET_STATE_V0", b"CONTRACT_CLASS_LEAF_V0")
)

Pair = Callable[[int, int], int]


class Wrong(Exception):
    """A proof that proves nothing."""


def number(text: str) -> int:
    return int(text, 16)


def proven(root: int, key: int, nodes: Sequence[Unchecked], pair: Pair) -> int:
    """Return the value that nodes bind to a key under a root, 0 where it is absent."""
    by_hash = {number(each["node_hash"]): each["node"] for each in nodes}
    expected, rest = root, HEIGHT
    while rest > 0 and expected:
        node = by_hash.get(expected)
        if node is None or _hash(node, pair) != expected:
            raise Wrong(hex(expected))
        if "left" in node:
            rest -= 1
            expected = number(node["right" if key >> rest & 1 else "left"])
            continue
        length = node["length"]
        if not 0 < length <= rest:
            raise Wrong(f"an edge of {length} where {rest} are left")
        rest -= length
        if (key >> rest) & ((1 << length) - 1) != number(node["path"]):
            return 0
        expected = number(node["child"])
    return expected


def _hash(node: Unchecked, pair: Pair) -> int:
    if "left" in node:
        return pair(number(node["left"]), number(node["right"]))
    below = pair(number(node["child"]), number(node["path"]))
    return (below + int(node["length"])) % PRIME


def leaf_hash(leaf: Unchecked) -> int:
    class_hash, root, nonce = (number(leaf[n]) for n in ("class_hash", "storage_root", "nonce"))
    if not (class_hash or root or nonce):
        return 0
    return int(pedersen_hash(pedersen_hash(pedersen_hash(class_hash, root), nonce), 0))


def require_proof(proof: Unchecked, asked: Unchecked, new_root: str) -> dict[tuple[int, int], int]:
    """Verify all of a proof against a header's root; return slots by (contract, key)."""
    roots = proof["global_roots"]
    contracts, classes = number(roots["contracts_tree_root"]), number(roots["classes_tree_root"])
    assert poseidon_hash_many([STATE, contracts, classes]) == number(new_root)
    for class_hash in asked["class_hashes"]:
        leaf = proven(classes, number(class_hash), proof["classes_proof"], poseidon_hash)
        shipped = SHIPPED.get(number(class_hash))
        if leaf:
            assert shipped is not None
            assert leaf == poseidon_hash(CLASS_LEAF, shipped.compiled_class_hash)
    nodes, leaves = proof["contracts_proof"]["nodes"], {}
    told = proof["contracts_proof"]["contract_leaves_data"]
    for address, leaf in zip(asked["contract_addresses"], told, strict=True):
        assert proven(contracts, number(address), nodes, pedersen_hash) == leaf_hash(leaf)
        leaves[address] = leaf
    slots = {}
    pairs = zip(asked["contracts_storage_keys"], proof["contracts_storage_proofs"], strict=True)
    for wanted, storage in pairs:
        root = number(leaves[wanted["contract_address"]]["storage_root"])
        for key in wanted["storage_keys"]:
            place = (number(wanted["contract_address"]), number(key))
            slots[place] = proven(root, place[1], storage, pedersen_hash)
    return slots


def asked_of(ledger: Ledger, record: BlockRecord) -> Unchecked:
    """What is asked at a block: what it changed, what is always there, and what never was."""
    changed = read_block(ledger.store.view, record).diff.storage.get(EXCHANGE_ADDRESS, {})
    keys = [*sorted(changed)[:20], ROWS_ROOT_SLOT, 5, 2**251 - 1]
    addresses = [BOB, EXCHANGE_ADDRESS, TOKEN_ADDRESS, ALICE, 77, ledger.deployment().address()]
    return {
        "class_hashes": [hex(TOKEN.class_hash), hex(ACCOUNT.class_hash), "0x1"],
        "contract_addresses": [hex(each) for each in addresses],
        "contracts_storage_keys": [
            {"contract_address": hex(EXCHANGE_ADDRESS), "storage_keys": [*map(hex, keys)]},
            {"contract_address": hex(ALICE), "storage_keys": [hex(PUBLIC_KEY_SLOT)]},
            {"contract_address": hex(TOKEN_ADDRESS), "storage_keys": ["0x0"]},
            {"contract_address": "0x4d", "storage_keys": ["0x0"]},
        ],
    }


def all_blocks(ledger: Ledger) -> list[BlockRecord]:
    """Every block that there ever was, orphaned ones too."""
    view = ledger.store.view
    found = [
        view.block_at(height, sequence)
        for height in range(ledger.head.height + 6)
        for sequence in range(ledger.head.sequence + 1)
    ]
    return [record for record in found if record is not None]


async def test_every_block_proves_itself_live_or_orphaned(ledger: Ledger) -> None:
    records = all_blocks(ledger)
    orphans = [each for each in records if ledger.store.view.orphaned_by(each)]
    assert len(orphans) >= 4
    assert len(records) == len(orphans) + ledger.head.height + 1
    for record in records:
        block_id = {"block_hash": hex(int.from_bytes(record.block_hash, "big"))}
        header = await ledger.told("getBlockWithTxHashes", block_id)
        asked = asked_of(ledger, record)
        proof = await ledger.told("getStorageProof", block_id=block_id, **asked)
        assert proof["global_roots"]["block_hash"] == header["block_hash"]
        slots = require_proof(proof, asked, header["new_root"])
        assert slots[ALICE, PUBLIC_KEY_SLOT] == key_of(PRIVATE["alice"])
        for (address, key), value in slots.items():
            if address != 77:
                told = await ledger.told("getStorageAt", hex(address), hex(key), block_id)
                assert number(told) == value


async def test_leaves_stand_in_the_order_of_the_request_and_nodes_once(ledger: Ledger) -> None:
    addresses = [hex(each) for each in (ALICE, 77, EXCHANGE_ADDRESS, ALICE)]
    proof = await ledger.told("getStorageProof", block_id="latest", contract_addresses=addresses)
    leaves = proof["contracts_proof"]["contract_leaves_data"]
    assert leaves[0] == leaves[3]
    assert leaves[1] == {"nonce": "0x0", "class_hash": "0x0", "storage_root": "0x0"}
    assert leaves[2]["class_hash"] != leaves[0]["class_hash"]
    hashes = [each["node_hash"] for each in proof["contracts_proof"]["nodes"]]
    assert len(hashes) == len(set(hashes)) > 3
    assert proof["classes_proof"] == proof["contracts_storage_proofs"] == []


async def test_a_changed_proof_proves_nothing(ledger: Ledger) -> None:
    asked = {
        "class_hashes": [],
        "contract_addresses": [hex(ALICE)],
        "contracts_storage_keys": [],
    }
    header = await ledger.told("getBlockWithTxHashes", "latest")
    proof = await ledger.told("getStorageProof", "latest", *asked.values())
    require_proof(proof, asked, header["new_root"])
    for place in range(len(proof["contracts_proof"]["nodes"])):
        changed = await ledger.told("getStorageProof", "latest", *asked.values())
        node = changed["contracts_proof"]["nodes"][place]["node"]
        name = "left" if "left" in node else "child"
        node[name] = hex(number(node[name]) + 1)
        with pytest.raises(Wrong):
            require_proof(changed, asked, header["new_root"])


async def test_what_cannot_be_proven_is_refused(ledger: Ledger) -> None:
    assert await ledger.code("getStorageProof", "pre_confirmed") == PARAMS_INVALID
    assert await ledger.code("getStorageProof", {"block_number": 999}) == 24
    assert await ledger.code("getStorageProof", "l1_accepted") == 24
    most = [hex(each) for each in range(1, PROOF_KEYS_MAX + 1)]
    await ledger.told("getStorageProof", "latest", most)
    assert await ledger.code("getStorageProof", "latest", most, ["0x1"]) == PARAMS_INVALID
    empty = [{"contract_address": "0x1", "storage_keys": []}] * (PROOF_KEYS_MAX + 1)
    assert await ledger.code("getStorageProof", "latest", [], [], empty) == PARAMS_INVALID
    beyond = [hex(2**251)]
    assert await ledger.code("getStorageProof", "latest", [], beyond) == PARAMS_INVALID


async def test_older_than_what_is_kept_is_42() -> None:
    pruned = Ledger()
    for client_id in range(1, 5):
        pruned.acted(*pruned.trade(client_id))
    while not pruned.store.prune(History.NODES, 7, 10**9, 1_000).done:
        pass
    pruned.rig.views.advance()
    before = {"block_number": 6}
    assert await pruned.code("getStorageProof", before, [], ["0x1"]) == 42
    assert await pruned.code("getStorageProof", before) == 42
    for height in range(7, pruned.head.height + 1):
        record = pruned.store.view.block(height)
        assert record is not None
        asked = asked_of(pruned, record)
        proof = await pruned.told("getStorageProof", block_id={"block_number": height}, **asked)
        require_proof(proof, asked, hex(int.from_bytes(record.state_root, "big")))
    slot = (hex(EXCHANGE_ADDRESS), hex(ROWS_ROOT_SLOT), before)
    assert await pruned.code("getStorageAt", *slot) == 24
    assert await pruned.told("getNonce", before, hex(ALICE)) == "0x0"


async def test_a_collected_orphan_has_its_block_and_no_state() -> None:
    ledger = Ledger()
    ledger.acted(*ledger.trade(1))
    orphan = {"block_hash": ledger.hash_at(6)}
    ledger.back(5)
    slot = (hex(EXCHANGE_ADDRESS), hex(ROWS_ROOT_SLOT), orphan)
    value = await ledger.told("getStorageAt", *slot)
    assert value != await ledger.told("getStorageAt", *slot[:2], "latest")
    ledger.reopen()
    for stage in (Stage.SETTLED, Stage.NOTIFIED, Stage.DONE):
        ledger.store.advance(ledger.store.open_journals()[0].plan_id, stage)
    while ledger.store.collect(10**9, 1_000).reorg_id:
        pass
    ledger.rig.views.advance()
    assert await ledger.code("getStorageProof", orphan) == 42
    assert await ledger.code("getStorageAt", *slot) == 24
    assert await ledger.code("getNonce", orphan, hex(ALICE)) == 24
    await ledger.told("getBlockWithReceipts", orphan)
    await ledger.told("getStateUpdate", orphan)
