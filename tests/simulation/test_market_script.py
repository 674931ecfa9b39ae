"""The replayed market of a thousand traders and its incident, block by block through a producer."""

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from devnet.market_genesis import symbol_of
from devnet.market_script import BLOCK_MS, MARKET_DATA, MarketScript
from devnet.script_block import ScriptedBlock
from devnet.script_process import ScriptProcess
from devnet.traders import Cast, make_cast
from sequencer.chain.genesis import open_genesis
from sequencer.engine.producer import Producer
from sequencer.exchange.invariants import recount
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import State, Table
from sequencer.feeds.recorded import Recording, Trade, read_recording
from sequencer.model.commands import Command, FaultKind, OrderPolicy, Reopen, SetGuard
from sequencer.model.events import Event, LiquidationEnded, OrderRefused
from sequencer.model.exchange_limits import GAP_MS_MAX
from sequencer.model.limits import BATCH_COMMANDS_MAX
from sequencer.model.orders import OrderType
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Mode
from sequencer.node import KeyOperator
from sequencer.starknet.block import Receipt
from sequencer.starknet.names import selector

CHAIN_ID = "PERPCHAIN_RECORDED"
SECONDS = 15
BOTH = (FaultKind.INDEX_RESET, FaultKind.ZERO_PRICE)
REOPEN = Reopen(1, OrderPolicy.CANCEL_ALL_BUT_TPSL)

Rows = dict[Table, dict[Any, Any]]


@cache
def recording() -> Recording:
    return read_recording(MARKET_DATA)


@cache
def cast(traders: int = 1_000) -> Cast:
    return make_cast(1, traders)


def new_script(signs: bool = False, traders: int = 1_000) -> MarketScript:
    script = MarketScript(recording(), cast(traders), CHAIN_ID)
    script.sign(signs)
    return script


def trading(seconds: int = SECONDS) -> MarketScript:
    script = new_script()
    run(script.warm_up())
    run(script.trade(script.first_ms + seconds * 1_000))
    return script


def run(blocks: Iterable[ScriptedBlock]) -> list[ScriptedBlock]:
    return list(blocks)


def rows_of(state: State) -> Rows:
    """Copy the exchange's rows: all but the contracts, whose nonces only a chain counts."""
    tables = state.rows.items()
    return {table: dict(rows) for table, rows in tables if table is not Table.CONTRACT}


def refused_orders(receipts: Iterable[Receipt]) -> int:
    key = selector(OrderRefused.__name__)
    return sum(event.keys[0] == key for receipt in receipts for event in receipt.events)


class Chain:
    """A producer that takes scripted blocks as a node does, and checks every receipt."""

    def __init__(self, state: State, height: int = 0) -> None:
        operator = KeyOperator(cast().operator.address, cast().operator.key)
        self.producer = Producer(state, height + 1, state.system.chain_id, operator)

    def make(self, block: ScriptedBlock) -> None:
        producer = self.producer
        receipts = [producer.operate(mode) for mode in block.modes]
        receipts.append(producer.tick(block.time_ms, block.reports))
        for command in block.operates:
            receipt = producer.operate(command)
            if block.refusal is None:
                receipts.append(receipt)
            else:
                assert (receipt.revert_reason or "").startswith(block.refusal.value)
        for start in range(0, len(block.items), BATCH_COMMANDS_MAX):
            batch = block.items[start : start + BATCH_COMMANDS_MAX]
            receipts.append(producer.carry(batch, frozenset()))
        assert [receipt.revert_reason for receipt in receipts if receipt.revert_reason] == []
        assert refused_orders(receipts) == 0
        producer.close()


def follow(chain: Chain, script: MarketScript, blocks: Iterable[ScriptedBlock]) -> int:
    """Make blocks as they come; the rows are the shadow's at every tenth."""
    made = 0
    for block in blocks:
        chain.make(block)
        made += 1
        if script.shadow.height % 10 == 0:
            assert rows_of(chain.producer.state) == rows_of(script.shadow.state)
    return made


