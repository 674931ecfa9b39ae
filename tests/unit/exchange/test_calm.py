"""Accounts that a sweep passes over are never low, and what it does is what it would do to all."""

import random
from collections.abc import Iterator
from itertools import product

import pytest

from sequencer.exchange.calm import PARTS, move_since, note, restless
from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import State, Table
from sequencer.exchange.sweep import sweep_accounts
from sequencer.model.events import Event
from sequencer.model.laws import Law, LawBroken
from sequencer.model.orders import Side
from sequencer.model.rows import Market, Position
from sequencer.model.units import DUST_PER_QUOTE, INDEX_ONE, ONE
from tests.unit.exchange.builders import (
    BOB,
    BTC,
    ETH,
    INSURANCE,
    add_market,
    change_price,
    fund,
    hold,
    make_order,
    make_parameters,
    make_state,
    put,
    rest,
    snapshot,
)
from tests.unit.exchange.crowds import CROWD, add_holders, move_price
from tests.unit.exchange.pricing import act

_MARKETS = {BTC: 60_000 * ONE, ETH: 2_500 * ONE}


def sweep(state: State) -> list[Event]:
    events = act(state, lambda step: sweep_accounts(step, sorted(state.prices), 0))
    check_laws(state)
    recount(state)
    return events


def passed_over(state: State) -> set[int]:
    """Return the holders whom the next sweep would not look at."""
    move = move_since(state)
    return set() if move is None else state.holdings.keys() - restless(state, state.holdings, move)


def crowd(choose: random.Random) -> State:
    """Make 20 pairs of accounts with opposite positions and orders, some near their margin."""
    state = make_state()
    for market, price in _MARKETS.items():
        add_market(state, market, price)
    fund(state, INSURANCE, 10**6 * ONE)
    for long in range(CROWD, CROWD + 2 * 20, 2):
        for account in (long, long + 1):
            fund(state, account, choose.randrange(2_000, 40_000) * ONE)
        for market in choose.sample(sorted(_MARKETS), choose.randrange(1, 3)):
            size = choose.randrange(1, 400) * 10**12 // (_MARKETS[market] // 10**4) // 10**4 * 10**4
            hold(state, long, long + 1, max(size, 10**4), _MARKETS[market], market)
        for account in (long, long + 1):
            for _ in range(choose.randrange(3)):
                _rest_one(choose, state, account)
    return state


def _rest_one(choose: random.Random, state: State, account: int) -> None:
    market = choose.choice(sorted(_MARKETS))
    side = choose.choice((Side.BUY, Side.SELL))
    price = _MARKETS[market] * (97 if side is Side.BUY else 103) // 100
    rest(state, make_order(account, side, choose.randrange(1, 40) * 10**6, price, market=market))


def moves(choose: random.Random, state: State, count: int) -> Iterator[None]:
    """Move marks, funding, cash and orders about a little, again and again."""
    for _ in range(count):
        for market in sorted(_MARKETS):
            before = state.prices[market]
            mark = before.mark * choose.randrange(9_960, 10_041) // 10_000
            index = before.funding_index + choose.randrange(-3, 4) * INDEX_ONE
            move_price(state, mark, market)
            change_price(state, market, funding_index=index or INDEX_ONE)
        if choose.random() < 0.5:
            fund(state, choose.choice(sorted(state.holdings)), choose.randrange(1, 300) * ONE)
        yield


@pytest.mark.parametrize("seed", range(12))
def test_a_sweep_does_what_one_that_remembers_nothing_does(seed: int) -> None:
    choose = random.Random(seed)
    state = crowd(choose)
    skipped = 0
    for _ in moves(choose, state, 25):
        other = State.rebuilt(state.rows)
        assert other.reference is None
        skipped += len(passed_over(state))
        assert sweep(state) == sweep(other)
        assert snapshot(state) == snapshot(other)
    assert skipped > 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("by_funding", [False, True])
