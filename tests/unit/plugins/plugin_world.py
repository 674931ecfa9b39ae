"""What a plugin is told, from real chains with trades, liquidations, rollbacks and undos.

`calls_of` lists the calls for a chain; `tell` makes one of them on a plugin, as its host would, and
`FakeContext` is all that the plugin sees of a host.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from random import Random
from typing import Protocol

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.exchange_contract import announce, read_event
from sequencer.chain.stored import block_of, decode_body, decode_header
from sequencer.engine.deliveries import Position, StepKind, next_step
from sequencer.engine.lookup import live_blocks
from sequencer.model.commands import SetMode, Transfer
from sequencer.model.events import Event
from sequencer.model.orders import Side
from sequencer.model.records import BlockRecord
from sequencer.model.rows import Mode
from sequencer.model.units import ONE
from sequencer.plugins.context import MemoryBucket
from sequencer.plugins.protocol import BlockAndStateUpdate, Classes, Context, Key, Reorg
from sequencer.plugins.shipped.history import History
from sequencer.ports import ChainView
from sequencer.starknet.block import Event as RawEvent
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.published import StateUpdate
from sequencer.starknet.state import StateDiff
from tests.strategies import Unchecked
from tests.unit.chain.network import address_of, exchange_call
from tests.unit.engine.rolling import Chain, deposit

ALICE, BOB, CAROL = address_of("alice"), address_of("bob"), 0xCA401
CHAIN_ID = encode_short_string("PERPCHAIN_TEST")
HUGE_TOKENS = 9 * 10**20
"""A deposit (1e-6 tokens) of more quote than 64 bits count."""


class Call(msgspec.Struct, frozen=True):
    """A call of a plugin: `block` None is the end of a reorg; with `is_revert` it is taken back."""

    key: Key
    block: Block | None = None
    below: Block | None = None
    is_revert: bool = False
    reorg: Reorg | None = None


class Keeper(Protocol):
    """A plugin that is told everything, and has no opinion."""

    def init(self, context: Context) -> None: ...

    def shutdown(self) -> None: ...

    def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> None: ...

    def revert_block(
        self,
        from_block: BlockAndStateUpdate,
        to_block: BlockAndStateUpdate | None,
        reverse_state_diff: StateDiff,
    ) -> None: ...

    def reorg_done(self, reorg: Reorg) -> None: ...


class FakeContext:
    """A host's side of a plugin, in memory."""

    def __init__(
        self,
        folder: Path,
        done: Key | None = None,
        options: Mapping[str, str] | None = None,
        *,
        chain_id: Felt = CHAIN_ID,
        is_dry: bool = False,
    ) -> None:
        self.name = "kept"
        self.folder = folder
        self.done = done
        self.options = options or {}
        self.chain_id = chain_id
        self.is_dry = is_dry
        self.bucket = MemoryBucket()
        self.key = Key(0)
        self.reorg: Reorg | None = None
        self.said: list[str] = []

    @property
    def say(self) -> Callable[[str], None]:
        return self.said.append


def tell(plugin: Keeper, context: FakeContext, call: Call) -> None:
    """Make a call."""
    context.key, context.reorg = call.key, call.reorg
    if call.block is None:
        assert call.reorg is not None
        plugin.reorg_done(call.reorg)
    elif call.is_revert:
        below = None if call.below is None else _with_update(call.below, None)
        plugin.revert_block(_with_update(call.block, call.below), below, StateDiff())
    else:
        plugin.new_block(call.block, _with_update(call.block, call.below).state_update, {})


def tell_all(plugin: Keeper, context: FakeContext, calls: Sequence[Call]) -> None:
    """Have a whole life: begin, make calls, end."""
    plugin.init(context)
    for call in calls:
        tell(plugin, context, call)
    plugin.shutdown()


def live_after(calls: Sequence[Call]) -> list[Block]:
    """Return the blocks that are live after calls, by their order alone."""
    live: list[Block] = []
    for call in calls:
        if call.block is not None and call.is_revert:
            assert live.pop().hash == call.block.hash
        elif call.block is not None:
            live.append(call.block)
    return live


