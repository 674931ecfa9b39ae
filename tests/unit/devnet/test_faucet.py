"""The faucet on a real chain: money for anybody, within limits, and a clear no otherwise."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from devnet.faucet import METHOD, faucet_methods
from sequencer.api.callers import Caller
from sequencer.api.json_rpc import answer
from sequencer.model.devnet_limits import FAUCET_TOKENS, FAUCET_TOKENS_MAX, FAUCET_WAITING_MAX
from sequencer.model.rows import Mode
from tests.unit.devnet.local_node import World, cast, play

NOBODY = 0x1234


class Client:
    """Calls the faucet as a client would, with blocks made meanwhile."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.methods = faucet_methods(world.service, cast().faucet)

    async def begin(self, params: object) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 1, "method": METHOD, "params": params}
        told = await answer(msgspec.json.encode(request), self.methods, Caller("test"))
        assert told is not None
        answered: dict[str, Any] = msgspec.json.decode(told)
        return answered

    async def call(self, *several: object) -> list[dict[str, Any]]:
        """Make calls at the same time."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.begin(params)) for params in several]
            while not all(task.done() for task in tasks):
                await asyncio.wait(tasks, timeout=0.01)
                await self.world.block(100)
        return [task.result() for task in tasks]

    def cash(self, account: int = NOBODY) -> int:
        """Return whole tokens."""
        row = self.world.service.latest.accounts.get(account)
        return 0 if row is None else row.cash // 10**8


def test_it_pays_an_address_that_has_nothing_yet(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await world.open()
        client = Client(world)
        ((told),) = await client.call({"account": hex(NOBODY)})
        result = told["result"]
        assert client.cash() == FAUCET_TOKENS
        assert result["account"] == hex(NOBODY)
        assert result["amount"] == str(FAUCET_TOKENS)
        assert result["epoch"] == 0
        record = world.service.views.view.block(result["height"])
        assert record is not None
        assert int(result["block_hash"], 16) == int.from_bytes(record.block_hash, "big")
        (told,) = await client.call([hex(NOBODY), "0.000001"])
        assert told["result"]["amount"] == "0.000001"
        (told,) = await client.call([hex(NOBODY), str(FAUCET_TOKENS_MAX)])
        assert client.cash() == FAUCET_TOKENS + FAUCET_TOKENS_MAX

    play(tmp_path / "chain", act)


def test_calls_at_one_time_are_all_paid(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await world.open()
        client = Client(world)
        told = await client.call(*([hex(NOBODY + n), "5"] for n in range(10)))
        assert all("result" in each for each in told)
        assert [client.cash(NOBODY + n) for n in range(10)] == [5] * 10
        assert len({each["result"]["transaction_hash"] for each in told}) == 10

    play(tmp_path / "chain", act)


def test_one_too_many_is_refused_at_once(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await world.open()
        client = Client(world)
        calls = FAUCET_WAITING_MAX + 3
        told = await client.call(*([hex(NOBODY + n), "5"] for n in range(calls)))
        refused = [each["error"]["data"]["code"] for each in told if "error" in each]
        assert refused == ["BUSY"] * 3
        (after,) = await client.call([hex(NOBODY), "5"])
        assert "result" in after

    play(tmp_path / "chain", act)


NONSENSE: list[object] = [
    {},
    {"account": 5},
    {"account": "1234"},
    {"account": hex(2**251)},
    {"account": hex(NOBODY), "amount": 5},
    {"account": hex(NOBODY), "amount": "0"},
    {"account": hex(NOBODY), "amount": "-1"},
    {"account": hex(NOBODY), "amount": "1e3"},
    {"account": hex(NOBODY), "amount": "0.0000001"},
    {"account": hex(NOBODY), "amount": f"{FAUCET_TOKENS_MAX}.000001"},
    {"account": hex(NOBODY), "much": "1"},
]


def test_nonsense_is_refused_and_sends_nothing(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await world.open()
        client = Client(world)
        told = await client.call(*NONSENSE)
        assert [each["error"]["code"] for each in told] == [-32602] * len(NONSENSE)
        assert client.cash() == 0
        assert world.state.contracts[cast().faucet.address].nonce == 0

    play(tmp_path / "chain", act)


def test_it_says_why_it_pays_nothing(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        client = Client(world)
        await world.block()
        (told,) = await client.call([hex(NOBODY)])
        assert told["error"]["code"] == -32000
        assert told["error"]["data"]["code"] == "MODE_FORBIDS"
        await world.open()
        for account in (0, cast().faucet.address):
            (told,) = await client.call([hex(account)])
            assert told["error"]["data"]["code"] == "ACCOUNT_INVALID"
        await world.set_mode(Mode.HALTED)
        (told,) = await client.call([hex(NOBODY)])
        assert told["error"]["data"]["code"] == "MODE_FORBIDS"

    play(tmp_path / "chain", act)
