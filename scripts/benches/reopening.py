"""A running node that is gone back on, and how long it is until somebody trades there again.

Promises
- The node is whole, at its default pace, and its operator's desk is the one that commands reach.
- The operator's steps follow one another at once; prices come every second meanwhile.
- The order is that of an account with positions: it needs a fresh price of everything it holds.

The clock of the node goes on from the chain's last block, as if no time had passed since.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from scripts.benches.measure import World, clocked
from scripts.benches.trading import BenchClock
from scripts.benches.world import (
    CHAIN_ID,
    MARKETS,
    OPERATOR_KEY,
    PUBLISHERS,
    START_MS,
    MarketShape,
    account_address,
    account_key,
)
from sequencer import node as node_module
from sequencer.chain.exchange_contract import SignedOrder, SignedReport
from sequencer.config import NodeConfig
from sequencer.engine import desk, desk_rollback
from sequencer.engine.desk import Desk
from sequencer.engine.worker import ThreadWorker
from sequencer.exchange.freshness import is_stale
from sequencer.model.commands import OrderPolicy, SeedPrice
from sequencer.model.exchange_limits import RECEIVE_WINDOW_MS_MAX
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.refusals import Refused
from sequencer.model.rows import Mode
from sequencer.model.secret import Secret
from sequencer.model.units import MS_PER_SECOND, ONE
from sequencer.node import Given, Node, start_node
from sequencer.serve import desk_of
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.messages import order_hash, price_report_hash

Parts = dict[str, float]
"""The seconds of each step from the order to go back to the first order accepted, in sequence."""

UNDONE_SECONDS = 2
"""The blocks of so many seconds are undone: how many there are changes nothing."""

_REASON = "a bench"
_REPORT_UNIT = 10**18
_REPORT_SECONDS, _LOOK_SECONDS = 0.1, 0.01
_PRICE_SECONDS_MAX = 60
_PIECES = (
    ("prepare", desk_rollback, "prepare_rollback"),
    ("batch", desk_rollback, "_timed"),
    ("recover", node_module, "_recovered"),
    ("collect garbage", gc, "collect"),
    ("resume", desk, "resume"),
)
"""The pieces of applying a plan that have a clock around them."""


def reopened(data: Path, world: World, rounds: int) -> list[Parts]:
    """Go back on a world's node so many times; returns what each took until an order was taken."""
    return asyncio.run(_reopened(data, world, rounds))


async def _reopened(data: Path, world: World, rounds: int) -> list[Parts]:
    clock = BenchClock(START_MS + world.blocks * MS_PER_SECOND)
    async with _running(data, clock) as (node, commands):
        async with asyncio.timeout(_PRICE_SECONDS_MAX):
            for market in MARKETS:
                await _seed(node, market)
        return [await _go_back(node, commands, trader) for trader in range(rounds)]


@asynccontextmanager
async def _running(data: Path, clock: BenchClock) -> AsyncIterator[tuple[Node, Desk]]:
    """Run a node on a chain, with somebody who reports prices."""
    config = NodeConfig(data_dir=data, operator_key=Secret(OPERATOR_KEY))
    given, reader = Given(clock=clock), ThreadWorker("desk")
    node = await start_node(config, given)
    # Blocks of a bench's world came from no transactions: executed again they would differ.
    node.verification.stop()
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(node.run(()))
            reporting = group.create_task(_report(node))
            yield node, desk_of(config, node, given, reader, reader)
            reporting.cancel()
            node.stop()
            await running
    finally:
        reader.close()
        node.close()


async def _report(node: Node) -> None:
    """Report every price of each second until the engine of the moment has it."""
    second, reports = 0, []
    while True:
        if (now := node.clock.now_ms() // MS_PER_SECOND) != second:
            second, reports = now, list(_signed_reports(now))
        for report in reports:
            with suppress(Refused):
                node.engine.admission.report(report)
        await asyncio.sleep(_REPORT_SECONDS)


def _signed_reports(second: int) -> Iterator[SignedReport]:
    for publisher, key in PUBLISHERS.items():
        for market in MARKETS:
            price = market.price * _REPORT_UNIT // ONE
            fields = (publisher, market.asset, price, second)
            yield SignedReport(*fields, *sign(key, price_report_hash(*fields)))


async def _seed(node: Node, market: MarketShape) -> None:
    """Have a market whose price has aged take another one from its publishers."""
    while _lack_price(node, market):
        seeding = SeedPrice(market.symbol, market.price)
        await node.engine.writer.operate(seeding).answer
        await asyncio.sleep(_REPORT_SECONDS)


def _lack_price(node: Node, *markets: MarketShape) -> bool:
    return any(is_stale(node.engine.writer.state, market.symbol) for market in markets)


async def _go_back(node: Node, commands: Desk, trader: int) -> Parts:
    target = str(node.store.head.height)
    await asyncio.sleep(UNDONE_SECONDS)
    if node.engine.gate.halts:
        raise SystemExit(f"the chain is halted: {node.engine.gate.halts}")
    await commands.mode(Mode.HALTED, _REASON, 0, 0)
    plan = await commands.plan(target, OrderPolicy.CANCEL_ALL_BUT_TPSL, ())
    with clocked(_PIECES, time.perf_counter) as parts:
        start = time.perf_counter()
        await commands.apply(plan.plan_id.hex(), commands.order("bench", _REASON))
        applied = time.perf_counter() - start
    parts["rest of applying"] = applied - sum(parts.values())
    # A tick after a long time without one lowers the mode, so the steps take a block each.
    for mode in (Mode.CANCEL_ONLY, Mode.POST_ONLY):
        async with _noting(parts, mode.value):
            await commands.mode(mode, _REASON, 0, 0)
    async with _noting(parts, "prices"), asyncio.timeout(_PRICE_SECONDS_MAX):
        while _lack_price(node, *MARKETS):  # noqa: ASYNC110 - a state has no event
            await asyncio.sleep(_LOOK_SECONDS)
    async with _noting(parts, "order"):
        order = _resting_order(trader, node.clock.now_ms())
        taken = await node.engine.admission.order(order).answer
    reached = node.engine.writer.state.system.mode
    if taken.refusal or reached is not Mode.POST_ONLY:
        raise SystemExit(f"no order was taken in {reached.value}: {taken.refusal}")
    return parts


@asynccontextmanager
async def _noting(parts: Parts, name: str) -> AsyncIterator[None]:
    """Note how long something takes."""
    start = time.perf_counter()
    yield
    parts[name] = time.perf_counter() - start


def _resting_order(trader: int, now_ms: int) -> SignedOrder:
    market = MARKETS[0]
    order = Order(
        account=account_address(trader),
        market=market.symbol,
        side=Side.BUY,
        type=OrderType.LIMIT,
        size=market.lot * 1_000,
        price=market.price * 99 // 100,
        trigger_price=0,
        instruction=Instruction.POST_ONLY,
        self_trade=SelfTrade.EXPIRE_TAKER,
        reduce_only=False,
        client_id=1,
        pair_id=0,
        replaces=0,
        signed_at_ms=now_ms,
        receive_window_ms=RECEIVE_WINDOW_MS_MAX,
        expires_at_ms=0,
    )
    signature = sign(account_key(trader), order_hash(order, order.account, CHAIN_ID))
    return SignedOrder(order, order.account, 0, *signature)
