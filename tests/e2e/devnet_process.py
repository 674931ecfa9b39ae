"""A local devnet that unmodified clients talk to: its accounts, and its operator at a terminal."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from starknet_py.hash.address import compute_address
from starknet_py.net.account.account import Account
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient
from starknet_py.net.signer.key_pair import KeyPair

from sequencer.starknet.names import selector
from tests.contracts.devnet import NEEDS_DEVNET
from tests.e2e.commands import run, shown
from tests.e2e.local_devnet import PATIENCE_SECONDS, LocalDevnet

NO_FEES = ResourceBoundsMapping(*[ResourceBounds(0, 0)] * 3)
"""What a transaction costs here."""

CHECK_SECONDS = 0.05
"""How often a client looks whether its transaction is in a block."""

Test = TypeVar("Test", bound=Callable[..., object])

_OPTIONS = ("--settlement", "none", "--accounts", "4", "--block-time", "20ms")
_NOT_YET = ("MODE_NOT_READY", "ROOT_UNVERIFIED")


class ClientDevnet:
    """A devnet as its clients see it, and its operator."""

    def __init__(self, devnet: LocalDevnet) -> None:
        facts = devnet.facts
        self.facts: dict[str, Any] = facts
        self.http, self.ws = str(facts["http"]), str(facts["ws"])
        self.token, self.exchange = (
            number(facts[name]["address"]) for name in ("token", "exchange")
        )
        self.account_class = number(facts["account_class_hash"])
        self.log = devnet.log
        self._data, self._devnet = Path(facts["data_dir"]), devnet

    def client(self) -> FullNodeClient:
        """Connect as starknet-py does."""
        return FullNodeClient(self.http)

    def perp(self) -> RpcHttpClient:
        """Connect to the methods of the exchange, as starknet-py does for a prefix."""
        return RpcHttpClient(self.http, method_prefix="perp")

    def address(self, at: int) -> int:
        """Return the address of an account with money."""
        return number(self.facts["accounts"][at]["address"])

    def settlement_url(self) -> str:
        """Wait for the settlement chain, and return where it answers."""
        return str(self._devnet.line(1)["settlement_url"])

    def account(self, at: int) -> Account:
        """Return an account with money."""
        key = self.facts["accounts"][at]["private_key"]
        return Account(
            address=self.address(at),
            client=self.client(),
            key_pair=KeyPair.from_private_key(key),
            chain=self.facts["chain_id"],
        )

    def undeployed(self, key: int, salt: int) -> Account:
        """Return an account that nobody has deployed yet."""
        pair = KeyPair.from_private_key(key)
        address = compute_address(
            class_hash=self.account_class, constructor_calldata=[pair.public_key], salt=salt
        )
        return Account(
            address=address, client=self.client(), key_pair=pair, chain=self.facts["chain_id"]
        )

    def class_hash(self, name: str) -> int:
        """Return the class hash of a contract."""
        return number(self.facts[name]["class_hash"])

    async def texts_of(self, class_hash: int) -> tuple[str, str]:
        """Return a class of the node in both of its forms, as files of a compiler."""
        node, params = RpcHttpClient(self.http), {"class_hash": hex(class_hash)}
        sierra = await node.call("getClass", {**params, "block_id": "latest"})
        return json.dumps(sierra), json.dumps(await node.call("getCompiledCasm", params))

    def transfer(self, recipient: int, amount: int) -> Call:
        """Return a transfer of the token, in 1e-6."""
        return Call(self.token, selector("transfer"), [recipient, amount, 0])

    async def mode(self, name: str, *more: object) -> dict[str, Any]:
        """Change the mode."""
        return await self._shown("mode", self._data, name, *more)

    async def roll_back(self, to: int, *, is_halted: bool = False) -> dict[str, Any]:
        """Halt, go back to a block, and stay halted; returns what the command said."""
        if not is_halted:
            await self.mode("halted", "--reason", "a price that was none")
        plan = await self._shown("reorg", "plan", self._data, "--to", to)
        words = ("--reason", "a price that was none", "--by", "olga")
        return await self._shown("reorg", "apply", "--yes", self._data, plan["plan_id"], *words)

    async def undo(self, reorg_id: int) -> dict[str, Any]:
        """Take a rollback back, and stay halted."""
        words = ("--reason", "it was a price", "--by", "olga")
        return await self._shown("reorg", "undo", "--yes", self._data, reorg_id, *words)

    async def reopen(self) -> None:
        """Trade again after a rollback; that takes three prices."""
        await self.mode("cancel-only", "--reason", "reviewed")
        await self.mode("post-only")

        async def opened() -> bool:
            done = await asyncio.to_thread(run, "mode", self._data, "open", "--json")
            assert done.exit_code == 0 or any(word in done.stderr for word in _NOT_YET), done.stderr
            return done.exit_code == 0

        await eventually(opened)

    async def _shown(self, *words: object) -> dict[str, Any]:
        # In a thread: the clients of this process go on reading.
        return await asyncio.to_thread(shown, *words)


@contextmanager
def client_devnet(folder: Path, *options: str, change: str = "") -> Iterator[ClientDevnet]:
    """Run a devnet that trades, and expect that nothing went wrong in there."""
    with LocalDevnet(folder, *_OPTIONS, *options, change=change) as devnet:
        assert devnet.logged("mode=OPEN"), devnet.log
        yield ClientDevnet(devnet)
        assert devnet.process.poll() is None, devnet.log
        assert devnet.end() == 0, devnet.log
    assert "Traceback" not in "\n".join(devnet.log)


def needs_devnet(test: Test) -> Test:
    """Mark a test that runs on a real devnet."""
    for mark in NEEDS_DEVNET:
        test = mark(test)
    return test


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> int:
    """Return the number of an error, which the client says to be text."""
    code: Any = caught.value.code
    assert type(code) is int
    return code


def number(text: str) -> int:
    return int(text, 16)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(CHECK_SECONDS)
