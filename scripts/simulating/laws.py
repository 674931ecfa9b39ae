"""What must be true of a chain after a run, whatever happened in it.

Laws, by their numbers in the comments of each check:
- every answer is true, and nobody is left without: applied once in a durable block, or in none;
- the live chain is that of a fresh node that executed the surviving blocks alone, key for key;
- records are a chain, rows of the outbox are told in order, money is neither made nor lost.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain

import msgspec

from scripts.simulating.cast import CHAIN_ID, Beginning, Cast, copy_of, open_store
from scripts.simulating.modes import Modes
from scripts.simulating.readers import Follower
from scripts.simulating.records import Records, Sending
from sequencer.chain.block import Block
from sequencer.chain.commitment import EXCHANGE_ADDRESS, ROWS_HASH, ROWS_TRIE
from sequencer.chain.exchange_contract import SignedOrder, read_event
from sequencer.chain.genesis import read_genesis
from sequencer.chain.replay import replay_chain
from sequencer.chain.slots import ROWS_TRIE_HEIGHT
from sequencer.engine.items import Applied
from sequencer.engine.lookup import (
    find_block,
    live_blocks,
    read_block,
    roots_at,
    rows_at,
    trie_reader,
)
from sequencer.engine.producer import Producer
from sequencer.engine.recovery import genesis_of, recover
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.exchange.invariants import check_laws, recount
from sequencer.model.events import (
    Event,
    Fill,
    Liquidated,
    ModeChanged,
    OrderClosed,
    OrderOpened,
    Withdrawn,
)
from sequencer.model.halts import HaltCause
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.records import NO_HASH, BlockRecord, EffectKind
from sequencer.model.refusals import Reason
from sequencer.model.rows import ModeCause
from sequencer.ports import ChainView
from sequencer.starknet.felt import as_bytes
from sequencer.starknet.felt_hash import pedersen, poseidon
from sequencer.starknet.state import CLASSES_TRIE, CONTRACTS_TRIE
from sequencer.starknet.transactions import transaction_hash
from sequencer.starknet.trie import Position, Reader, root_of
from sequencer.starknet.trie_node import Edge, Node, decode_node, node_hash
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.rollback import incident_hash

_EFFECTS_MAX = 1_000_000
_KNOWN = frozenset({Reason.DUPLICATE_COMMAND, Reason.ORPHANED_COMMAND})
_HALTS_LEFT = (HaltCause.LATCH, HaltCause.DEPOSIT_UNMADE)
_TRIES = {
    CONTRACTS_TRIE: (TRIE_HEIGHT_MAX, pedersen),
    CLASSES_TRIE: (TRIE_HEIGHT_MAX, poseidon),
    EXCHANGE_ADDRESS: (TRIE_HEIGHT_MAX, pedersen),
    ROWS_TRIE: (ROWS_TRIE_HEIGHT, ROWS_HASH),
}
_PROOF_KEYS = (1, 1 << 250)


class History:
    """Every block that was ever committed, live or orphaned, with what it holds."""

    def __init__(self, view: ChainView) -> None:
        self.view = view
        self.records = [*_blocks_ever(view)]
        self.blocks = {record.block_hash: read_block(view, record) for record in self.records}
        self.transactions: dict[int, list[BlockRecord]] = {}
        self.orders: dict[int, list[BlockRecord]] = {}
        for record in self.records:
            block = self.blocks[record.block_hash]
            # The operator's own come from no client, and may be made again on another branch; so
            # may deposits be credited again.
            operator = block.header.sequencer
            for transaction, receipt in zip(block.transactions, block.receipts, strict=True):
                if getattr(transaction, "sender", operator) != operator:
                    self.transactions.setdefault(receipt.transaction_hash, []).append(record)
            for order_id in _opened(block):
                self.orders.setdefault(order_id, []).append(record)
        rested = frozenset(self.orders)
        for record in self.records:
            # What never rested nor traded was closed where it was placed.
            for order_id in _closed(self.blocks[record.block_hash]) - rested:
                self.orders.setdefault(order_id, []).append(record)

    def holding(self, sending: Sending) -> list[BlockRecord]:
        """Return the blocks that hold a command."""
        where = self.orders if isinstance(sending.payload, SignedOrder) else self.transactions
        return where.get(sending.hash, [])


def check_chain(store: ChainStore, cast: Cast, records: Records, begun: Beginning) -> None:
    """Check a chain that stopped as planned. `begun` is what the run began with."""
    view = store.view
    recovered = recover(store, full=True)
    wrong = [halt for halt in recovered.halts if halt.cause not in _HALTS_LEFT]
    records.require(not wrong, f"it comes up halted: {wrong}")
    check_laws(recovered.state)
    recount(recovered.state)
    history = History(view)
    count_events(history, records)
    check_answers(history, records)
    check_once(history, records)
    check_seen(history, records)
    check_incidents(view, records)
    check_against_fresh(store, cast, records, begun)
    if cast.signatures.is_real:
        replayed = replay_chain(read_genesis(genesis_of(view).encode()), live_blocks(view, 1))
        records.require(
            as_bytes(replayed.head.hash) == view.head.block_hash
            and replayed.state.rows == rows_at(view, find_block(view, "latest")),
            "the chain executed again from genesis is another one",
        )
        records.count("chain replayed with real signatures")


def count_events(history: History, records: Records) -> None:
    """Count what the blocks of the run are about: without trades a run proves nothing."""
    modes = Modes(history.view, records)
    for record in history.records:
        modes.follow(record, _events(history.blocks[record.block_hash]))
    names = {Fill: "fill", Liquidated: "liquidation", Withdrawn: "withdrawal"}
    for event in chain.from_iterable(map(_events, history.blocks.values())):
        if isinstance(event, ModeChanged):
            tripped = event.cause is ModeCause.TRIPWIRE
            records.count("tripwire" if tripped else f"mode {event.mode.value}")
        elif type(event) in names:
            records.count(names[type(event)])


def check_answers(history: History, records: Records) -> None:
    """Hold every answer against the blocks (L8)."""
    view = history.view
    for sending in records.sendings:
        what = f"{sending.name} {type(sending.payload).__name__} {sending.hash:#x}"
        if sending.answer is None:
            records.require(sending.was_cut, f"{what} was never answered")
        elif isinstance(sending.answer, Applied):
            _check_applied(history, sending, sending.answer, records, what)
        elif sending.reason is Reason.ORPHANED_COMMAND:
            undone = [view.orphaned_by(block) for block in history.holding(sending)]
            named = sending.answer.detail.rpartition("reorg ")[2].partition(";")[0]
            records.require(len(undone) == 1, f"{what} was undone, and is in {len(undone)} blocks")
            ever = {each.after.epoch for each in view.incidents()}
            records.require(named.isdigit() and int(named) in ever, f"{what}: no reorg {named}")
            records.count("orphaned command refused")
        elif sending.reason is Reason.DUPLICATE_COMMAND:
            records.count("duplicate command refused")


def _check_applied(
    history: History, sending: Sending, applied: Applied, records: Records, what: str
) -> None:
    view = history.view
    record = view.block_by_hash(as_bytes(applied.block_hash))
    if record is None:
        records.violate(f"{what} was told of block {applied.height}, which is not there")
        return
    block = history.blocks[record.block_hash]
    same = (record.height, record.epoch) == (applied.height, applied.epoch)
    records.require(same, f"{what}: block {record.height} epoch {record.epoch}, told {applied}")
    told = msgspec.json.encode(applied.receipt)
    same = any(msgspec.json.encode(receipt) == told for receipt in block.receipts)
    records.require(same, f"{what} has a receipt of no block")
    reorg_id = view.orphaned_by(record)
    records.require(
        reorg_id == 0 or reorg_id > applied.epoch, f"{what}: orphaned by {reorg_id} before it was"
    )
    if reorg_id:
        records.count("answered command orphaned")
    if sending.was_applied and isinstance(sending.payload, SignedOrder):
        orders = {
            getattr(event, "order_id", 0) or getattr(event, "taker_order", 0)
            for event in map(read_event, applied.receipt.events)
            if event is not None
        }
        records.require(sending.hash in orders, f"{what} left no trace in its receipt")


def check_once(history: History, records: Records) -> None:
    """No command is in two blocks, whether live or orphaned (L6); what was refused is in none."""
    for kind, found in (("transaction", history.transactions), ("order", history.orders)):
        for hash_, blocks in found.items():
            records.require(len(blocks) == 1, f"{kind} {hash_:#x} is in {len(blocks)} blocks")
    by_hash: dict[int, list[Sending]] = {}
    for sending in records.sendings:
        if sending.hash and (sending.enters_blocks or isinstance(sending.payload, SignedOrder)):
            by_hash.setdefault(sending.hash, []).append(sending)
    for hash_, sendings in by_hash.items():
        _check_sent(history, hash_, sendings, records)


def _check_sent(history: History, hash_: int, sendings: list[Sending], records: Records) -> None:
    held = len(history.holding(sendings[0]))
    entered = [
        each
        for each in sendings
        if isinstance(each.answer, Applied) and (each.enters_blocks or each.was_applied)
    ]
    unknown = [each for each in sendings if each.is_unknown]
    records.require(len(entered) <= 1, f"{hash_:#x} was applied {len(entered)} times")
    if held and not entered:
        records.require(bool(unknown), f"{hash_:#x} is in a block, but was refused")
        records.count("applied, and nobody was told")
    refused_before = [each for each in sendings if each.reason not in _KNOWN | {None}]
    if entered and refused_before:
        records.count("refused, sent again, applied")


def check_seen(history: History, records: Records) -> None:
    """Marks of what was applied stay for ever, and say which rollback undid it."""
    for sending in records.sendings:
        for record in history.holding(sending):
            mark = history.view.seen(as_bytes(sending.hash))
            kept = mark is not None and mark.sequence == record.sequence
            records.require(kept, f"{sending.hash:#x} of block {record.height} is not marked")
            if mark is not None and kept:
                undone_by = history.view.undone_by(mark.sequence)
                same = undone_by == history.view.orphaned_by(record)
                records.require(same, f"{sending.hash:#x} was undone by {undone_by}")


def check_incidents(view: ChainView, records: Records) -> None:
    """Records of rollbacks and undos are a chain, one for each epoch."""
    before, epoch = NO_HASH, 0
    for incident in view.incidents():
        records.require(incident.previous == before, f"record {incident.number} is unchained")
        records.require(incident.before.epoch == epoch, f"record {incident.number}: epoch")
        records.require(incident.after.epoch == epoch + 1, f"record {incident.number}: epoch")
        before, epoch = incident_hash(incident), incident.after.epoch
    head = view.head
    found = (epoch, len(view.incidents()), before)
    records.require(found == (head.epoch, head.incidents, head.incident_hash), "records are lost")


def check_readers(view: ChainView, readers: list[Follower], records: Records) -> None:
    """Each reader knows the live chain from what it was told, as far as its cursor says (L12)."""
    live = [find_block(view, str(height)).block_hash for height in range(view.head.height + 1)]
    rows = view.effects(0, _EFFECTS_MAX)
    for reader in readers:
        cursor = view.cursor(reader.name)
        told = len(reader.effects)
        records.require(reader.effects == rows[:told], f"{reader.name} was told something else")
        at = 0 if cursor is None else cursor.effect
        records.require(at <= told, f"{reader.name}'s cursor is at {at}, it has {told}")
        if cursor is not None and not cursor.parked:
            records.require(told == len(rows), f"{reader.name} has {told} of {len(rows)} rows")
            records.require(reader.hashes == live, f"{reader.name} knows another chain")


def check_against_fresh(store: ChainStore, cast: Cast, records: Records, begun: Beginning) -> None:
    """Compare with a node that executed the surviving blocks alone (L10, fourth instance)."""
    view = store.view
    fresh = open_store(copy_of(begun.opened))
    if view.block(fresh.head.height) != fresh.view.block(fresh.head.height):
        records.count("rollback below the beginning")
        fresh = open_store(copy_of(begun.genesis))
    blocks = [*live_blocks(view, fresh.head.height + 1)]
    producer = Producer(recover(fresh).state, fresh.head.height + 1, CHAIN_ID, cast)
    sealer = Sealer(fresh, TrieCache(lambda: fresh.view))
    for block in blocks:
        for transaction in block.transactions:
            producer.apply(transaction, transaction_hash(transaction, CHAIN_ID))
        sealed = sealer.seal(producer.close(), Extras())
        if sealed.block.hash != block.hash:
            records.violate(f"block {block.header.number} is another one on a fresh node")
            return
    _compare(view, fresh.view, records)


def _compare(one: ChainView, other: ChainView, records: Records) -> None:
    first, second = (find_block(view, "latest") for view in (one, other))
    records.require(first.digest == second.digest, "the digest is not a fresh node's")
    same = [*one.state_at(first).rows()] == [*other.state_at(second).rows()]
    records.require(same, "rows are not a fresh node's")
    records.require(roots_at(one, first) == roots_at(other, second), "roots differ from fresh ones")
    nodes = _nodes(one, first)
    records.require(nodes == _nodes(other, second), "trie nodes are not a fresh node's")
    leaves = [path << (TRIE_HEIGHT_MAX - depth) for depth, path in nodes[EXCHANGE_ADDRESS]][-1:]
    for key in (*_PROOF_KEYS, *leaves):
        same = _proof(one, first, key, records) == _proof(other, second, key, records)
        records.require(same, f"the proof of {key:#x} is not a fresh node's")


def _nodes(view: ChainView, block: BlockRecord) -> Mapping[int, Mapping[Position, Node]]:
    state = view.state_at(block)
    found = {}
    for trie, (height, _) in _TRIES.items():
        read = trie_reader(state, trie)
        found[trie] = dict(_walked(read, (0, 0), height)) if read((0, 0)) else {}
    return found


def _walked(read: Reader, position: Position, height: int) -> Iterator[tuple[Position, Node]]:
    data = read(position)
    if data is None:
        raise LookupError(f"no node at {position}")
    node = decode_node(data)
    yield position, node
    depth, path = position
    if isinstance(node, Edge):
        children = [(depth + node.length, path << node.length | node.path)]
    else:
        children = [(depth + 1, path << 1), (depth + 1, path << 1 | 1)]
    for child in children:
        if child[0] < height:
            yield from _walked(read, child, height)


def _proof(view: ChainView, block: BlockRecord, key: int, records: Records) -> list[Node]:
    """Return the nodes from the root of the exchange's storage to a slot, each hash checked."""
    read = trie_reader(view.state_at(block), EXCHANGE_ADDRESS)
    expected, depth, nodes = root_of(read, TRIE_HEIGHT_MAX, pedersen), 0, list[Node]()
    while depth < TRIE_HEIGHT_MAX:
        data = read((depth, key >> (TRIE_HEIGHT_MAX - depth)))
        node = None if data is None else decode_node(data)
        if node is None or node_hash(node, pedersen) != expected:
            records.violate(f"no proof of {key:#x}")
            return nodes
        nodes.append(node)
        if isinstance(node, Edge):
            depth += node.length
            taken = key >> (TRIE_HEIGHT_MAX - depth) & ((1 << node.length) - 1)
            if taken != node.path:
                return nodes
            expected = node.child
        else:
            depth += 1
            expected = node.right if key >> (TRIE_HEIGHT_MAX - depth) & 1 else node.left
    return nodes


