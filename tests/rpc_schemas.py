"""Answers held against the protocol's own files, and loaded as starknet-py loads them.

`validate_result` and `validate_notification` check an answer by both; `errors_of` and
`require_error` know which errors a method may answer with, and in which words.

Laws
- No field may be there that the files do not name: every object is closed where it is used.
- A confirmed block satisfies the pre-confirmed branch, too, so "one of" is read as "any of".
- Tests that need the files are skipped by name where these are not.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jsonschema
import pytest
from marshmallow import ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from starknet_py.net.schemas.rpc import block, contract, event, general, storage_proof, trace_api
from starknet_py.net.schemas.rpc import transactions as sent
from starknet_py.net.schemas.rpc import websockets as ws

from tests.strategies import Unchecked

SPECIFICATION = Path(__file__).parents[1].parent / "shared" / "spec" / "starknet"
_UPSTREAM = "./api/"
_FILES = (
    "starknet_api_openrpc.json",
    "starknet_write_api.json",
    "starknet_trace_api_openrpc.json",
    "starknet_executables.json",
    "starknet_ws_api.json",
)
_URN = "urn:starknet:"
_SHAPES = {"$ref", "allOf", "anyOf", "properties"}
_PLAIN = {"string", "integer", "boolean"}

PROTOCOL_ERRORS = frozenset({-32_700, -32_600, -32_601, -32_602, -32_005})
"""Errors of JSON-RPC itself, which any method may answer with."""

_BLOCKS = {
    "starknet_getBlockWithTxHashes": (
        block.StarknetBlockWithTxHashesSchema,
        block.PreConfirmedStarknetBlockWithTxHashesSchema,
    ),
    "starknet_getBlockWithTxs": (
        block.StarknetBlockSchema,
        block.PreConfirmedStarknetBlockSchema,
    ),
    "starknet_getBlockWithReceipts": (
        block.StarknetBlockWithReceiptsSchema,
        block.PreConfirmedStarknetBlockWithReceiptsSchema,
    ),
    "starknet_getStateUpdate": (
        block.BlockStateUpdateSchema,
        block.PreConfirmedBlockStateUpdateSchema,
    ),
}
_SCHEMAS: Mapping[str, Unchecked] = {
    "starknet_addDeclareTransaction": sent.DeclareTransactionResponseSchema,
    "starknet_addDeployAccountTransaction": sent.DeployAccountTransactionResponseSchema,
    "starknet_addInvokeTransaction": sent.SentTransactionSchema,
    "starknet_blockHashAndNumber": block.BlockHashAndNumberSchema,
    "starknet_estimateMessageFee": general.EstimatedFeeSchema,
    "starknet_getClass": contract.SierraContractClassSchema,
    "starknet_getClassAt": contract.SierraContractClassSchema,
    "starknet_getCompiledCasm": contract.CasmClassSchema,
    "starknet_getEvents": event.EventsChunkSchema,
    "starknet_getStorageProof": storage_proof.StorageProofResponseSchema,
    "starknet_getTransactionByBlockIdAndIndex": sent.TypesOfTransactionsSchema,
    "starknet_getTransactionByHash": sent.TypesOfTransactionsSchema,
    "starknet_getTransactionReceipt": sent.TransactionReceiptWithBlockInfoSchema,
    "starknet_getTransactionStatus": sent.TransactionStatusResponseSchema,
    "starknet_traceTransaction": trace_api.TransactionTraceSchema,
}
_LISTS: Mapping[str, Unchecked] = {
    "starknet_estimateFee": general.EstimatedFeeSchema,
    "starknet_getMessagesStatus": sent.MessageStatusSchema,
    "starknet_simulateTransactions": trace_api.SimulatedTransactionSchema,
    "starknet_traceBlockTransactions": trace_api.BlockTransactionTraceSchema,
}
_NOTIFICATIONS: Mapping[str, Unchecked] = {
    "starknet_subscriptionEvents": ws.NewEventsNotificationSchema,
    "starknet_subscriptionNewHeads": ws.NewHeadsNotificationSchema,
    "starknet_subscriptionNewTransaction": ws.NewTransactionNotificationSchema,
    "starknet_subscriptionNewTransactionReceipts": ws.NewTransactionReceiptsNotificationSchema,
    "starknet_subscriptionReorg": ws.ReorgNotificationSchema,
    "starknet_subscriptionTransactionStatus": ws.TransactionStatusNotificationSchema,
}


def validate_result(method: str, result: Unchecked) -> None:
    """Fail where a result is not what the protocol's files and starknet-py take."""
    _validate_result(method, json.dumps(result))


@cache
def _validate_result(method: str, text: str) -> None:
    # What was right once is right again: the schemas are slow, and tests ask again and again.
    result = json.loads(text)
    _validate(_method(method)["result"]["schema"], result)
    load_result(method, result)


