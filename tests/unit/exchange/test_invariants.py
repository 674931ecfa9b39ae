"""Every quantity that a law speaks of, changed by one unit: the law named fires, no other."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from sequencer.exchange.invariants import (
    VIEWS,
    check_health,
    check_health_change,
    check_laws,
    recount,
)
from sequencer.exchange.margin import is_healthy, margin_of
from sequencer.exchange.state import Journal, State, Table
from sequencer.exchange.step import Context, Step
from sequencer.model.events import GuardViolated
from sequencer.model.laws import Law, LawBroken
from sequencer.model.markets import MarketStatus
from sequencer.model.orders import OrderType, Side
from sequencer.model.rows import (
    Account,
    Arrival,
    EthereumKey,
    Guard,
    Position,
    Price,
    Subkey,
    UsedOrder,
)
from sequencer.model.units import INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    ALICE,
    BOB,
    BTC,
    ETH,
    INSURANCE,
    NOW_MS,
    OPERATOR,
    add_market,
    change_price,
    change_totals,
    fund,
    hold,
    make_order,
    make_state,
    put,
    rest,
    snapshot,
)
from tests.unit.exchange.pricing import switch_off

STOP = 0x570


def make_exchange() -> State:
    """Return a state in which every table and derived part has something."""
    state = make_state()
    add_market(state)
    add_market(state, ETH, 0, MarketStatus.PAUSED)
    put(state, Table.PRICE, ETH, Price())
    for account in (ALICE, BOB):
        fund(state, account, 1_000 * ONE)
    fund(state, STOP, 10 * ONE, ALICE, BTC)
    hold(state, ALICE, BOB, ONE, 100 * ONE)
    change_price(state, BTC, funding_index=2 * INDEX_ONE)
    rest(state, make_order(ALICE, Side.BUY, ONE, 99 * ONE, expires_at_ms=NOW_MS + 1))
    rest(state, make_order(BOB, Side.SELL, ONE, 101 * ONE, reduce_only=True))
    rest(state, make_order(BOB, Side.SELL, ONE, 101 * ONE))
    stop = make_order(ALICE, Side.SELL, ONE, 0, type=OrderType.STOP_MARKET, trigger_price=ONE)
    rest(state, stop, waiting=True)
    put(state, Table.SUBKEY, (ALICE, 1), Subkey(NOW_MS))
    put(state, Table.ETHEREUM_KEY, 0xE7, EthereumKey(ALICE))
    put(state, Table.USED_ORDER, 5, UsedOrder(NOW_MS))
    return state


def broken(rule: Callable[[State], None], state: State) -> tuple[Law, str]:
    with pytest.raises(LawBroken) as caught:
        rule(state)
    return caught.value.law, caught.value.detail


def test_a_sound_state_breaks_nothing() -> None:
    state = make_exchange()
    check_laws(state)
    recount(state)


def test_a_funding_index_may_fall_below_0_but_never_be_0() -> None:
    """A new market's is 1.0: some hours of shorts paying longs take it there."""
    state = make_exchange()
    change_price(state, BTC, funding_index=-1)
    check_laws(state)


def _change_position(state: State, **by: int) -> None:
    row = state.positions[ALICE, BTC]
    changed = {name: getattr(row, name) + value for name, value in by.items()}
    put(state, Table.POSITION, (ALICE, BTC), msgspec.structs.replace(row, **changed))


def _change_total(state: State, name: str, by: int) -> None:
    change_totals(state, **{name: getattr(state.totals, name) + by})


def _cross_book(state: State) -> None:
    rest(state, make_order(ALICE, Side.BUY, ONE, 101 * ONE))


def _empty_insurance(state: State) -> None:
    put(state, Table.ACCOUNT, INSURANCE, Account(-1))
    put(state, Table.ACCOUNT, ALICE, Account(1_000 * ONE + 1))


def _negative_dust(state: State) -> None:
    change_totals(state, dust=-1)
    state.sums.funding += 1


