"""Subkeys, isolated accounts and transfers."""

import pytest

from sequencer.exchange.state import State, Table
from sequencer.model.commands import (
    AddSubkey,
    CancelAll,
    Command,
    OpenIsolated,
    RevokeSubkey,
    Transfer,
)
from sequencer.model.events import GuardViolated, IsolatedOpened, SubkeyChanged, Transferred
from sequencer.model.exchange_limits import QUOTE_MAX, SUBKEYS_MAX
from sequencer.model.limits import ADDRESS_MAX, FELT_MAX
from sequencer.model.markets import MarketStatus
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason
from sequencer.model.rows import Account, Guard, Mode, Subkey
from sequencer.model.units import ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    ETH,
    FEES,
    INSURANCE,
    ISOLATED,
    KEY,
    NOW_MS,
    OPERATOR,
    USD,
    add_market,
    change_price,
    change_system,
    fund,
    hold,
    make_order,
    make_state,
    put,
    refused,
    rest,
    run,
    unaccounted,
)


def funded() -> State:
    """Alice has 1,000 and an isolated BTC account with 50, Bob has 10,000."""
    state = make_state()
    add_market(state)
    add_market(state, ETH)
    fund(state, ALICE, 1_000 * USD)
    fund(state, ISOLATED, 50 * USD, owner=ALICE, market=BTC)
    fund(state, BOB, 10_000 * USD)
    return state


def test_a_subkey_trades_until_it_is_revoked() -> None:
    state = funded()
    assert refused(state, CancelAll(ALICE), ALICE, KEY) is Reason.NOT_AUTHORIZED
    assert run(state, AddSubkey(ALICE, KEY), ALICE) == [SubkeyChanged(ALICE, KEY, True)]
    assert state.subkeys[ALICE, KEY] == Subkey(NOW_MS)
    run(state, CancelAll(ALICE), ALICE, KEY)
    run(state, CancelAll(ISOLATED), ALICE, KEY)
    assert refused(state, CancelAll(BOB), BOB, KEY) is Reason.NOT_AUTHORIZED
    assert run(state, RevokeSubkey(ALICE, KEY), ALICE) == [SubkeyChanged(ALICE, KEY, False)]
    assert refused(state, CancelAll(ALICE), ALICE, KEY) is Reason.NOT_AUTHORIZED
    assert refused(state, RevokeSubkey(ALICE, KEY), ALICE) is Reason.SUBKEY_UNKNOWN


def test_adding_a_subkey_again_changes_nothing() -> None:
    state = funded()
    run(state, AddSubkey(ALICE, KEY), ALICE)
    change_system(state, time_ms=NOW_MS + 1)
    assert run(state, AddSubkey(ALICE, KEY), ALICE) == []
    assert state.subkeys[ALICE, KEY] == Subkey(NOW_MS)


