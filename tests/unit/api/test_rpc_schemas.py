"""The judge of answers: what it must refuse, it refuses."""

import pytest

from tests.rpc_schemas import (
    errors_of,
    methods_of_protocol,
    require_error,
    validate_notification,
    validate_result,
)
from tests.strategies import Unchecked

EVENT = {
    "from_address": "0x1",
    "keys": [],
    "data": [],
    "transaction_hash": "0x1",
    "transaction_index": 0,
    "event_index": 0,
}
REORG = {
    "starting_block_hash": "0x1",
    "starting_block_number": 1,
    "ending_block_hash": "0x2",
    "ending_block_number": 2,
}
FINE = {"subscription_id": "7", "result": REORG}

WRONG: list[tuple[str, Unchecked]] = [
    ("blockHashAndNumber", {"block_hash": "0x1", "block_number": 1, "more": 1}),
    ("blockHashAndNumber", {"block_hash": "0x01", "block_number": 1}),
    ("blockHashAndNumber", {"block_hash": "0x1"}),
    ("getTransactionStatus", {"finality_status": "RECEIVED", "block_hash": "0x1"}),
    ("getTransactionStatus", {"finality_status": "REJECTED"}),
    ("getEvents", {"events": [{**EVENT, "block_hash": "0x00"}]}),
    ("getEvents", {"events": [{**EVENT, "more": "0x0"}]}),
    ("getEvents", {"events": [], "continuation_token": 5}),
    ("getStateUpdate", {"state_diff": {"nonces": []}}),
    ("getTransactionByHash", {"type": "INVOKE", "version": "0x3"}),
    ("getStorageAt", {"value": "0x1"}),
    ("syncing", 5),
    ("blockNumber", "0x1"),
]


@pytest.mark.parametrize(("method", "result"), WRONG)
def test_a_wrong_result_is_refused(method: str, result: Unchecked) -> None:
    with pytest.raises(AssertionError):
        validate_result(f"starknet_{method}", result)


def test_a_right_result_is_not() -> None:
    validate_result("starknet_getEvents", {"events": [EVENT], "continuation_token": "x"})
    validate_result("starknet_syncing", False)
    validate_result("starknet_getStorageAt", "0x0")
    validate_result("starknet_getStorageAt", {"value": "0x1", "last_update_block": 2})


@pytest.mark.parametrize(
    "params",
    [
        {**FINE, "subscription_id": 7},
        {**FINE, "more": 1},
        {"result": REORG},
        {**FINE, "result": {**REORG, "more": 1}},
        {**FINE, "result": {**REORG, "ending_block_number": "0x2"}},
    ],
)
def test_a_wrong_notification_is_refused(params: Unchecked) -> None:
    validate_notification("starknet_subscriptionReorg", FINE)
    with pytest.raises(AssertionError):
        validate_notification("starknet_subscriptionReorg", params)


@pytest.mark.parametrize(
    "error",
    [
        {"code": 25, "message": "Block not found"},
        {"code": 24, "message": "block not found"},
        {"code": 29, "message": "Transaction hash not found"},
        {"code": 24, "message": "Block not found", "trace": []},
    ],
)
def test_a_wrong_error_is_refused(error: Unchecked) -> None:
    require_error("starknet_getNonce", {"code": 24, "message": "Block not found"})
    require_error("starknet_getNonce", {"code": -32_602, "message": "Invalid params"})
    with pytest.raises(AssertionError):
        require_error("starknet_getNonce", error)


def test_all_methods_and_their_errors_are_known() -> None:
    assert len(methods_of_protocol()) == 38
    for method in methods_of_protocol():
        assert all(0 < code <= 100 for code in errors_of(method))
    assert errors_of("starknet_unsubscribe") == {66: "Invalid subscription id"}
    assert errors_of("starknet_getStorageProof").keys() == {24, 42}
