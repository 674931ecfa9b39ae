"""Deposits and their counters: what is taken, numbered and hashed, and what is refused first."""

from collections import Counter
from collections.abc import Callable

import pytest

from contracts.settlement_money import DEPOSIT_MAX, DEPOSITED_MAX
from contracts.settlement_types import DEPOSITED
from contracts.twin import Reverted
from sequencer.starknet.felt_hash import poseidon_array
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import L1Handler, transaction_hash
from tests.unit.contracts.machine import refusal
from tests.unit.contracts.world import (
    CHAIN_ID,
    EXCHANGE,
    L1_BRIDGE,
    OPERATOR,
    OWNER,
    PAYER,
    STRANGER,
    World,
)

ACCOUNT = 0xACC0
ACCOUNT_MAX = 2**251 - 257


def message_hash(world: World, nonce: int, account: int, amount: int) -> int:
    message = L1Handler(
        EXCHANGE, selector("deposit"), (world.contract, nonce, account, amount), nonce
    )
    return transaction_hash(message, CHAIN_ID)


def test_a_deposit_is_taken_numbered_and_told() -> None:
    world = World()
    world.fund(PAYER, 100)
    told, moved = world.send(PAYER, "deposit", ACCOUNT, 60)
    message = message_hash(world, 0, ACCOUNT, 60)
    chained = poseidon_array((0, message))
    assert told == (selector("LogDeposit"), 0, ACCOUNT, PAYER, 60, message, chained)
    assert moved == (selector("Transfer"), PAYER, world.contract, 60, 0)
    assert (world.balance(PAYER), world.balance(world.contract)) == (40, 60)
    assert world.view("get_money") == [1, chained, 60, 0, 0, 0]


def test_hashes_chain_over_all_deposits() -> None:
    world = World()
    world.fund(PAYER, 1_000)
    chained = 0
    for nonce, (account, amount) in enumerate(((ACCOUNT, 1), (ACCOUNT_MAX, 7), (ACCOUNT, 1))):
        world.send(PAYER, "deposit", account, amount)
        message = message_hash(world, nonce, account, amount)
        chained = poseidon_array((chained, message))
        expected = [1, account, amount, message, chained]
        assert world.view("get_deposits", nonce, 1) == expected
    assert world.view("get_money")[:3] == [3, chained, 9]


def test_views_of_deposits_end_with_them_and_with_their_limit() -> None:
    world = World()
    world.fund(PAYER, 10_000)
    for _ in range(205):
        world.send(PAYER, "deposit", ACCOUNT, 1)
    lengths = [
        world.view("get_deposits", first, count)[0]
        for first, count in ((0, 2**64 - 1), (5, 200), (6, 200), (204, 9), (205, 1), (0, 0))
    ]
    assert lengths == [200, 200, 199, 1, 0, 0]
    assert world.view("get_deposits", 2**64 - 1, 2**64 - 1) == [0]


def test_the_first_reason_against_a_deposit_names_the_refusal() -> None:
    world = World()
    assert world.refused(PAYER, "deposit", ACCOUNT, 5) == "BALANCE_INSUFFICIENT"
    world.machine.send(PAYER, world.token, "mint", PAYER, 5, 0)
    assert world.refused(PAYER, "deposit", ACCOUNT, 5) == "ALLOWANCE_INSUFFICIENT"
    world.machine.write(world.contract, DEPOSITED.slot, DEPOSITED_MAX)
    assert world.refused(PAYER, "deposit", ACCOUNT, 5) == "DEPOSITS_FULL"
    for amount in (0, DEPOSIT_MAX + 1, 2**128 - 1):
        assert world.refused(PAYER, "deposit", ACCOUNT, amount) == "AMOUNT_INVALID"
    for account in (0, ACCOUNT_MAX + 1, 2**251):
        assert world.refused(PAYER, "deposit", account, 0) == "ACCOUNT_INVALID"
    world.send(OWNER, "pause_deposits")
    assert world.refused(PAYER, "deposit", 0, 0) == "DEPOSITS_PAUSED"