def test_an_account_has_a_limited_number_of_subkeys() -> None:
    state = funded()
    for key in range(1, SUBKEYS_MAX + 1):
        run(state, AddSubkey(ALICE, key), ALICE)
    assert refused(state, AddSubkey(ALICE, KEY), ALICE) is Reason.SUBKEY_LIMIT
    assert run(state, AddSubkey(ALICE, 1), ALICE) == []
    run(state, AddSubkey(BOB, KEY), BOB)
    run(state, RevokeSubkey(ALICE, 1), ALICE)
    run(state, AddSubkey(ALICE, KEY), ALICE)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (AddSubkey(ALICE, 0), Reason.PARAMETER_INVALID),
        (AddSubkey(ALICE, FELT_MAX + 1), Reason.PARAMETER_INVALID),
        (AddSubkey(ISOLATED, KEY), Reason.ACCOUNT_INVALID),
        (AddSubkey(BOB, KEY), Reason.NOT_AUTHORIZED),
        (RevokeSubkey(ALICE, 0), Reason.SUBKEY_UNKNOWN),
        (OpenIsolated(ALICE, 0x151, "DOGE"), Reason.MARKET_UNKNOWN),
        (OpenIsolated(ALICE, 0, ETH), Reason.ACCOUNT_INVALID),
        (OpenIsolated(ALICE, ADDRESS_MAX + 1, ETH), Reason.ACCOUNT_INVALID),
        (OpenIsolated(ISOLATED, 0x151, ETH), Reason.ACCOUNT_INVALID),
        (OpenIsolated(ALICE, 0x151, BTC), Reason.ACCOUNT_EXISTS),
        (OpenIsolated(ALICE, ISOLATED, ETH), Reason.ACCOUNT_EXISTS),
        (OpenIsolated(ALICE, ALICE, ETH), Reason.ACCOUNT_EXISTS),
        (OpenIsolated(ALICE, BOB, ETH), Reason.ACCOUNT_EXISTS),
        (OpenIsolated(ALICE, OPERATOR, ETH), Reason.ACCOUNT_EXISTS),
        (OpenIsolated(ALICE, INSURANCE, ETH), Reason.ACCOUNT_EXISTS),
        (Transfer(ALICE, BOB, 0), Reason.AMOUNT_INVALID),
        (Transfer(ALICE, BOB, -1), Reason.AMOUNT_INVALID),
        (Transfer(ALICE, BOB, QUOTE_MAX + 1), Reason.AMOUNT_INVALID),
        (Transfer(ALICE, BOB, 1_000 * USD + 1), Reason.CASH_INSUFFICIENT),
        (Transfer(ALICE, ALICE, 1), Reason.ACCOUNT_INVALID),
        (Transfer(ALICE, 0, 1), Reason.ACCOUNT_INVALID),
        (Transfer(ALICE, ADDRESS_MAX + 1, 1), Reason.ACCOUNT_INVALID),
        (Transfer(ISOLATED, BOB, 1), Reason.ACCOUNT_INVALID),
        (Transfer(INSURANCE, BOB, 1), Reason.NOT_AUTHORIZED),
    ],
)
def test_malformed_commands_are_refused(command: Command, reason: Reason) -> None:
    assert refused(funded(), command, ALICE) is reason


def test_accounts_without_money_neither_manage_nor_pay() -> None:
    state = funded()
    assert refused(state, AddSubkey(CAROL, KEY), CAROL) is Reason.ACCOUNT_UNKNOWN
    assert refused(state, OpenIsolated(CAROL, 0x151, BTC), CAROL) is Reason.ACCOUNT_UNKNOWN
    assert refused(state, Transfer(CAROL, BOB, 1), CAROL) is Reason.ACCOUNT_UNKNOWN


def test_an_isolated_account_opens_once_per_owner_and_market() -> None:
    state = funded()
    expected = [IsolatedOpened(ALICE, 0x151, ETH)]
    assert run(state, OpenIsolated(ALICE, 0x151, ETH), ALICE) == expected
    assert state.accounts[0x151] == Account(0, ALICE, ETH)
    assert refused(state, OpenIsolated(ALICE, 0x152, ETH), ALICE) is Reason.ACCOUNT_EXISTS
    run(state, OpenIsolated(BOB, 0x152, ETH), BOB)


def test_an_isolated_account_needs_an_active_market() -> None:
    state = funded()
    add_market(state, "PAXG-USD-PERP", status=MarketStatus.PAUSED)
    command = OpenIsolated(ALICE, 0x151, "PAXG-USD-PERP")
    assert refused(state, command, ALICE) is Reason.MARKET_CLOSED


def test_an_address_with_a_trace_is_in_use() -> None:
    state = funded()
    put(state, Table.SUBKEY, (0x151, KEY), Subkey(0))
    assert refused(state, OpenIsolated(ALICE, 0x151, ETH), ALICE) is Reason.ACCOUNT_EXISTS
    rest(state, make_order(0x152, Side.BUY, ONE, 90 * USD))
    assert refused(state, OpenIsolated(ALICE, 0x152, ETH), ALICE) is Reason.ACCOUNT_EXISTS


def test_a_transfer_moves_cash_and_makes_the_receiver() -> None:
    state = funded()
    expected = [Transferred(ALICE, CAROL, 3 * USD + 1)]
    assert run(state, Transfer(ALICE, CAROL, 3 * USD + 1), ALICE) == expected
    assert state.accounts[CAROL] == Account(3 * USD + 1)
    assert state.accounts[ALICE].cash == 997 * USD - 1
    assert unaccounted(state) == 0
    run(state, Transfer(ALICE, BOB, 997 * USD - 1), ALICE)
    assert state.accounts[ALICE] == Account(0)
    assert state.accounts[BOB].cash == 10_997 * USD - 1


