"""A lost deposit unmade: insurance pays, whoever has the money keeps it, and the laws hold."""

from hypothesis import given
from hypothesis import strategies as st

from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.limiter import current_limiter
from sequencer.exchange.state import Journal, State
from sequencer.exchange.step import Context
from sequencer.exchange.transition import transition
from sequencer.model.commands import Deposit, UnmakeDeposit
from sequencer.model.events import DepositUnmade
from sequencer.model.refusals import Reason
from sequencer.model.rows import Account, DepositRow
from sequencer.model.units import QUOTE_PER_TOKEN
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    INSURANCE,
    USD,
    change_totals,
    fund,
    make_state,
    refused,
    run,
    unaccounted,
)


def credited(insurance: int = 100 * USD) -> State:
    """Return an exchange with two deposits and what insurance has."""
    state = make_state()
    fund(state, INSURANCE, insurance)
    run(state, Deposit(0, 0xF00, ALICE, 5_000_000), 0)
    run(state, Deposit(1, 0xF01, BOB, 7_000_000), 0)
    return state


def test_insurance_pays_and_the_account_keeps_it() -> None:
    state = credited()
    events = run(state, UnmakeDeposit(1), INSURANCE)
    assert events == [DepositUnmade(1, BOB, 7 * USD)]
    assert state.accounts[INSURANCE].cash == 93 * USD
    assert state.accounts[BOB] == Account(7 * USD)
    assert state.deposits == {0: DepositRow(ALICE, 5 * USD, 0xF00)}
    assert state.totals.deposited == 105 * USD
    assert unaccounted(state) == 0


def test_the_nonce_is_free_for_another_deposit() -> None:
    state = credited()
    run(state, UnmakeDeposit(1), INSURANCE)
    assert refused(state, UnmakeDeposit(1), INSURANCE) is Reason.DEPOSIT_UNKNOWN
    run(state, Deposit(1, 0xF02, ALICE, 1_000_000), 0)
    assert state.deposits[1] == DepositRow(ALICE, USD, 0xF02)
    assert unaccounted(state) == 0


def test_more_than_insurance_has_is_refused() -> None:
    state = credited(insurance=7 * USD - 1)
    assert refused(state, UnmakeDeposit(1), INSURANCE) is Reason.CASH_INSUFFICIENT
    run(state, UnmakeDeposit(0), INSURANCE)
    assert state.accounts[INSURANCE].cash == 2 * USD - 1


def test_exactly_what_insurance_has_is_enough() -> None:
    state = credited(insurance=7 * USD)
    run(state, UnmakeDeposit(1), INSURANCE)
    assert state.accounts[INSURANCE].cash == 0


def test_what_it_added_to_the_withdrawal_windows_goes_again() -> None:
    state = credited()
    before = current_limiter(state)
    run(state, UnmakeDeposit(1), INSURANCE)
    after = current_limiter(state)
    assert before.hour_capacity - after.hour_capacity == 7 * USD
    assert before.day_capacity - after.day_capacity == 7 * USD


def test_bad_debt_is_untouched() -> None:
    state = credited()
    change_totals(state, bad_debt=3 * USD, deposited=state.totals.deposited - 3 * USD)
    run(state, UnmakeDeposit(0), INSURANCE)
    assert state.totals.bad_debt == 3 * USD
    assert unaccounted(state) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10**15)), max_size=30))
def test_whatever_is_credited_and_unmade_money_is_neither_made_nor_lost(
    acts: list[tuple[int, int]],
) -> None:
    state = make_state()
    fund(state, INSURANCE, 10**20)
    journal = Journal(state)
    for nonce, amount in acts:
        if nonce in state.deposits:
            transition(state, UnmakeDeposit(nonce), Context(INSURANCE), journal)
        else:
            transition(state, Deposit(nonce, 1, ALICE, amount), Context(0), journal)
        check_laws(state)
    recount(state)
    kept = sum(row.amount for row in state.deposits.values())
    assert state.totals.deposited == 10**20 + kept
    assert all(row.amount % QUOTE_PER_TOKEN == 0 for row in state.deposits.values())
    journal.undo()
    assert state.totals.deposited == 10**20
