"""What plugins hold after a story, compared with the chain that lies in its folder.

Promises
- The chain's log is read again here, from blocks and incidents, and not by the code that tells
  plugins: what it comes to must be the live chain.
- A plugin that is fed straight from that chain, in one process and without a stop, holds what the
  node's plugin holds: SQLite tables row by row, a file byte by byte, a bucket key by key.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.crashing.chain import CHAIN_ID, config_of
from scripts.crashing.checking import Violation
from scripts.crashing.nodes import Answer
from scripts.crashing.plugins_recorder import APPLY, DONE, INIT, REVERT, Line, Recorder, read_lines
from scripts.crashing.tracing import DATA
from sequencer.chain.block import Block
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import read_event
from sequencer.chain.shipped_class import SHIPPED, class_fields
from sequencer.engine.checks import check_store
from sequencer.engine.deliveries import Position, Step, StepKind, next_step
from sequencer.engine.lookup import live_blocks, read_block
from sequencer.engine.reverse_diff import reverse_diff
from sequencer.model.events import Fill
from sequencer.model.halts import HaltCause
from sequencer.model.plugins import PLUGINS_FOLDER, READER_PREFIX
from sequencer.model.records import BlockRecord, Incident, IncidentKind
from sequencer.node import open_chain
from sequencer.plugins.calling import Raised, call
from sequencer.plugins.context import CallContext, MemoryBucket
from sequencer.plugins.protocol import BlockAndStateUpdate, Key
from sequencer.plugins.shipped.feed import Feed
from sequencer.plugins.shipped.history import History
from sequencer.ports import ChainView
from sequencer.starknet.felt import format_felt
from sequencer.starknet.published import StateUpdate

RECORDER, HISTORY, FEED = "recorder", "history", "feed"
"""The plugins beside the node, by name."""

PLUGINS: Mapping[str, Callable[[], object]] = {
    RECORDER: Recorder,
    HISTORY: History,
    FEED: Feed,
}
"""How each of them is made."""

HISTORY_FILE, FEED_FILE = "history.sqlite", "feed.jsonl"
"""The files of two of them, each in its own folder."""

_TRADES = "SELECT height, market, taker, maker, price, size FROM trades"


class Called(NamedTuple):
    """A call that the chain's log asks for."""

    kind: str
    key: Key
    height: int = -1
    block: str = ""


def wrong_with_plugins(folder: Path, answers: Sequence[Answer]) -> str:
    """Verify a run's chain after its node's stop, and compare what plugins hold with it.

    Returns what is wrong, or "".
    """
    store, recovered = open_chain(config_of(folder / DATA))
    try:
        halts = [halt for halt in recovered.halts if halt.cause is not HaltCause.LATCH]
        found = [check for check in check_store(store, full=True) if check.found]
        _require(not halts and not found, f"at the end: {halts} {found}")
        _require_all(store.view, folder / DATA / PLUGINS_FOLDER, answers)
    except Violation as violation:
        return str(violation)
    finally:
        store.close()
    return ""


def _require_all(view: ChainView, plugins: Path, answers: Sequence[Answer]) -> None:
    for answer in answers:
        known = view.block_by_hash(int(answer.block, 16).to_bytes(32, "big"))
        _require(known is not None, f"{answer} is in no block, live or orphaned")
    _require_at_head(view)
    log = log_of(view)
    require_told(read_lines(plugins / RECORDER), log)
    with tempfile.TemporaryDirectory() as name:
        straight = Path(name)
        for plugin in PLUGINS:
            bucket = _fed_straight(view, plugin, straight / plugin)
            found = set(view.bucket(plugin))
            words = f"only in it: {sorted(found - bucket)}; missing: {sorted(bucket - found)}"
            _require(found == bucket, f"the bucket of {plugin} is not that of the chain: {words}")
        _require_same_tables(plugins / HISTORY, straight / HISTORY)
        _require_same_file(plugins / FEED / FEED_FILE, straight / FEED / FEED_FILE)
    _require_trades(view, plugins / HISTORY / HISTORY_FILE)


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise Violation(words[:1_000])


def _require_at_head(view: ChainView) -> None:
    for name in PLUGINS:
        cursor = view.cursor(READER_PREFIX + name)
        words = f"{name} stands at {cursor}, and the head is {view.head}"
        _require(cursor is not None and cursor.sequence == view.head.sequence, words)


def log_of(view: ChainView) -> list[Called]:
    """Read from a chain all that a plugin has to be told, in order. Raises Violation."""
    incidents = {each.after.sequence: each for each in view.incidents()}
    live: list[BlockRecord] = []
    undone: list[list[BlockRecord]] = []
    log: list[Called] = []
    for sequence in range(1, view.head.sequence + 1):
        incident = incidents.get(sequence)
        if incident is not None:
            log += _reorged(incident, live, undone)
            continue
        block = view.block_at(len(live), sequence)
        if block is None:
            raise Violation(f"nothing took sequence {sequence} above block {len(live) - 1}")
        live.append(block)
        log.append(_called(APPLY, sequence, 0, block))
    for block in live:
        _require(view.block(block.height) == block, f"block {block.height} lives, by the log")
    _require(len(live) == view.head.height + 1, f"{len(live)} blocks by the log, {view.head}")
    return log


def _reorged(
    incident: Incident, live: list[BlockRecord], undone: list[list[BlockRecord]]
) -> Iterator[Called]:
    sequence = incident.after.sequence
    if incident.kind is IncidentKind.ROLLBACK:
        kind, moved = REVERT, live[incident.height_after + 1 :]
        del live[incident.height_after + 1 :]
        undone.append(moved)
        moved = moved[::-1]
    else:
        kind, moved = APPLY, undone.pop()
        live.extend(moved)
    for step, block in enumerate(moved):
        yield _called(kind, sequence, step, block)
    yield Called(DONE, Key(sequence, len(moved)))