def events_in(blocks: Sequence[Block]) -> Iterator[tuple[Block, int, int, Event]]:
    """Yield what the exchange said: block, transaction, place in it, event."""
    for block in blocks:
        for number, receipt in enumerate(block.receipts):
            for index, raw in enumerate(receipt.events):
                event = read_event(raw)
                if event is not None:
                    yield block, number, index, event


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables of a SQLite file, in order, and how the tables are made."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        found = database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
        contents = {"": found.fetchall()}
        for name in [name for kind, name, _ in contents[""] if kind == "table"]:
            contents[name] = sorted(database.execute(f"SELECT * FROM {name}"), key=repr)
    return contents


def asked(path: Path, query: str) -> list[tuple[Unchecked, ...]]:
    """Ask a SQLite file something, as somebody else would."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def written(folder: Path, calls: Sequence[Call]) -> Path:
    """Tell a new history all of some calls, and return its file."""
    folder.mkdir(exist_ok=True)
    tell_all(History(), FakeContext(folder), calls)
    return folder / "history.sqlite"


def block_saying(
    *said: Event | RawEvent, revert_reason: str | None = None, number: int = 0, parent: Felt = 0
) -> Block:
    """Return a block with a transaction that says things no chain has said."""
    (real,) = [call.block for call in busy_calls()[6:7]]
    assert real is not None
    events = [announce(each) if isinstance(each, Event) else each for each in said]
    receipt = Receipt(0x77, 0, tuple(events), revert_reason=revert_reason)
    header = msgspec.structs.replace(real.header, number=number, parent_hash=parent)
    return Block(header, 0x5A1D + number, real.transactions[:1], (receipt,), StateDiff())


def strange_calls() -> list[tuple[Call, str]]:
    """Return calls that fit no record of the first five, with the words of the refusal."""
    calls, key = busy_calls(), Key(6)
    stranger = Call(key, block_saying(number=5, parent=0xBAD))
    return [
        (stranger, "does not stand on the record's last one"),
        (msgspec.structs.replace(calls[3], key=key, is_revert=True), "is not the record's last"),
        (msgspec.structs.replace(calls[4], key=key, is_revert=True), "belongs to no reorg"),
    ]


def large_genesis(accounts: int) -> Block:
    """Return a block 0 that deploys so many accounts."""
    genesis = busy_calls()[0].block
    assert genesis is not None
    storage = {1: {number: number + 1 for number in range(accounts)}}
    diff = StateDiff(storage=storage, classes=dict.fromkeys(range(accounts), 5))
    return msgspec.structs.replace(genesis, diff=diff)


def cut_lives(
    random: Random,
    calls: Sequence[Call],
    path: Path,
    live: Callable[[Key | None, Sequence[Call]], int],
) -> None:
    """Have lives that end anywhere, until all calls are made.

    `live` is given where the host is, and what it is told from there; it returns how many calls it
    took. Now and then the host is further back than the plugin, or the file is an older copy.
    """
    end, lives, kept = 0, 0, (0, b"")
    while end < len(calls):
        if kept[0] and random.random() < 0.1:
            end = kept[0]
            path.write_bytes(kept[1])
        begin = max(end - random.randrange(5), 0) if random.random() < 0.96 else 0
        done = calls[begin - 1].key if begin else None
        # Told all anew, or from a place on that is not ahead of the file.
        taken = begin + live(done, calls[begin : end + random.randrange(1, 15)])
        end = max(end, taken) if begin else taken
        if random.random() < 0.3:
            kept = (end, path.read_bytes())
        lives += 1
    assert lives > 3


def _with_update(block: Block, below: Block | None) -> BlockAndStateUpdate:
    old_root = 0 if below is None else below.header.state_root
    update = StateUpdate(block.diff, old_root, block.header.state_root, block.hash)
    return BlockAndStateUpdate(block, update)


def calls_of(chain: Chain) -> list[Call]:
    """List what a plugin is told of a chain, from the first block on."""
    view, position = chain.store.view, Position()
    calls = []
    while (step := next_step(view, position)) is not None:
        reorg = None
        if step.reorg is not None:
            reorg = msgspec.convert(msgspec.structs.asdict(step.reorg), Reorg)
        calls.append(
            Call(
                key=Key(step.sequence, step.number),
                block=_block(view, step.block),
                below=_block(view, step.parent),
                is_revert=step.kind is StepKind.REVERT,
                reorg=reorg,
            )
        )
        position = step.after
    ends = live_after(calls)
    assert [block.hash for block in ends] == [b.hash for b in live_blocks(view, 0)]
    return calls


def _block(view: ChainView, record: BlockRecord | None) -> Block | None:
    if record is None:
        return None
    hash_, header = int.from_bytes(record.block_hash, "big"), decode_header(record.header)
    return block_of(hash_, header, decode_body(view.body(record)))


@cache
def busy_calls() -> tuple[Call, ...]:
    """Return the calls of a chain in which a bit of everything happened and was undone."""
    chain = Chain()
    act_busily(chain)
    chain.back(8)
    chain.undo(1)
    chain.back(5)
    _reopen(chain)
    rig = chain.rig
    chain.act(rig.order("bob", Side.SELL, client_id=31), rig.order("alice", Side.BUY))
    return tuple(calls_of(chain))


def act_busily(chain: Chain) -> None:
    """Deposit, trade, move and withdraw money, be refused, pay funding and be liquidated."""
    rig = chain.rig
    chain.act(deposit(7, ALICE, 5_000_000), deposit(8, CAROL, HUGE_TOKENS))
    sale = rig.order("alice", Side.SELL, client_id=1, size=45 * ONE)
    chain.act(sale, rig.order("bob", Side.BUY, size=45 * ONE), rig.bid(3), rig.bid(4, "bob"))
    chain.act(("alice", Transfer(ALICE, BOB, 3 * ONE)))
    withdrawal = exchange_call("withdraw", account=BOB, recipient=99, amount=2 * ONE)
    chain.act(rig.invoke("bob", withdrawal))
    refused = rig.order("alice", Side.SELL, client_id=9)
    chain.act(refused, refused)
    for price in (61_500, 63_500, 63_400):
        chain.act(price=price)


@cache
def random_calls(seed: int) -> tuple[Call, ...]:
    """Return the calls of a chain that trades, goes back and takes that back, by a seed."""
    random, chain, reorgs = Random(seed), Chain(), 0
    for number in range(14):
        if chain.head.height > 5 and random.random() < 0.3:
            chain.back(random.randrange(4, chain.head.height))
            reorgs += 1
            if random.random() < 0.5:
                chain.undo(reorgs)
                reorgs += 1
            _reopen(chain)
            continue
        _act_randomly(chain, random, number)
    return tuple(calls_of(chain))


def _reopen(chain: Chain) -> None:
    chain.reopen()
    for mode in (Mode.POST_ONLY, Mode.OPEN):
        chain.act(SetMode(mode))


def _act_randomly(chain: Chain, random: Random, number: int) -> None:
    rig, names = chain.rig, ["alice", "bob"]
    random.shuffle(names)
    maker, taker = names
    side, other = random.sample([Side.BUY, Side.SELL], 2)
    size = random.randrange(1, 300) * ONE // 1_000
    orders = [
        rig.order(maker, side, client_id=2 * number + 1, size=random.randrange(1, 9) * size),
        rig.order(taker, other, client_id=2 * number + 2, size=size),
    ]
    transfer = Transfer(address_of(maker), address_of(taker), random.randrange(1, 9) * ONE)
    chosen = random.choice(([], orders, orders, [(maker, transfer)], [*orders, (maker, transfer)]))
    chain.act(*chosen, price=60_000 + random.randrange(-200, 200))
