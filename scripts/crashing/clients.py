"""A client with a memory, and one who operates: what they know of a node outlives its kills.

Promises
- After a kill the client learns from the records of reorgs what it has missed, goes on from the
  last block that it knows and lives, and then knows the node's chain, its events, its own orders.
- Whatever differs from that is a Violation, and so is an order that was opened twice.

Laws
- One loop does everything: trading, following, publishing prices, deciding, and the kill.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import count, pairwise
from random import Random
from typing import Any

import aiohttp
import msgspec

from devnet.keys import devnet_key
from scripts.crashing.chain import CHAIN_ID, address_of, order_of, reports_at
from scripts.crashing.checking import Violation
from scripts.crashing.memory import OWNER, Memory, Placed, Seen, require_told
from scripts.crashing.nodes import Talk, line_of
from sequencer.api.perp_rpc.wire import signed_fields
from sequencer.config import ServerPlace
from sequencer.engine.requests import (
    AnyRequest,
    ApplyRequest,
    ModeRequest,
    PlanRequest,
    UndoRequest,
    method_of,
)
from sequencer.model.orders import Side
from sequencer.model.rows import Mode
from sequencer.model.secret import Secret
from sequencer.starknet.felt import format_felt
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.messages import cancel_hash, order_hash

_Fields = dict[str, Any]

_WHY = "it will be killed"
_TRADERS = (("alice", Side.BUY), ("bob", Side.SELL), ("alice", Side.BUY), ("carol", Side.SELL))
_PUBLISH_SECONDS, _DECIDE_SECONDS, _DEPTH_MAX = 0.25, 0.12, 8
_PATIENCE_SECONDS = 30.0
_PAGE, _NS_PER_MS = 1_000, 1_000_000
_SUBSCRIPTIONS = ("starknet_subscribeNewHeads", "starknet_subscribeEvents")
_GONE = (aiohttp.ClientError, ConnectionError)


class Denied(Exception):
    """An error that came back, with its stable code."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error))
        data = error.get("data")
        self.code = data["code"] if isinstance(data, dict) and "code" in data else ""