def test_an_isolated_account_deals_with_its_owner_alone() -> None:
    state = funded()
    run(state, Transfer(ALICE, ISOLATED, 10 * USD), ALICE)
    assert state.accounts[ISOLATED] == Account(60 * USD, ALICE, BTC)
    run(state, Transfer(ISOLATED, ALICE, 60 * USD), ALICE)
    assert state.accounts[ISOLATED] == Account(0, ALICE, BTC)
    assert refused(state, Transfer(BOB, ISOLATED, 1), BOB) is Reason.ACCOUNT_INVALID
    run(state, OpenIsolated(ALICE, 0x151, ETH), ALICE)
    assert refused(state, Transfer(ISOLATED, 0x151, 1), ALICE) is Reason.ACCOUNT_INVALID
    assert refused(state, Transfer(ISOLATED, BOB, 1), ISOLATED) is Reason.NOT_AUTHORIZED


@pytest.mark.parametrize("account", [INSURANCE, FEES])
def test_insurance_and_fees_pay_by_their_own_key_alone(account: int) -> None:
    state = funded()
    fund(state, account, 5 * USD)
    assert refused(state, Transfer(account, ALICE, 1), OPERATOR) is Reason.NOT_AUTHORIZED
    run(state, Transfer(account, ALICE, 5 * USD), account)
    run(state, Transfer(ALICE, account, 1), ALICE)


def test_a_transfer_may_leave_exactly_initial_margin() -> None:
    # Long 10 at 100: value 1,000 and initial margin 20.30, so 979.70 may go and no unit more.
    state = funded()
    hold(state, ALICE, BOB, 10 * ONE, 100 * USD)
    most = 979_70000000
    assert refused(state, Transfer(ALICE, BOB, most + 1), ALICE) is Reason.MARGIN_INSUFFICIENT
    run(state, Transfer(ALICE, BOB, most), ALICE)
    assert refused(state, Transfer(ALICE, BOB, 1), ALICE) is Reason.MARGIN_INSUFFICIENT
    assert refused(state, Transfer(ALICE, ISOLATED, 1), ALICE) is Reason.MARGIN_INSUFFICIENT


def test_open_orders_keep_margin_back() -> None:
    state = funded()
    rest(state, make_order(ALICE, Side.BUY, 10 * ONE, 100 * USD))
    most = 979_70000000
    assert refused(state, Transfer(ALICE, BOB, most + 1), ALICE) is Reason.MARGIN_INSUFFICIENT
    run(state, Transfer(ALICE, BOB, most), ALICE)


@pytest.mark.parametrize("receiver", [BOB, ISOLATED])
def test_margin_does_not_leave_a_stale_market(receiver: int) -> None:
    state = funded()
    hold(state, ALICE, BOB, ONE, 100 * USD)
    change_price(state, BTC, index_at_ms=NOW_MS - 30_001)
    assert refused(state, Transfer(ALICE, receiver, 1), ALICE) is Reason.PRICE_STALE
    run(state, Transfer(ISOLATED, ALICE, 1), ALICE)
    change_system(state, guards_off=(Guard.STALE_PRICE,))
    events = run(state, Transfer(ALICE, receiver, 1), ALICE)
    assert [type(event) for event in events] == [GuardViolated, Transferred]


@pytest.mark.parametrize(
    ("mode", "into_own", "other"),
    [
        (Mode.HALTED, False, False),
        (Mode.CANCEL_ONLY, True, False),
        (Mode.POST_ONLY, True, False),
        (Mode.OPEN, True, True),
    ],
)
def test_margin_moves_in_early_and_out_late(mode: Mode, into_own: bool, other: bool) -> None:
    state = funded()
    change_system(state, mode=mode)
    moves = [
        (Transfer(ALICE, ISOLATED, 1), into_own),
        (Transfer(ISOLATED, ALICE, 1), other),
        (Transfer(ALICE, BOB, 1), other),
    ]
    for command, allowed in moves:
        if allowed:
            run(state, command, ALICE)
        else:
            assert refused(state, command, ALICE) is Reason.MODE_FORBIDS