def test_nobody_is_low_at_the_edge_of_the_room(seed: int, by_funding: bool) -> None:
    """Prices go, after a first move, as far as the room lets them, in every direction."""
    choose = random.Random(1_000 + seed)
    state = crowd(choose)
    sweep(state)
    for market, price in _MARKETS.items():
        change_price(state, market, mark=price * choose.randrange(9_950, 10_051) // 10_000)
    moved = move_since(state)
    assert moved is not None
    rooms = {}
    for account in sorted(state.holdings):
        note(state, account, margin_of(state, account), moved)
        calm = state.holdings[account].calm
        assert calm is not None
        rooms[account] = calm.room
    edges = 0
    for account, room in rooms.items():
        for signs in product((-1, 1), repeat=len(_MARKETS)):
            if room < 0:
                continue
            edges += 1
            _move_to_edge(state, room, signs, by_funding)
            assert account in passed_over(state)
            margin = margin_of(state, account)
            assert margin.adds_risk()
            assert margin.is_healthy()
    assert edges > 20


def _move_to_edge(state: State, room: int, signs: tuple[int, ...], by_funding: bool) -> None:
    assert state.reference is not None
    for market, sign in zip(_MARKETS, signs, strict=True):
        before = state.reference.prices[market]
        most = room * before.mark // PARTS
        if by_funding:
            index = before.funding_index + sign * most * DUST_PER_QUOTE // ONE
            change_price(state, market, mark=before.mark, funding_index=index or 1)
        else:
            mark = max(before.mark + sign * most, 1)
            change_price(state, market, mark=mark, funding_index=before.funding_index)


def test_an_account_is_looked_at_from_the_move_on_that_could_bring_it_low() -> None:
    state = make_state()
    add_market(state, BTC, 100 * ONE, initial_margin=10**7, taker_fee=0)
    (account,) = add_holders(state, 1, ONE, 100 * ONE, 20 * ONE)
    add_holders(state, 20, ONE // 100, 100 * ONE, 1_000 * ONE, first=CROWD + 1)
    fund(state, BOB, 10**6 * ONE)
    sweep(state)
    assert account in passed_over(state)
    # Worth 20 + (mark - 100), and 10 % of mark are needed: low below 88.89.
    change_price(state, BTC, mark=91 * ONE)
    assert account in passed_over(state)
    change_price(state, BTC, mark=89 * ONE - ONE // 5)
    assert account not in passed_over(state)


def test_whatever_changes_an_account_has_it_looked_at_again() -> None:
    state = make_state()
    add_market(state)
    accounts = add_holders(state, 20, ONE, 100 * ONE, 10_000 * ONE)
    fund(state, BOB, 10**6 * ONE)
    sweep(state)
    calm = passed_over(state)
    assert calm >= set(accounts)
    fund(state, accounts[0], ONE)
    rest(state, make_order(accounts[1], Side.BUY, ONE, 90 * ONE))
    put(state, Table.POSITION, (accounts[2], BTC), Position(2 * ONE, 200 * ONE, INDEX_ONE))
    put(state, Table.POSITION, (accounts[3], BTC), None)
    assert calm - passed_over(state) == set(accounts[:3]) | {accounts[3]}


def test_other_rates_or_markets_have_all_looked_at_again() -> None:
    state = make_state()
    add_market(state)
    add_holders(state, 20, ONE, 100 * ONE, 10_000 * ONE)
    fund(state, BOB, 10**6 * ONE)
    sweep(state)
    assert passed_over(state)
    row = state.markets[BTC]
    steeper = make_parameters(BTC, initial_margin=2 * row.parameters.initial_margin)
    put(state, Table.MARKET, BTC, Market(steeper, row.status))
    assert move_since(state) is None
    put(state, Table.MARKET, BTC, row)
    assert passed_over(state)
    add_market(state, ETH)
    assert move_since(state) is None


def test_a_recount_finds_whoever_is_passed_over_and_low() -> None:
    state = make_state()
    add_market(state)
    accounts = add_holders(state, 20, ONE, 100 * ONE, 10_000 * ONE)
    fund(state, BOB, 10**6 * ONE)
    sweep(state)
    holding = state.holdings[accounts[0]]
    kept = holding.calm
    assert kept is not None
    fund(state, accounts[0], -9_999 * ONE)
    holding.calm = kept
    with pytest.raises(LawBroken) as broken:
        recount(state)
    assert broken.value.law is Law.DERIVED


@pytest.mark.parametrize("sign", [-1, 1])
def test_funding_brings_an_account_back_into_sight_before_it_is_low(sign: int) -> None:
    state = make_state()
    add_market(state)
    (account,) = add_holders(state, 1, sign * ONE, 100 * ONE, 20 * ONE)
    add_holders(state, 20, ONE // 100, 100 * ONE, 1_000 * ONE, first=CROWD + 1)
    fund(state, BOB, 10**6 * ONE)
    sweep(state)
    seen, low = 0, False
    for owed in range(1, 21):
        change_price(state, BTC, funding_index=sign * owed * INDEX_ONE + INDEX_ONE)
        seen += account in passed_over(state)
        low = not margin_of(state, account).adds_risk()
        assert not (low and account in passed_over(state))
    assert seen > 10
    assert low


def test_a_market_that_nobody_is_in_makes_nobody_restless() -> None:
    state = make_state()
    add_market(state)
    add_market(state, ETH, ONE)
    accounts = add_holders(state, 20, ONE, 100 * ONE, 10_000 * ONE)
    fund(state, BOB, 10**6 * ONE)
    sweep(state)
    change_price(state, ETH, mark=1_000 * ONE)
    assert passed_over(state) >= set(accounts)
    rest(state, make_order(BOB, Side.BUY, ONE, ONE, market=ETH))
    assert not passed_over(state)
