"""An independent reader of account proofs: other hashes, other code, and nothing but the answer.

It follows `docs/perp.md`. `read_proof` returns what is proven, or raises Unproven.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from poseidon_py.poseidon_hash import poseidon_hash_many  # type: ignore[import-untyped]
from starknet_py.cairo.felt import decode_shortstring, encode_shortstring
from starknet_py.hash.storage import get_storage_var_address
from starknet_py.hash.utils import pedersen_hash

PRIME = 2**251 + 17 * 2**192 + 1
ADDRESSES = 2**251 - 256


class Unproven(Exception):
    """A part of the answer does not follow from another one."""


class Proven(NamedTuple):
    """What a proof says, in exact integers."""

    block_hash: str
    account: dict[str, Any] | None
    positions: dict[str, dict[str, int]]
    orders: dict[int, bytes]


def require(holds: bool, words: str) -> None:
    if not holds:
        raise Unproven(words)


def read_proof(told: Mapping[str, Any]) -> Proven:
    """Check a whole proof, from the rows up to the block hash."""
    header, exchange = told["header"], told["exchange"]
    require(block_hash(header) == number(header["block_hash"]), "block hash")
    roots = (number(told["contracts_root"]), number(told["classes_root"]))
    root = poseidon_hash_many([encode_shortstring("STARKNET_STATE_V0"), *roots])
    require(root == number(header["new_root"]), "state root")
    leaf = pedersen_hash(number(exchange["class_hash"]), number(exchange["storage_root"]))
    leaf = pedersen_hash(pedersen_hash(leaf, number(exchange["nonce"])), 0)
    contracts = nodes_of(told["contracts_proof"])
    at = number(exchange["contract_address"])
    require(walk(roots[0], at, contracts, 251, pedersen_hash) == leaf, "the exchange's leaf")
    storage = nodes_of(told["storage_proof"])
    storage_root = number(exchange["storage_root"])

    def slot(address: int) -> int:
        return walk(storage_root, address, storage, 251, pedersen_hash)

    rows_root = get_storage_var_address("rows_root")
    require(number(told["rows_root"]["slot"]) == rows_root, "the slot of the rows' root")
    require(slot(rows_root) == number(told["rows_root"]["value"]), "the root of the rows")
    account = number(told["account"])
    return Proven(
        header["block_hash"],
        read_account(told["slot_rows"][0], account, slot),
        read_positions(told["slot_rows"][1:], account, slot),
        read_orders(told, number(told["rows_root"]["value"])),
    )


def read_account(
    row: Mapping[str, Any], account: int, slot: Callable[[int], int]
) -> dict[str, Any] | None:
    require(row["table"] == "account", "the account comes first")
    first, owner, market = proven_slots(row, get_storage_var_address("accounts", account), 3, slot)
    if first == 0:
        return None
    require(first & 0xFF == 1, "the version of a row")
    return {"cash": zigzag(first >> 8), "owner": owner, "market": decode_shortstring(market)}


def read_positions(
    rows: list[Mapping[str, Any]], account: int, slot: Callable[[int], int]
) -> dict[str, dict[str, int]]:
    found = {}
    for row in rows:
        require(row["table"] == "position", "positions follow")
        key = (account, encode_shortstring(row["market"]))
        base = get_storage_var_address("positions", *key)
        first, index = proven_slots(row, base, 2, slot)
        if first:
            require(first & 0xFF == 1, "the version of a row")
            size, cost = (first >> 8) & (2**96 - 1), first >> 104
            figures = {"size": zigzag(size), "cost": zigzag(cost), "index": zigzag(index)}
            found[row["market"]] = figures
    return found


def proven_slots(
    row: Mapping[str, Any], base: int, count: int, slot: Callable[[int], int]
) -> list[int]:
    addresses = [(base + each) % ADDRESSES for each in range(count)]
    require([number(each["slot"]) for each in row["slots"]] == addresses, "the slots of a row")
    values = [slot(address) for address in addresses]
    require([number(each["value"]) for each in row["slots"]] == values, "the values of slots")
    return values


def read_orders(told: Mapping[str, Any], root: int) -> dict[int, bytes]:
    """Check each leaf of the rows trie, and return the bytes of the orders by their ids."""
    nodes, found = nodes_of(told["rows_proof"]), {}
    for row in told["leaf_rows"]:
        key, content = (bytes.fromhex(row[name][2:]) for name in ("key_bytes", "row_bytes"))
        place = digest(row["table"].encode() + b"/" + key, b"pc-key")
        require(place == number(row["place"]), "the place of a row")
        leaf = digest(content, b"pc-row")
        require(leaf == number(row["leaf"]), "the leaf of a row")
        require(walk(root, place, nodes, 248, pair) == leaf, "a row of the trie")
        if row["table"] == "order":
            # One part, an integer: its kind, its length, and itself.
            require(key[0] == 0 and key[1] == len(key) - 2, "the key of an order")
            order_id = int.from_bytes(key[2:], "big", signed=True)
            require(order_id == number(row["order"]["order_id"]), "the id of an order")
            found[order_id] = content
    return found


def block_hash(header: Mapping[str, Any]) -> int:
    prices = [
        number(header[name][unit])
        for name in ("l1_gas_price", "l1_data_gas_price", "l2_gas_price")
        for unit in ("price_in_wei", "price_in_fri")
    ]
    counts = header["transaction_count"] << 192 | header["event_count"] << 128
    counts |= header["state_diff_length"] << 64 | (1 << 63 if header["l1_da_mode"] == "BLOB" else 0)
    names = ("state_diff", "transaction", "event", "receipt")
    hashed: int = poseidon_hash_many(
        [
            encode_shortstring("STARKNET_BLOCK_HASH1"),
            header["block_number"],
            number(header["new_root"]),
            number(header["sequencer_address"]),
            header["timestamp"],
            counts,
            *(number(header[f"{name}_commitment"]) for name in names),
            poseidon_hash_many([encode_shortstring("STARKNET_GAS_PRICES0"), *prices]),
            encode_shortstring(header["starknet_version"]),
            0,
            number(header["parent_hash"]),
        ]
    )
    return hashed


def walk(
    root: int, key: int, nodes: Mapping[int, Any], height: int, hash_pair: Callable[[int, int], int]
) -> int:
    """Follow a key down from a root, hashing each node again; 0 is proven absence."""
    expected, rest = root, height
    while rest > 0 and expected:
        require(expected in nodes, "a node is missing")
        node = nodes[expected]
        if "length" in node:
            length, path, child = node["length"], number(node["path"]), number(node["child"])
            require(0 < length <= rest and path < 1 << length, "an edge")
            require((hash_pair(child, path) + length) % PRIME == expected, "the hash of an edge")
            if key >> (rest - length) & ((1 << length) - 1) != path:
                return 0
            expected, rest = child, rest - length
        else:
            left, right = number(node["left"]), number(node["right"])
            require(hash_pair(left, right) == expected, "the hash of a branch")
            rest -= 1
            expected = right if key >> rest & 1 else left
    return expected


def nodes_of(listed: list[Mapping[str, Any]]) -> dict[int, Any]:
    return {number(each["node_hash"]): each["node"] for each in listed}


def number(text: str) -> int:
    require(text == hex(int(text, 16)), f"not canonical: {text}")
    return int(text, 16)


def zigzag(value: int) -> int:
    return -(value >> 1) if value & 1 else value >> 1


def digest(data: bytes, tag: bytes) -> int:
    return int.from_bytes(hashlib.blake2s(data, person=tag).digest()[:31], "big")


def pair(left: int, right: int) -> int:
    return digest(left.to_bytes(32, "big") + right.to_bytes(32, "big"), b"pc-node")
