"""The body of a request: read whole, neither too long nor too slow, or refused.

Promises
- Tokens are paid for its length before it is read where that is told, else as soon as it is known.
- What is read counts as held by its address until it is answered.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from sequencer.api.buckets import Hold, Share
from sequencer.api.json_rpc import INVALID_REQUEST, PARSE_ERROR, RpcError
from sequencer.model.api_limits import RPC_BODY_SECONDS_MAX, RPC_LARGE_BODY_BYTES_MAX

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_body(request: web.BaseRequest, pay: Callable[[int], None], hold: Hold) -> bytes:
    """Read a body. RpcError where it is too long, too slow, broken off, or not paid for.

    `pay` takes the tokens for so many bytes.
    """
    length = request.content_length
    if length is not None:
        _require_short(length)
        pay(length)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
    content = request.content
    if content.is_eof():
        # Nearly always: a short body comes together with its head.
        body = content.read_nowait()
        hold.take(Share.BYTES, len(body))
    else:
        body = await _read_slowly(request, hold)
    _require_short(len(body))
    if length is None:
        pay(len(body))
    return body


async def _read_slowly(request: web.BaseRequest, hold: Hold) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(RPC_BODY_SECONDS_MAX):
            async for chunk in request.content.iter_any():
                hold.take(Share.BYTES, len(chunk))
                body += chunk
                _require_short(len(body))
    except TimeoutError:
        words = f"the request took over {RPC_BODY_SECONDS_MAX} s to come"
        raise RpcError(INVALID_REQUEST, data=words) from None
    except web.RequestPayloadError:
        raise RpcError(PARSE_ERROR, data=HTTPStatus.BAD_REQUEST.phrase) from None
    except RuntimeError:
        # So a reader says that its connection is gone.
        if request.transport is not None:
            raise
        raise ConnectionResetError from None
    return bytes(body)


def _require_short(length: int) -> None:
    if length > RPC_LARGE_BODY_BYTES_MAX:
        words = f"{length} bytes, {RPC_LARGE_BODY_BYTES_MAX} allowed"
        raise RpcError(INVALID_REQUEST, data=words)