def test_deposits_fill_up_to_the_limit_and_not_beyond() -> None:
    world = World()
    world.fund(PAYER, DEPOSIT_MAX)
    world.machine.write(world.contract, DEPOSITED.slot, DEPOSITED_MAX - 9)
    assert world.refused(PAYER, "deposit", ACCOUNT, 10) == "DEPOSITS_FULL"
    world.send(PAYER, "deposit", ACCOUNT, 9)
    assert world.view("get_money")[2] == DEPOSITED_MAX


def test_the_owner_pauses_deposits() -> None:
    world = World()
    world.fund(PAYER, 10)
    for caller in (OPERATOR, STRANGER):
        assert world.refused(caller, "pause_deposits") == "NOT_OWNER"
        assert world.refused(caller, "resume_deposits") == "NOT_OWNER"
    assert world.refused(OWNER, "resume_deposits") == "DEPOSITS_NOT_PAUSED"
    assert world.send(OWNER, "pause_deposits") == [(selector("LogDepositsPaused"),)]
    assert world.view("get_money")[4] == 1
    assert world.refused(OWNER, "pause_deposits") == "DEPOSITS_PAUSED"
    assert world.send(OWNER, "resume_deposits") == [(selector("LogDepositsResumed"),)]
    world.send(PAYER, "deposit", ACCOUNT, 10)


def test_a_message_of_the_bridge_is_a_deposit_with_new_money() -> None:
    world = World()
    world.machine.handle(world.contract, "deposit_from_l1", L1_BRIDGE, ACCOUNT, 50)
    _, keys, data = world.machine.events[-2]
    assert keys == (selector("LogDeposit"), 0, ACCOUNT)
    assert data[:3] == (L1_BRIDGE, 50, message_hash(world, 0, ACCOUNT, 50))
    assert world.balance(world.contract) == 50
    assert world.view("get_money")[2] == 50


@pytest.mark.parametrize(
    ("bridge", "sender", "account", "code"),
    [
        (L1_BRIDGE, L1_BRIDGE + 1, ACCOUNT, "NOT_L1_BRIDGE"),
        (0, 0, ACCOUNT, "NOT_L1_BRIDGE"),
        (L1_BRIDGE, L1_BRIDGE, 0, "ACCOUNT_INVALID"),
    ],
)
def test_other_messages_are_refused(bridge: int, sender: int, account: int, code: str) -> None:
    world = World(l1_bridge=bridge)
    with pytest.raises(Reverted) as caught:
        world.machine.handle(world.contract, "deposit_from_l1", sender, account, 1)
    assert caught.value.code == code
    assert world.view("get_money")[0] == 0


def test_the_handler_is_no_entry_point_for_callers() -> None:
    world = World()
    assert world.refused(PAYER, "deposit_from_l1", L1_BRIDGE, ACCOUNT, 1) == "ENTRYPOINT_NOT_FOUND"


def test_what_the_token_refuses_comes_through_and_leaves_no_deposit() -> None:
    world = World()
    code = refusal(world.machine, 0, world.contract, "deposit", ACCOUNT, 1)
    assert code == "ADDRESS_ZERO"
    assert world.view("get_money") == [0] * 6


def test_a_deposit_reads_and_writes_as_much_however_many_came_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.fund(PAYER, 100)
    machine, touched = world.machine, Counter[str]()
    for name in ("read", "write"):
        monkeypatch.setattr(machine, name, counted(getattr(machine, name), touched, name))
    counts = []
    for _ in range(50):
        touched.clear()
        world.send(PAYER, "deposit", ACCOUNT, 1)
        counts.append(dict(touched))
    # The first one had no hash to chain to.
    _, second, *later = counts
    assert min(second["read"], second["write"]) > 0
    assert later == [second] * len(later)


def counted(call: Callable[..., int], touched: Counter[str], name: str) -> Callable[..., int]:
    def counting(*arguments: int) -> int:
        touched[name] += 1
        return call(*arguments)

    return counting
