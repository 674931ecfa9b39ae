"""The public server around a few methods, as a process of its own: what the fuzzer runs against.

It prints its address and serves until it is killed. One method changes something, and only for
whoever knows a secret: the fuzzer's judge is shown to work by using it, and nobody else may.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.fuzzing.seeds import SECRET
from sequencer.api.callers import Caller
from sequencer.api.json_rpc import Method, Parameter, RpcError
from sequencer.api.server import RpcServer
from sequencer.model.api_limits import ServerLimits
from sequencer.model.refusals import Reason, Refused

_TOKENS = 1_000_000
_LIMITS = ServerLimits(
    connections_per_address_max=4_096,
    streams_per_address_max=1_024,
    tokens_per_second=_TOKENS,
    tokens_max=_TOKENS,
)
_CONTRACT_NOT_FOUND, _BLOCK_NOT_FOUND = 20, 24


class _Toy:
    """A total that grows by what somebody with the secret adds."""

    def __init__(self) -> None:
        self._total = 0

    def methods(self) -> Sequence[Method]:
        block, address = Parameter("block_id", _read_block, "latest"), Parameter("address", _felt)
        entries = Parameter("entries", _read_list(_felt))
        secret = Parameter("secret", _felt)
        return (
            Method("toy_root", (), self._root),
            Method("toy_nonce", (block, address), self._nonce),
            Method("toy_events", (Parameter("filter", _read_filter),), self._events),
            Method("toy_add", (entries, secret), self._add, is_large=True),
            Method("toy_subscribe", (block,), self._subscribe),
            Method("toy_costly", (), self._root, cost=2 * _TOKENS),
        )

    async def _root(self, caller: Caller) -> str:
        return hex(self._total)

    async def _nonce(self, caller: Caller, block_id: object, address: int) -> str:
        if address > _TOKENS:
            raise RpcError(_CONTRACT_NOT_FOUND, "Contract not found")
        return hex(address)

    async def _events(self, caller: Caller, filter: dict[str, Any]) -> object:
        return {"events": [], **filter}

    async def _add(self, caller: Caller, entries: list[int], secret: int) -> str:
        if secret != SECRET:
            raise RpcError(55, "Account validation failed", data="SIGNATURE_INVALID")
        self._total += sum(entries)
        return hex(self._total)

    async def _subscribe(self, caller: Caller, block_id: object) -> str:
        stream = caller.stream
        if stream is None:
            raise RpcError(-32_601)
        pushed = b'{"jsonrpc":"2.0","method":"toy_pushed","params":{"subscription_id":"1"}}'
        stream.after_answer(lambda: stream.send(pushed))
        return "1"


def _felt(value: object) -> int:
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 66:
        raise Refused(Reason.FELT_MALFORMED, "a felt is 0x and up to 64 digits")
    try:
        return int(value, 16)
    except ValueError:
        raise Refused(Reason.FELT_MALFORMED, "a felt is 0x and up to 64 digits") from None


def _read_list(read: Callable[[object], int]) -> Callable[[object], list[int]]:
    def read_all(value: object) -> list[int]:
        if not isinstance(value, list):
            raise Refused(Reason.PARAMETER_INVALID, "a list")
        return [read(each) for each in value]

    return read_all


def _read_block(value: object) -> object:
    if value in ("latest", "pre_confirmed"):
        return value
    if isinstance(value, dict) and value.keys() == {"block_number"}:
        raise RpcError(_BLOCK_NOT_FOUND, "Block not found")
    raise Refused(Reason.PARAMETER_INVALID, "no block")


def _read_filter(value: object) -> object:
    if not isinstance(value, dict) or not value.keys() <= {"keys", "chunk_size"}:
        raise Refused(Reason.PARAMETER_INVALID, "no filter")
    return {"chunk_size": len(value)}


async def _serve() -> None:
    methods = {method.name: method for method in _Toy().methods()}
    server = RpcServer(methods, "127.0.0.1", 0, _LIMITS)
    print(await server.start(), flush=True)
    await server.run()


if __name__ == "__main__":
    asyncio.run(_serve())
