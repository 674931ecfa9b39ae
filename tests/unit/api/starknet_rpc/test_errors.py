"""The table of errors: each number of the specification is reached, or it is said why it is not."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from sequencer.api.json_rpc import PARAMS_INVALID, RpcError
from sequencer.api.starknet_rpc.errors import MESSAGES, NO_TRACE, from_refused
from sequencer.chain.shipped_class import SHIPPED, class_fields
from sequencer.chain.token_contract import TOKEN
from sequencer.model.api_limits import CLASS_PROGRAM_FELTS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.transactions import DeclareV3, Terms
from tests.rpc_schemas import errors_of, methods_of_protocol
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.asking import NEVER, NO_BOUNDS
from tests.unit.api.starknet_rpc.executing import (
    ALICE,
    EXCHANGE_AT,
    World,
    sent,
    sent_class,
    view_call,
    world,
)
from tests.unit.chain.network import PRIVATE

pytestmark = pytest.mark.usefixtures("process")

TABLE = Path(__file__).parents[4] / "docs" / "rpc.md"
ROW = re.compile(r"^\| (\d+) \| [A-Z_0-9]+ \| (.+) \|$", re.MULTILINE)

ELSEWHERE: Mapping[int, str] = {
    42: "a pruned block",
    66: "an unknown subscription",
    67: "too many addresses to follow",
    68: "a block too far back to follow",
}
"""Errors that another kind of node or connection has to answer with."""


def requests(at: World) -> dict[int, tuple[str, dict[str, Unchecked]]]:
    """Return a request that reaches each error."""
    good, latest = sent(at.transfer()), {"block_id": "latest"}
    unknown = {"block_id": {"block_number": 9_999}}
    page = {"chunk_size": 10, "from_block": "latest"}
    flags: dict[str, Unchecked] = {"simulation_flags": []}
    return {
        20: ("getNonce", {"contract_address": "0x123", **latest}),
        21: ("call", {"request": view_call("no_such_thing"), **latest}),
        24: ("getBlockWithTxHashes", unknown),
        27: ("getTransactionByBlockIdAndIndex", {"index": 999, **latest}),
        28: ("getClass", {"class_hash": "0x123", **latest}),
        29: ("getTransactionByHash", {"transaction_hash": "0x123"}),
        31: ("getEvents", {"filter": page | {"chunk_size": 10**6}}),
        33: ("getEvents", {"filter": page | {"continuation_token": "x"}}),
        34: ("getEvents", {"filter": page | {"keys": [[]] * 100}}),
        40: ("call", {"request": view_call("get_market", [1]), **latest}),
        41: ("estimateFee", {"request": [good | {"version": "0x1"}], **flags, **latest}),
        52: invoke(sent(at.transfer(nonce=5))),
        55: invoke(good | {"signature": ["0x1", "0x2"]}),
        56: declare(at, abi="[]"),
        57: declare(at, sierra_program=["0x1"] * (CLASS_PROGRAM_FELTS_MAX + 1)),
        58: invoke(good | {"sender_address": EXCHANGE_AT}),
        60: ("addDeclareTransaction", mismatched(at)),
        61: invoke(good | {"version": "0x1"}),
        62: declare(at, contract_class_version="0.0.1"),
        63: invoke(sent(at.transfer("op"))),
        69: invoke(good | {"proof_facts": ["0x1"]}),
    }


def invoke(fields: dict[str, Unchecked]) -> tuple[str, dict[str, Unchecked]]:
    return "addInvokeTransaction", {"invoke_transaction": fields}


def declare(at: World, nonce: int = 0, **changes: Unchecked) -> tuple[str, dict[str, Unchecked]]:
    shipped, terms = SHIPPED[TOKEN.class_hash], Terms(nonce, NO_BOUNDS)
    bare = DeclareV3(ALICE, TOKEN.class_hash, shipped.compiled_class_hash, terms)
    shown = class_fields(shipped.sierra) | changes
    fields = sent_class(at.signed(bare, PRIVATE["alice"]), shown)
    return "addDeclareTransaction", {"declare_transaction": fields}


def mismatched(at: World) -> dict[str, Unchecked]:
    _, params = declare(at)
    return {"declare_transaction": params["declare_transaction"] | {"compiled_class_hash": "0x1"}}


async def test_each_number_is_reached_by_its_request(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        reached = requests(at)
        for code, (method, params) in reached.items():
            refused = await at.refused(method, **params)
            assert refused.code == code, (method, refused)
        told = await at.call("addInvokeTransaction", sent(at.transfer()))
        assert (await at.refused("addInvokeTransaction", sent(at.transfer()))).code == 59
        waiting = at.methods["starknet_traceTransaction"].run
        with pytest.raises(RpcError) as untraced:
            await waiting(None, transaction_hash=int(told["transaction_hash"], 16))
        assert (untraced.value.code, untraced.value.data) == (NO_TRACE, {"status": "RECEIVED"})
        await at.in_block(told["transaction_hash"])
        method, params = declare(at, nonce=1)
        await at.in_block((await at.call(method, **params))["transaction_hash"])
        method, params = declare(at, nonce=2)
        assert (await at.refused(method, **params)).code == 51
        every = {*reached, 10, 51, 59, *ELSEWHERE, *NEVER}
        assert every == {*MESSAGES, *NEVER}
        assert every == {code for each in methods_of_protocol() for code in errors_of(each)} | {1}


async def test_a_chain_at_its_first_block_has_one(tmp_path: Path) -> None:
    async with world(tmp_path, is_open=False) as at:
        assert await at.call("blockNumber") == at.rig.height


def test_each_refusal_becomes_one_error_and_keeps_its_name() -> None:
    for reason in Reason:
        error = from_refused(Refused(reason, "some words"))
        assert error.code in {*MESSAGES, PARAMS_INVALID} - NEVER.keys()
        assert error.data == f"{reason}: some words"
        assert error.message


def test_the_words_are_those_of_the_specification() -> None:
    known = [errors_of(method) for method in methods_of_protocol()]
    for code, words in MESSAGES.items():
        assert {errors[code] for errors in known if code in errors} == {words}


def test_the_table_that_clients_read_is_this_one() -> None:
    rows = {int(code): told for code, told in ROW.findall(TABLE.read_text())}
    assert rows.keys() == {*MESSAGES, *NEVER}
    for code, told in rows.items():
        assert told.startswith("never: ") == (code in NEVER), (code, told)