def _called(kind: str, sequence: int, step: int, block: BlockRecord) -> Called:
    return Called(kind, Key(sequence, step), block.height, block.block_hash.hex())


def require_told(lines: Sequence[Line], log: Sequence[Called]) -> None:
    """Compare what a recorder wrote with the log: all of it in order, and nothing twice that had
    become durable in between. Raises Violation.
    """
    places = {called.key: place for place, called in enumerate(log)}
    durable = next_place = furthest = 0
    for line in lines:
        if line.kind == INIT:
            place = 1 + places[line.key] if line.key in places else 0
            _require(place > 0 or line.key == Key(0), f"{line}: no such call")
            _require(durable <= place, f"{line}, and before it was told to go on at {durable}")
            _require(place <= furthest, f"{line}, and only {furthest} calls were made")
            _require(line.calls == place, f"{line}: the bucket is not that of {place} calls")
            durable = next_place = place
            continue
        _require(next_place < len(log), f"{line}, and the log has ended")
        wanted = log[next_place]
        told = Called(line.kind, line.key, line.height, line.block)
        _require(told == wanted, f"it was told {told}, and not {wanted}")
        _require(line.calls == next_place, f"{line}: the bucket is not that of {next_place} calls")
        next_place += 1
        furthest = max(furthest, next_place)
    _require(next_place == len(log), f"it was told {next_place} of {len(log)} calls")


def repeats_in(lines: Sequence[Line]) -> int:
    """Count the calls that came again."""
    keys = [line.key for line in lines if line.kind != INIT]
    return len(keys) - len(set(keys))


def _fed_straight(view: ChainView, name: str, folder: Path) -> set[tuple[bytes, bytes]]:
    """Feed a new plugin everything from the first block on; returns its bucket."""
    folder.mkdir()
    bucket = MemoryBucket()
    context = CallContext(
        name=name,
        options={},
        folder=folder,
        chain_id=CHAIN_ID,
        bucket=bucket,
        done=None,
        is_dry=False,
        say=lambda _: None,
    )
    plugin = PLUGINS[name]()
    _call(plugin, "init", context)
    position = Position()
    while (step := next_step(view, position)) is not None:
        context.enter(Key(step.sequence, step.number), step.reorg)
        _call(plugin, *_call_of(view, step))
        position = step.after
    _call(plugin, "shutdown")
    return set(bucket.items())


def _call(plugin: object, method: str, *arguments: object) -> None:
    outcome = call(plugin, method, *arguments)
    if isinstance(outcome, Raised):
        raise Violation(f"{type(plugin).__name__} fed straight: {method}: {outcome.words}")


def _call_of(view: ChainView, step: Step) -> tuple[str, *tuple[object, ...]]:
    """Return the method and the arguments of a call."""
    if step.block is None:
        return "reorg_done", step.reorg
    given = _given(view, step.block)
    diff = given.block.diff
    if step.kind is StepKind.REVERT:
        parent = None if step.parent is None else _given(view, step.parent)
        return "revert_block", given, parent, reverse_diff(view, step.block, diff)
    known = [each for each in diff.declared if each in SHIPPED]
    classes = {each: class_fields(SHIPPED[each].sierra) for each in known}
    return "new_block", given.block, given.state_update, classes


def _given(view: ChainView, record: BlockRecord) -> BlockAndStateUpdate:
    block = read_block(view, record)
    below = view.block_at(record.height - 1, record.parent_sequence)
    old_root = 0 if below is None else int.from_bytes(below.state_root, "big")
    update = StateUpdate(block.diff, old_root, block.header.state_root, block.hash)
    return BlockAndStateUpdate(block, update)


def _require_same_tables(found: Path, straight: Path) -> None:
    dumps = [_dump(folder / HISTORY_FILE) for folder in (found, straight)]
    if dumps[0] != dumps[1]:
        only = [sorted(set(dump) - set(other)) for dump, other in (dumps, dumps[::-1])]
        words = f"{[len(dump) for dump in dumps]} lines; only in it: {only[0][:3]}"
        raise Violation(f"the history is not that of the chain: {words}; missing: {only[1][:3]}")


def _dump(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    try:
        return [*database.iterdump()]
    finally:
        database.close()


def _require_same_file(found: Path, straight: Path) -> None:
    is_same = found.read_bytes() == straight.read_bytes()
    sizes = [path.stat().st_size for path in (found, straight)]
    _require(is_same, f"the feed is not that of the chain: {sizes[0]} bytes, straight {sizes[1]}")


def _require_trades(view: ChainView, path: Path) -> None:
    """Compare the live trades with the fills that the receipts of live blocks tell of."""
    wanted = sorted(trade for block in live_blocks(view, 0) for trade in _trades_of(block))
    database = sqlite3.connect(path)
    try:
        found = sorted(database.execute(_TRADES).fetchall())
    finally:
        database.close()
    _require(found == wanted, f"{len(found)} live trades, {len(wanted)} in the receipts")
    _require(bool(wanted), "nobody has traded")


def _trades_of(block: Block) -> Iterator[tuple[int, str, str, str, int, int]]:
    for receipt in block.receipts:
        for raw in receipt.events:
            if raw.from_address != EXCHANGE_ADDRESS or receipt.revert_reason is not None:
                continue
            match read_event(raw):
                case Fill(market=market, taker=taker, maker=maker, price=price, size=size):
                    named = (market, format_felt(taker), format_felt(maker))
                    yield (block.header.number, *named, price, abs(size))
