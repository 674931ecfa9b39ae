"""Money as the client reads and sends it: counters, pages, deposits together, other contracts."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from sequencer.model.bridge_limits import (
    DEPOSITS_PAGE_MAX,
    DEPOSITS_TOGETHER,
    FAUCET_MAX,
    MINTS_TOGETHER,
)
from sequencer.model.secret import Secret
from sequencer.model.settlement import (
    Money,
    Post,
    SentDeposit,
    SettlementError,
    SettlementProblem,
)
from sequencer.settlement.connection import StarknetAccess, reader_of
from sequencer.settlement.money import Bridge, Payment, PostedState, Purse
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.names import selector
from tests.unit.settlement.broken_node import (
    ADD,
    PATIENT,
    RECEIPT,
    BrokenNode,
    RpcError,
    receipt,
)

KEY = 0x5EC2E7
CONTRACT, TOKEN = 0x2, 0x70
ALL_DEPOSITS = [SentDeposit(nonce, 0x100 + nonce, nonce + 1, 7, 8) for nonce in range(450)]


class Contract:
    """A node with a settlement contract whose views a test fills; it remembers what is asked."""

    def __init__(self, node: BrokenNode) -> None:
        self.node = node
        self.views: dict[str, Any] = {"get_bridge": lambda _: [TOKEN, 0xE0, 0xC1, 0]}
        self.sent: list[list[tuple[int, int, list[int]]]] = []
        names = ("get_bridge", "get_money", "get_deposits", "is_paid", "state_at", "balance_of")
        self._names = {selector(name): name for name in names}
        node.on("starknet_call", self._view)
        node.on(ADD, self._add)
        node.on(RECEIPT, lambda of: receipt(of["transaction_hash"], events=self._events()))

    def _view(self, asked: Any) -> list[str]:  # noqa: ANN401
        request = asked["request"]
        name = self._names[int(request["entry_point_selector"], 16)]
        arguments = [int(felt, 16) for felt in request["calldata"]]
        return [hex(felt) for felt in self.views[name](arguments)]

    def _add(self, asked: Any) -> dict[str, str]:  # noqa: ANN401
        felts = [int(felt, 16) for felt in asked["invoke_transaction"]["calldata"]]
        self.sent.append(calls_of(felts))
        return {"transaction_hash": "0xabc"}

    def _events(self) -> list[dict[str, object]]:
        paid = [call for call in self.sent[-1] if call[1] == selector("deposit")]
        return [log_of(SentDeposit(0, account, amount, 7, 8)) for _, _, (account, amount) in paid]


def log_of(sent: SentDeposit) -> dict[str, object]:
    """Return the event of a deposit."""
    keys = [selector("LogDeposit"), sent.nonce, sent.account]
    data = [0x1, sent.amount, sent.message_hash, sent.chain_hash]
    felts = {"keys": [hex(key) for key in keys], "data": [hex(felt) for felt in data]}
    return {"from_address": hex(CONTRACT), **felts}


def calls_of(felts: Sequence[int]) -> list[tuple[int, int, list[int]]]:
    """Read a multicall as an account gets it."""
    count, *rest = felts
    calls: list[tuple[int, int, list[int]]] = []
    for _ in range(count):
        to, name, size, *rest = rest
        calls.append((to, name, rest[:size]))
        rest = rest[size:]
    assert rest == []
    return calls


@pytest.fixture
def contract(node: BrokenNode) -> Contract:
    return Contract(node)


@pytest.fixture
async def settlement(contract: Contract) -> AsyncIterator[StarknetSettlement]:
    made = StarknetSettlement(reader_of(contract.node.url), CONTRACT, PATIENT)
    yield made
    await made.close()


@pytest.fixture
async def purse(contract: Contract) -> AsyncIterator[Purse]:
    made = Purse(StarknetAccess(contract.node.url, 0x1, Secret(KEY)), CONTRACT, PATIENT)
    yield made
    await made.close()


def page_of(arguments: Sequence[int]) -> list[int]:
    first, count = arguments
    assert count <= DEPOSITS_PAGE_MAX
    found = ALL_DEPOSITS[first : first + count]
    fields = [[d.account, d.amount, d.message_hash, d.chain_hash] for d in found]
    return [len(found), *(felt for each in fields for felt in each)]


async def test_counters_are_read_in_their_order(
    contract: Contract, settlement: StarknetSettlement
) -> None:
    contract.views["get_money"] = lambda _: [1, 2, 3, 4, 0, 0]
    assert await settlement.money() == Money(1, 2, 3, 4)
    contract.views["get_money"] = lambda _: [1, 2, 3, 4, 1, 6]
    assert await settlement.money() == Money(1, 2, 3, 4, True, 6)
    contract.views["get_money"] = lambda _: [1, 2, 3, 4, 1]
    with pytest.raises(SettlementError) as caught:
        await settlement.money()
    assert caught.value.problem is SettlementProblem.CONTRACT_ABSENT


@pytest.mark.parametrize(
    ("first", "count"),
    [(0, 0), (0, 1), (0, 200), (0, 201), (0, 450), (0, 1_000), (449, 5), (450, 9)],
)
async def test_deposits_come_in_pages(
    contract: Contract, settlement: StarknetSettlement, first: int, count: int
) -> None:
    contract.views["get_deposits"] = page_of
    assert await settlement.deposits(first, count) == ALL_DEPOSITS[first : first + count]


@pytest.mark.parametrize("felts", [[], [1], [0, 1], [2, 1, 1, 1, 1], [5, *range(20)]])
async def test_a_page_of_something_else_is_no_contract(
    contract: Contract, settlement: StarknetSettlement, felts: list[int]
) -> None:
    contract.views["get_deposits"] = lambda _: felts
    with pytest.raises(SettlementError) as caught:
        await settlement.deposits(0, 4)
    assert caught.value.problem is SettlementProblem.CONTRACT_ABSENT


async def test_the_backend_is_what_the_devnet_says(
    contract: Contract, settlement: StarknetSettlement
) -> None:
    assert settlement.contract == CONTRACT
    assert not settlement.cairo_executed
    contract.views["get_money"] = lambda _: [0] * 6
    contract.node.on("devnet_getConfig", lambda _: {"embedded": True})
    await settlement.money()
    assert (settlement.backend, settlement.cairo_executed) == ("embedded", False)


@pytest.mark.parametrize("config", [{"seed": 1}, {"embedded": False}, {"embedded": "yes"}])
async def test_another_devnet_executes_cairo(
    contract: Contract, settlement: StarknetSettlement, config: dict[str, object]
) -> None:
    contract.views["get_money"] = lambda _: [0] * 6
    contract.node.on("devnet_getConfig", lambda _: config)
    await settlement.money()
    assert (settlement.backend, settlement.cairo_executed) == ("starknet-devnet", True)


async def test_deposits_go_together_behind_one_approval(contract: Contract, purse: Purse) -> None:
    payments = [Payment(0x10 + number, 2**100) for number in range(DEPOSITS_TOGETHER + 3)]
    made = await purse.deposit(payments)
    assert [each.sent.l2_gas for each in made] == [7, 7]
    first, second = contract.sent
    total = DEPOSITS_TOGETHER * 2**100
    assert first[0] == (TOKEN, selector("approve"), [CONTRACT, total % 2**128, total >> 128])
    assert len(first) == DEPOSITS_TOGETHER + 1
    paid = [call for sent in (first, second) for call in sent if call[1] == selector("deposit")]
    assert paid == [(CONTRACT, selector("deposit"), [p.account, p.amount]) for p in payments]


async def test_what_was_deposited_is_read_from_the_events(contract: Contract, purse: Purse) -> None:
    sent = SentDeposit(3, 4, 6, 7, 8)
    events = [
        {**log_of(sent), "from_address": hex(TOKEN)},
        {**log_of(sent), "keys": [hex(selector("Transfer")), "0x1", "0x2"]},
        log_of(sent),
    ]
    contract.node.on(RECEIPT, lambda of: receipt(of["transaction_hash"], events=events))
    (made,) = await purse.deposit([Payment(4, 6)])
    assert made.deposits == (sent,)
    events[-1]["data"] = ["0x5"]
    with pytest.raises(SettlementError) as caught:
        await purse.deposit([Payment(4, 6)])
    assert caught.value.problem is SettlementProblem.CONTRACT_ABSENT
    events.pop()
    with pytest.raises(SettlementError) as caught:
        await purse.deposit([Payment(4, 6)])
    assert caught.value.problem is SettlementProblem.OUTCOME_UNKNOWN


async def test_the_faucet_is_asked_in_parts(contract: Contract, purse: Purse) -> None:
    await purse.mint(0x9, MINTS_TOGETHER * FAUCET_MAX + 5)
    calls = [call for sent in contract.sent for call in sent]
    assert [len(sent) for sent in contract.sent] == [MINTS_TOGETHER, 1]
    assert {call[:2] for call in calls} == {(TOKEN, selector("mint"))}
    assert [call[2] for call in calls] == [[0x9, FAUCET_MAX, 0]] * MINTS_TOGETHER + [[0x9, 5, 0]]


async def test_money_is_made_and_paid_in_together(contract: Contract, purse: Purse) -> None:
    made = await purse.deposit_minted(Payment(4, 6))
    assert [(each.account, each.amount) for each in made.deposits] == [(4, 6)]
    (calls,) = contract.sent
    assert [call[1] for call in calls] == [
        selector(name) for name in ("mint", "approve", "deposit")
    ]
    assert calls[0] == (TOKEN, selector("mint"), [purse.account, 6, 0])


async def test_a_refusal_keeps_the_tokens_word(contract: Contract, purse: Purse) -> None:
    reason = "0x1 ('BALANCE_INSUFFICIENT'), 0x2 ('ENTRYPOINT_FAILED'), 0x2 ('ENTRYPOINT_FAILED')"
    reverted = {"execution_status": "REVERTED", "revert_reason": reason}
    contract.node.on(RECEIPT, lambda of: receipt(of["transaction_hash"], **reverted))
    with pytest.raises(SettlementError) as caught:
        await purse.deposit([Payment(4, 6)])
    assert (caught.value.problem, caught.value.code) == (
        SettlementProblem.REFUSED,
        "BALANCE_INSUFFICIENT",
    )


async def test_views_are_read(contract: Contract, purse: Purse) -> None:
    assert await purse.bridge() == Bridge(TOKEN, 0xE0, 0xC1, 0)
    contract.views |= {
        "balance_of": lambda of: [of[0], 1],
        "is_paid": lambda of: [of[0] == 6],
        "state_at": lambda of: [5, 6, 7, of[0] - 10],
    }
    assert await purse.balance(0x9) == 2**128 + 9
    assert [await purse.is_paid(5), await purse.is_paid(6)] == [False, True]
    found = [await purse.state_at(height) for height in (10, 11, 12)]
    assert found[1] == PostedState(Post(11, 5, 6), 7, 1)
    assert [(each.is_posted, each.is_final) for each in found] == [
        (False, False),
        (True, False),
        (True, True),
    ]


async def test_a_contract_without_a_bridge_is_none(contract: Contract, purse: Purse) -> None:
    contract.node.fail("starknet_call", RpcError(21))
    for call in (
        purse.bridge(),
        purse.balance(1),
        purse.mint(1, 1),
        purse.deposit([Payment(1, 1)]),
    ):
        with pytest.raises(SettlementError) as caught:
            await call
        assert caught.value.problem is SettlementProblem.CONTRACT_ABSENT
    assert contract.sent == []
