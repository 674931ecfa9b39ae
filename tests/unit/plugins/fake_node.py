"""A Starknet node that does what a test says: its chain may change between any two answers."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from sequencer.chain.block import Block
from sequencer.plugins.follow.reading import read_remote_block
from sequencer.starknet.block import block_hash
from sequencer.starknet.felt import encode_short_string

Fields = dict[str, Any]
Place = tuple[str, int, int]

CHAIN_ID = hex(encode_short_string("FAKE_NODE"))
CONTRACTS, SLOTS = 4, 6
LAST = 0x7777
"""A contract whose nonce is the hash of the last transaction, so that a block tells its diff."""
BEFORE = 0x7778
"""A contract whose nonce is the one that LAST had, so that a block tells what it is on top of."""
_NO_GAS = {"max_amount": "0x0", "max_price_per_unit": "0x0"}
_PRICE = {"price_in_fri": "0x1", "price_in_wei": "0x2"}
_ERRORS = {
    20: "Contract not found",
    24: "Block not found",
    28: "Class hash not found",
    32: "There are no blocks",
}


class RpcFault(Exception):
    """An answer that is an error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class FakeBlock:
    """A block with its state update, as they are answered. What they say is read once."""

    def __init__(self, block: Fields, update: Fields) -> None:
        self.block, self.update = block, update

    @property
    def hash(self) -> str:
        return str(self.block["block_hash"])

    @cached_property
    def read(self) -> Block:
        return read_remote_block(self.block)

    @cached_property
    def values(self) -> dict[Place, int]:
        return values_of(self.update)


