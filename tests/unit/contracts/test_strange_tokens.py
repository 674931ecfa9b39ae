"""Tokens that say no, and some that call back: what the contract has counted by then, and keeps."""

from collections.abc import Sequence

import pytest

from contracts.twin import Frame, Run, Twin
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector
from tests.unit.contracts.world import GENESIS, PAYER, STRANGER, AppState, Withdrawal, World

ACCOUNT = 0xACC0
FIRST = Withdrawal(id=0x1D7, recipient=0xBEEF, amount=2_500_000)
SECOND = Withdrawal(id=0x1D8, recipient=0xBEEF, amount=70)
STATE = AppState([FIRST, SECOND])
NO, YES = (0,), (1,)


def claim(of: Withdrawal) -> list[Felt]:
    return [GENESIS, of.id, of.recipient, of.amount, *STATE.proof(of.slot).calldata()]


def world_over(token: Run) -> World:
    """Return a contract that owes both withdrawals; `token` runs whatever it asks of its token."""
    world = World(state_root=STATE.root)
    moves = {selector(name): token for name in ("transfer", "transfer_from")}
    world.machine.classes[world.token] = Twin("strange", 0x57A, 0, "", moves, {})
    return world


def answer(felts: Sequence[Felt]) -> Run:
    def run(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
        return felts

    return run


@pytest.mark.parametrize(
    ("felts", "code"), [(NO, "TRANSFER_FAILED"), ((), "Returned data too short")]
)
def test_what_the_token_does_not_move_is_neither_marked_nor_counted(
    felts: Sequence[Felt], code: str
) -> None:
    world = world_over(answer(felts))
    assert world.refused(PAYER, "deposit", ACCOUNT, 5) == code
    assert world.refused(STRANGER, "withdraw", *claim(FIRST)) == code
    assert world.view("get_money") == [0] * 6
    assert world.view("get_deposits", 0, 9) == [0]
    assert world.view("is_paid", FIRST.id) == [0]


def test_a_withdrawal_is_marked_before_its_token_is_called() -> None:
    seen: list[Sequence[Felt]] = []

    def looks(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
        seen.append(frame.call(frame.caller, "is_paid", FIRST.id))
        seen.append([frame.call(frame.caller, "get_money")[3]])
        return YES

    world = world_over(looks)
    world.send(STRANGER, "withdraw", *claim(FIRST))
    assert [list(each) for each in seen] == [[1], [FIRST.amount]]


def test_a_token_that_calls_back_is_not_paid_twice() -> None:
    def again(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
        frame.call(frame.caller, "withdraw", *claim(FIRST))
        return YES

    world = world_over(again)
    assert world.refused(STRANGER, "withdraw", *claim(FIRST)) == "ALREADY_PAID"
    assert world.view("is_paid", FIRST.id) == [0]


def test_a_token_that_claims_another_withdrawal_meanwhile_has_both_counted() -> None:
    def claims_another(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
        if calldata[1] == FIRST.amount:
            frame.call(frame.caller, "withdraw", *claim(SECOND))
        return YES

    world = world_over(claims_another)
    told = world.send(STRANGER, "withdraw", *claim(FIRST))
    assert [each[1] for each in told] == [FIRST.id, SECOND.id]
    assert world.view("get_money")[3] == FIRST.amount + SECOND.amount
    for each in (FIRST, SECOND):
        assert world.refused(STRANGER, "withdraw", *claim(each)) == "ALREADY_PAID"


def test_a_token_that_deposits_meanwhile_gets_the_next_nonce() -> None:
    def deposits_once_more(frame: Frame, calldata: Sequence[Felt]) -> Sequence[Felt]:
        if calldata[2] == 5:
            frame.call(frame.caller, "deposit", ACCOUNT, 7)
        return YES

    world = world_over(deposits_once_more)
    told = world.send(PAYER, "deposit", ACCOUNT, 5)
    assert [(each[1], each[4]) for each in told] == [(0, 5), (1, 7)]
    assert world.view("get_money")[::2] == [2, 12, 0]
    assert world.view("get_money")[1] == told[1][-1]
