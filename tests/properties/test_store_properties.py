"""The store against a model in plain Python: any commits, rollbacks, undos, slices and restarts.

Law: at every moment every retained block, live or orphaned, has exactly the rows, trie and body
that it had when it was committed, and whatever is not retained is refused by name.
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from sequencer.model.records import BlockRecord, History, Stage
from sequencer.ports import StoreProblem, StoreRefused
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.folder import open_folder
from sequencer.storage.keys import CHANGED_NODES, CHANGED_ROWS, NODE, ROW
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.storage.builders import (
    block,
    hash_of,
    roll_back,
    row_table,
    simulated,
    trie_changes,
    undo,
    walked,
)

Rows = dict[tuple[int, bytes], bytes]

_tables = st.integers(0, 2)
_names = st.sampled_from((b"", b"a", b"aa", b"b", b"\x00", b"\xff", b"\xff\xff"))
_values = st.none() | st.sampled_from((b"", b"x", b"y"))
_rows = st.dictionaries(st.tuples(_tables, _names), _values, max_size=6)
_leaves = st.dictionaries(st.sampled_from((0, 1, 2, 127, 128, 255)), st.integers(0, 3), max_size=4)

_histories = st.sampled_from(
    ([History.NODES], [History.ROWS], [History.NODES, History.ROWS], [History.NODES, History.ROWS])
)


@dataclass(frozen=True)
class Made:
    """A block as it was committed."""

    sequence: int
    block_hash: bytes
    transaction: bytes
    rows: Rows
    leaves: dict[int, int]


@dataclass
class Undone:
    """A rollback: the blocks that it took off the chain, and what may still come back."""

    epoch: int
    sequence: int
    base: int
    blocks: list[Made]
    lifted: bool = False
    collecting: bool = False
    followed: bool = False


@dataclass
class Model:
    """What the store must say."""

    chain: list[Made] = field(default_factory=list)
    rollbacks: list[Undone] = field(default_factory=list)
    epoch: int = 0
    floors: dict[History, int] = field(default_factory=lambda: dict.fromkeys(History, 0))

    def floor_sequence(self, history: History) -> int:
        floor = self.floors[history]
        return self.chain[floor].sequence if floor else 0


LEFT = (ROW, NODE, CHANGED_ROWS, CHANGED_NODES)


class StoreMachine(RuleBasedStateMachine):
    """Anything that can be done to a chain, in any order."""

    def open(self) -> ChainStore:
        return simulated(self.disk)

    @initialize()
    def start(self) -> None:
        self.disk = SimulatedDisk()
        self.model = Model()
        self.store = self.open()
        self.commit({(0, b"a"): b"x"}, {1: 1})

    @rule(rows=_rows, leaves=_leaves)
    def commit(self, rows: dict[tuple[int, bytes], bytes | None], leaves: dict[int, int]) -> None:
        before = self.model.chain[-1] if self.model.chain else Made(0, b"", b"", {}, {})
        nodes, _ = trie_changes(self.store.view.state(), leaves)
        changes = [(table, name, value) for (table, name), value in rows.items()]
        transaction = hash_of("transaction", self.store.head.next_sequence)
        commit = block(self.store, changes, nodes=nodes, transactions=(transaction,))
        head = self.store.commit_block(commit)
        after = {**before.rows, **{key: value for key, value in rows.items() if value is not None}}
        for key in [key for key, value in rows.items() if value is None]:
            after.pop(key, None)
        kept = {key: value for key, value in {**before.leaves, **leaves}.items() if value}
        self.model.chain.append(Made(head.sequence, head.block_hash, transaction, after, kept))
        for undone in self.model.rollbacks:
            undone.followed = True

    @precondition(lambda self: len(self.model.chain) > 1 + self.lowest())
    @rule(finish=st.booleans(), data=st.data())
    def roll_back(self, finish: bool, data: st.DataObject) -> None:
        height = data.draw(st.integers(self.lowest(), len(self.model.chain) - 2), "target")
        head = roll_back(self.store, height)
        base = self.model.chain[height].sequence
        gone = self.model.chain[height + 1 :]
        del self.model.chain[height + 1 :]
        self.model.epoch += 1
        assert head.epoch == self.model.epoch
        self.model.rollbacks.append(Undone(head.epoch, head.sequence, base, gone))
        if finish:
            self.finish_journals()

    @precondition(lambda self: self.undoable() is not None)
    @rule()
    def undo(self) -> None:
        undone = self.undoable()
        assert undone is not None
        undo(self.store, undone.epoch)
        undone.lifted = True
        self.model.epoch += 1
        self.model.chain += undone.blocks

    @precondition(lambda self: self.undoable() is None)
    @rule()
    def undo_is_refused(self) -> None:
        for undone in self.model.rollbacks:
            with pytest.raises(StoreRefused, match="UNDO_IMPOSSIBLE"):
                undo(self.store, undone.epoch)

    @rule()
    def finish_journals(self) -> None:
        order = [Stage.COMMITTED, Stage.SETTLED, Stage.NOTIFIED, Stage.DONE]
        for journal in self.store.open_journals():
            for stage in order[order.index(journal.stage) + 1 :]:
                self.store.advance(journal.plan_id, stage)

    @rule(versions_max=st.integers(1, 9))
    def collect(self, versions_max: int) -> None:
        collected = self.store.collect(self.model.epoch, versions_max)
        for undone in self.model.rollbacks:
            if undone.epoch == collected.reorg_id:
                assert undone.followed
                assert not undone.lifted
                undone.collecting = True

    @rule(histories=_histories, changes_max=st.integers(1, 9), data=st.data())
    def prune(self, histories: list[History], changes_max: int, data: st.DataObject) -> None:
        height = data.draw(st.integers(0, len(self.model.chain) - 1), "floor")
        for history in histories:
            self.prune_to(history, height, changes_max)

    def prune_to(self, history: History, height: int, changes_max: int) -> None:
        finalized = len(self.model.chain) - 1
        targets = [journal.target_height for journal in self.store.open_journals()]
        targets += [self.model.floors[History.NODES]] if history is History.ROWS else []
        if height > max(self.model.floors[history], min(targets, default=height)):
            with pytest.raises(StoreRefused, match="PRUNE_REFUSED"):
                self.store.prune(history, height, finalized, changes_max)
            return
        self.store.prune(history, height, finalized, changes_max)
        self.model.floors[history] = max(height, self.model.floors[history])

    @rule(cut=st.booleans())
    def reopen(self, cut: bool) -> None:
        head = self.store.head
        self.store.close()
        if cut:
            self.disk.power_cut()
        self.store = self.open()
        assert self.store.head == head
        assert self.store.acknowledged

    def lowest(self) -> int:
        return max(self.model.floors.values())

    def undoable(self) -> Undone | None:
        in_force = [undone for undone in self.model.rollbacks if not undone.lifted]
        last = in_force[-1] if in_force else None
        followed = last is None or self.model.chain[-1].sequence > last.sequence
        return None if followed else last

    @invariant()
    def live_blocks_are_as_they_were_made(self) -> None:
        view = self.store.view
        assert view.head.height == len(self.model.chain) - 1
        assert {(table, key): value for table, key, value in self.store.checked_rows()} == (
            self.model.chain[-1].rows
        )
        assert walked(view.state()) == self.model.chain[-1].leaves
        for height, made in enumerate(self.model.chain):
            record = view.block(height)
            assert record is not None
            assert (record.block_hash, record.sequence) == (made.block_hash, made.sequence)
            assert view.orphaned_by(record) == 0
            place = view.transaction(made.transaction)
            assert place is not None
            assert (place.height, place.sequence) == (height, made.sequence)
            self.require_state(record, made, made.sequence, collected=False)

    @invariant()
    def orphans_are_as_they_were_made(self) -> None:
        view = self.store.view
        for undone in self.model.rollbacks:
            for made in [] if undone.lifted else undone.blocks:
                record = view.block_by_hash(made.block_hash)
                assert record is not None
                assert record.sequence == made.sequence
                assert view.body(record) == b"body %d" % made.sequence
                assert view.transaction(made.transaction) is None
                around = [each for each in self.model.rollbacks if self.holds(each, made)]
                assert view.orphaned_by(record) == min(each.epoch for each in around)
                base = min(each.base for each in around)
                collected = any(each.collecting for each in around)
                self.require_state(record, made, base, collected=collected)

    def holds(self, undone: Undone, made: Made) -> bool:
        return undone.base < made.sequence < undone.sequence and not undone.lifted

    def require_state(self, record: BlockRecord, made: Made, base: int, *, collected: bool) -> None:
        pruned = base < self.model.floor_sequence(History.ROWS)
        if collected or pruned:
            with pytest.raises(StoreRefused) as caught:
                self.store.view.state_at(record)
            problem = StoreProblem.STATE_COLLECTED if collected else StoreProblem.STATE_PRUNED
            assert caught.value.problem is problem
            return
        state = self.store.view.state_at(record)
        assert row_table(state) == made.rows
        for table in range(3):
            for name in (b"", b"a", b"\xff"):
                assert state.row(table, name) == made.rows.get((table, name))
        if base >= self.model.floor_sequence(History.NODES):
            assert walked(state) == made.leaves
        else:
            with pytest.raises(StoreRefused, match="STATE_PRUNED"):
                walked(state)

    def teardown(self) -> None:
        """Take everything away that may go: what is left is the head's own state, once."""
        self.finish_journals()
        self.commit({}, {})
        while self.store.collect(self.model.epoch, 7).reorg_id:
            pass
        height = self.store.head.height
        for history in (History.NODES, History.ROWS):
            while not self.store.prune(history, height, height, 7).done:
                pass
        made, source = self.model.chain[-1], self.store.view.source
        assert row_table(self.store.view.state()) == made.rows
        assert walked(self.store.view.state()) == made.leaves
        left = {kind: len(list(source.scan(*kind.range()))) for kind in LEFT}
        assert left == dict.fromkeys(LEFT, 0) | {ROW: len(made.rows), NODE: left[NODE]}
        items = {key[:-8] for key, _ in source.scan(*NODE.range())}
        assert len(items) == left[NODE]
        assert (left[NODE] == 0) == (not made.leaves)
        self.store.close()


class LevelMachine(StoreMachine):
    """The same on real files."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        self.folder = Path(self.closing.enter_context(tempfile.TemporaryDirectory())) / "data"

    def open(self) -> ChainStore:
        return open_folder(self.folder, create=not self.folder.exists())

    def teardown(self) -> None:
        super().teardown()
        self.closing.close()


TestSimulatedStore = StoreMachine.TestCase
TestSimulatedStore.settings = settings(max_examples=250, stateful_step_count=30)

TestLevelStore = LevelMachine.TestCase
TestLevelStore.settings = settings(max_examples=10, stateful_step_count=30)
