"""Deposits and withdrawals: once only, what may leave, and who pays for bad debt."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequencer.exchange.collateral import socialized_payout, withdrawal_waits
from sequencer.exchange.state import State
from sequencer.model.commands import Deposit, Withdraw
from sequencer.model.events import Credited, Withdrawn
from sequencer.model.exchange_limits import QUOTE_MAX
from sequencer.model.limits import ADDRESS_MAX, FELT_MAX
from sequencer.model.refusals import Reason
from sequencer.model.rows import Account, DepositRow, Guard, Mode, Totals, Withdrawal
from sequencer.model.units import DUST_PER_QUOTE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
    FEES,
    INSURANCE,
    ISOLATED,
    NOW_MS,
    OPERATOR,
    STRANGER,
    USD,
    add_market,
    attempt,
    change_price,
    change_system,
    change_totals,
    fund,
    hold,
    make_state,
    refused,
    run,
    unaccounted,
)
from tests.unit.exchange.pricing import violations

RECIPIENT = 0x1EC


def credit(nonce: int = 0, account: int = ALICE, token_amount: int = 5_000_000) -> Deposit:
    return Deposit(nonce, 0xF00, account, token_amount)


def take(amount: int, account: int = ALICE, **changes: int) -> Withdraw:
    return msgspec.structs.replace(Withdraw(account, RECIPIENT, amount, 0x77), **changes)


def test_a_deposit_makes_the_account_and_counts_once() -> None:
    state = make_state()
    assert run(state, credit(), 0) == [Credited(0, ALICE, 5 * USD)]
    assert state.accounts[ALICE] == Account(5 * USD)
    assert state.deposits[0] == DepositRow(ALICE, 5 * USD, 0xF00)
    assert state.totals.deposited == 5 * USD
    assert unaccounted(state) == 0
    assert refused(state, credit(), 0) is Reason.DEPOSIT_CREDITED
    assert refused(state, credit(account=BOB, token_amount=1), 0) is Reason.DEPOSIT_CREDITED
    run(state, credit(nonce=1, token_amount=1), 0)
    assert state.accounts[ALICE].cash == 5 * USD + 100


def test_a_deposit_reaches_an_isolated_account_as_it_is() -> None:
    state = make_state()
    fund(state, ISOLATED, 7, owner=ALICE, market=BTC)
    run(state, credit(account=ISOLATED), 0)
    assert state.accounts[ISOLATED] == Account(5 * USD + 7, ALICE, BTC)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (credit(account=0), Reason.ACCOUNT_INVALID),
        (credit(account=ADDRESS_MAX + 1), Reason.ACCOUNT_INVALID),
        (credit(token_amount=0), Reason.AMOUNT_INVALID),
        (credit(token_amount=-1), Reason.AMOUNT_INVALID),
        (credit(token_amount=QUOTE_MAX // 100 + 1), Reason.AMOUNT_INVALID),
    ],
)
def test_malformed_deposits_are_refused(command: Deposit, reason: Reason) -> None:
    assert refused(make_state(), command, 0) is reason


def test_the_largest_and_the_smallest_deposit_are_credited() -> None:
    state = make_state()
    run(state, credit(0, ADDRESS_MAX, QUOTE_MAX // 100), 0)
    run(state, credit(1, 1, 1), 0)
    assert state.totals.deposited == QUOTE_MAX + 100


@pytest.mark.parametrize("signer", [ALICE, OPERATOR, STRANGER])
def test_nobody_signs_a_deposit(signer: int) -> None:
    assert refused(make_state(), credit(), signer) is Reason.NOT_AUTHORIZED
    assert refused(make_state(), credit(), 0, key=0x5) is Reason.NOT_AUTHORIZED


def funded(cash: int = 1_000 * USD, **system: object) -> State:
    state = make_state(**system)
    fund(state, ALICE, cash)
    return state


def test_a_withdrawal_leaves_a_row_for_ever() -> None:
    state = funded()
    expected = Withdrawn(0x77, ALICE, RECIPIENT, 400 * USD, 400 * USD)
    assert run(state, take(400 * USD), ALICE) == [expected]
    assert state.withdrawals[0x77] == Withdrawal(ALICE, RECIPIENT, 400 * USD, 400 * USD)
    assert state.accounts[ALICE].cash == 600 * USD
    assert state.totals == Totals(deposited=1_000 * USD, withdrawn=400 * USD)
    assert unaccounted(state) == 0
    assert refused(state, take(100), ALICE) is Reason.WITHDRAWAL_EXISTS
    run(state, take(600 * USD, withdrawal_id=FELT_MAX), ALICE)
    assert state.accounts[ALICE] == Account(0)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (take(0), Reason.AMOUNT_INVALID),
        (take(-100), Reason.AMOUNT_INVALID),
        (take(199), Reason.AMOUNT_INVALID),
        (take(QUOTE_MAX + 100), Reason.AMOUNT_INVALID),
        (take(100, recipient=0), Reason.ACCOUNT_INVALID),
        (take(100, recipient=ADDRESS_MAX + 1), Reason.ACCOUNT_INVALID),
        (take(100, withdrawal_id=0), Reason.PARAMETER_INVALID),
        (take(100, withdrawal_id=FELT_MAX + 1), Reason.PARAMETER_INVALID),
        (take(1_000 * USD + 100), Reason.CASH_INSUFFICIENT),
    ],
)
def test_malformed_withdrawals_are_refused(command: Withdraw, reason: Reason) -> None:
    assert refused(funded(), command, ALICE) is reason


def test_only_cross_accounts_of_traders_withdraw() -> None:
    state = funded()
    fund(state, ISOLATED, 100 * USD, owner=ALICE, market=BTC)
    fund(state, INSURANCE, 100 * USD)
    fund(state, FEES, 100 * USD)
    assert refused(state, take(100, ISOLATED), ALICE) is Reason.ACCOUNT_INVALID
    assert refused(state, take(100, INSURANCE), INSURANCE) is Reason.ACCOUNT_INVALID
    assert refused(state, take(100, FEES), FEES) is Reason.ACCOUNT_INVALID
    assert refused(state, take(100, STRANGER), STRANGER) is Reason.ACCOUNT_UNKNOWN


def holding(mark: int) -> State:
    """Alice is long 10 BTC from 100; initial margin and fee are 2.03 %."""
    state = funded()
    fund(state, BOB, 10_000 * USD)
    add_market(state)
    hold(state, ALICE, BOB, 10 * ONE, 100 * USD)
    change_price(state, BTC, index=mark, mark=mark)
    return state


def test_margin_stays_to_the_unit() -> None:
    # Value 1,000, initial margin 1,000 x 2.03 % = 20.30.
    state = holding(mark=100 * USD)
    assert refused(state, take(979_70000100), ALICE) is Reason.MARGIN_INSUFFICIENT
    run(state, take(979_70000000), ALICE)
    assert refused(state, take(100, withdrawal_id=1), ALICE) is Reason.MARGIN_INSUFFICIENT


def test_a_loss_keeps_cash_back() -> None:
    # Value 1,000 - 500, initial margin 500 x 2.03 % = 10.15.
    state = holding(mark=50 * USD)
    assert refused(state, take(489_85000100), ALICE) is Reason.MARGIN_INSUFFICIENT
    run(state, take(489_85000000), ALICE)


def test_unrealized_profit_is_not_cash() -> None:
    state = holding(mark=300 * USD)
    assert refused(state, take(1_000 * USD + 100), ALICE) is Reason.CASH_INSUFFICIENT
    run(state, take(1_000 * USD), ALICE)
    assert state.accounts[ALICE].cash == 0


def test_bad_debt_is_shared_by_those_who_leave() -> None:
    # Docs: 1,000 / (4,000 + 1,000) = 20 %, so 500 pays 400.
    state = funded(4_000 * USD)
    fund(state, BOB, 1_000 * USD)
    change_totals(state, deposited=4_000 * USD, bad_debt=1_000 * USD)
    before = unaccounted(state)
    events = run(state, take(500 * USD), ALICE)
    assert events == [Withdrawn(0x77, ALICE, RECIPIENT, 500 * USD, 400 * USD)]
    assert state.totals == Totals(4_000 * USD, 400 * USD, 900 * USD)
    assert state.accounts[ALICE].cash == 3_500 * USD
    assert unaccounted(state) == before == 0
    # What leaves is what is paid, so that is what the limiter counts.
    assert state.limiter.hour_capacity == 10**6 * USD - 400 * USD


@pytest.mark.parametrize(
    ("amount", "deposited", "bad_debt", "payout"),
    [
        (500 * USD, 4_000 * USD, 1_000 * USD, 400 * USD),
        (500 * USD, 4_000 * USD, 0, 500 * USD),
        (1_000, 2_000, 1_000, 600),
        (100, 10**15, 1, 0),
        (200, 10**15, 1, 100),
        (500 * USD, 0, 1_000, 0),
    ],
)
def test_payouts_are_floored_to_the_token(
    amount: int, deposited: int, bad_debt: int, payout: int
) -> None:
    assert socialized_payout(amount, Totals(deposited, 0, bad_debt)) == payout


def test_bad_debt_never_goes_below_zero_and_the_rest_is_dust() -> None:
    state = funded()
    fund(state, BOB, 30)
    change_totals(state, deposited=1_000 * USD, bad_debt=30)
    run(state, take(500 * USD), ALICE)
    # 500 x 1,000 / (1,000 + 3e-7) floors to 499.999999: 100 are kept, 30 repay, 70 are dust.
    assert state.totals == Totals(1_000 * USD, 500 * USD - 100, 0, 70 * DUST_PER_QUOTE)
    assert unaccounted(state) == 0
    run(state, take(100, withdrawal_id=1), ALICE)
    assert state.withdrawals[1].payout == 100


@given(
    bad_debt=st.integers(0, 2_000 * USD),
    amounts=st.lists(st.integers(1, 1_000 * 10**6).map(lambda tokens: tokens * 100), max_size=4),
)
def test_shared_losses_conserve_money(bad_debt: int, amounts: list[int]) -> None:
    state = funded(1_000 * USD + bad_debt)
    change_totals(state, deposited=1_000 * USD, bad_debt=bad_debt)
    for number, amount in enumerate(amounts, 1):
        attempt(state, take(amount, withdrawal_id=number), ALICE)
        assert unaccounted(state) == 0
        assert min(state.totals.bad_debt, state.totals.dust) >= 0
    for row in state.withdrawals.values():
        assert 0 < row.payout <= row.requested
        assert row.payout % 100 == 0


def test_a_withdrawal_that_would_pay_nothing_is_refused() -> None:
    state = funded()
    change_totals(state, bad_debt=1)
    assert refused(state, take(100), ALICE) is Reason.AMOUNT_INVALID


@pytest.mark.parametrize(
    ("system", "waits"),
    [
        ({"wait_until_ticks": 1_000, "wait_until_ms": NOW_MS}, False),
        ({"wait_until_ticks": 1_001}, True),
        ({"wait_until_ms": NOW_MS + 1}, True),
        ({"wait_until_ms": -60_000}, True),
    ],
)
def test_withdrawals_wait_for_blocks_and_for_time(system: dict[str, int], waits: bool) -> None:
    state = funded(**system)
    assert withdrawal_waits(state.system) is waits
    if waits:
        assert refused(state, take(100), ALICE) is Reason.WITHDRAWAL_WAITS
    else:
        run(state, take(100), ALICE)


def test_the_wait_with_its_guard_off() -> None:
    state = funded(wait_until_ticks=1_050, wait_until_ms=-60_000)
    assert refused(state, take(100), ALICE) is Reason.WITHDRAWAL_WAITS
    change_system(state, guards_off=(Guard.WITHDRAWAL_WAIT,))
    assert violations(run(state, take(100), ALICE)) == [Guard.WITHDRAWAL_WAIT]


def test_the_limit_with_its_guard_off() -> None:
    state = funded(3_000_000 * USD)
    assert refused(state, take(1_000_001 * USD), ALICE) is Reason.WITHDRAWAL_LIMIT
    change_system(state, guards_off=(Guard.WITHDRAWAL_LIMIT,))
    assert violations(run(state, take(1_000_001 * USD), ALICE)) == [Guard.WITHDRAWAL_LIMIT]
    assert (state.limiter.hour_capacity, state.limiter.day_capacity) == (0, 8_999_999 * USD)


def test_a_stale_market_that_is_held_with_its_guard_on_and_off() -> None:
    state = holding(mark=100 * USD)
    change_price(state, BTC, index_at_ms=NOW_MS - 30_000)
    run(state, take(100, withdrawal_id=1), ALICE)
    change_price(state, BTC, index_at_ms=NOW_MS - 30_001)
    assert refused(state, take(100), ALICE) is Reason.PRICE_STALE
    change_system(state, guards_off=(Guard.STALE_PRICE,))
    assert violations(run(state, take(100), ALICE)) == [Guard.STALE_PRICE]


def test_a_stale_market_stops_only_its_holders() -> None:
    state = holding(mark=100 * USD)
    add_market(state, ETH)
    change_price(state, ETH, index_at_ms=0)
    fund(state, CAROL, 100 * USD)
    run(state, take(100), ALICE)
    change_price(state, BTC, index_at_ms=0)
    run(state, take(100, CAROL, withdrawal_id=2), CAROL)


def test_a_halt_keeps_deposits_pending() -> None:
    state = funded(mode=Mode.HALTED)
    assert refused(state, credit(), 0) is Reason.MODE_FORBIDS
    change_system(state, mode=Mode.CANCEL_ONLY)
    run(state, credit(), 0)
