"""What a monitor looks at: the figures of a node at one moment, in the units of the chain.

Promises
- What this node does not know is None, or missing from a mapping: never a 0 that means nothing.

Laws
- Nothing here is searched, hashed or asked elsewhere: accounts and orders are counted, not read.
"""

from collections.abc import Mapping, Sequence, Set

import msgspec

from sequencer.engine.deposit_facts import InboxStatus
from sequencer.engine.desk_facts import Undecided, inbox_status, system_of
from sequencer.engine.desk_plugins import standings_of
from sequencer.engine.engine import Engine
from sequencer.engine.reach import Reach
from sequencer.engine.settler_status import SettlerStatus
from sequencer.engine.verification import VerificationStatus
from sequencer.exchange.state import State
from sequencer.model.exchange_limits import TRIPWIRE_WINDOW_MS
from sequencer.model.halts import HaltCause
from sequencer.model.plugins import PluginStanding
from sequencer.model.rows import Guard, Mode, ModeCause
from sequencer.model.units import ONE
from sequencer.ports import DiskSpace, StoreError


class MarketFigures(msgspec.Struct, frozen=True):
    """A market. Prices and open interest (of one side, at the mark) in 1e-8 quote.

    `price_age_ms` is None before the first accepted price.
    """

    index: int
    mark: int
    open_interest: int
    price_age_ms: int | None


class ExchangeFigures(msgspec.Struct, frozen=True):
    """The exchange with its open block. Money in 1e-8 quote.

    `alarmed` counts the accounts that count for the tripwire now, of `holders`.
    """

    markets: Mapping[str, MarketFigures]
    insurance_cash: int
    bad_debt: int
    collateral: int
    accounts: int
    orders: int
    alarmed: int
    holders: int


class WriterFigures(msgspec.Struct, frozen=True):
    """Who makes blocks: what waits, and how long the block under way to the disk has taken."""

    halts: Set[HaltCause]
    waiting: int
    lag_ms: int
    root_proven: bool


class Figures(msgspec.Struct, frozen=True):
    """A node. Times in milliseconds; `overdue_ms` is 0 while no decision is overdue."""

    height: int
    epoch: int
    mode: Mode
    latched: bool
    drill: bool
    guards_off: Sequence[Guard]
    block_age_ms: int
    open_rollbacks: int
    checkpoints: int
    overdue_ms: int
    writer: WriterFigures | None
    exchange: ExchangeFigures | None
    settled: SettlerStatus | None
    inbox: InboxStatus | None
    verified: VerificationStatus | None
    disk_free_bytes: int | None
    plugins: Sequence[PluginStanding]


def figures_of(reach: Reach, undecided: Undecided | None) -> Figures:
    """Count what there is at the head. Failures: those of a read."""
    now_ms = reach.clock.now_ms()
    engine = None if reach.running is None else reach.running.engine
    with reach.view() as view:
        head, system = view.head, system_of(view)
        by_operator = system.mode is Mode.HALTED and system.cause is ModeCause.OPERATOR
        due_ms = undecided.until_ms if by_operator and undecided is not None else now_ms
        return Figures(
            height=head.height,
            epoch=head.epoch,
            mode=system.mode,
            latched=head.latch is not None,
            drill=system.drill,
            guards_off=system.guards_off,
            block_age_ms=max(0, now_ms - system.time_ms),
            open_rollbacks=sum(each.is_open for each in view.journals()),
            checkpoints=sum(1 for _ in view.checkpoints()),
            overdue_ms=max(0, now_ms - due_ms),
            writer=None if engine is None else _of_writer(engine),
            exchange=None if engine is None else _of_exchange(engine.writer.state, now_ms),
            settled=None if reach.settler is None else reach.settler.status(),
            inbox=None if engine is None else inbox_status(view, engine, reach.collector),
            verified=None if reach.verification is None else reach.verification.status,
            disk_free_bytes=None if reach.disk is None else _free_bytes(reach.disk),
            plugins=standings_of(reach, view),
        )


def _of_writer(engine: Engine) -> WriterFigures:
    return WriterFigures(
        halts=frozenset(halt.cause for halt in engine.gate.halts),
        waiting=len(engine.writer.queue),
        lag_ms=engine.gate.lag_ms(),
        root_proven=engine.root_proven,
    )


def _of_exchange(state: State, now_ms: int) -> ExchangeFigures:
    system, totals = state.system, state.totals
    since_ms = system.time_ms - TRIPWIRE_WINDOW_MS
    alarmed = [row for row in state.unhealthy.values() if row.counted and row.since_ms > since_ms]
    holders = {account for holders in state.holders.values() for account in holders}
    insurance = state.accounts.get(system.insurance)
    return ExchangeFigures(
        markets={market: _of_market(state, market, now_ms) for market in state.prices},
        insurance_cash=0 if insurance is None else insurance.cash,
        bad_debt=totals.bad_debt,
        collateral=totals.deposited - totals.withdrawn,
        accounts=len(state.accounts),
        orders=len(state.orders),
        alarmed=len(alarmed),
        holders=len(holders - {system.insurance}),
    )


def _of_market(state: State, market: str, now_ms: int) -> MarketFigures:
    price = state.prices[market]
    age_ms = now_ms - price.index_at_ms if price.index_at_ms else None
    interest = state.market_sums[market].long * price.mark // ONE
    return MarketFigures(price.index, price.mark, interest, age_ms)


def _free_bytes(disk: DiskSpace) -> int | None:
    try:
        return disk.free_bytes()
    except StoreError:
        return None