_MUTATIONS: list[tuple[str, Callable[[State], None], Law]] = [
    ("cash up", lambda s: put(s, Table.ACCOUNT, BOB, Account(1_000 * ONE + 1)), Law.CONSERVATION),
    ("cash down", lambda s: put(s, Table.ACCOUNT, BOB, Account(1_000 * ONE - 1)), Law.CONSERVATION),
    ("account lost", lambda s: put(s, Table.ACCOUNT, BOB, None), Law.CONSERVATION),
    ("cost up", lambda s: _change_position(s, cost=1), Law.CONSERVATION),
    ("cost down", lambda s: _change_position(s, cost=-1), Law.CONSERVATION),
    ("cached index up", lambda s: _change_position(s, index=1), Law.CONSERVATION),
    ("cached index down", lambda s: _change_position(s, index=-1), Law.CONSERVATION),
    ("deposited", lambda s: _change_total(s, "deposited", 1), Law.CONSERVATION),
    ("withdrawn", lambda s: _change_total(s, "withdrawn", 1), Law.CONSERVATION),
    ("bad debt", lambda s: _change_total(s, "bad_debt", 1), Law.CONSERVATION),
    ("dust", lambda s: _change_total(s, "dust", 1), Law.CONSERVATION),
    ("position lost", lambda s: put(s, Table.POSITION, (ALICE, BTC), None), Law.CONSERVATION),
    ("negative dust", _negative_dust, Law.DUST),
    ("insurance", _empty_insurance, Law.INSURANCE),
    ("crossed", _cross_book, Law.BOOK),
    ("funding index", lambda s: change_price(s, BTC, funding_index=0), Law.FUNDING_INDEX),
    ("zero index price", lambda s: change_price(s, BTC, index=0), Law.PRICE),
    ("zero mark", lambda s: change_price(s, BTC, mark=0), Law.PRICE),
    ("negative mark", lambda s: change_price(s, BTC, mark=-1), Law.PRICE),
    ("forgotten price", lambda s: change_price(s, ETH, index_at_ms=1), Law.PRICE),
]


@pytest.mark.parametrize(
    ("mutate", "law"), [case[1:] for case in _MUTATIONS], ids=[case[0] for case in _MUTATIONS]
)
def test_one_unit_breaks_the_law_named(mutate: Callable[[State], None], law: Law) -> None:
    state = make_exchange()
    mutate(state)
    assert broken(check_laws, state)[0] is law


def test_sizes_that_do_not_add_up_are_named_by_market() -> None:
    state = make_exchange()
    # A size alone breaks conservation too, so its funding has to be hidden.
    _change_position(state, size=1)
    state.sums.funding -= INDEX_ONE
    assert broken(check_laws, state) == (Law.ZERO_SUM, f"{BTC}: sizes add up to 1")


def test_conservation_names_the_amount() -> None:
    state = make_exchange()
    put(state, Table.ACCOUNT, BOB, Account(1_000 * ONE + 3))
    words = "3000000000000000000 of 1e-26 quote too much"
    assert broken(check_laws, state) == (Law.CONSERVATION, words)


@pytest.mark.parametrize("changes", [{"index": 0}, {"mark": 0}, {"mark": -1}])
def test_a_zero_price_is_lawful_only_while_its_guard_is_off(changes: dict[str, int]) -> None:
    state = make_exchange()
    change_price(state, BTC, **changes)
    assert broken(check_laws, state)[0] is Law.PRICE
    switch_off(state, Guard.ZERO_PRICE)
    check_laws(state)


def test_the_other_laws_hold_with_every_guard_off() -> None:
    for _, mutate, law in _MUTATIONS:
        state = make_exchange()
        switch_off(state, *Guard)
        mutate(state)
        if law is Law.PRICE:
            check_laws(state)
        else:
            assert broken(check_laws, state)[0] is law


def _add_bid(state: State) -> None:
    order_id, row = next(iter(state.books[BTC].bids.walk()))
    state.books[BTC].bids.put(order_id + 1, msgspec.structs.replace(row, sequence=99))


def _swap_asks(state: State) -> None:
    asks = state.books[BTC].asks
    (first, row), _ = asks.walk()
    asks.remove(first, row)
    asks.put(first, msgspec.structs.replace(row, sequence=99))


def _drop_waiting(state: State) -> None:
    order_id, row = next(iter(state.holding(ALICE).exposures[BTC].waiting.items()))
    state.waiting[BTC].remove(order_id, row)


def _add(target: Callable[[State], Any], name: str) -> Callable[[State], None]:
    def add(state: State) -> None:
        of = target(state)
        setattr(of, name, getattr(of, name) + 1)

    return add


