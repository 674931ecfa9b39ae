"""Every block of a chain as facts, live and orphaned, and what happened at them.

Promises
- All of it comes from the store, so a run that was killed and went on has the same facts as one
  that was not.
- A block whose state is gone keeps its header and its counts; its markets are empty.

Laws
- Open interest is the sum of long positions, each read from its row after the block.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from devnet.report.facts import BlockFact, MarketFact, Milestone
from sequencer.chain.block import Block
from sequencer.chain.stored import TABLES, decode_stored
from sequencer.engine.impact import events_of
from sequencer.engine.lookup import find_block, read_block
from sequencer.engine.recovery import NODE
from sequencer.engine.rollback import read_details
from sequencer.engine.state_reads import row_at
from sequencer.exchange.state import ONLY, Table
from sequencer.model.events import (
    FaultDone,
    Fill,
    Liquidated,
    LiquidationEnded,
    ModeChanged,
    Settled,
)
from sequencer.model.records import BlockRecord, IncidentKind
from sequencer.model.rows import Mode, Position, Price, System
from sequencer.model.units import INDEX_ONE, MS_PER_SECOND, ONE
from sequencer.ports import ChainView, StateReader, StoreRefused

_STOPPED = "GUARD_STOPPED"
_MOVING = (Fill, Liquidated, Settled, LiquidationEnded)

_Sizes = dict[tuple[int, str], int]


def live_records(view: ChainView) -> list[BlockRecord]:
    """List the live chain from block 0 on."""
    return [find_block(view, str(height)) for height in range(view.head.height + 1)]


def orphaned_branches(view: ChainView) -> Iterator[tuple[int, list[BlockRecord]]]:
    """Yield each reorg that is in force with the blocks that it orphaned, by rising height."""
    seen: set[int] = set()
    for incident in view.incidents():
        if incident.kind is not IncidentKind.ROLLBACK:
            continue
        branch: list[BlockRecord] = []
        block = view.block_by_hash(incident.before.block_hash)
        while block is not None and block.height > incident.height_after:
            if view.orphaned_by(block) and block.sequence not in seen:
                branch.append(block)
                seen.add(block.sequence)
            block = view.block_at(block.height - 1, block.parent_sequence)
        if branch:
            yield view.orphaned_by(branch[0]), branch[::-1]


def market_names(view: ChainView) -> list[str]:
    """List the markets of the chain at its head."""
    number = TABLES[Table.MARKET].number
    rows = view.state().rows(number)
    return sorted(decode_stored(number, key, value)[1] for _, key, value in rows)


def block_facts(
    view: ChainView, records: Iterable[BlockRecord], reorg: int, markets: Sequence[str]
) -> Iterator[BlockFact]:
    """Read blocks that follow each other."""
    sizes: _Sizes | None = None
    for record in records:
        block = read_block(view, record)
        mode, found = "", {}
        try:
            state = view.state_at(record)
            system = row_at(state, Table.SYSTEM, ONLY)
            insurance = system.insurance if isinstance(system, System) else 0
            mode = system.mode.value if isinstance(system, System) else ""
            sizes = _all_sizes(state) if sizes is None else _moved(sizes, state, block, insurance)
            found = _markets(state, markets, sizes)
        except StoreRefused:
            sizes = None
        counts = Counter(type(event) for event in events_of(block, (Fill, LiquidationEnded)))
        yield BlockFact(
            height=record.height,
            reorg=reorg,
            time_s=block.header.timestamp,
            block_hash=int.from_bytes(record.block_hash, "big"),
            state_root=int.from_bytes(record.state_root, "big"),
            mode=mode,
            markets=found,
            transactions=len(block.transactions),
            fills=counts[Fill],
            liquidations=counts[LiquidationEnded],
        )


def milestones(view: ChainView, records: Iterable[BlockRecord], reorg: int) -> Iterator[Milestone]:
    """Yield what is worth a mark in blocks: faults, changes of mode, faults that were refused."""
    for record in records:
        block = read_block(view, record)
        place = (record.height, reorg, record.epoch, block.header.timestamp)
        faults = [_fault(event) for event in events_of(block, (FaultDone,))]
        if faults:
            yield Milestone(*place, "incident", "; ".join(faults))
        for event in events_of(block, (ModeChanged,)):
            if isinstance(event, ModeChanged):
                kind = "halt" if event.mode is Mode.HALTED else "mode"
                yield Milestone(*place, kind, f"{event.mode.value}: {event.reason}")
        reasons = [each.revert_reason or "" for each in block.receipts]
        stopped = [each.partition(": ")[2] for each in reasons if each.startswith(_STOPPED)]
        if stopped:
            yield Milestone(*place, "refused", "; ".join(stopped))


def kept_milestones(view: ChainView) -> Iterator[Milestone]:
    """Yield what stands beside the blocks: checkpoints and rollbacks."""
    for checkpoint in view.checkpoints():
        record = view.block_at(checkpoint.height, checkpoint.sequence)
        if record is None or checkpoint.pinned_by == NODE:  # A planned stop is no part of a story.
            continue
        reorg, time_s = view.orphaned_by(record), read_block(view, record).header.timestamp
        place = (record.height, reorg, record.epoch, time_s)
        yield Milestone(*place, "checkpoint", checkpoint.label)
    for incident in view.incidents():
        is_rollback = incident.kind is IncidentKind.ROLLBACK
        words = f"from block {incident.height_before} to block {incident.height_after}"
        at_s = read_details(incident).at_ms // MS_PER_SECOND
        place = (incident.height_after, 0, incident.after.epoch, at_s)
        yield Milestone(*place, "reorg" if is_rollback else "undo", words)


def _fault(event: object) -> str:
    if not isinstance(event, FaultDone):
        return ""
    return f"{event.kind} of {event.market}" if event.market else event.kind


def _all_sizes(state: StateReader) -> _Sizes:
    number = TABLES[Table.POSITION].number
    rows = (decode_stored(number, key, value) for _, key, value in state.rows(number))
    return {key: row.size for _, key, row in rows}


def _moved(sizes: _Sizes, state: StateReader, block: Block, insurance: int) -> _Sizes:
    """Read again what a block can have moved."""
    touched: set[tuple[int, str]] = set()
    for event in events_of(block, _MOVING):
        match event:
            case Fill(market=market, taker=taker, maker=maker):
                touched |= {(taker, market), (maker, market)}
            case (
                Liquidated(market=market, account=account) | Settled(market=market, account=account)
            ):
                touched |= {(account, market), (insurance, market)}
    for key in touched:
        row = row_at(state, Table.POSITION, key)
        sizes[key] = row.size if isinstance(row, Position) else 0
    return sizes


def _markets(
    state: StateReader, markets: Sequence[str], sizes: Mapping[tuple[int, str], int]
) -> dict[str, MarketFact]:
    longs: Counter[str] = Counter()
    for (_, market), size in sizes.items():
        longs[market] += max(0, size)
    found: dict[str, MarketFact] = {}
    for market in markets:
        row = row_at(state, Table.PRICE, market)
        price = row if isinstance(row, Price) else Price()
        funding = price.funding_index * ONE // INDEX_ONE
        found[market] = MarketFact(price.index, price.mark, longs[market], funding)
    return found
