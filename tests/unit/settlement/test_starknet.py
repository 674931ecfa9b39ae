"""What each failure of a settlement node is called, and that a key is never shown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from sequencer.model.refusals import Reason
from sequencer.model.secret import Secret
from sequencer.model.settlement import Post, Sent, SettlementError, SettlementProblem
from sequencer.settlement.connection import Patience, StarknetAccess
from sequencer.settlement.refusals import REVERTED, refusal_of_node, refusal_of_revert
from sequencer.settlement.starknet import StarknetSettlement
from tests.strategies import refused
from tests.unit.settlement.broken_node import (
    ADD,
    NONCE,
    PATIENT,
    RECEIPT,
    BrokenNode,
    Drop,
    Hang,
    RpcError,
    Status,
    receipt,
    serving,
)

KEY = 0x5EC2E7
SHORT_MS = 100

UNREACHABLE = SettlementProblem.UNREACHABLE
OUTCOME_UNKNOWN = SettlementProblem.OUTCOME_UNKNOWN
REFUSED = SettlementProblem.REFUSED
CONTRACT_ABSENT = SettlementProblem.CONTRACT_ABSENT


@asynccontextmanager
async def client_of(
    node: BrokenNode, patience: Patience = PATIENT
) -> AsyncIterator[StarknetSettlement]:
    made = StarknetSettlement(StarknetAccess(node.url, 0x1, Secret(KEY)), 0x2, patience)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def settlement(node: BrokenNode) -> AsyncIterator[StarknetSettlement]:
    async with client_of(node) as made:
        yield made


async def failure(call: Awaitable[object]) -> tuple[SettlementProblem, str]:
    with pytest.raises(SettlementError) as caught:
        await call
    return caught.value.problem, caught.value.code


async def test_a_call_is_carried_out(node: BrokenNode, settlement: StarknetSettlement) -> None:
    assert settlement.backend == "starknet"
    assert await settlement.release() == Sent(0xABC, 7)
    assert settlement.backend == "starknet"


async def test_a_devnet_is_known_by_what_it_answers(
    node: BrokenNode, settlement: StarknetSettlement
) -> None:
    node.on("devnet_getConfig", lambda _: {"seed": 1})
    await settlement.release()
    assert settlement.backend == "starknet-devnet"


async def test_time_passes_only_on_a_devnet(settlement: StarknetSettlement) -> None:
    assert await failure(settlement.advance_time(5)) == (REFUSED, "NOT_A_DEVNET")


async def test_nobody_listens() -> None:
    node = BrokenNode()
    async with serving(node) as stop, client_of(node) as settlement:
        await stop()
        assert await failure(settlement.standing()) == (UNREACHABLE, "")
        assert await failure(settlement.release()) == (UNREACHABLE, "")


@pytest.mark.parametrize("error", [Hang(), Drop(), Status(), RpcError(24)], ids=repr)
@pytest.mark.parametrize("method", ["starknet_chainId", "starknet_getClassHashAt", NONCE])
async def test_what_fails_before_sending_is_unreachable(
    node: BrokenNode, method: str, error: Exception
) -> None:
    node.fail(method, error)
    async with client_of(node, replace(PATIENT, read_ms=SHORT_MS)) as settlement:
        assert await failure(settlement.release()) == (UNREACHABLE, "")
    assert node.sent == []


@pytest.mark.parametrize("error", [Hang(), Drop(), Status(), RpcError(63)], ids=repr)
async def test_what_fails_in_sending_is_unknown(node: BrokenNode, error: Exception) -> None:
    node.fail(ADD, error)
    async with client_of(node, replace(PATIENT, send_ms=SHORT_MS)) as settlement:
        assert await failure(settlement.release()) == (OUTCOME_UNKNOWN, "")
    assert node.sent == [0]


async def test_nobody_listens_any_more_when_it_is_sent() -> None:
    node = BrokenNode()
    async with serving(node) as stop:
        stopping: list[asyncio.Future[None]] = []

        def last_nonce(_: object) -> str:
            stopping.append(asyncio.ensure_future(stop()))
            return "0x0"

        node.on(NONCE, last_nonce)
        async with client_of(node) as settlement:
            assert await failure(settlement.release()) == (UNREACHABLE, "")
        await asyncio.gather(*stopping)
    assert node.sent == []


@pytest.mark.parametrize("error", [Hang(), Drop(), Status(), RpcError(29)], ids=repr)
async def test_a_receipt_that_never_comes_is_unknown(node: BrokenNode, error: Exception) -> None:
    node.fail(RECEIPT, error)
    async with client_of(node, replace(PATIENT, receipt_ms=SHORT_MS)) as settlement:
        assert await failure(settlement.release()) == (OUTCOME_UNKNOWN, "")
    assert node.sent == [0]


async def test_a_receipt_is_waited_for(node: BrokenNode, settlement: StarknetSettlement) -> None:
    answers = iter(["not yet", "broken", "PRE_CONFIRMED", "ACCEPTED_ON_L2"])

    def later(of: dict[str, str]) -> object:
        match next(answers):
            case "not yet":
                raise RpcError(29)
            case "broken":
                raise Drop
            case finality:
                return receipt(of["transaction_hash"], finality_status=finality)

    node.on(RECEIPT, later)
    assert await settlement.release() == Sent(0xABC, 7)
    assert next(answers, None) is None


async def test_a_reverted_call_is_refused_with_the_contracts_word(
    node: BrokenNode, settlement: StarknetSettlement
) -> None:
    reason = "Execution failed.\n0x45 ('EPOCH_DIFFERS'), 0x46 ('ENTRYPOINT_FAILED')."
    reverted = {"execution_status": "REVERTED", "revert_reason": reason}
    node.on(RECEIPT, lambda of: receipt(of["transaction_hash"], **reverted))
    assert await failure(settlement.release()) == (REFUSED, "EPOCH_DIFFERS")


@pytest.mark.parametrize("code", [52, 64])
async def test_a_nonce_that_somebody_took_is_read_again_once(
    node: BrokenNode, settlement: StarknetSettlement, code: int
) -> None:
    def taken(_: object) -> object:
        node.nonce += 1
        if node.nonce == 1:
            raise RpcError(code)
        return {"transaction_hash": "0xabc"}

    node.on(ADD, taken)
    assert await settlement.release() == Sent(0xABC, 7)
    assert node.sent == [0, 1]
    node.nonce = 0
    node.fail(ADD, RpcError(code))
    assert await failure(settlement.release()) == (OUTCOME_UNKNOWN, "")
    assert node.sent == [0, 1, 0, 0]


async def test_calls_go_one_at_a_time(node: BrokenNode, settlement: StarknetSettlement) -> None:
    node.on(ADD, lambda _: {"transaction_hash": hex(0xABC)})
    await asyncio.gather(settlement.release(), settlement.release(), settlement.release())
    turns = [method for method in node.asked if method in {NONCE, ADD, RECEIPT}]
    assert turns == [NONCE, ADD, RECEIPT] * 3


async def test_nothing_of_ours_stands_there(
    node: BrokenNode, settlement: StarknetSettlement
) -> None:
    node.fail("starknet_getClassHashAt", RpcError(20))
    assert await failure(settlement.release()) == (CONTRACT_ABSENT, "")
    for code in (20, 21, 40):
        node.fail("starknet_call", RpcError(code))
        assert await failure(settlement.standing()) == (CONTRACT_ABSENT, "")
        assert await failure(settlement.newest_post(5)) == (CONTRACT_ABSENT, "")
    assert node.sent == []


@pytest.mark.parametrize("felts", [[], ["0x2"], ["0x0"], ["0x1", "0x1"]])
async def test_something_else_stands_there(
    node: BrokenNode, settlement: StarknetSettlement, felts: list[str]
) -> None:
    node.on("starknet_call", lambda _: felts)
    assert await failure(settlement.standing()) == (CONTRACT_ABSENT, "")
    assert await failure(settlement.oldest_post_above(5)) == (CONTRACT_ABSENT, "")


@pytest.mark.parametrize("answer", [{"result": 5}, "words", None, 7])
async def test_an_answer_that_is_none_is_unreachable(
    node: BrokenNode, settlement: StarknetSettlement, answer: object
) -> None:
    node.on("starknet_call", lambda _: answer)
    assert await failure(settlement.standing()) == (UNREACHABLE, "")


async def test_standing_is_read_in_its_order(
    node: BrokenNode, settlement: StarknetSettlement
) -> None:
    node.on("starknet_call", lambda _: [hex(value) for value in range(1, 14)])
    found = await settlement.standing()
    assert (found.epoch, found.newest, found.finalized) == (1, Post(2, 3, 4), Post(6, 7, 8))
    assert (found.hold, found.hold_until, found.finality_delay, found.time) == (10, 11, 12, 13)


@pytest.mark.parametrize(
    ("code", "name"),
    [(53, "RESOURCES_INSUFFICIENT"), (54, "BALANCE_INSUFFICIENT"), (55, "VALIDATION_FAILED")],
)
async def test_what_the_node_does_not_take_is_refused(
    node: BrokenNode, settlement: StarknetSettlement, code: int, name: str
) -> None:
    node.fail(ADD, RpcError(code))
    assert await failure(settlement.release()) == (REFUSED, name)


async def test_an_account_that_is_not_there_is_refused(
    node: BrokenNode, settlement: StarknetSettlement
) -> None:
    node.fail(NONCE, RpcError(20))
    assert await failure(settlement.release()) == (REFUSED, "ACCOUNT_ABSENT")


def test_words_of_a_revert() -> None:
    assert refusal_of_revert("out of gas").code == REVERTED
    assert refusal_of_revert("").code == REVERTED
    assert refusal_of_revert("0x1 ('HELD')").code == "HELD"
    assert refusal_of_revert("('ENTRYPOINT_NOT_FOUND')").problem is CONTRACT_ABSENT
    assert len(refusal_of_revert("word " * 1_000).detail) < 400
    assert refusal_of_node(-32603, "internal").problem is OUTCOME_UNKNOWN


def test_a_key_is_checked_and_never_shown() -> None:
    access = StarknetAccess("http://127.0.0.1:1", 0x1, Secret(KEY))
    assert str(KEY) not in repr(access)
    assert hex(KEY)[2:] not in repr(access)
    with refused(Reason.PRIVATE_KEY_OUT_OF_RANGE):
        StarknetSettlement(StarknetAccess("http://127.0.0.1:1", 0x1, Secret(0)), 0x2)