def validate_notification(method: str, params: Unchecked) -> None:
    """Fail where the `params` of a notification are not what files and starknet-py take."""
    given = {each["name"]: each["schema"] for each in _method(method)["params"]}
    assert params.keys() == given.keys(), (method, params)
    for name, schema in given.items():
        _validate(schema, params[name])
    _load(_NOTIFICATIONS[method], params)


def load_result(method: str, result: Unchecked) -> Unchecked:
    """Load a result as starknet-py does; plain values come back as they are."""
    if method in _BLOCKS:
        return _load(_BLOCKS[method]["block_hash" not in result], result)
    if method == "starknet_getStorageAt" and isinstance(result, dict):
        return _load(general.StorageResultSchema, result)
    if method in _LISTS:
        many = result if isinstance(result, list) else next(iter(result.values()))
        return [_load(_LISTS[method], each) for each in many]
    return _load(_SCHEMAS[method], result) if method in _SCHEMAS else result


def _load(schema: Unchecked, value: Unchecked) -> Unchecked:
    try:
        return schema().load(value)
    except ValidationError as error:
        raise AssertionError(str(error)) from None


def errors_of(method: str) -> dict[int, str]:
    """Return the errors that a method may answer with, their words by number."""
    return {each["code"]: each["message"] for each in _errors(method)}


def require_error(method: str, error: Unchecked) -> None:
    """Fail where a method may not answer with this error, in these words, with such data."""
    assert error.keys() <= {"code", "message", "data"}, error
    if error["code"] in PROTOCOL_ERRORS:
        return
    assert errors_of(method).get(error["code"]) == error["message"], (method, error)
    data = next(each.get("data") for each in _errors(method) if each["code"] == error["code"])
    if isinstance(data, dict):
        _validate(data, error.get("data"))


def methods_of_protocol() -> list[str]:
    """List what a client may call, subscriptions included."""
    return [name for name in _methods() if "_subscription" not in name]


def _validate(schema: Unchecked, value: Unchecked) -> None:
    validator = jsonschema.Draft202012Validator(schema, registry=_registry())
    problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
    assert problem is None, f"{list(problem.absolute_path)}: {problem.message:.400}"


@cache
def _read() -> dict[str, Unchecked]:
    if not SPECIFICATION.is_dir():
        pytest.skip("the protocol's own files are absent")
    return {name: json.loads((SPECIFICATION / name).read_text()) for name in _FILES}


@cache
def _documents() -> dict[str, Unchecked]:
    return {name: _rewritten(content, name) for name, content in _read().items()}


@cache
def _registry() -> Unchecked:
    resources = [
        (_URN + name, DRAFT202012.create_resource(content))
        for name, content in _documents().items()
    ]
    return Registry().with_resources(resources)


@cache
def _methods() -> dict[str, Unchecked]:
    return {
        method["name"]: method
        for document in _documents().values()
        for method in document["methods"]
    }


def _method(name: str) -> Unchecked:
    return _methods()[name]


def _errors(method: str) -> list[Unchecked]:
    return [_resolved(each) for each in _method(method).get("errors", [])]


def _resolved(schema: Unchecked) -> Unchecked:
    return _followed(schema, _documents())


def _followed(schema: Unchecked, documents: Unchecked) -> Unchecked:
    while "$ref" in schema:
        document, _, path = schema["$ref"].removeprefix(_URN).partition("#/")
        schema = documents[document]
        for part in path.split("/"):
            schema = schema[part]
        if "$ref" in schema:
            schema = {"$ref": _absolute(schema["$ref"], document)}
    return schema


def _rewritten(value: Unchecked, document: str, *, closes: bool = False) -> Unchecked:
    """Make absolute references of all, mend what is no schema, and close objects where used."""
    if isinstance(value, list):
        return [_rewritten(each, document) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"schema"}:
        return _rewritten(value["schema"], document, closes=closes)
    if isinstance(value.get("$ref"), str):
        target = _followed({"$ref": _absolute(value["$ref"], document)}, _read())
        if target.get("type") in _PLAIN:
            return target
    made: dict[str, Unchecked] = {}
    for name, each in value.items():
        if name == "$ref":
            made[name] = _absolute(each, document)
        elif name == "properties" and isinstance(each, dict):
            made[name] = {key: _rewritten(v, document, closes=True) for key, v in each.items()}
        elif name == "required" and isinstance(each, str):
            made[name] = [each]
        else:
            key = "anyOf" if name == "oneOf" else name
            made[key] = _rewritten(each, document, closes=name in ("items", "schema"))
    if closes and _SHAPES & made.keys():
        made["unevaluatedProperties"] = False
    return made


def _absolute(reference: str, document: str) -> str:
    if reference.startswith("#"):
        return f"{_URN}{document}{reference}"
    return _URN + reference.removeprefix(_UPSTREAM)
