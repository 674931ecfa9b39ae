"""What an account of the exchange holds, as two kinds of proof have it."""

from starknet_py.cairo.felt import encode_shortstring
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.hash.storage import get_storage_var_address
from starknet_py.net.http_client import RpcHttpClient

from scripts.clients.proofs import Answer, Unproven, contract_storage, value_at

EXCHANGE = get_selector_from_name("perpchain.exchange")  # its address on every perpchain
MARKETS = ("BTC-USD-PERP", "ETH-USD-PERP")


def slots_of(account: int) -> dict[str, int]:
    """Work out where the cash of an account and its positions lie, by what they are of."""
    keys = {market: (account, encode_shortstring(market)) for market in MARKETS}
    positions = {market: get_storage_var_address("positions", *keys[market]) for market in MARKETS}
    return {"USDC": get_storage_var_address("accounts", account), **positions}


def proven(header: Answer, told: Answer, account: int) -> dict[str, int]:
    """Return the amounts, in 1e-8, that follow from a header. Raises Unproven."""
    root = contract_storage(header, told, EXCHANGE)
    slots = slots_of(account)
    values = {name: value_at(root, slot, told["storage_proof"]) for name, slot in slots.items()}
    return {name: _amount(value, 128 if name == "USDC" else 96) for name, value in values.items()}


def _amount(value: int, bits: int) -> int:
    # Above 8 bits of version lies the first amount of a row; its lowest bit is the sign.
    if value and value & 0xFF != 1:
        raise Unproven(f"a row of version {value & 0xFF}, which nobody here can read")
    field = value >> 8 & (1 << bits) - 1
    return -(field >> 1) if field & 1 else field >> 1


async def account_proof(url: str, account: int, block: object) -> Answer:
    """Ask for the exchange's own proof, which comes with the header of its block."""
    asked = {"account": hex(account), "block_id": block}
    told: Answer = await RpcHttpClient(url, method_prefix="perp").call("accountProof", asked)
    return {**told, "leaf": told["exchange"]}


async def storage_proof(url: str, account: int, block: object) -> Answer:
    """Ask for Starknet's proof of the same slots, in the words of the exchange's."""
    slots = [hex(slot) for slot in slots_of(account).values()]
    asked = {
        "block_id": block,
        "contract_addresses": [hex(EXCHANGE)],
        "contracts_storage_keys": [{"contract_address": hex(EXCHANGE), "storage_keys": slots}],
    }
    told: Answer = await RpcHttpClient(url).call("getStorageProof", asked)
    return {
        "contracts_root": told["global_roots"]["contracts_tree_root"],
        "classes_root": told["global_roots"]["classes_tree_root"],
        "contracts_proof": told["contracts_proof"]["nodes"],
        "leaf": told["contracts_proof"]["contract_leaves_data"][0],
        "storage_proof": told["contracts_storage_proofs"][0],
    }
