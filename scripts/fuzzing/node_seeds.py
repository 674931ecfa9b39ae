"""Sound requests of every method of a devnet's node. Those that change something are not signed by
whom they name, so none of them may change anything."""

import re

from scripts.fuzzing.seeds import Request, Seeds, request

_ADDRESS = re.compile(r"^\| address +(0x[0-9a-f]+)", re.MULTILINE)
_NAMED = re.compile(r"^(exchange|token|account class) +(0x[0-9a-f]+)", re.MULTILINE)
_BALANCE_OF = "0x35a73cd311a05d46deda634c5ee045db92f811b4e74bca4437fcb5302b7af33"
_MARKET = "BTC-USD-PERP"
_PRICE = {"max_amount": "0x10", "max_price_per_unit": "0x10"}
_BLOCKS: tuple[object, ...] = (
    {"block_number": 0},
    {"block_number": 2**63 - 1},
    {"block_hash": "0x77"},
    "latest",
    "pre_confirmed",
    "l1_accepted",
)
_CODES = (20, 21, 24, 28, 29, 55)


def node_seeds(printed: str) -> Seeds:
    """Make seeds from what a devnet prints at its start."""
    accounts = _ADDRESS.findall(printed)
    named = dict(_NAMED.findall(printed))
    fixed = [
        request("starknet_getNonce", {"block_id": block, "contract_address": account})
        for account in accounts
        for block in ("pre_confirmed", "latest")
    ]
    balances = [_balance(named["token"], account) for account in accounts]
    owned = [request(f"perp_{of}", {"account": accounts[0]}) for of in ("getAccount", "getOrders")]
    reads = _reads(accounts[0], named)
    return Seeds(
        requests=(
            *reads,
            *_boundaries(named["exchange"]),
            *_perp_reads(accounts[0]),
            *_writes(accounts[0], named),
            *owned,
        ),
        fingerprint=(*fixed, *balances, *owned),
        changing=request("perp_faucet", {"account": accounts[0]}),
        codes=_CODES,
    )


def _balance(token: str, account: str) -> Request:
    called = {
        "contract_address": token,
        "entry_point_selector": _BALANCE_OF,
        "calldata": [account],
    }
    return request("starknet_call", {"request": called, "block_id": "latest"})


def _reads(account: str, named: dict[str, str]) -> list[Request]:
    latest, exchange = {"block_id": "latest"}, named["exchange"]
    at = {**latest, "contract_address": exchange}
    blocks = ("getBlockWithTxHashes", "getBlockWithTxs", "getBlockWithReceipts", "getStateUpdate")
    found = [request(f"starknet_{of}", {"block_id": {"block_number": 1}}) for of in blocks]
    plain = ("specVersion", "chainId", "syncing", "blockNumber", "blockHashAndNumber")
    found += [request(f"starknet_{of}", []) for of in plain]
    found += [request(f"starknet_{of}", at) for of in ("getClassHashAt", "getClassAt", "getNonce")]
    by_hash = ("getTransactionStatus", "getTransactionReceipt", "getTransactionByHash")
    traced = {"transaction_hash": "0x77"}
    found += [request(f"starknet_{of}", traced) for of in by_hash]
    return [
        *found,
        _balance(named["token"], account),
        request("starknet_getBlockTransactionCount", ["latest"]),
        request("starknet_getStorageAt", {**at, "key": "0x5"}),
        request("starknet_getClass", {**latest, "class_hash": named["account class"]}),
        request("starknet_getCompiledCasm", {"class_hash": named["account class"]}),
        request("starknet_getTransactionByBlockIdAndIndex", {**latest, "index": 0}),
        request("starknet_getMessagesStatus", traced),
        request("starknet_traceTransaction", traced),
        request("starknet_traceBlockTransactions", {"block_id": {"block_number": 1}}),
        request("starknet_getEvents", {"filter": _event_filter(exchange)}),
        request("starknet_getStorageProof", _proof(exchange)),
        request("starknet_subscribeNewHeads", latest),
        request("starknet_subscribeEvents", {"from_address": exchange, "keys": [[]]}),
        request("starknet_subscribeTransactionStatus", traced),
        request("starknet_subscribeNewTransactions", {"finality_status": ["ACCEPTED_ON_L2"]}),
        request("starknet_subscribeNewTransactionReceipts", {"sender_address": [account]}),
        request("starknet_unsubscribe", {"subscription_id": "1"}),
    ]


