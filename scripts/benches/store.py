"""Benches of the store: how long the commit of a full block takes, and what a quiet one weighs."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from typing import NamedTuple, cast

from scripts.benches.cache import DATA, compacted_bytes, copied
from scripts.benches.measure import Figure, Sizes, percentile_ms
from scripts.benches.world import SEED, append_quiet, kept_world, move_money, recovered_state
from sequencer.chain.block import ClosedBlock, close_block
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.exchange.state import Journal, State, Table
from sequencer.model.commits import BlockCommit
from sequencer.model.records import Head
from sequencer.model.rows import UsedOrder
from sequencer.ports import Store
from sequencer.starknet.block import Event, Receipt
from sequencer.starknet.felt import FELT_PRIME, Felt
from sequencer.starknet.transactions import InvokeV3, ResourceBound, Terms
from sequencer.storage.folder import open_folder

ROWS, SLOTS = 1_000, 600
"""Rows and slots that a full block changes."""

_CARRIED, _ORDER_FELTS, _EVENT_FELTS = 1_000, 24, 6
_MARK_MS = 2_000_000_000_000


def block_commit_ms_p50(sizes: Sizes) -> Figure:
    """A full block's batch, built, synced and witnessed: half of all commits."""
    return _commit_figure(sizes, 50)


def block_commit_ms_p99(sizes: Sizes) -> Figure:
    """The same for all but one commit in a hundred."""
    return _commit_figure(sizes, 99)


def bytes_per_block(sizes: Sizes) -> Figure:
    """What a block adds to the data folder in which a second passes and hardly anything happens."""
    folder, _ = kept_world(sizes.trading.world)
    count = 10 * sizes.samples
    with copied(folder) as copy:
        before = compacted_bytes(copy / DATA)
        with closing(open_folder(copy / DATA)) as store:
            state = recovered_state(store)
            sealer = Sealer(store, TrieCache(lambda: store.view))
            for number in range(store.head.height + 1, store.head.height + 1 + count):
                append_quiet(sealer, state, number, list(state.accounts))
        grown = compacted_bytes(copy / DATA) - before
    note = f"growth after compaction over {count} quiet blocks; {sizes.trading.world.accounts}"
    return Figure(round(grown / count), "bytes", f"{note} accounts")


class Commits(NamedTuple):
    """How long commits took, in seconds, and what the last one held."""

    seconds: Sequence[float]
    last: BlockCommit


class _TimedStore:
    """A store as the sealer knows it, with a clock around each commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.commits: list[tuple[float, BlockCommit]] = []

    @property
    def head(self) -> Head:
        return self._store.head

    def commit_block(self, commit: BlockCommit) -> Head:
        start = time.perf_counter()
        head = self._store.commit_block(commit)
        self.commits.append((time.perf_counter() - start, commit))
        return head


def _commit_figure(sizes: Sizes, percent: int) -> Figure:
    commits = _full_commits(sizes)
    last = commits.last
    note = (
        f"{len(commits.seconds)} commits of {len(last.rows)} rows, {len(last.nodes)} nodes of "
        f"{SLOTS} slots, a body of {len(last.body)} bytes; batch, sync, witness; "
        f"{sizes.trading.world.accounts} accounts"
    )
    return Figure(percentile_ms(commits.seconds, percent, 1), "ms", note)


@cache
def _full_commits(sizes: Sizes) -> Commits:
    folder, _ = kept_world(sizes.trading.world)
    generator = random.Random(SEED)
    with copied(folder) as copy, closing(open_folder(copy / DATA)) as store:
        state = recovered_state(store)
        timed = _TimedStore(store)
        sealer = Sealer(cast("Store", timed), TrieCache(lambda: store.view))
        for number in range(store.head.height + 1, store.head.height + 1 + sizes.samples):
            sealer.seal(_full_block(state, number, generator), Extras())
    return Commits([seconds for seconds, _ in timed.commits], timed.commits[-1][1])


def _full_block(state: State, number: int, generator: random.Random) -> ClosedBlock:
    """Change so many slots and rows, beside a body as long as that of as many orders."""
    journal = Journal(state)
    moved = generator.sample(list(state.accounts), SLOTS)
    for payer, payee in zip(moved[::2], moved[1::2], strict=True):
        move_money(journal, payer, payee, number)
    for _ in range(ROWS - SLOTS):
        journal.put(Table.USED_ORDER, _felt(generator), UsedOrder(_MARK_MS))
    return close_block(state, number, journal, [_carrier(state, number, generator)])


def _carrier(state: State, number: int, generator: random.Random) -> tuple[InvokeV3, Receipt]:
    calldata = [_felt(generator) for _ in range(_CARRIED * _ORDER_FELTS)]
    terms = Terms(number, (ResourceBound(),) * 3)
    sent = InvokeV3(state.system.operator, calldata, terms, signature=(1, 1))
    events = [
        Event(EXCHANGE_ADDRESS, (1,), [_felt(generator) for _ in range(_EVENT_FELTS)])
        for _ in range(_CARRIED)
    ]
    return sent, Receipt(_felt(generator), 0, events)


def _felt(generator: random.Random) -> Felt:
    return generator.randrange(1, FELT_PRIME)


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    block_commit_ms_p50,
    block_commit_ms_p99,
    bytes_per_block,
)