class Life:
    """A client's time with one process of a node."""

    def __init__(
        self,
        memory: Memory,
        url: str,
        admin: tuple[ServerPlace, Secret],
        talk: Talk,
        random: Random,
    ) -> None:
        self.memory = memory
        self._url, self._admin, self._talk, self._random = url, admin, talk, random
        self._ids = count(1)
        self._topics: dict[str, str] = {}
        self._news = asyncio.Event()

    async def live(self, seconds: float) -> None:
        """Catch up, compare, and trade and decide until the node is killed; 0 is never."""
        timeout = aiohttp.ClientTimeout(_PATIENCE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            await self._learn_reorgs()
            async with self._session.ws_connect(self._url + "/ws") as self._socket:
                await self._subscribe()
                async with asyncio.TaskGroup() as group:
                    hearing = group.create_task(self._hear())
                    await self._compare()
                    if not seconds:
                        await self._socket.close()
                        return
                    loop = asyncio.get_running_loop()
                    loop.call_later(seconds, os.kill, self._talk.process, signal.SIGKILL)
                    acts = (self._publish, self._decide, *map(self._trader, _TRADERS))
                    tasks = [group.create_task(_until_gone(act)) for act in acts]
                    await hearing
                    for task in tasks:
                        task.cancel()

    async def _call(self, method: str, **params: object) -> Any:  # noqa: ANN401
        """Ask the node for something. Denied for an error."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        async with self._session.post(self._url, json=request) as response:
            return _result(await response.read())

    async def _command(self, request: AnyRequest) -> _Fields:
        place, token = self._admin
        called = {"jsonrpc": "2.0", "id": 1, "method": method_of(request)}
        body = msgspec.json.encode({**called, "params": msgspec.to_builtins(request)})
        headers = {"Authorization": f"Bearer {token.value:064x}"}
        headers["Content-Type"] = "application/json"
        async with self._session.post(place.url, data=body, headers=headers) as response:
            told: _Fields = _result(await response.read())
        return told

    async def _learn_reorgs(self) -> None:
        """Learn what was done to the chain meanwhile, and forget what is not to be relied on."""
        told = await self._call("perp_reorgs", cursor=self.memory.reorgs)
        for each in told["reorgs"]:
            self.memory.cut((each["removed"] or each["restored"])["first"]["height"])
        self.memory.reorgs = told["cursor"]

    async def _subscribe(self) -> None:
        """Go on from the last block of each kind that is known and lives."""
        memory = self.memory
        last = memory.events[-1] if memory.events else None
        first: _Fields = {"block_number": 0}
        heads = {"block_hash": memory.heads[-1][1]} if memory.heads else first
        events = {"block_hash": last.block_hash} if last else first
        if last is not None:
            # The kill may have come in the middle of it.
            memory.events = [each for each in memory.events if each.height < last.height]
        for method, block in zip(_SUBSCRIPTIONS, (heads, events), strict=True):
            await self._begin(method, block_id=block)
        await self._begin("perp_subscribeReorgs", cursor=memory.reorgs)

    async def _begin(self, method: str, **params: object) -> None:
        request = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
        await self._socket.send_str(msgspec.json.encode(request).decode())
        while True:
            message = await self._socket.receive(_PATIENCE_SECONDS)
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionResetError
            told = msgspec.json.decode(message.data)
            if "method" not in told:
                self._topics[_result(message.data)] = method
                return
            self._take(told)

    async def _hear(self) -> None:
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            self._take(msgspec.json.decode(message.data))
            self._news.set()
        self._news.set()

    def _take(self, told: _Fields) -> None:
        topic = self._topics[told["params"]["subscription_id"]]
        result, memory = told["params"]["result"], self.memory
        if told["method"] == "starknet_subscriptionReorg":
            first = result["starting_block_number"]
            if topic == _SUBSCRIPTIONS[0]:
                memory.heads = [each for each in memory.heads if each[0] < first]
            else:
                memory.events = [each for each in memory.events if each.height < first]
        elif topic == _SUBSCRIPTIONS[0]:
            self._take_head(result)
        elif topic == _SUBSCRIPTIONS[1]:
            self._take_event(result)
        elif result["type"] == "REORG":
            number = result["reorg"]["cursor"]
            require_told(number == memory.reorgs + 1, f"record {number} after {memory.reorgs}")
            memory.reorgs = number

    def _take_head(self, header: _Fields) -> None:
        head, heads = (header["block_number"], header["block_hash"]), self.memory.heads
        if heads and head == heads[-1]:
            return
        wanted = (heads[-1][0] + 1, heads[-1][1]) if heads else (0, "0x0")
        require_told((head[0], header["parent_hash"]) == wanted, f"{head} came after {heads[-1:]}")
        heads.append(head)

    def _take_event(self, event: _Fields) -> None:
        seen = Seen(
            height=event["block_number"],
            block_hash=event["block_hash"],
            transaction_hash=event["transaction_hash"],
            number=event["event_index"],
            sender=event["from_address"],
            keys=event["keys"],
            data=event["data"],
        )
        events = self.memory.events
        require_told(not events or events[-1].height <= seen.height, f"{seen} came too late")
        events.append(seen)

    async def _compare(self) -> None:
        """Wait until the client knows the head, and compare all of it with the node's answers."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                self._news.clear()
                told = await self._call("starknet_blockHashAndNumber")
                head = (told["block_number"], told["block_hash"])
                if self.memory.heads[-1:] == [head] and await self._knows_events(head[0]):
                    break
                await self._news.wait()
        for before, after in pairwise(self.memory.heads):
            require_told(after[0] == before[0] + 1, f"{after} after {before}")

    async def _knows_events(self, height: int) -> bool:
        """Compare events and orders up to a height; False where the chain has moved on."""
        page: _Fields = {"chunk_size": _PAGE, "to_block": {"block_number": height}}
        wanted: list[_Fields] = []
        while True:
            told = await self._call("starknet_getEvents", filter=page)
            wanted += told["events"]
            if "continuation_token" not in told:
                break
            page["continuation_token"] = told["continuation_token"]
        orders = await self._call("perp_getOrders", account=format_felt(address_of(OWNER)))
        if orders["height"] != height or len(self.memory.events) < len(wanted):
            return False
        known = [
            (each.block_hash, each.transaction_hash, each.number, each.data)
            for each in self.memory.events
        ]
        names = ("block_hash", "transaction_hash", "event_index", "data")
        require_told(
            known == [tuple(each[name] for name in names) for each in wanted], "the events"
        )
        found = {each["order_id"] for each in orders["orders"]}
        require_told(self.memory.orders() == found, f"its orders at {height}")
        return True

    async def _publish(self) -> None:
        """Report prices, and climb to where orders can rest."""
        while True:
            self._talk.send([line_of("report", each) for each in reports_at(_now_ms())])
            self._talk.listen()
            mode = await self._call("perp_getMode")
            if mode["recorded_mode"] == Mode.CANCEL_ONLY.value:
                with suppress(Denied):
                    await self._command(ModeRequest(Mode.POST_ONLY, _WHY))
            elif not self.memory.lowest and mode["mode"] in (Mode.POST_ONLY.value, Mode.OPEN.value):
                self.memory.lowest = mode["height"]
            await asyncio.sleep(_PUBLISH_SECONDS)

    async def _decide(self) -> None:
        """Go back, take that back, and open again, at random."""
        while True:
            await asyncio.sleep(self._random.random() * _DECIDE_SECONDS * 2)
            mode = await self._call("perp_getMode")
            acts = [self._go_back] if mode["height"] > self.memory.lowest > 0 else []
            if mode["mode"] == Mode.HALTED.value:
                acts += [self._undo, self._reopen, self._reopen]
            if acts:
                with suppress(Denied):
                    await self._random.choice(acts)(mode)

    async def _go_back(self, mode: _Fields) -> None:
        target = max(self.memory.lowest, mode["height"] - self._random.randint(1, _DEPTH_MAX))
        plan = await self._command(PlanRequest(str(target)))
        await self._command(ApplyRequest(plan["plan_id"], _WHY))

    async def _undo(self, mode: _Fields) -> None:
        await self._command(UndoRequest(mode["halted_by_reorg"], _WHY))

    async def _reopen(self, mode: _Fields) -> None:
        await self._command(ModeRequest(Mode.CANCEL_ONLY, mode["mode"]))

    def _trader(self, trader: tuple[str, Side]) -> Callable[[], Awaitable[None]]:
        async def trade() -> None:
            while True:
                try:
                    await self._place(*trader)
                except Denied:
                    await asyncio.sleep(_PUBLISH_SECONDS / 10)

        return trade

    async def _place(self, name: str, side: Side) -> None:
        """Place an order, and mostly cancel it again."""
        memory, account = self.memory, address_of(name)
        memory.sent += 1
        order = order_of(name, side, memory.sent, _now_ms())
        signed = [*map(format_felt, sign(devnet_key(name), order_hash(order, account, CHAIN_ID)))]
        told = await self._call("perp_placeOrder", order=signed_fields(order), signature=signed)
        memory.placed.append(Placed(told["order_id"], told["height"], told["block_hash"]))
        if self._random.random() < 0.8:
            hash_ = cancel_hash(account, int(told["order_id"], 16), account, CHAIN_ID)
            signed = [*map(format_felt, sign(devnet_key(name), hash_))]
            named = {"account": format_felt(account), "order_id": told["order_id"]}
            await self._call("perp_cancelOrder", **named, signature=signed)


def live_with(
    memory: Memory, where: tuple[str, tuple[ServerPlace, Secret]], talk: Talk, seconds: float
) -> Memory:
    """Live with a node that is reached at `where` until it is killed; 0 seconds: only compare.

    Returns the memory, with what was violated in it.
    """
    life = Life(memory, *where, talk, Random(memory.sent))
    try:
        asyncio.run(life.live(seconds))
    except BaseExceptionGroup as group:
        memory.violation = "; ".join(map(str, _leaves(group)))
    except (Violation, Denied, TimeoutError, *_GONE) as failure:
        memory.violation = f"{type(failure).__name__}: {failure}"
    return memory


async def _until_gone(act: Callable[[], Awaitable[None]]) -> None:
    with suppress(*_GONE):
        await act()


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for each in group.exceptions
        for leaf in (_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    ]


def _result(body: bytes | str) -> Any:  # noqa: ANN401
    told = msgspec.json.decode(body)
    if "error" in told:
        raise Denied(told["error"])
    return told["result"]


def _now_ms() -> int:
    return time.time_ns() // _NS_PER_MS
