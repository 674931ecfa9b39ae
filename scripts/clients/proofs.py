"""A reader of Starknet's proofs: what a block hash commits to, by the hashes of starknet-py alone.

Nothing that an answer claims is taken: each node is filed under the hash that it really has, so a
node that was changed is not found where its parent points to.
"""

from typing import Any

from poseidon_py.poseidon_hash import poseidon_hash_many  # type: ignore[import-untyped]
from starknet_py.cairo.felt import encode_shortstring
from starknet_py.hash.utils import pedersen_hash

Answer = dict[str, Any]
PRIME = 2**251 + 17 * 2**192 + 1
PRICES = ("l1_gas_price", "l1_data_gas_price", "l2_gas_price")


class Unproven(Exception):
    """Something does not follow from the block hash."""


def block_hash(header: Answer) -> int:
    """Hash a header as Starknet 0.13.4 and later does. Raises Unproven if it claims another one."""
    counts = header["transaction_count"] << 192 | header["event_count"] << 128
    counts |= header["state_diff_length"] << 64 | (header["l1_da_mode"] == "BLOB") << 63
    prices = [number(header[n][unit]) for n in PRICES for unit in ("price_in_wei", "price_in_fri")]
    names = ("state_diff", "transaction", "event", "receipt")
    felts = [encode_shortstring("STARKNET_BLOCK_HASH1"), header["block_number"]]
    felts += [number(header[name]) for name in ("new_root", "sequencer_address")]
    felts += [header["timestamp"], counts, *(number(header[f"{n}_commitment"]) for n in names)]
    felts += [poseidon_hash_many([encode_shortstring("STARKNET_GAS_PRICES0"), *prices])]
    felts += [encode_shortstring(header["starknet_version"]), 0, number(header["parent_hash"])]
    if (hashed := int(poseidon_hash_many(felts))) != number(header["block_hash"]):
        raise Unproven(f"the header hashes to {hashed:#x}, and claims another hash")
    return hashed


def contract_storage(header: Answer, told: Answer, address: int) -> int:
    """Return the root of a contract's storage, bound to the state root of a header."""
    roots = [number(told[name]) for name in ("contracts_root", "classes_root")]
    state_root = poseidon_hash_many([encode_shortstring("STARKNET_STATE_V0"), *roots])
    if state_root != number(header["new_root"]):
        raise Unproven("the tries do not make the state root of the header")
    names = ("class_hash", "storage_root", "nonce")
    class_hash, root, nonce = (number(told["leaf"][name]) for name in names)
    leaf = pedersen_hash(pedersen_hash(pedersen_hash(class_hash, root), nonce), 0)
    if value_at(roots[0], address, told["contracts_proof"]) != leaf:
        raise Unproven(f"the contract {address:#x} does not stand so in the trie")
    return root


def value_at(root: int, key: int, listed: list[Answer]) -> int:
    """Follow the 251 bits of a key from a root to its value. 0 is proven absence."""
    nodes = {node_hash(each["node"]): each["node"] for each in listed}
    here, bits = root, 251
    while bits > 0 and here:
        node: Answer = nodes.get(here, {})
        if "left" in node:
            bits -= 1
            here = number(node["right"] if key >> bits & 1 else node["left"])
        elif 0 < (length := node.get("length", 0)) <= bits:
            bits -= length
            ways = key >> bits & ((1 << length) - 1)
            here = number(node["child"]) if ways == number(node["path"]) else 0
        else:
            raise Unproven(f"no node on the way to {key:#x} has the hash {here:#x}")
    return here


def node_hash(node: Answer) -> int:
    if "left" in node:
        return pedersen_hash(number(node["left"]), number(node["right"]))
    length: int = node["length"]
    return (pedersen_hash(number(node["child"]), number(node["path"])) + length) % PRIME


def number(text: str) -> int:
    return int(text, 16)
