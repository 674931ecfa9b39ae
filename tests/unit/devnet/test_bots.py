"""Bots on a real chain: a book that holds together, and nobody beyond what it may hold."""

import asyncio
from pathlib import Path

import pytest

from devnet.bots import MAKER_HOLDS_MAX, TAKE_NOTIONAL_MAX, TAKER_HOLDS_MAX
from devnet.orders import limit_order, sign_order
from sequencer.engine.items import Item
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import State
from sequencer.model.orders import Instruction, Side
from sequencer.model.rows import Mode
from sequencer.model.units import ONE
from tests.unit.devnet.local_node import World, cast, play

MARKETS = ("BTC-USD-PERP", "ETH-USD-PERP")
STEPS = 40


def held(state: State, address: int, market: str) -> int:
    position = state.positions.get((address, market))
    return 0 if position is None else position.size * state.prices[market].index // ONE


def check_book(state: State, market: str) -> None:
    book = state.books[market]
    bid, ask = book.bids.best_price(), book.asks.best_price()
    assert bid is not None
    assert ask is not None
    assert 0 < (ask - bid) * 100 <= ask
    assert len(list(book.bids.walk())) == 3
    assert len(list(book.asks.walk())) == 3


def check_holders(state: State) -> None:
    roles = cast().roles
    for player in (roles.quoter, *roles.traders):
        assert margin_of(state, player.address).adds_risk()
        for market in MARKETS:
            most = MAKER_HOLDS_MAX if player is roles.quoter else TAKER_HOLDS_MAX
            assert abs(held(state, player.address, market)) <= most + TAKE_NOTIONAL_MAX


async def refusals(items: list[Item]) -> list[str]:
    return [(await item.answer).refusal for item in items]


def test_they_make_and_take_within_their_bounds(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        bots, sent = world.bots(), []
        await world.open()
        for _ in range(STEPS):
            sent += bots.step()
            await world.block()
            check_holders(world.state)
            for market in MARKETS:
                check_book(world.state, market)
        await world.block()
        await asyncio.wait([item.answer for item in sent])
        assert [code for code in await refusals(sent) if code] == []
        for market in MARKETS:
            assert world.state.market_sums[market].long > 0

    play(tmp_path / "chain", act)


def test_what_they_decide_follows_from_seed_step_and_state(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        one, other = world.bots(), world.bots()
        await world.open()
        for _ in range(3):
            decided = one.decide(world.state, world.clock.ms)
            assert decided
            assert decided == other.decide(world.state, world.clock.ms)
            other.step(), one.step()
            await world.block()

    play(tmp_path / "chain", act)


@pytest.mark.parametrize("mode", [Mode.CANCEL_ONLY, Mode.HALTED])
def test_they_send_nothing_where_the_mode_forbids_it(tmp_path: Path, mode: Mode) -> None:
    async def act(world: World) -> None:
        bots = world.bots()
        await world.open()
        assert bots.step()
        await world.block()
        await world.set_mode(mode)
        assert bots.step() == []

    play(tmp_path / "chain", act)


def test_in_post_only_the_maker_alone_quotes(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        bots = world.bots()
        for _ in range(4):
            await world.block()
        await world.set_mode(Mode.POST_ONLY)
        sent = bots.step()
        assert {item.signer for item in sent} == {cast().roles.quoter.address}
        await world.block()
        for market in MARKETS:
            check_book(world.state, market)
        assert bots.step() == []

    play(tmp_path / "chain", act)


def test_a_quote_that_is_taken_comes_back(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        bots, user, market = world.bots(), cast().accounts[0], MARKETS[0]
        await world.open()
        bots.step()
        await world.block()
        best = world.state.books[market].asks.best_price()
        assert best is not None
        fields = (market, Side.BUY, 10**6, best, Instruction.IOC)
        order = limit_order(user.address, *fields, 1, world.clock.ms)
        item = world.admission().order(sign_order(order, user, world.state.system.chain_id))
        await world.block()
        assert not (await item.answer).refusal
        assert held(world.state, user.address, market) > 0
        for _ in range(3):
            bots.step()
            await world.block()
        check_book(world.state, market)

    play(tmp_path / "chain", act)
