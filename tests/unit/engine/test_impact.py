"""What a rollback would undo: counts against a second count, and what would silently come back."""

from collections import Counter

import msgspec
import pytest

from sequencer.chain.exchange_views import margin_figures
from sequencer.engine import impact as impact_module
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.engine.impact import (
    BalanceChange,
    Collateral,
    DepositUndone,
    PositionChange,
    WithdrawalUndone,
    events_of,
    measure_impact,
)
from sequencer.engine.lookup import find_block, live_blocks, state_at
from sequencer.engine.plan import Plan
from sequencer.engine.settings_back import SettingChange
from sequencer.exchange.state import ONLY, State, Table
from sequencer.model.commands import (
    AddSubkey,
    OrderPolicy,
    RegisterPublisher,
    RemovePublisher,
    RevokeSubkey,
    SecurityCommand,
    SetGuard,
    SetMarketStatus,
    SetOperator,
    SetRisk,
    Transfer,
    UpdateMarket,
)
from sequencer.model.events import CloseReason, OrderClosed
from sequencer.model.halts import HaltCause
from sequencer.model.markets import MarketStatus
from sequencer.model.orders import Side
from sequencer.model.records import Latch
from sequencer.model.rows import Guard, Risk, System
from sequencer.model.units import ONE
from sequencer.starknet.names import selector
from tests.unit.chain.network import MARKET, address_of, exchange_call, key_of
from tests.unit.engine.builders import Rig, causes
from tests.unit.engine.rolling import Act, Chain, deposit, drill_disk, events

ALICE, BOB, OPERATOR = address_of("alice"), address_of("bob"), address_of("op")
NEWCOMER = 0xABCDE
KEYS = (51, 52, 53)


def busy() -> Chain:
    """Return a chain in which blocks 5 to 12 did a bit of everything."""
    chain = Chain()
    chain.act(deposit(7, ALICE, 5_000_000), deposit(8, NEWCOMER, 9_000_000))
    trade = chain.rig.order("alice", Side.BUY, client_id=1), chain.rig.order("bob", Side.SELL)
    chain.act(*trade, chain.rig.bid(3), chain.rig.bid(4, "bob"))
    chain.act(("alice", Transfer(ALICE, BOB, 3 * ONE)))
    withdrawal = exchange_call("withdraw", account=BOB, recipient=99, amount=2 * ONE)
    chain.act(chain.rig.invoke("bob", withdrawal))
    for price in (60_100, 60_200):
        chain.act(chain.rig.order("alice", Side.SELL, client_id=price), price=price)
    chain.blocks(2)
    return chain


def test_counts_are_those_of_the_events() -> None:
    chain = busy()
    for target in range(4, 12):
        impact = chain.plan(target).impact
        blocks = list(live_blocks(chain.store.view, target + 1))
        receipts = [receipt for block in blocks for receipt in block.receipts]
        kinds = Counter(event.keys[0] for receipt in receipts for event in receipt.events)
        names = ["OrderOpened", "OrderClosed", "Fill", "FundingIndexMoved", "FundingPaid"]
        names.append("LiquidationEnded")
        assert [kinds[selector(name)] for name in names] == [
            impact.orders_opened,
            impact.orders_closed,
            impact.fills,
            impact.funding_ticks,
            impact.funding_payments,
            impact.liquidations,
        ]
        assert (impact.blocks, impact.transactions) == (len(blocks), len(receipts))
        assert len(impact.deposits) == kinds[selector("Credited")]
        assert len(impact.withdrawals) == kinds[selector("Withdrawn")]


def test_orders_that_were_not_filled_are_cancels() -> None:
    chain = busy()
    resting = next(id_ for id_, row in chain.rig.state.orders.items() if row.order.account == ALICE)
    chain.act(chain.rig.cancel("alice", resting))
    impact = chain.plan(4).impact
    closed = [
        event
        for block in live_blocks(chain.store.view, 5)
        for event in events_of(block, (OrderClosed,))
        if isinstance(event, OrderClosed) and event.reason is not CloseReason.FILLED
    ]
    assert 0 < impact.cancels == len(closed) < impact.orders_closed


def test_collateral_differs_by_what_came_in_and_went_out() -> None:
    chain = busy()
    held = chain.plan(4).impact.collateral
    assert held is not None
    assert (held.deposited, held.withdrawn, held.unmade) == (14 * ONE, 2 * ONE, 0)
    assert (held.now - held.then, held.unexplained) == (12 * ONE, 0)
    later = chain.plan(8).impact.collateral
    assert later == Collateral(held.now, held.now, 0, 0, 0)


def test_collateral_from_nowhere_is_unexplained() -> None:
    chain = busy()
    view = chain.store.view
    now, then = (state_at(view, find_block(view, name)) for name in ("latest", "4"))
    blocks = list(live_blocks(view, 5))
    richer = msgspec.structs.replace(now.totals, deposited=now.totals.deposited + 3)
    now.write(Table.TOTALS, ONLY, richer)
    held = measure_impact(blocks, now, then, DepositFacts(lambda: view)).collateral
    assert held is not None
    assert held.unexplained == 3
    unread = [None, *blocks[1:]]
    assert measure_impact(unread, now, then, DepositFacts(lambda: view)).collateral is None