def test_most_traders_hold_positions_and_volumes_are_the_records() -> None:
    script = trading()
    state = script.shadow.state
    holders = {account for market in state.holders.values() for account in market}
    addresses = {trader.address for trader in cast().traders}
    assert len(holders & addresses) > 900
    waiting = [row.order.type for row in state.orders.values() if row.waiting]
    assert waiting.count(OrderType.TAKE_PROFIT_MARKET) == waiting.count(OrderType.STOP_LOSS_MARKET)
    assert len(waiting) > 100
    resting = [row for row in state.orders.values() if not row.waiting]
    assert len({row.order.account for row in resting} & addresses) > 50
    until_ms = script.first_ms + SECONDS * 1_000
    for base in ("BTC", "ETH"):
        rows = [row for row in recording().rows if isinstance(row, Trade) and row.base == base]
        recorded = sum(row.size for row in rows if row.time_ms < until_ms)
        volume = script.shadow.volumes[symbol_of(base)]
        assert recorded > 0
        assert (volume.recorded, volume.filled) == (recorded, recorded)
        assert (volume.undone, volume.skipped) == (0, 0)
        assert 0 < volume.synthetic < recorded
    assert not state.unhealthy
    recount(state)


def test_a_producer_makes_the_same_blocks_through_the_whole_story() -> None:
    script = new_script(signs=True)
    state, _ = open_genesis(script.genesis)
    chain = Chain(state)
    assert follow(chain, script, script.warm_up()) > 10
    assert state.system.time_ms < script.first_ms
    assert follow(chain, script, script.trade(script.first_ms + 5_000)) > 25
    height, kept = script.shadow.height, rows_of(script.shadow.state)
    contracts = dict(state.contracts)
    assert rows_of(state) == kept
    follow(chain, script, script.incident(BOTH))
    assert rows_of(state) == rows_of(script.shadow.state) != kept
    script.rolled_back(height)
    assert rows_of(script.shadow.state) == kept
    # A state that never saw more than the kept blocks, as a store gives it after the rollback.
    fresh = State.rebuilt(kept | {Table.CONTRACT: contracts})
    chain = Chain(fresh, height)
    assert follow(chain, script, script.reopen(REOPEN)) == 1
    assert rows_of(fresh) == rows_of(script.shadow.state)
    assert follow(chain, script, script.refused_faults()) == 1
    assert follow(chain, script, script.climb()) > 5
    assert fresh.system.mode is Mode.OPEN
    follow(chain, script, script.trade(script.first_ms + 13_000))
    assert rows_of(fresh) == rows_of(script.shadow.state)
    assert chain.producer.number == script.shadow.height + 1