def _boundaries(exchange: str) -> list[Request]:
    """Ask for the first block, the last ones and none at all, with every flag."""
    slot = {"contract_address": exchange, "key": "0x5"}
    slots = {"contract_address": exchange, "storage_keys": ["0x5"]}
    asked: dict[str, dict[str, object]] = {
        "traceBlockTransactions": {"trace_flags": ["RETURN_INITIAL_READS"]},
        "getStorageAt": {**slot, "response_flags": ["INCLUDE_LAST_UPDATE_BLOCK"]},
        "getBlockWithReceipts": {"response_flags": ["INCLUDE_PROOF_FACTS"]},
        "getStorageProof": {"contracts_storage_keys": [slots], "contract_addresses": [exchange]},
        "getStateUpdate": {"contract_addresses": [exchange]},
    }
    return [
        request(f"starknet_{of}", {"block_id": block, **more})
        for of, more in asked.items()
        for block in _BLOCKS
    ]


def _event_filter(exchange: str) -> dict[str, object]:
    blocks = {"from_block": {"block_number": 0}, "to_block": "latest"}
    return {**blocks, "address": exchange, "keys": [["0x1"], []], "chunk_size": 10}


def _proof(exchange: str) -> dict[str, object]:
    slots = {"contract_address": exchange, "storage_keys": ["0x1", "0x2"]}
    return {"block_id": "latest", "contracts_storage_keys": [slots]}


def _perp_reads(account: str) -> list[Request]:
    market = {"market": _MARKET}
    return [
        request("perp_getMode", []),
        request("perp_chainInfo", []),
        request("perp_getMarkets", []),
        request("perp_getMarket", market),
        request("perp_getBook", {**market, "levels": 5}),
        request("perp_getPrices", {"epoch": 0}),
        request("perp_getTrades", {**market, "limit": 5}),
        request("perp_getFunding", {**market, "limit": 5}),
        request("perp_getPositions", {"account": account, **market}),
        request("perp_getOrder", {"order_id": "0x77"}),
        request("perp_reorgs", {"cursor": 0, "limit": 5}),
        request("perp_orphaned", {"hash": "0x77"}),
        request("perp_accountProof", {"account": account}),
        request("perp_subscribeBook", market),
        request("perp_subscribeTrades", market),
        request("perp_subscribeOrders", {"account": account}),
        request("perp_subscribeReorgs", {}),
    ]


def _writes(account: str, named: dict[str, str]) -> list[Request]:
    signature = ["0x123", "0x456"]
    cancelled = {"account": account, "order_id": "0x77", "signature": signature}
    ordered = {"order": _order(account), "signature": signature}
    invoked = _invoke(account, named["token"])
    latest = {"block_id": "latest", "simulation_flags": ["SKIP_VALIDATE"]}
    return [
        request("starknet_addInvokeTransaction", {"invoke_transaction": invoked}),
        request("starknet_estimateFee", {"request": [invoked], **latest}),
        request("starknet_simulateTransactions", {"transactions": [invoked], **latest}),
        request("perp_placeOrder", ordered),
        request("perp_modifyOrder", ordered),
        request("perp_cancelOrder", cancelled),
    ]


def _invoke(account: str, token: str) -> dict[str, object]:
    bounds = {"l1_gas": _PRICE, "l2_gas": _PRICE, "l1_data_gas": _PRICE}
    return {
        "type": "INVOKE",
        "version": "0x3",
        "sender_address": account,
        "calldata": ["0x1", token, _BALANCE_OF, "0x1", account],
        "signature": ["0x123", "0x456"],
        "nonce": "0x0",
        "resource_bounds": bounds,
        "tip": "0x0",
        "paymaster_data": [],
        "account_deployment_data": [],
        "nonce_data_availability_mode": "L1",
        "fee_data_availability_mode": "L1",
    }


def _order(account: str) -> dict[str, object]:
    return {
        "account": account,
        "market": _MARKET,
        "side": "BUY",
        "type": "LIMIT",
        "size": "0.1",
        "price": "60000",
        "trigger_price": "0",
        "instruction": "GTC",
        "self_trade": "CANCEL_TAKER",
        "reduce_only": False,
        "client_id": "0x1",
        "pair_id": "0x0",
        "replaces": "0x0",
        "signed_at_ms": 1,
        "receive_window_ms": 300_000,
        "expires_at_ms": 0,
    }