class FakeNode:
    """`before` is called with the method and its parameters ahead of each answer.

    It may change the chain, raise RpcFault, or return the bytes to be answered instead.
    """

    def __init__(self, *, has_true_hashes: bool, seed: int = 1) -> None:
        self.chain: list[FakeBlock] = []
        self.chain_id = CHAIN_ID
        self.before: Callable[[str, Fields], bytes | None] = lambda _method, _params: None
        self.asked: list[tuple[str, Fields]] = []
        self.url = ""
        self.reorgs: list[Fields] | None = None
        self.first_state = 0
        self.sockets: list[web.WebSocketResponse] = []
        self._has_true_hashes = has_true_hashes
        self._random = random.Random(seed)
        self._made = 0
        self.grow(1)

    def grow(self, blocks: int, *, transactions: int | None = None) -> None:
        """Make blocks on top."""
        for _ in range(blocks):
            self.chain.append(self._make(transactions))

    def cut(self, height: int) -> None:
        """Remove the blocks from a height on."""
        del self.chain[height:]

    def replace(self, height: int, blocks: int, *, transactions: int | None = None) -> None:
        """Remove the blocks from a height on, and make others."""
        self.cut(height)
        self.grow(blocks, transactions=transactions)

    def state(self, height: int) -> dict[Place, int]:
        """Return the whole state after a block: what is 0 is not in it."""
        state: dict[Place, int] = {}
        for each in self.chain[: height + 1]:
            state |= each.values
        return {place: value for place, value in state.items() if value}

    async def tell_reorg(self) -> None:
        """Tell those who listen that there was one."""
        await self._tell("starknet_subscriptionReorg")

    def _make(self, transactions: int | None) -> FakeBlock:
        self._made += 1
        number = len(self.chain)
        count = self._random.randrange(3) if transactions is None else transactions
        parent = self.chain[-1].hash if self.chain else "0x0"
        executed = [self._transaction() for _ in range(count)]
        diff = self._diff(number, count)
        if executed:
            last, before = executed[-1]["receipt"]["transaction_hash"], self._last_before(number)
            diff["nonces"].append({"contract_address": hex(LAST), "nonce": last})
            diff["nonces"].append({"contract_address": hex(BEFORE), "nonce": before})
        root = hex(self._made if self._has_true_hashes else 0)
        block = {
            "status": "ACCEPTED_ON_L2",
            "block_hash": hex(0xDE0000 + number * 1_000 + count),
            "parent_hash": parent,
            "block_number": number,
            "new_root": root,
            # Seconds are coarse: blocks made soon after each other have the same.
            "timestamp": 1_700_000_000 + number,
            "sequencer_address": "0x1000",
            "l1_gas_price": _PRICE,
            "l2_gas_price": _PRICE,
            "l1_data_gas_price": _PRICE,
            "l1_da_mode": "BLOB",
            "starknet_version": "0.14.2",
            "transaction_commitment": "0x0",
            "event_commitment": "0x0",
            "receipt_commitment": "0x0",
            "state_diff_commitment": "0x0",
            "state_diff_length": 0,
            "event_count": count,
            "transaction_count": count,
            "transactions": executed,
        }
        if self._has_true_hashes:
            block["block_hash"] = hex(block_hash(read_remote_block(block).header))
        update = {
            "block_hash": block["block_hash"],
            "new_root": root,
            "old_root": "0x0",
            "state_diff": diff,
        }
        return FakeBlock(block, update)

    def _last_before(self, number: int) -> str:
        made = (each.block["transactions"] for each in reversed(self.chain[:number]))
        hashes = (each[-1]["receipt"]["transaction_hash"] for each in made if each)
        return str(next(hashes, "0x0"))

    def _transaction(self) -> Fields:
        hash_ = hex(self._random.getrandbits(240))
        transaction = {
            "type": "INVOKE",
            "version": "0x3",
            "sender_address": "0x64",
            "calldata": ["0x1", "0x2"],
            "signature": [],
            "nonce": "0x0",
            "resource_bounds": {"l1_gas": _NO_GAS, "l2_gas": _NO_GAS, "l1_data_gas": _NO_GAS},
            "tip": "0x0",
            "paymaster_data": [],
            "account_deployment_data": [],
            "nonce_data_availability_mode": "L1",
            "fee_data_availability_mode": "L1",
        }
        receipt = {
            "type": "INVOKE",
            "transaction_hash": hash_,
            "actual_fee": {"amount": "0x1", "unit": "FRI"},
            "finality_status": "ACCEPTED_ON_L2",
            "execution_status": "SUCCEEDED",
            "messages_sent": [],
            "events": [{"from_address": "0x64", "keys": [hash_], "data": []}],
            "execution_resources": {"l1_gas": 0, "l1_data_gas": 0, "l2_gas": 1},
        }
        return {"transaction": transaction, "receipt": receipt}

    def _diff(self, number: int, count: int) -> Fields:
        """Change something per transaction; block 0 has the contracts, without deploying all."""
        draw = self._random
        storage: dict[int, dict[int, int]] = {}
        nonces: dict[int, int] = {}
        replaced: dict[int, int] = {}
        declared: list[int] = []
        deployed: dict[int, int] = {} if number else {100: 7, 101: 7}
        for _ in range(count if number else 5):
            address = 100 + draw.randrange(CONTRACTS)
            for _ in range(draw.randrange(3)):
                storage.setdefault(address, {})[draw.randrange(SLOTS)] = draw.randrange(4)
            nonces[address] = draw.randrange(1, 9)
            if number and draw.random() < 0.2:
                replaced[address] = draw.randrange(1, 5)
            if number and draw.random() < 0.1:
                new = draw.getrandbits(60)
                deployed[new] = 9
                storage[new] = {1: draw.randrange(3)}
            if draw.random() < 0.1:
                declared.append(draw.getrandbits(60))
        return {
            "storage_diffs": [
                {"address": hex(address), "storage_entries": _entries(slots)}
                for address, slots in storage.items()
            ],
            "nonces": [
                {"contract_address": hex(at), "nonce": hex(nonce)} for at, nonce in nonces.items()
            ],
            "deployed_contracts": [
                {"address": hex(at), "class_hash": hex(of)} for at, of in deployed.items()
            ],
            "replaced_classes": [
                {"contract_address": hex(at), "class_hash": hex(of)} for at, of in replaced.items()
            ],
            "declared_classes": [
                {"class_hash": hex(of), "compiled_class_hash": "0x1"} for of in declared
            ],
            "deprecated_declared_classes": [],
        }

    async def _tell(self, method: str) -> None:
        for socket in self.sockets:
            told = {"jsonrpc": "2.0", "method": method, "params": {"result": {}}}
            await socket.send_str(json.dumps(told))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read())
        method, params = asked["method"].partition("_")[2], asked.get("params") or {}
        head = {"jsonrpc": "2.0", "id": asked["id"]}
        self.asked.append((method, params))
        try:
            instead = self.before(method, params)
            if instead is not None:
                return _raw(request, instead)
            return web.json_response({**head, "result": self._result(method, params)})
        except RpcFault as fault:
            words = _ERRORS.get(fault.code, "Something")
            return web.json_response({**head, "error": {"code": fault.code, "message": words}})

    def _result(self, method: str, params: Fields) -> object:
        match method:
            case "specVersion":
                return "0.10.2"
            case "chainId":
                return self.chain_id
            case "blockNumber":
                if not self.chain:
                    raise RpcFault(32)
                return len(self.chain) - 1
            case "getBlockWithReceipts":
                return self._at(params).block
            case "getStateUpdate":
                return self._at(params).update
            case "getClass":
                self._at(params)
                return {"sierra_program": ["0x1"], "hash": params["class_hash"]}
            case "getStorageAt" | "getNonce" | "getClassHashAt":
                return self._value(method, params)
            case "reorgs" if self.reorgs is not None:
                after = params["cursor"]
                return {"reorgs": self.reorgs[after:], "cursor": len(self.reorgs)}
        raise RpcFault(-32601)

    def _value(self, method: str, params: Fields) -> str:
        self._at(params)
        height = params["block_id"]["block_number"]
        if height < self.first_state:
            raise RpcFault(24)
        state, at = self.state(height), int(params["contract_address"], 16)
        if not any(address == at for _, address, _ in state):
            raise RpcFault(20)
        kind = {"getStorageAt": "s", "getNonce": "n"}.get(method, "c")
        return hex(state.get((kind, at, int(params.get("key", "0x0"), 16)), 0))

    def _at(self, params: Fields) -> FakeBlock:
        height: int = params["block_id"]["block_number"]
        if height >= len(self.chain):
            raise RpcFault(24)
        return self.chain[height]

    async def _listen(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                answer = {"jsonrpc": "2.0", "id": json.loads(message.data)["id"], "result": "7"}
                await socket.send_str(json.dumps(answer))
                self.sockets.append(socket)
        return socket


@asynccontextmanager
async def served(node: FakeNode) -> AsyncIterator[FakeNode]:
    """Let a node answer on a free port."""
    application = web.Application()
    application.router.add_post("/", node._answer)
    application.router.add_get("/ws", node._listen)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        node.url = f"http://{host}:{port}"
        yield node
    finally:
        with contextlib.suppress(asyncio.TimeoutError):
            await runner.cleanup()


def values_of(update: Fields) -> dict[Place, int]:
    """Return what a state update sets."""
    diff = update["state_diff"]
    values: dict[Place, int] = {}
    for each in diff["storage_diffs"]:
        for slot in each["storage_entries"]:
            values["s", int(each["address"], 16), int(slot["key"], 16)] = int(slot["value"], 16)
    for each in diff["nonces"]:
        values["n", int(each["contract_address"], 16), 0] = int(each["nonce"], 16)
    for each in diff["deployed_contracts"]:
        values["c", int(each["address"], 16), 0] = int(each["class_hash"], 16)
    for each in diff["replaced_classes"]:
        values["c", int(each["contract_address"], 16), 0] = int(each["class_hash"], 16)
    return values


def _entries(slots: dict[int, int]) -> list[Fields]:
    return [{"key": hex(key), "value": hex(value)} for key, value in slots.items()]


def _raw(request: web.Request, body: bytes) -> web.StreamResponse:
    """Answer some bytes; none at all is a connection that is cut."""
    if not body and request.transport is not None:
        request.transport.abort()
    return web.Response(body=body)
