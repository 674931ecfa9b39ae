"""JSON-RPC 2.0: from bytes to one answer for each request, whatever comes in.

Promises
- Parameters by name or in order, absent or empty; single requests and batches; ids as they came.
- Whatever is wrong is an error of the protocol or of the method, with a stable number; nothing of
  the inside is shown, and a bug is raised for whoever runs the node.
- A batch is begun in its order and carried out together: whoever sends a hundred orders at once
  does not wait for a hundred blocks. A request without an id is carried out and not answered.

Laws
- A method's parameters are a table: what is not in it is refused, and nothing else is believed.
- What a method returns is written as it is: a method answers in its wire form.
- Nothing is carried out before it is paid for, and of a batch all or nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from sequencer.api.strict_json import TooLarge, decode_strict, depth_of
from sequencer.model.api_limits import (
    RPC_ANSWER_SECONDS_MAX,
    RPC_BATCH_ANSWER_BYTES_MAX,
    RPC_BATCH_MAX,
    RPC_BODY_BYTES_MAX,
    RPC_DEPTH_MAX,
    RPC_ENVELOPE_DEPTH,
)
from sequencer.model.refusals import Reason, Refused

PARSE_ERROR, INVALID_REQUEST = -32_700, -32_600
METHOD_UNKNOWN, PARAMS_INVALID = -32_601, -32_602
LIMIT_EXCEEDED = -32_005
"""Not carried out, or not to its end, for want of room or time; `data.code` says which."""

MESSAGES = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid Request",
    METHOD_UNKNOWN: "Method not found",
    PARAMS_INVALID: "Invalid params",
    LIMIT_EXCEEDED: "Limit exceeded",
}
"""The protocol's own errors, in the words that it gives them, and the one of the server."""

REQUIRED: Any = object()
"""In place of a default: the parameter must be there."""

_NAMES = frozenset({"jsonrpc", "id", "method", "params"})
_ID_MAX = 2**63


class RpcError(Exception):
    """A request that is answered with an error. `data` None is left out."""

    def __init__(self, code: int, message: str = "", data: Any = None) -> None:  # noqa: ANN401
        super().__init__(message or MESSAGES.get(code, ""))
        self.code = code
        self.message = message or MESSAGES[code]
        self.data = data


class Parameter(msgspec.Struct, frozen=True):
    """One parameter: `read` makes a value of what came; it refuses with Refused or RpcError."""

    name: str
    read: Callable[[Any], Any]
    default: Any = REQUIRED


class Method(msgspec.Struct, frozen=True):
    """A method. `run` takes the caller and the parameters by their names.

    `is_large`: its requests may be as long as transactions and classes are. `cost`: the tokens
    that a request costs: how many times the work of a plain look it is.
    """

    name: str
    parameters: Sequence[Parameter]
    run: Callable[..., Awaitable[Any]]
    is_large: bool = False
    depth_max: int = RPC_DEPTH_MAX
    cost: int = 1


Methods = Mapping[str, Method]

Toll = Callable[[int, int], None]
"""Takes the requests that are to be carried out, and their cost; RpcError where it is too much."""


def limit_exceeded(reason: Reason, words: str) -> RpcError:
    """Make the error for what there is no room or time for."""
    return RpcError(LIMIT_EXCEEDED, data={"code": reason.value, "detail": words})


def error_text(error: RpcError) -> bytes:
    """Write an error about a request whose id is not known."""
    return msgspec.json.encode(_failed(None, error))


def _free(requests: int, cost: int) -> None:
    pass


async def answer(body: bytes, methods: Methods, caller: object, toll: Toll = _free) -> bytes | None:
    """Answer a request or a batch; None where there is nothing to be said: all notifications.

    `caller` is handed to each method as it is. What is long is decoded in a thread. Whatever a
    method raises but RpcError is raised here.
    """
    try:
        called = await _read_body(body)
        requests = called if isinstance(called, list) else [called]
        if not 0 < len(requests) <= RPC_BATCH_MAX:
            raise RpcError(INVALID_REQUEST, data=f"a batch has 1 to {RPC_BATCH_MAX} requests")
    except RpcError as error:
        return error_text(error)
    try:
        toll(len(requests), sum(_cost(each, methods) for each in requests))
    except RpcError as error:
        told = [_refusal(each, error) for each in requests]
    else:
        told = await _answer_all(requests, len(body), methods, caller)
    if not isinstance(called, list):
        return told[0]
    given = [each for each in told if each is not None]
    return b"[" + b",".join(given) + b"]" if given else None


async def _read_body(body: bytes) -> Any:  # noqa: ANN401
    try:
        if len(body) > RPC_BODY_BYTES_MAX:
            return await asyncio.to_thread(_decode, body)
        return _decode(body)
    except TooLarge as refused:
        raise RpcError(INVALID_REQUEST, data=refused.detail) from None
    except Refused as refused:
        raise RpcError(PARSE_ERROR, data=refused.detail) from None


