"""A Starknet node on a free port that does what a test tells it, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from sequencer.settlement.connection import Patience

Answer = Callable[[Any], Any]
"""Makes the answer to a request from its parameters; an RpcError is one, too."""

ADD = "starknet_addInvokeTransaction"
RECEIPT = "starknet_getTransactionReceipt"
NONCE = "starknet_getNonce"

LONG_MS = 20_000
PATIENT = Patience(read_ms=LONG_MS, send_ms=LONG_MS, receipt_ms=LONG_MS, poll_ms=5)
"""Only what a test makes hang is waited for in vain, so only that is short."""

ACCOUNT_CLASS = {
    "sierra_program": ["0x1"],
    "contract_class_version": "0.1.0",
    "entry_points_by_type": {"CONSTRUCTOR": [], "EXTERNAL": [], "L1_HANDLER": []},
    "abi": "[]",
}


class RpcError(Exception):
    """An error as JSON-RPC knows it."""

    def __init__(self, code: int, message: str = "no") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Hang(Exception):
    """The node takes the request and never answers."""


class Drop(Exception):
    """The node takes the request and breaks the connection."""


class Status(Exception):
    """The node, or a proxy before it, answers with a status of HTTP."""


def receipt(transaction_hash: str, **differences: object) -> dict[str, object]:
    return {
        "transaction_hash": transaction_hash,
        "execution_status": "SUCCEEDED",
        "finality_status": "ACCEPTED_ON_L2",
        "actual_fee": {"amount": "0x1", "unit": "FRI"},
        "type": "INVOKE",
        "events": [],
        "messages_sent": [],
        "execution_resources": {"l1_gas": 0, "l1_data_gas": 1, "l2_gas": 7},
        "block_number": 1,
        "block_hash": "0x1",
    } | differences


class BrokenNode:
    """Answers as a healthy node; `on` puts something else in one method's place.

    `sent` holds the nonces of the transactions that arrived.
    """

    def __init__(self) -> None:
        self.url = ""
        self.sent: list[int] = []
        self.asked: list[str] = []
        self.nonce = 0
        self.release = asyncio.Event()
        self._answers: dict[str, Answer] = {
            "starknet_specVersion": lambda _: "0.10.2",
            "starknet_chainId": lambda _: "0x534e5f5345504f4c4941",
            "starknet_getClassHashAt": lambda _: "0x1",
            "starknet_getClassAt": lambda _: ACCOUNT_CLASS,
            NONCE: lambda _: hex(self.nonce),
            ADD: lambda _: {"transaction_hash": "0xabc"},
            RECEIPT: lambda of: receipt(of["transaction_hash"]),
        }

    def on(self, method: str, answer: Answer) -> None:
        """Let a method answer otherwise."""
        self._answers[method] = answer

    def fail(self, method: str, error: Exception) -> None:
        """Let a method fail."""

        def failing(_: object) -> object:
            raise error

        self.on(method, failing)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        method, parameters = asked["method"], asked.get("params")
        self.asked.append(method)
        if method == ADD:
            self.sent.append(int(parameters["invoke_transaction"]["nonce"], 16))
        try:
            if method not in self._answers:
                raise RpcError(-32601, "Method not found")
            return web.json_response({"id": 0, "result": self._answers[method](parameters)})
        except RpcError as error:
            told = {"code": error.code, "message": error.message}
            return web.json_response({"id": 0, "error": told})
        except Status:
            return web.Response(status=502, text="bad gateway")
        except Hang:
            await self.release.wait()
        except Drop:
            pass
        assert request.transport is not None
        request.transport.close()
        return web.Response()


@asynccontextmanager
async def serving(node: BrokenNode) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Serve on a free port of this machine; gives what ends it early."""
    application = web.Application()
    application.router.add_post("/", node.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    node.url = f"http://{host}:{port}/"
    try:
        yield site.stop
    finally:
        node.release.set()
        await runner.cleanup()