def test_deposits_and_withdrawals_are_named() -> None:
    chain = busy()
    impact = chain.plan(4).impact
    assert impact.deposits == (
        DepositUndone(7, ALICE, 5 * ONE, 5),
        DepositUndone(8, NEWCOMER, 9 * ONE, 5),
    )
    (withdrawal,) = impact.withdrawals
    assert withdrawal == WithdrawalUndone(withdrawal.withdrawal_id, BOB, 99, 2 * ONE, 8)
    assert withdrawal.withdrawal_id in chain.rig.state.withdrawals
    assert chain.plan(8).impact.withdrawals == ()
    chain.back(4)
    chain.reopen()
    chain.act(deposit(7, ALICE, 5_000_000))
    assert withdrawal.withdrawal_id not in chain.rig.state.withdrawals


def test_changes_are_those_of_the_two_states_the_largest_first() -> None:
    chain = busy()
    view = chain.store.view
    now, then = (state_at(view, find_block(view, name)) for name in ("latest", "4"))
    impact = chain.plan(4).impact
    accounts = now.accounts.keys() | then.accounts.keys()
    values = {
        account: [margin_figures(state, account).value for state in (now, then)]
        for account in accounts
    }
    expected = [
        BalanceChange(account, *both) for account, both in values.items() if len({*both}) > 1
    ]
    assert sorted(impact.balances, key=lambda each: each.account) == sorted(
        expected, key=lambda each: each.account
    )
    sizes = [abs(each.value_then - each.value_now) for each in impact.balances]
    assert sizes == sorted(sizes, reverse=True)
    assert NEWCOMER in {each.account for each in impact.balances}
    assert set(impact.positions) == {
        PositionChange(account, MARKET, now.positions[account, MARKET].size, 0)
        for account in (ALICE, BOB)
    }
    assert impact.accounts >= len(impact.balances)


def test_no_more_changes_are_listed_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = busy()
    everything = chain.plan(4).impact
    monkeypatch.setattr(impact_module, "IMPACT_CHANGES_MAX", 2)
    impact = chain.plan(4).impact
    assert len(everything.balances) > 2
    assert impact.balances == everything.balances[:2]
    assert len(impact.positions) == 2
    assert impact.accounts == everything.accounts


def test_accounts_count_whose_orders_alone_differ() -> None:
    chain = Chain()
    chain.act(chain.rig.bid(1))
    impact = chain.plan(4).impact
    assert (impact.accounts, impact.balances, impact.positions) == (1, (), ())


def test_the_same_two_states_differ_in_nothing() -> None:
    chain = busy()
    view = chain.store.view
    state = state_at(view, find_block(view, "latest"))
    impact = measure_impact([], state, state, DepositFacts(lambda: Rig().store.view))
    assert (impact.blocks, impact.accounts, impact.security) == (0, 0, ())


REVOKED: tuple[Act, ...] = (("alice", RevokeSubkey(ALICE, 51)),)

SECURITY: dict[str, tuple[tuple[Act, ...], SecurityCommand]] = {
    "a revoked subkey": (REVOKED, RevokeSubkey(ALICE, 51)),
    "a removed publisher": ((RemovePublisher("Alpha"),), RemovePublisher("Alpha")),
    "a rotated publisher": ((RegisterPublisher("Alpha", key_of(7)),), RemovePublisher("Alpha")),
    "a guard switched on": ((SetGuard(Guard.QUORUM, True),), SetGuard(Guard.QUORUM, True)),
}


def prepared() -> Chain:
    """Return a chain of drills whose block 6 has subkeys, a publisher and a guard off."""
    chain = Chain(drill_disk())
    keys: list[Act] = [("alice", AddSubkey(ALICE, key)) for key in KEYS]
    chain.act(*keys, SetGuard(Guard.QUORUM, False))
    return chain


def holds(chain: Chain, command: SecurityCommand) -> bool:
    """Say whether what a command wants is so."""
    state = chain.rig.state
    match command:
        case RevokeSubkey(account=account, key=key):
            return (account, key) not in state.subkeys
        case RemovePublisher(name=name):
            return name not in state.publishers
        case SetOperator(operator=operator):
            return state.system.operator == operator
        case SetGuard(guard=guard):
            return guard not in state.system.guards_off


@pytest.mark.parametrize(("acts", "command"), SECURITY.values(), ids=SECURITY)
def test_what_was_taken_away_stays_away(acts: tuple[Act, ...], command: SecurityCommand) -> None:
    chain = prepared()
    chain.act(*acts)
    plan = chain.plan(6)
    assert plan.impact.security == plan.security == (command,)
    chain.apply(plan)
    # It is back in the state that was gone back to, and goes with the first transaction.
    assert not holds(chain, command)
    assert tuple(chain.reopen().security) == (command,)
    assert holds(chain, command)


