"""JSON-RPC without any socket: what is answered to what, and that nothing else comes out."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.api import json_rpc
from sequencer.api.callers import Caller
from sequencer.api.json_rpc import (
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    METHOD_UNKNOWN,
    PARAMS_INVALID,
    PARSE_ERROR,
    RpcError,
    answer,
    limit_exceeded,
)
from sequencer.model.api_limits import (
    RPC_BATCH_ANSWER_BYTES_MAX,
    RPC_BATCH_MAX,
    RPC_BODY_BYTES_MAX,
    RPC_DEPTH_MAX,
)
from sequencer.model.limits import JSON_DEPTH_MAX
from sequencer.model.refusals import Reason
from tests.strategies import Unchecked
from tests.unit.api.toys import Bug, Toys
from tests.unit.engine.builders import until

CALLER = Caller("127.0.0.1")


def request(method: str, params: object = None, number: object = 7) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


async def told(content: object, toys: Toys | None = None) -> Unchecked:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    found = await answer(body, (toys or Toys()).methods(), CALLER)
    return None if found is None else json.loads(found)


SOUND = request("toy_small", [1])


@pytest.mark.parametrize("params", [[5], {"number": 5}])
@pytest.mark.parametrize("number", [0, 7, -3, 2**63 - 1, -(2**63), "", "a\n\x00\U0001f600", None])
async def test_a_request_is_answered_with_its_id(params: object, number: object) -> None:
    found = await told(request("toy_small", params, number))
    assert found == {"jsonrpc": "2.0", "id": number, "result": 5}


@pytest.mark.parametrize("params", [None, [], {}, [None], {"value": None}])
async def test_what_need_not_be_there_may_be_absent_or_null(params: object) -> None:
    assert (await told(request("toy_echo", params)))["result"] is None
    assert (await told({"jsonrpc": "2.0", "id": 1, "method": "toy_echo"}))["result"] is None


def nested(levels: int) -> object:
    value: object = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


WRONG: list[tuple[object, object, int]] = [
    (b"", None, PARSE_ERROR),
    (b"{", None, PARSE_ERROR),
    (b"\xff", None, PARSE_ERROR),
    (b"NaN", None, PARSE_ERROR),
    (b"1.5", None, PARSE_ERROR),
    (b"9" * 81, None, PARSE_ERROR),
    (b'"\\ud800"', None, PARSE_ERROR),
    (b'{"id":1,"id":2}', None, PARSE_ERROR),
    (b"[" * 100_000, None, INVALID_REQUEST),
    (b"[" + b"1," * 300_000 + b"1]", None, INVALID_REQUEST),
    (b"null", None, INVALID_REQUEST),
    (b"1", None, INVALID_REQUEST),
    (b'"text"', None, INVALID_REQUEST),
    (b"{}", None, INVALID_REQUEST),
    (b"[]", None, INVALID_REQUEST),
    ([SOUND] * (RPC_BATCH_MAX + 1), None, INVALID_REQUEST),
    ({**SOUND, "jsonrpc": "1.0"}, 7, INVALID_REQUEST),
    ({**SOUND, "jsonrpc": 2}, 7, INVALID_REQUEST),
    ({**SOUND, "method": 1}, 7, INVALID_REQUEST),
    ({**SOUND, "method": None}, 7, INVALID_REQUEST),
    ({**SOUND, "more": 1}, 7, INVALID_REQUEST),
    ({**SOUND, "id": True}, None, INVALID_REQUEST),
    ({**SOUND, "id": [1]}, None, INVALID_REQUEST),
    ({**SOUND, "id": 2**63}, None, INVALID_REQUEST),
    ({**SOUND, "id": -(10**70)}, None, INVALID_REQUEST),
    ({"jsonrpc": "1.0", "method": "toy_echo"}, None, INVALID_REQUEST),
    (request("toy_shallow", [nested(JSON_DEPTH_MAX)]), 7, INVALID_REQUEST),
    (request("toy_echo", [nested(RPC_DEPTH_MAX)]), 7, INVALID_REQUEST),
    (request("toy_shallow", ["x" * RPC_BODY_BYTES_MAX]), 7, INVALID_REQUEST),
    (request("toy_none"), 7, METHOD_UNKNOWN),
    (request("x" * 10_000), 7, METHOD_UNKNOWN),
    (request("__class__"), 7, METHOD_UNKNOWN),
    (request("toy_small"), 7, PARAMS_INVALID),
    (request("toy_small", [None]), 7, PARAMS_INVALID),
    (request("toy_small", "text"), 7, PARAMS_INVALID),
    (request("toy_small", 5), 7, PARAMS_INVALID),
    (request("toy_small", [1, 2]), 7, PARAMS_INVALID),
    (request("toy_small", {"number": 1, "more": 2}), 7, PARAMS_INVALID),
    (request("toy_small", [100]), 7, PARAMS_INVALID),
    (request("toy_small", [10**70]), 7, PARAMS_INVALID),
    (request("toy_small", [True]), 7, PARAMS_INVALID),
    (request("toy_small", {"x" * 10_000: 1}), 7, PARAMS_INVALID),
    (request("toy_fail"), 7, 20),
]


@pytest.mark.parametrize(("content", "number", "code"), WRONG)
async def test_what_is_wrong_has_a_code(content: object, number: object, code: int) -> None:
    found = await told(content)
    assert found.keys() == {"jsonrpc", "id", "error"}
    assert (found["jsonrpc"], found["id"], found["error"]["code"]) == ("2.0", number, code)
    assert found["error"].keys() <= {"code", "message", "data"}
    assert found["error"]["message"]
    assert len(json.dumps(found)) < 400


async def test_what_is_just_within_the_limits_is_answered() -> None:
    deep = nested(RPC_DEPTH_MAX - 1)
    assert (await told(request("toy_echo", [deep])))["result"] == deep
    assert (await told([request("toy_echo", [deep])]))[0]["result"] == deep
    shallow = nested(JSON_DEPTH_MAX - 1)
    assert (await told(request("toy_shallow", [shallow])))["result"] == shallow
    long = "x" * (RPC_BODY_BYTES_MAX + 1)
    assert (await told(request("toy_echo", [long])))["result"] == long
    assert len(await told([SOUND] * RPC_BATCH_MAX)) == RPC_BATCH_MAX


async def test_a_request_without_an_id_is_carried_out_and_not_answered() -> None:
    toys = Toys()
    silent = {"jsonrpc": "2.0", "method": "toy_small", "params": [3]}
    assert await told(silent, toys) is None
    assert await told([silent, silent], toys) is None
    assert toys.begun == [3, 3, 3]
    for wrong in ({**silent, "params": []}, {**silent, "method": "none"}):
        assert await told(wrong) is None
        assert await told([wrong, SOUND]) == [{"jsonrpc": "2.0", "id": 7, "result": 1}]


async def test_a_batch_is_answered_in_its_order_each_for_itself() -> None:
    found = await told([request("toy_small", [1], 1), 5, request("none", [], "b"), SOUND, []])
    assert [each["id"] for each in found] == [1, None, "b", 7, None]
    codes = [each["error"]["code"] for each in found if "error" in each]
    assert codes == [INVALID_REQUEST, METHOD_UNKNOWN, INVALID_REQUEST]


async def test_a_batch_is_begun_in_order_and_carried_out_together() -> None:
    toys = Toys()
    batch = [request("toy_hold", [number], number) for number in range(50)]
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(told(batch, toys))
        await until(lambda: toys.waiting == 50)
        toys.free.set()
    assert toys.begun == list(range(50))
    assert [each["result"] for each in asked.result()] == list(range(50))


async def test_answers_to_a_batch_are_bounded() -> None:
    size = RPC_BATCH_ANSWER_BYTES_MAX // 4
    found = await told([request("toy_blob", [size], number) for number in range(5)])
    assert [each["id"] for each in found] == [0, 1, 2, 3, 4]
    over = [each for each in found if "error" in each]
    assert [each["error"]["data"]["code"] for each in over] == ["BUSY"] * 2
    assert (await told(request("toy_blob", [5 * size])))["result"]


async def test_a_bug_is_raised_and_not_answered() -> None:
    with pytest.raises(Bug):
        await told(request("toy_bug"))
    with pytest.raises(ExceptionGroup) as caught:
        await told([SOUND, request("toy_bug"), request("toy_hold", [1])])
    assert caught.group_contains(Bug)


async def test_a_method_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rpc, "RPC_ANSWER_SECONDS_MAX", 0.01)
    toys = Toys()
    found = await told([request("toy_hold", [1]), SOUND], toys)
    error = found[0]["error"]
    assert (error["code"], error["data"]["code"]) == (LIMIT_EXCEEDED, "OUTCOME_UNKNOWN")
    assert (found[1]["result"], toys.given_up) == (1, 1)


async def test_a_time_out_inside_a_method_is_a_bug() -> None:
    async def run(caller: object) -> object:
        raise TimeoutError

    method = json_rpc.Method("late", (), run)
    with pytest.raises(TimeoutError):
        await answer(json.dumps(request("late")).encode(), {"late": method}, CALLER)


async def test_nothing_is_carried_out_that_is_not_paid_for() -> None:
    toys, paid = Toys(), list[tuple[int, int]]()

    def toll(requests: int, cost: int) -> None:
        paid.append((requests, cost))
        if cost > 12:
            raise limit_exceeded(Reason.BUSY, "too much")

    async def ask(content: object) -> Unchecked:
        found = await answer(json.dumps(content).encode(), toys.methods(), CALLER, toll)
        return None if found is None else json.loads(found)

    assert (await ask(SOUND))["result"] == 1
    assert len(await ask([SOUND, request("none"), 5])) == 3
    found = await ask([SOUND, 5, SOUND, {"jsonrpc": "2.0", "method": "toy_echo"}])
    assert [each["id"] for each in found] == [7, None, 7]
    assert {each["error"]["data"]["code"] for each in found} == {"BUSY"}
    assert paid == [(1, 10), (3, 12), (4, 22)]
    assert toys.begun == [1, 1]


def test_an_error_shows_what_it_was_given() -> None:
    assert str(RpcError(PARAMS_INVALID)) == "Invalid params"
    assert RpcError(1, "words").message == "words"


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | scalars,
        "id": values,
        "method": st.sampled_from(["toy_echo", "toy_small", "toy_fail", "none"]) | values,
        "params": values,
        "more": values,
    },
)


def is_answer(found: object) -> bool:
    if not isinstance(found, dict) or found.get("jsonrpc") != "2.0" or "id" not in found:
        return False
    if "error" not in found:
        return found.keys() == {"jsonrpc", "id", "result"}
    error = found["error"]
    return found.keys() == {"jsonrpc", "id", "error"} and isinstance(error["code"], int)


@settings(derandomize=True, max_examples=300)
@given(requests | st.lists(requests | values, max_size=4) | values | st.binary(max_size=50))
def test_whatever_comes_one_answer_goes(content: object) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    async def ask() -> bytes | None:
        return await answer(body, Toys().methods(), CALLER)

    found = asyncio.run(ask())
    if found is None:
        return
    decoded = json.loads(found)
    assert all(map(is_answer, decoded if isinstance(decoded, list) else [decoded])), decoded