def _hide_position(state: State) -> None:
    state.holdings[BOB].positions[BTC] = Position(-ONE, -100 * ONE, INDEX_ONE + 1)


_DRIFTS: list[tuple[str, Callable[[State], object], Law]] = [
    ("system", lambda s: setattr(s, "system", replace(s.system, ticks=99)), Law.DERIVED),
    ("arrival", lambda s: setattr(s, "arrival", Arrival(99)), Law.DERIVED),
    ("sums", _add(lambda s: s.sums, "cash"), Law.CONSERVATION),
    ("sums", _add(lambda s: s.sums, "cost"), Law.CONSERVATION),
    ("sums", _add(lambda s: s.sums, "funding"), Law.CONSERVATION),
    ("market_sums", _add(lambda s: s.market_sums[BTC], "net"), Law.ZERO_SUM),
    ("market_sums", _add(lambda s: s.market_sums[BTC], "long"), Law.ZERO_SUM),
    ("books", _add_bid, Law.BOOK),
    ("books", _swap_asks, Law.BOOK),
    ("holdings", _hide_position, Law.DERIVED),
    ("holdings", lambda s: s.holdings.pop(BOB), Law.DERIVED),
    ("holdings", _add(lambda s: s.holdings[BOB].exposures[BTC], "sell_size"), Law.DERIVED),
    ("holdings", _add(lambda s: s.holdings[ALICE].exposures[BTC], "buy_size"), Law.DERIVED),
    ("holdings", _add(lambda s: s.holdings[BOB].exposures[BTC], "reduce_only_count"), Law.DERIVED),
    ("holdings", lambda s: s.holdings[BOB].exposures[BTC].resting.popitem(), Law.DERIVED),
    ("holdings", lambda s: s.holdings[ALICE].exposures[BTC].waiting.clear(), Law.DERIVED),
    ("waiting", _drop_waiting, Law.DERIVED),
    ("holders", lambda s: s.holders[BTC].pop(BOB), Law.DERIVED),
    ("forgetting", lambda s: s.forgetting[NOW_MS // 1_000].clear(), Law.DERIVED),
    ("isolated", lambda s: s.isolated.clear(), Law.DERIVED),
    ("subkey_counts", lambda s: s.subkey_counts.update({ALICE: 2}), Law.DERIVED),
    ("ethereum_addresses", lambda s: s.ethereum_addresses.clear(), Law.DERIVED),
    ("expiring", lambda s: s.expiring.clear(), Law.DERIVED),
    ("margin_rates", lambda s: s.margin_rates.update({BTC: s.margin_rates[ETH]}), Law.DERIVED),
]


@pytest.mark.parametrize(
    ("name", "drift", "law"),
    _DRIFTS,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(_DRIFTS)],
)
def test_a_derived_part_that_drifted_is_named(
    name: str, drift: Callable[[State], object], law: Law
) -> None:
    state = make_exchange()
    if name == "margin_rates":
        state.margin_rates[ETH] = msgspec.structs.replace(state.margin_rates[ETH], initial=1)
    drift(state)
    found, detail = broken(recount, state)
    assert found is law
    assert detail.startswith(f"{name} of ")


def test_the_quick_health_check_agrees_with_the_whole_one() -> None:
    for cash in range(-200 * ONE, 200 * ONE, 7 * ONE):
        state = _thin(cash)
        assert is_healthy(state, ALICE) is margin_of(state, ALICE).is_healthy()
    assert is_healthy(make_exchange(), OPERATOR)


def test_bounds_that_miss_an_order_are_named() -> None:
    for name, value in (("buy_bound", 99 * ONE - 1), ("sell_bound", 101 * ONE + 1)):
        state = make_exchange()
        account = ALICE if name == "buy_bound" else BOB
        setattr(state.holdings[account].exposures[BTC], name, value)
        law, detail = broken(recount, state)
        assert law is Law.DERIVED
        assert f"of {account:#x} in {BTC}" in detail


def test_every_derived_part_and_nothing_else_is_recounted() -> None:
    state = make_exchange()
    tables = {id(rows) for rows in state.rows.values()}
    derived = {
        name
        for name, part in vars(state).items()
        if name != "rows" and not name.startswith("_") and id(part) not in tables
    }
    # Where the sweep measures moves from follows from no row: a law of its own checks what it says.
    assert derived - {"reference"} == set(VIEWS)
    assert all(view(state) for _, view in VIEWS.values())
    assert {name for name, _, _ in _DRIFTS} == set(VIEWS)


def _harm(state: State, cash: int, size: int = 0) -> Step:
    """Take cash from ALICE, who has 1 BTC at 100 and 3 % maintenance, and let her position grow."""
    before = margin_of(state, ALICE)
    step = Step(state, Journal(state), Context(OPERATOR))
    step.add_cash(ALICE, -cash)
    if size:
        _change_position(state, size=size, cost=size * 100)
    check_health_change(step, ALICE, before)
    return step


def _thin(cash: int) -> State:
    state = make_state()
    add_market(state, BTC, 100 * ONE, initial_margin=6_000_000, taker_fee=0)
    fund(state, ALICE, cash)
    hold(state, ALICE, BOB, ONE, 100 * ONE)
    return state


def test_an_action_may_leave_an_account_healthy_or_no_worse() -> None:
    assert _harm(_thin(10 * ONE), 7 * ONE).events == []
    assert _harm(_thin(2 * ONE), 0).events == []
    assert _harm(_thin(2 * ONE), -1).events == []
    # Half the position for half the value: not healthy, and no worse.
    assert _harm(_thin(2 * ONE), ONE, -ONE // 2).events == []


@pytest.mark.parametrize(
    ("had", "taken", "size"),
    [(10 * ONE, 7 * ONE + 1, 0), (2 * ONE, 1, 0), (2 * ONE, ONE + 1, -ONE // 2), (2 * ONE, 0, 1)],
)
def test_health_stops_harm_or_where_it_is_off_records_it(had: int, taken: int, size: int) -> None:
    state = _thin(had)
    with pytest.raises(LawBroken) as caught:
        _harm(state, taken, size)
    assert caught.value.law is Law.HEALTH
    assert caught.value.detail.startswith(f"account {ALICE:#x}: value ")
    state = _thin(had)
    switch_off(state, Guard.HEALTH)
    (event,) = _harm(state, taken, size).events
    assert isinstance(event, GuardViolated)
    assert event.guard is Guard.HEALTH


def _act(state: State, *changes: tuple[Table, Any, Any]) -> Step:
    """Change rows as one command, after another that is no part of it."""
    step = Step(state, Journal(state), Context(OPERATOR))
    step.add_cash(BOB, 7)
    mark = step.journal.mark()
    for change in changes:
        step.put(*change)
    after = snapshot(state)
    check_health(step, mark)
    assert snapshot(state) == after
    return step


def test_a_command_that_harms_an_account_breaks_health() -> None:
    worse = (Table.ACCOUNT, ALICE, Account(ONE))
    with pytest.raises(LawBroken) as caught:
        _act(_thin(4 * ONE), worse)
    assert caught.value.law is Law.HEALTH
    state = _thin(4 * ONE)
    switch_off(state, Guard.HEALTH)
    (event,) = _act(state, worse).events
    assert isinstance(event, GuardViolated)
    position = (Table.POSITION, (ALICE, BTC), Position(2 * ONE, 200 * ONE, INDEX_ONE))
    with pytest.raises(LawBroken):
        _act(_thin(4 * ONE), position)


def test_better_accounts_prices_and_insurance_are_no_harm() -> None:
    state = _thin(2 * ONE)
    assert _act(state, (Table.ACCOUNT, ALICE, Account(2 * ONE + 1))).events == []
    price = msgspec.structs.replace(state.prices[BTC], mark=101 * ONE)
    moved = (Table.PRICE, BTC, price)
    assert _act(state, (Table.ACCOUNT, ALICE, Account(ONE)), moved).events == []
    taken = (Table.POSITION, (INSURANCE, BTC), Position(ONE, 100 * ONE, INDEX_ONE))
    assert _act(state, taken).events == []


def test_laws_are_checked_by_running_sums_and_not_by_rows() -> None:
    state = make_exchange()
    state.rows[Table.ACCOUNT][0x77] = Account(5)
    check_laws(state)
    assert broken(recount, state)[0] is Law.CONSERVATION
