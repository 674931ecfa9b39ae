"""Benches of the exchange: `transition` alone on one core, with margin checks, events, sums."""

import gc
import random
import time
from collections.abc import Callable, Iterable

from scripts.benches.measure import Figure, Sizes
from scripts.benches.world import SEED
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import Journal, State, Table
from sequencer.exchange.step import Context
from sequencer.exchange.transition import transition
from sequencer.model.commands import CancelOrder, PlaceOrder
from sequencer.model.markets import MarketParameters, OracleParameters
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.refusals import Refusal
from sequencer.model.rows import Account, Market, Mode, Position, Price, System
from sequencer.model.units import INDEX_ONE, ONE

MARK = 60_000 * ONE
TICK = ONE // 10
LOT = 1_000
NOW_MS = 1_723_161_600_000
MARKETS = ("BTC-USD-PERP", "ETH-USD-PERP", "SOL-USD-PERP")
ACCOUNTS = range(100, 300)


def transitions_per_second_maker(sizes: Sizes) -> Figure:
    """45 % place, 8 % take, 47 % cancel."""
    return _mixed(sizes, place=0.45, take=0.08, note="45 % place, 8 % take, 47 % cancel")


def transitions_per_second_taker(sizes: Sizes) -> Figure:
    """40 % of the commands trade."""
    return _mixed(sizes, place=0.5, take=0.4, note="50 % place, 40 % take, 10 % cancel")


def transitions_per_second_one_level(sizes: Sizes) -> Figure:
    """One-lot orders at one price, taken one by one."""
    state = _state()
    count = sizes.commands
    placed = [
        _order(ACCOUNTS[index % 100], Side.SELL, LOT, MARK, index + 1, Instruction.POST_ONLY)
        for index in range(count)
    ]
    _play(state, placed)
    takers = [
        _order(ACCOUNTS[100 + index % 100], Side.BUY, LOT, MARK, count + index + 1)
        for index in range(count)
    ]
    taken = _play(state, takers)
    if state.orders:
        raise SystemExit("the level should be empty")
    return Figure(round(count / taken), "per second", f"{count} one-lot orders on one level, taken")


def health_sweep_accounts_per_second(sizes: Sizes) -> Figure:
    """Exact margin figures of accounts with three positions."""
    state = _state()
    accounts = range(1_000, 1_000 + sizes.commands)
    for account in accounts:
        for market in MARKETS:
            state.write(Table.POSITION, (account, market), Position(ONE, MARK, INDEX_ONE))
    start = time.perf_counter()
    healthy = sum(margin_of(state, account).is_healthy() for account in accounts)
    taken = time.perf_counter() - start
    if healthy:
        raise SystemExit("accounts without cash cannot be healthy")
    return Figure(round(len(accounts) / taken), "per second", f"{len(accounts)} accounts")


def _mixed(sizes: Sizes, place: float, take: float, note: str) -> Figure:
    state = _state()
    commands = _mixed_commands(random.Random(SEED), sizes.commands, place, take)
    taken = _play(state, commands)
    return Figure(round(len(commands) / taken), "per second", f"{note}; {len(commands)} commands")


def _mixed_commands(
    generator: random.Random, count: int, place: float, take: float
) -> list[PlaceOrder | CancelOrder]:
    commands: list[PlaceOrder | CancelOrder] = []
    live: list[tuple[int, int]] = []
    for order_id in range(1, count + 1):
        account = generator.choice(ACCOUNTS)
        side = generator.choice((Side.BUY, Side.SELL))
        away = -1 if side is Side.BUY else 1
        size = generator.randrange(1, 100) * LOT * 10
        drawn = generator.random()
        if drawn < place or not live:
            price = MARK + away * generator.randrange(1, 200) * TICK
            commands.append(_order(account, side, size, price, order_id, Instruction.GTC))
            live.append((account, order_id))
        elif drawn < place + take:
            commands.append(_order(account, side, size, MARK - away * 300 * TICK, order_id))
        else:
            owner, cancelled = live.pop(generator.randrange(len(live)))
            commands.append(CancelOrder(owner, cancelled))
    return commands


def _play(state: State, commands: Iterable[PlaceOrder | CancelOrder]) -> float:
    """Apply commands, each with a journal of its own; returns seconds."""
    refused = 0
    # As the node does after loading: the collector need not walk what will stay.
    gc.collect()
    gc.freeze()
    start = time.perf_counter()
    for command in commands:
        signer = command.order.account if isinstance(command, PlaceOrder) else command.account
        outcome = transition(state, command, Context(signer), Journal(state))
        refused += isinstance(outcome, Refusal)
    taken = time.perf_counter() - start
    # A cancel of an order that has traded meanwhile is refused, as it would be in life.
    if refused > state.arrival.following:
        raise SystemExit(f"{refused} commands were refused")
    return taken


def _order(
    account: int,
    side: Side,
    size: int,
    price: int,
    order_id: int,
    instruction: Instruction = Instruction.IOC,
) -> PlaceOrder:
    order = Order(
        account=account,
        market=MARKETS[0],
        side=side,
        type=OrderType.LIMIT,
        size=size,
        price=price,
        trigger_price=0,
        instruction=instruction,
        self_trade=SelfTrade.EXPIRE_MAKER,
        reduce_only=False,
        client_id=0,
        pair_id=0,
        replaces=0,
        signed_at_ms=NOW_MS,
        receive_window_ms=300_000,
        expires_at_ms=0,
    )
    return PlaceOrder(order, order_id)


def _state() -> State:
    state = State(System(operator=1, insurance=2, fees=3, mode=Mode.OPEN, time_ms=NOW_MS))
    for market in MARKETS:
        parameters = MarketParameters(
            symbol=market,
            price_increment=TICK,
            lot=LOT,
            oracle=OracleParameters(asset=market[:3]),
            notional_min=1,
            orders_max=100_000,
        )
        state.write(Table.MARKET, market, Market(parameters))
        state.write(Table.PRICE, market, Price(index=MARK, mark=MARK, index_at_ms=NOW_MS))
    for account in ACCOUNTS:
        state.write(Table.ACCOUNT, account, Account(10**9 * ONE))
    return state


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    transitions_per_second_maker,
    transitions_per_second_taker,
    transitions_per_second_one_level,
    health_sweep_accounts_per_second,
)