@pytest.mark.parametrize(
    ("kinds", "guards", "least"),
    [
        ((FaultKind.INDEX_RESET,), [Guard.FUNDING_STEP, Guard.TRIPWIRE], 90),
        ((FaultKind.ZERO_PRICE,), [Guard.TRIPWIRE, Guard.ZERO_PRICE], 180),
        (BOTH, [Guard.FUNDING_STEP, Guard.TRIPWIRE, Guard.ZERO_PRICE], 280),
    ],
)
def test_an_incident_cascades(
    kinds: tuple[FaultKind, ...], guards: list[Guard], least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = trading()
    state, height = script.shadow.state, script.shadow.height
    before = {account: row.cash for account, row in state.accounts.items()}
    values = sum(margin_of(state, trader.address).value > 0 for trader in cast().traders)
    liquidated = note_liquidations(script, monkeypatch)
    blocks = run(script.incident(kinds))
    switched = [command for command in blocks[0].operates if isinstance(command, SetGuard)]
    assert [command.guard for command in switched] == guards
    assert list(state.system.guards_off) == sorted(guards)
    assert len({account for _, account in liquidated}) >= least
    assert len({time_ms for time_ms, _ in liquidated}) > 1
    after = {account: row.cash for account, row in state.accounts.items()}
    assert sum(before[account] != after[account] for account in before) >= least
    insurance = cast().insurance.address
    assert after[insurance] < before[insurance]
    assert values == len(cast().traders)
    script.rolled_back(height)
    assert {account: row.cash for account, row in state.accounts.items()} == before
    recount(state)


def note_liquidations(
    script: MarketScript, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[int, int]]:
    """Note who is liquidated and when."""
    found: list[tuple[int, int]] = []
    apply = script.shadow.apply

    def noting(command: Command, signer: int) -> list[Event]:
        events = apply(command, signer)
        ended = (event.account for event in events if isinstance(event, LiquidationEnded))
        found.extend((script.shadow.state.system.time_ms, account) for account in ended)
        return events

    monkeypatch.setattr(script.shadow, "apply", noting)
    return found


@pytest.mark.parametrize("kind", BOTH)
def test_with_the_tripwire_on_the_harm_stops_the_chain(kind: FaultKind) -> None:
    script = trading()
    blocks = script.incident([kind])
    next(blocks)
    script.shadow.operate(SetGuard(Guard.TRIPWIRE, True))
    with pytest.raises(Refused) as caught:
        run(blocks)
    assert caught.value.reason is Reason.HALTED_BY_TRIPWIRE


def test_the_story_ends_with_every_recorded_trade_accounted_for() -> None:
    script = trading(6)
    height, time_ms = script.shadow.height, script.shadow.state.system.time_ms
    run(script.incident(BOTH))
    script.rolled_back(height)
    blocks = run(script.reopen(REOPEN))
    assert BLOCK_MS < blocks[0].time_ms - time_ms < GAP_MS_MAX
    assert blocks[0].modes == (REOPEN,)
    assert script.shadow.state.system.mode is Mode.CANCEL_ONLY
    assert {row.waiting for row in script.shadow.state.orders.values()} == {True}
    (refused,) = run(script.refused_faults())
    assert (refused.refusal, len(refused.operates)) == (Reason.GUARD_STOPPED, 2)
    assert script.shadow.state.system.guards_off == ()
    climb = run(script.climb())
    modes = [mode.mode for block in climb for mode in block.modes if not isinstance(mode, Reopen)]
    assert modes == [Mode.POST_ONLY, Mode.OPEN]
    assert (climb[0].modes, climb[0].items) == ((), ())
    run(script.trade(script.first_ms + 14_000))
    assert len(script.shadow.volumes) == 2
    for volume in script.shadow.volumes.values():
        assert volume.recorded == volume.filled + volume.undone + volume.skipped
        assert min(volume.filled, volume.undone, volume.skipped) > 0


def test_the_same_calls_give_the_same_blocks_also_in_another_process() -> None:
    script, other = (new_script(signs=True, traders=100) for _ in range(2))
    elsewhere = ScriptProcess(MARKET_DATA, 1, 100, CHAIN_ID)
    try:
        assert elsewhere.opening.genesis == script.genesis
        assert elsewhere.opening.first_ms == script.first_ms
        until_ms = script.first_ms + 2_000
        blocks = [*script.warm_up(), *script.trade(until_ms)]
        assert blocks == [*other.warm_up(), *other.trade(until_ms)]
        assert blocks == [*elsewhere.warm_up(), *elsewhere.trade(until_ms)]
        assert elsewhere.standing.height == script.shadow.height == len(blocks)
        assert elsewhere.standing.volumes == script.shadow.volumes
        with pytest.raises(Refused, match="FAULT_INVALID"):
            run(elsewhere.incident([FaultKind.LOST_ORDER]))
    finally:
        elsewhere.close()


def test_a_script_elsewhere_ends_with_whoever_asked(tmp_path: Path) -> None:
    elsewhere = ScriptProcess(MARKET_DATA, 3, 50, CHAIN_ID)
    pid = elsewhere._process.pid
    assert pid is not None
    next(elsewhere.warm_up())
    elsewhere.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Refused) as caught:
        ScriptProcess(tmp_path, 3, 50, CHAIN_ID)
    assert caught.value.reason is Reason.MARKET_DATA_INVALID


def test_a_script_runs_forward_unsigned_and_goes_on_signed() -> None:
    signed, forward = new_script(signs=True), new_script()
    run(signed.warm_up())
    run(signed.trade(signed.first_ms + 2_000))
    unsigned = [*forward.warm_up(), *forward.trade(forward.first_ms + 2_000)]
    assert {(item.r, item.s) for block in unsigned for item in block.items} == {(0, 0)}
    forward.sign(True)
    until_ms = signed.first_ms + 4_000
    assert run(forward.trade(until_ms)) == run(signed.trade(until_ms))


def test_a_fault_with_its_guard_on_is_refused_at_any_time() -> None:
    script = trading(1)
    blocks = script.incident(BOTH)
    next(blocks)
    script.shadow.operate(SetGuard(Guard.FUNDING_STEP, True))
    with pytest.raises(Refused) as caught:
        next(blocks)
    assert caught.value.reason is Reason.GUARD_STOPPED
