"""A real node that trades, asked through JSON-RPC as a client asks it.

`World` signs as the people of the test's network do; blocks are made when something waits.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from sequencer.api import json_rpc
from sequencer.api.callers import Caller
from sequencer.api.perp_rpc.methods import perp_methods
from sequencer.api.perp_rpc.wire import signed_fields
from sequencer.chain.calls import ContractCall
from sequencer.engine.items import Applied
from sequencer.engine.service import Service
from sequencer.exchange.state import State
from sequencer.model.commands import SetMode
from sequencer.model.orders import Order, Side
from sequencer.model.rows import Mode
from sequencer.model.units import ONE
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.messages import cancel_hash, order_hash
from tests.strategies import Unchecked
from tests.unit.chain.network import PRIVATE, START_MS, Network, address_of
from tests.unit.engine.builders import applied, reports
from tests.unit.engine.desks import Operated, operated

CALLER = Caller("test")
PAGE = Path(__file__).parents[4] / "docs" / "perp.md"


@cache
def documented_codes() -> frozenset[str]:
    """Read which codes the page says that errors have."""
    table = PAGE.read_text().partition("| `data.code` | When |")[2]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return frozenset(code for cell in cells for code in re.findall("`([A-Z_]+)`", cell))


class World:
    """A node, its methods, and everybody's keys."""

    def __init__(self, node: Operated) -> None:
        self.node = node
        self.methods = perp_methods(node.service)
        self._network = Network()
        self._ids = 0

    @property
    def service(self) -> Service:
        return self.node.service

    @property
    def state(self) -> State:
        return self.service.latest

    async def ask(self, name: str, given: object) -> dict[str, Any]:
        """Send a request, and return the whole answer."""
        request = {"jsonrpc": "2.0", "id": 3, "method": f"perp_{name}", "params": given}
        body = await json_rpc.answer(json.dumps(request).encode(), self.methods, CALLER)
        assert body is not None
        told: dict[str, Any] = json.loads(body)
        assert (told["jsonrpc"], told["id"]) == ("2.0", 3)
        return told

    async def call(self, name: str, **params: object) -> dict[str, Any]:
        """Return the result of a method, and check that it says which head it is of."""
        told = await self.ask(name, params)
        assert "error" not in told, told["error"]
        result: dict[str, Any] = told["result"]
        assert list(result)[:3] == ["height", "block_hash", "epoch"]
        return result

    async def fails(self, name: str, **params: object) -> dict[str, Any]:
        """Return the error of a method."""
        error: dict[str, Any] = (await self.ask(name, params))["error"]
        assert not {"code", "message", "data"} ^ error.keys(), error
        return error

    async def refused(self, name: str, **params: object) -> dict[str, Any]:
        """Return the data of an error of these methods' own."""
        error = await self.fails(name, **params)
        assert error["code"] == -32_000, error
        data: dict[str, Any] = error["data"]
        assert {"code", "height", "block_hash", "epoch"} <= data.keys()
        assert data["code"] in documented_codes()
        return data

    def order(
        self,
        name: str,
        side: Side,
        price: int = 60_000,
        size: int = ONE // 10,
        **changes: Unchecked,
    ) -> Order:
        """Make an order of somebody's, unlike any other."""
        self._ids += 1
        order = self._network.order(name, side, price, self._ids)
        order = msgspec.structs.replace(order, size=size, signed_at_ms=self.node.clock.ms)
        return msgspec.structs.replace(order, **changes)

    def order_id(self, order: Order, name: str) -> Felt:
        return order_hash(order, address_of(name), self.state.system.chain_id)

    def signed(self, order: Order, name: str) -> dict[str, Any]:
        """Return the parameters with which somebody places an order."""
        signature = sign(PRIVATE[name], self.order_id(order, name))
        return {"order": signed_fields(order), "signature": [*map(format_felt, signature)]}

    def signed_cancel(self, order_id: Felt, name: str) -> dict[str, Any]:
        account = address_of(name)
        hash_ = cancel_hash(account, order_id, account, self.state.system.chain_id)
        signature = [*map(format_felt, sign(PRIVATE[name], hash_))]
        names = {"account": format_felt(account), "order_id": format_felt(order_id)}
        return {**names, "signature": signature}

    async def place(
        self, name: str, side: Side, *args: int, **changes: Unchecked
    ) -> dict[str, Any]:
        order = self.order(name, side, *args, **changes)
        method = "modifyOrder" if order.replaces else "placeOrder"
        return await self.call(method, **self.signed(order, name))

    async def invoke(self, name: str, *made: ContractCall) -> Applied:
        """Have a transaction of somebody's own executed."""
        nonce = self.service.admission.next_nonce(address_of(name))
        transaction = self._network.invoke(name, *made, nonce=nonce)
        return await applied(self.service.admission.transaction(transaction))

    async def tick(self, price: int = 60_000) -> int:
        """Make a block with a price in it, a second later, and return its height."""
        second = (self.node.clock.ms - START_MS) // 1_000 + 1
        for each in reports(price, second):
            self.service.admission.report(each)
        return await self.node.block()

    async def mode(self, mode: Mode) -> None:
        await applied(self.service.engine.writer.operate(SetMode(mode)))

    async def open(self) -> None:
        """Take the way up to OPEN."""
        for _ in range(3):
            await self.tick()
        await self.mode(Mode.POST_ONLY)
        await self.mode(Mode.OPEN)

    async def back(self, to: int) -> int:
        """Go back to a block, and return the reorg's id."""
        await self.node.back(to)
        return self.node.node.store.head.epoch

    async def reopen(self) -> None:
        await self.mode(Mode.CANCEL_ONLY)
        await self.open()


@asynccontextmanager
async def trading(folder: Path) -> AsyncIterator[World]:
    """Run a node that is OPEN."""
    async with operated(folder) as node:
        world = World(node)
        await world.open()
        yield world