@pytest.mark.parametrize(("acts", "command"), list(SECURITY.values())[:3], ids=list(SECURITY)[:3])
def test_what_is_deselected_is_back(acts: tuple[Act, ...], command: SecurityCommand) -> None:
    chain = prepared()
    chain.act(*acts)
    plan = chain.plan(6, deselected=(0,))
    assert (plan.impact.security, plan.security) == ((command,), ())
    chain.apply(plan)
    assert chain.reopen().security in ((), [])
    assert not holds(chain, command)


def test_all_of_it_together_and_one_deselected() -> None:
    chain = prepared()
    acts = [act for some, _ in SECURITY.values() for act in some]
    chain.act(*acts[1:2], acts[0], *acts[3:], ("alice", RevokeSubkey(ALICE, 52)))
    plan = chain.plan(6)
    assert plan.security == (
        RevokeSubkey(ALICE, 51),
        RevokeSubkey(ALICE, 52),
        RemovePublisher("Alpha"),
        SetGuard(Guard.QUORUM, True),
    )
    chain.apply(chain.plan(6, deselected=(1,)))
    chain.reopen()
    wanted = [holds(chain, command) for command in plan.security]
    assert wanted == [True, False, True, True]


def test_guards_are_on_afterwards_though_nobody_asked() -> None:
    chain = prepared()
    chain.blocks(1)
    assert chain.plan(6).security == ()
    chain.back(6)
    assert Guard.QUORUM in chain.rig.state.system.guards_off
    chain.reopen()
    assert not chain.rig.state.system.guards_off


def test_what_came_and_went_in_between_is_not_listed() -> None:
    chain = prepared()
    chain.act(("bob", AddSubkey(BOB, 61)), RegisterPublisher("Delta", key_of(7)))
    chain.act(("bob", RevokeSubkey(BOB, 61)), RemovePublisher("Delta"))
    chain.act(SetGuard(Guard.HEALTH, False))
    assert chain.plan(6).security == ()


def test_settings_that_differ_are_listed_by_name_with_both_values() -> None:
    chain = prepared()
    market = chain.rig.state.markets[MARKET].parameters
    funding = msgspec.structs.replace(market.funding, interest=20_000)
    chain.act(
        UpdateMarket(msgspec.structs.replace(market, funding=funding, orders_max=200)),
        SetRisk(Risk(liquidation_fee=60_000_000)),
        RegisterPublisher("Delta", key_of(7)),
        SetMarketStatus(MARKET, MarketStatus.PAUSED),
    )
    then, now = str(market.orders_max), hex(key_of(7))
    assert chain.plan(6).impact.settings == (
        SettingChange(f"{MARKET} funding interest", "20000", str(market.funding.interest)),
        SettingChange(f"{MARKET} orders_max", "200", then),
        SettingChange(f"{MARKET} status", "PAUSED", "ACTIVE"),
        SettingChange("publisher Delta", now, ""),
        SettingChange("risk liquidation_fee", "60000000", str(Risk().liquidation_fee)),
    )
    chain.back(6)
    chain.reopen()
    assert chain.rig.state.markets[MARKET].parameters == market
    assert "Delta" not in chain.rig.state.publishers


def test_settings_that_came_and_went_in_between_are_not_listed() -> None:
    chain = prepared()
    market = chain.rig.state.markets[MARKET].parameters
    chain.act(UpdateMarket(msgspec.structs.replace(market, orders_max=200)))
    chain.act(UpdateMarket(market))
    assert chain.plan(6).impact.settings == ()


def handed_over() -> tuple[Chain, Plan]:
    chain = Chain()
    chain.act(SetOperator(BOB))
    return chain, chain.plan(4)


def test_an_operator_who_was_handed_over_to_is_so_again() -> None:
    chain, plan = handed_over()
    assert (plan.security, plan.impact.settings) == ((SetOperator(BOB),), ())
    chain.apply(plan)
    assert chain.rig.state.system.operator == OPERATOR
    assert chain.head.latch == Latch(1, OrderPolicy.KEEP)
    assert HaltCause.LATCH in causes(chain.rig.gate.halts)


def test_events_of_the_reopening_say_what_was_done_again() -> None:
    chain = prepared()
    chain.act(*REVOKED)
    chain.back(6)
    command = chain.reopen()
    (block,) = live_blocks(chain.store.view, 7)
    names = [type(event).__name__ for event in events([*block.receipts])]
    assert names[:3] == ["ModeChanged", "GuardChanged", "SubkeyChanged"]
    assert "Reopened" in names
    assert command.reorg_id == 1


def test_what_cannot_be_read_is_said_and_stops_nothing() -> None:
    state = State(System(1, 2, 3))
    facts = DepositFacts(lambda: Rig().store.view)
    impact = measure_impact([None, None], None, state, facts)
    assert (impact.blocks, impact.unread, impact.transactions) == (2, 2, 0)
    assert not impact.is_compared
    assert impact.accounts == 0