def check_withdrawals(view: ChainView, records: Records) -> None:
    """The withdrawals of the state are those of the live blocks, none lost and none made."""
    events = chain.from_iterable(map(_events, live_blocks(view, 1)))
    counts = Counter(each.withdrawal_id for each in events if isinstance(each, Withdrawn))
    rows = rows_at(view, find_block(view, "latest"))
    kept = {key for table, of in rows.items() if table.value == "withdrawal" for key in of}
    records.require(set(counts) == kept, f"{len(kept)} withdrawals, told of {len(counts)}")
    for _ in counts:
        records.count("withdrawal kept")


def _blocks_ever(view: ChainView) -> Iterator[BlockRecord]:
    for effect in view.effects(0, _EFFECTS_MAX):
        if effect.kind is EffectKind.BLOCK:
            height = int.from_bytes(effect.payload, "big")
            block = view.block_at(height, effect.sequence)
            if block is None:
                raise LookupError(f"block {height} of row {effect.number} is gone")
            yield block


def _opened(block: Block) -> set[int]:
    """Return the orders that came to rest in a block, or traded when they came."""
    events = _events(block)
    return {
        event.order_id if isinstance(event, OrderOpened) else event.taker_order
        for event in events
        if isinstance(event, OrderOpened | Fill)
    }


def _closed(block: Block) -> set[int]:
    return {event.order_id for event in _events(block) if isinstance(event, OrderClosed)}


def _events(block: Block) -> list[Event]:
    found = (read_event(event) for receipt in block.receipts for event in receipt.events)
    return [event for event in found if event is not None]
