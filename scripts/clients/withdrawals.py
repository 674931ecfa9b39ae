"""What a withdrawal is claimed with: a final root, and the paths from it to the slot of the id."""

import asyncio
from contextlib import suppress
from typing import Any

from poseidon_py.poseidon_hash import poseidon_hash_many  # type: ignore[import-untyped]
from starknet_py.hash.storage import get_storage_var_address
from starknet_py.net.account.account import Account
from starknet_py.net.http_client import RpcHttpClient
from starknet_py.transaction_errors import TransactionRevertedError

from scripts.clients.devnet import CHECK_SECONDS
from scripts.clients.money import Settlement
from scripts.clients.paths import path_to
from scripts.clients.proofs import Unproven, contract_storage, number, value_at


def withdrawal_id(transaction_hash: int) -> int:
    """Return the id of the withdrawal that a transaction's first call is."""
    return int(poseidon_hash_many([transaction_hash, 0]))


async def final_height(settlement: Settlement, sender: Account, height: int) -> tuple[int, int]:
    """Wait for a post, and let a devnet's delay pass; returns the final height and its root."""
    while True:
        nothing, *post = await settlement.view("oldest_post_above", height - 1)
        if not nothing:
            break
        await asyncio.sleep(CHECK_SECONDS)
    (delay,) = await settlement.view("get_finality_delay")
    await settlement.devnet.call("increaseTime", {"time": delay})
    with suppress(TransactionRevertedError):  # The appchain finalizes, too, and may be faster.
        await settlement.send(sender, settlement.call("finalize", post[0]))
    return post[0], post[1]


async def owed_proof(
    url: str, exchange: int, height: int, root: int, owed: tuple[int, int, int]
) -> list[int]:
    """Return the proof of an id, a recipient and an amount as calldata. Raises Unproven."""
    slot = get_storage_var_address("withdrawals", owed[0])
    asked = {
        "block_id": {"block_number": height},
        "contract_addresses": [hex(exchange)],
        "contracts_storage_keys": [
            {"contract_address": hex(exchange), "storage_keys": [hex(slot)]}
        ],
    }
    answer: Any = await RpcHttpClient(url).call("getStorageProof", asked)
    leaf, contracts = (
        answer["contracts_proof"]["contract_leaves_data"][0],
        answer["contracts_proof"],
    )
    roots, storage = answer["global_roots"], answer["contracts_storage_proofs"][0]
    told = {
        "contracts_root": roots["contracts_tree_root"],
        "classes_root": roots["classes_tree_root"],
        "contracts_proof": contracts["nodes"],
        "leaf": leaf,
    }
    storage_root = contract_storage({"new_root": hex(root)}, told, exchange)
    if value_at(storage_root, slot, storage) != poseidon_hash_many([*owed]):
        raise Unproven(f"block {height} owes something else")
    head = [number(text) for text in (told["classes_root"], leaf["class_hash"], leaf["nonce"])]
    above = path_to(number(told["contracts_root"]), exchange, contracts["nodes"])
    return [*head, *above, *path_to(storage_root, slot, storage)]