def _decode(body: bytes) -> Any:  # noqa: ANN401
    return decode_strict(body, RPC_DEPTH_MAX + RPC_ENVELOPE_DEPTH, hexadecimal=False)


def _cost(called: object, methods: Methods) -> int:
    name = called.get("method") if isinstance(called, dict) else None
    method = methods.get(name) if isinstance(name, str) else None
    return 1 if method is None else method.cost


async def _answer_all(
    requests: Sequence[object], size: int, methods: Methods, caller: object
) -> list[bytes | None]:
    if len(requests) == 1:
        return [await _answer_one(requests[0], size, methods, caller)]
    bytes_left = RPC_BATCH_ANSWER_BYTES_MAX

    async def bounded(called: object) -> bytes | None:
        nonlocal bytes_left
        told = await _answer_one(called, size, methods, caller)
        if told is None:
            return None
        if len(told) > bytes_left:
            words = f"answers of over {RPC_BATCH_ANSWER_BYTES_MAX} bytes: ask for fewer at once"
            return _refusal(called, limit_exceeded(Reason.BUSY, words))
        bytes_left -= len(told)
        return told

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(bounded(each)) for each in requests]
    return [task.result() for task in tasks]


async def _answer_one(called: object, size: int, methods: Methods, caller: object) -> bytes | None:
    try:
        request = _require_request(called)
        method = _method_of(request, size, methods)
        values = read_parameters(method, request.get("params", {}))
        result = await _run(method, caller, values)
    except RpcError as error:
        return _refusal(called, error)
    if "id" not in request:
        return None
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request["id"], "result": result})


def _method_of(request: Mapping[str, Any], size: int, methods: Methods) -> Method:
    method = methods.get(request["method"])
    if method is None:
        raise RpcError(METHOD_UNKNOWN, data=f"{request['method']:.80}")
    if size > RPC_BODY_BYTES_MAX and not method.is_large:
        raise RpcError(INVALID_REQUEST, data=f"{size} bytes, {RPC_BODY_BYTES_MAX} allowed")
    if depth_of(request.get("params")) > method.depth_max:
        raise RpcError(INVALID_REQUEST, data=f"more than {method.depth_max} levels")
    return method


async def _run(method: Method, caller: object, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    scope = asyncio.timeout(RPC_ANSWER_SECONDS_MAX)
    try:
        async with scope:
            return await method.run(caller, **values)
    except TimeoutError:
        if not scope.expired():
            raise
        words = f"not done within {RPC_ANSWER_SECONDS_MAX} s; what was begun may be done yet"
        raise limit_exceeded(Reason.OUTCOME_UNKNOWN, words) from None


def read_parameters(method: Method, given: object) -> dict[str, Any]:
    """Read parameters by name or in order. Error: PARAMS_INVALID, naming the parameter."""
    parameters = method.parameters
    if isinstance(given, list):
        if len(given) > len(parameters):
            raise RpcError(PARAMS_INVALID, data=f"{len(parameters)} parameters at most")
        given = {each.name: value for each, value in zip(parameters, given, strict=False)}
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise RpcError(PARAMS_INVALID, data="parameters are an object or a list")
    unknown = given.keys() - {each.name for each in parameters}
    if unknown:
        raise RpcError(PARAMS_INVALID, data=f"no parameter {min(unknown):.80}")
    return {each.name: _read(each, given.get(each.name)) for each in parameters}


def _read(parameter: Parameter, value: object) -> Any:  # noqa: ANN401
    if value is None:
        if parameter.default is REQUIRED:
            raise RpcError(PARAMS_INVALID, data=f"{parameter.name} is missing")
        return parameter.default
    try:
        return parameter.read(value)
    except Refused as refused:
        raise RpcError(PARAMS_INVALID, data=f"{parameter.name}: {refused.detail}") from None


def _require_request(called: object) -> dict[str, Any]:
    if not isinstance(called, dict) or not _is_sound(called):
        words = "an object with jsonrpc 2.0, a method, params and an id"
        raise RpcError(INVALID_REQUEST, data=words)
    if not _is_id(called.get("id")):
        raise RpcError(INVALID_REQUEST, data="an id is a number of 64 bits, text or null")
    return called


def _is_sound(called: dict[str, Any]) -> bool:
    has_method = isinstance(called.get("method"), str)
    return has_method and called.get("jsonrpc") == "2.0" and called.keys() <= _NAMES


def _is_id(value: object) -> bool:
    is_number = type(value) is int and -_ID_MAX <= value < _ID_MAX
    return value is None or is_number or isinstance(value, str)


def _refusal(called: object, error: RpcError) -> bytes | None:
    # A request without an id is never answered; what is no request always is.
    if not isinstance(called, dict):
        return msgspec.json.encode(_failed(None, error))
    if "id" not in called and _is_sound(called):
        return None
    number = called.get("id")
    return msgspec.json.encode(_failed(number if _is_id(number) else None, error))


def _failed(number: object, error: RpcError) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "id": number, "error": told}
