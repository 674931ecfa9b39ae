"""A chain that was rolled back against one that never was, and against a list of hashes.

Laws
- What was rolled back and executed again has the same blocks: going back leaves no trace in them.
- Rows, tries, roots and proofs after a rollback are those of a chain that executed the surviving
  blocks alone.
"""

from collections.abc import Iterator, Mapping
from random import Random

import msgspec
import pytest

from sequencer.chain.block import Block
from sequencer.chain.commitment import EXCHANGE_ADDRESS, ROWS_HASH, ROWS_TRIE
from sequencer.chain.genesis import read_genesis
from sequencer.chain.replay import replay_chain
from sequencer.chain.slots import ROWS_TRIE_HEIGHT
from sequencer.engine.lookup import find_block, live_blocks, roots_at, rows_at, trie_reader
from sequencer.engine.plan import make_plan
from sequencer.engine.recovery import genesis_of
from sequencer.engine.rollback import Order, apply_plan, resume, undo
from sequencer.engine.sealer import Extras
from sequencer.engine.upkeep import Keeping
from sequencer.model.commands import OrderPolicy, SetMode
from sequencer.model.events import Fill
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.records import BlockRecord, Head
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.ports import ChainView
from sequencer.starknet.felt_hash import Hash, pedersen, poseidon
from sequencer.starknet.names import selector
from sequencer.starknet.state import CLASSES_TRIE, CONTRACTS_TRIE
from sequencer.starknet.transactions import transaction_hash
from sequencer.starknet.trie import Position, Reader, root_of
from sequencer.starknet.trie_node import Edge, Node, decode_node, node_hash
from sequencer.storage.simulated import SimulatedDisk
from tests.properties.chain_script import CHAIN_ID, Instance, Script
from tests.unit.engine.builders import MemoryNote, copy_of
from tests.unit.storage.builders import row_table, simulated

BLOCKS = 14
ORDER = Order("olga", "a drill", 1)
REOPEN = SetMode(Mode.CANCEL_ONLY, "on we go")
TRIES: Mapping[int, tuple[int, Hash]] = {
    CONTRACTS_TRIE: (TRIE_HEIGHT_MAX, pedersen),
    CLASSES_TRIE: (TRIE_HEIGHT_MAX, poseidon),
    EXCHANGE_ADDRESS: (TRIE_HEIGHT_MAX, pedersen),
    ROWS_TRIE: (ROWS_TRIE_HEIGHT, ROWS_HASH),
}


def started(disk: SimulatedDisk) -> Instance:
    """Start on a disk as it is, and take open rollbacks on as a start does."""
    store = simulated(disk)
    resume(store)
    instance = Instance(store, MemoryNote(), Keeping())
    assert not [halt for halt in instance.recovered.halts if halt.is_final]
    return instance


def roll_back(disk: SimulatedDisk, height: int, policy: OrderPolicy = OrderPolicy.KEEP) -> Head:
    store = simulated(disk)
    return apply_plan(store, make_plan(store.view, str(height), policy), ORDER)


def execute_again(instance: Instance, blocks: list[Block], extras: Mapping[int, Extras]) -> None:
    """Execute blocks once more, the first of them ending the halt."""
    for block in blocks:
        for transaction in block.transactions:
            instance.producer.apply(transaction, transaction_hash(transaction, CHAIN_ID))
        reopens = instance.store.head.latch is not None
        kept = extras[block.header.number]
        sealed = instance.sealer.seal(
            instance.producer.close(), msgspec.structs.replace(kept, reopens=reopens)
        )
        assert sealed.block.hash == block.hash
    instance.gate.end(instance.gate.halts)


def walked(read: Reader, position: Position, height: int) -> Iterator[tuple[Position, Node]]:
    """Yield every node below a position; one that is missing is an error."""
    data = read(position)
    assert data is not None, f"no node at {position}"
    node = decode_node(data)
    yield position, node
    depth, path = position
    if isinstance(node, Edge):
        children = [(depth + node.length, path << node.length | node.path)]
    else:
        children = [(depth + 1, path << 1), (depth + 1, path << 1 | 1)]
    for child in children:
        if child[0] < height:
            yield from walked(read, child, height)


def nodes_of(view: ChainView, block: BlockRecord) -> dict[int, dict[Position, Node]]:
    state = view.state_at(block)
    readers = {trie: trie_reader(state, trie) for trie in TRIES}
    return {
        trie: dict(walked(read, (0, 0), TRIES[trie][0])) if read((0, 0)) else {}
        for trie, read in readers.items()
    }


def proof(view: ChainView, block: BlockRecord, key: int) -> list[Node]:
    """Return the nodes from the root of the exchange's storage to a slot, each hash checked."""
    read = trie_reader(view.state_at(block), EXCHANGE_ADDRESS)
    expected = root_of(read, TRIE_HEIGHT_MAX, pedersen)
    depth, nodes = 0, list[Node]()
    while depth < TRIE_HEIGHT_MAX:
        data = read((depth, key >> (TRIE_HEIGHT_MAX - depth)))
        assert data is not None
        node = decode_node(data)
        assert node_hash(node, pedersen) == expected
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


def assert_same_state(one: ChainView, other: ChainView, height: int) -> None:
    """Compare all that two chains hold after a block: rows, tries, roots, proofs of some slots."""
    first, second = (find_block(view, str(height)) for view in (one, other))
    assert first.block_hash == second.block_hash
    assert first.digest == second.digest
    assert list(one.state_at(first).rows()) == list(other.state_at(second).rows())
    assert roots_at(one, first) == roots_at(other, second)
    nodes = nodes_of(one, first)
    assert nodes == nodes_of(other, second)
    leaves = list(nodes[EXCHANGE_ADDRESS])[-1:]
    for key in (1, 1 << 250, *(path << (TRIE_HEIGHT_MAX - depth) for depth, path in leaves)):
        assert proof(one, first, key) == proof(other, second, key)


async def grown(seed: int, blocks: int) -> tuple[list[SimulatedDisk], Instance]:
    """Play a chain; returns its disk after each block, and the instance at the end."""
    disk, script = SimulatedDisk(), Script(seed)
    instance = started(disk)
    copies = [copy_of(disk)]
    for _ in range(blocks):
        instance.make_block(script)
        copies.append(copy_of(disk))
    return copies, instance


def later_script(seed: int) -> Script:
    """Return another script that begins when a grown chain ended: reports are never taken twice."""
    script = Script(seed)
    script.time_ms += BLOCKS * 1_000
    return script


def hashes_of(view: ChainView) -> list[bytes]:
    return [find_block(view, str(height)).block_hash for height in range(view.head.height + 1)]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_is_executed_again_has_the_same_blocks(seed: int) -> None:
    """The third instance: as the two of `test_determinism`, but rolled back on the way."""
    _, uninterrupted = await grown(seed, BLOCKS)
    disk, script = SimulatedDisk(), Script(seed)
    instance, extras = started(disk), dict[int, Extras]()
    depths = {2: 1, 7: 3, 8: 8, 12: 1, BLOCKS: 9}
    for height in range(1, BLOCKS + 1):
        instance.make_block(script)
        extras |= instance.extras
        depth = depths.get(height, 0)
        if depth:
            blocks = list(live_blocks(instance.store.view, height - depth + 1))
            roll_back(disk, height - depth)
            instance = started(disk)
            execute_again(instance, blocks, extras)
    assert hashes_of(instance.store.view) == hashes_of(uninterrupted.store.view)
    assert instance.store.head.epoch == len(depths)
    for height in range(BLOCKS + 1):
        one, other = instance.store.view, uninterrupted.store.view
        assert rows_at(one, find_block(one, str(height))) == rows_at(
            other, find_block(other, str(height))
        )
    assert_same_state(instance.store.view, uninterrupted.store.view, BLOCKS)


async def test_at_every_height_the_state_is_that_of_the_surviving_blocks() -> None:
    copies, _ = await grown(5, BLOCKS)
    for target in range(BLOCKS):
        disk, only = copy_of(copies[-1]), copies[target]
        roll_back(disk, target)
        alone = simulated(only)
        rolled = simulated(disk)
        assert row_table(rolled.view.state()) == row_table(alone.view.state())
        assert_same_state(rolled.view, alone.view, target)
        # Rebuilt otherwise than before: the same on a chain that never had the undone blocks.
        instance = started(disk)
        script = later_script(99)
        for modes in ((REOPEN,), (), (SetMode(Mode.POST_ONLY),)):
            instance.make_block(script, *modes)
        other = started(copy_of(only))
        execute_again(other, list(live_blocks(instance.store.view, target + 1)), instance.extras)
        for height in (target // 2, target + 1, target + 3):
            assert_same_state(instance.store.view, other.store.view, height)


@pytest.mark.parametrize("policy", OrderPolicy)
async def test_a_chain_that_was_reopened_is_executed_again_from_genesis(
    policy: OrderPolicy,
) -> None:
    copies, before = await grown(4, BLOCKS)
    fills = [
        event
        for block in live_blocks(before.store.view, 1)
        for receipt in block.receipts
        for event in receipt.events
        if event.keys[0] == selector(Fill.__name__)
    ]
    assert fills
    disk = copies[-1]
    target = next(
        height for height in range(BLOCKS - 1, 0, -1) if orders_at(before.store.view, height) > 1
    )
    roll_back(disk, target, policy)
    instance, script = started(disk), later_script(98)
    instance.make_block(script, REOPEN)
    assert (instance.store.head.latch, instance.store.head.height) == (None, target + 1)
    for modes in ((), (), (SetMode(Mode.POST_ONLY),), (SetMode(Mode.OPEN),), ()):
        instance.make_block(script, *modes)
    view = instance.store.view
    replayed = replay_chain(read_genesis(genesis_of(view).encode()), live_blocks(view, 1))
    assert replayed.head.hash.to_bytes(32, "big") == view.head.block_hash
    assert replayed.state.rows == rows_at(view, find_block(view, "latest"))
    assert not started(disk).recovered.halts


def orders_at(view: ChainView, height: int) -> int:
    rows = rows_at(view, find_block(view, str(height)))
    return sum(len(of) for table, of in rows.items() if table.value == "order")


@pytest.mark.parametrize("depth", [1, 2, 5, BLOCKS])
async def test_an_undo_restores_head_and_rows_exactly(depth: int) -> None:
    copies, _ = await grown(6, BLOCKS)
    disk, untouched = copy_of(copies[-1]), simulated(copies[-1])
    before = untouched.head
    roll_back(disk, BLOCKS - depth)
    head = undo(simulated(disk), 1, ORDER)
    kept = ("height", "block_hash", "block_sequence", "state_root", "digest")
    assert [getattr(head, name) for name in kept] == [getattr(before, name) for name in kept]
    store = simulated(disk)
    assert list(store.checked_rows()) == list(untouched.checked_rows())
    assert hashes_of(store.view) == hashes_of(untouched.view)
    assert_same_state(store.view, untouched.view, BLOCKS)
    instance, script = started(disk), later_script(97)
    instance.make_block(script, REOPEN)
    assert instance.store.head.height == BLOCKS + 1


class Model:
    """The live chain as a list of hashes, and what can still be undone."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.script = Script(seed)
        self.disk = SimulatedDisk()
        self.instance = started(self.disk)
        self.hashes = [self.instance.store.head.block_hash]
        self.undoable: list[tuple[int, list[bytes]]] = []
        self.done: list[str] = []

    def step(self) -> None:
        act = self.random.choice(
            (self.block, self.block, self.block, self.back, self.undo, self.restart)
        )
        act()
        self.done.append(act.__name__)
        view = self.instance.store.view
        assert hashes_of(view) == self.hashes, self.done
        assert view.head.block_hash == self.hashes[-1]
        list(self.instance.store.checked_rows())

    @property
    def latched(self) -> bool:
        return self.instance.store.head.latch is not None

    def block(self) -> None:
        modes = (REOPEN,) if self.latched else ()
        more = self.random.choice(((), (SetMode(Mode.POST_ONLY),), (SetMode(Mode.OPEN),)))
        self.hashes.append(self.instance.make_block(self.script, *modes, *more))
        self.undoable.clear()

    def back(self) -> None:
        if len(self.hashes) < 2:
            return
        target = self.random.randrange(len(self.hashes) - 1)
        policy = self.random.choice(tuple(OrderPolicy))
        head = roll_back(self.disk, target, policy)
        self.undoable.append((head.epoch, self.hashes[:]))
        del self.hashes[target + 1 :]
        self.restart()

    def undo(self) -> None:
        wrong = self.random.randrange(9)
        if not self.undoable or wrong == 0:
            ids = {epoch for epoch, _ in self.undoable[-1:]}
            with pytest.raises(Refused) as caught:
                undo(self.instance.store, next(n for n in range(wrong, 99) if n not in ids), ORDER)
            assert caught.value.reason is Reason.UNDO_IMPOSSIBLE
            return
        reorg_id, self.hashes = self.undoable.pop()
        undo(self.instance.store, reorg_id, ORDER)
        self.restart()

    def restart(self) -> None:
        self.instance = started(self.disk)


@pytest.mark.parametrize("seed", range(4))
async def test_any_sequence_of_acts_leaves_the_chain_that_the_model_has(seed: int) -> None:
    model = Model(seed)
    for _ in range(40):
        model.step()
    assert {"block", "back", "undo", "restart"} == set(model.done)
    view = model.instance.store.view
    replayed = replay_chain(read_genesis(genesis_of(view).encode()), live_blocks(view, 1))
    assert replayed.head.hash.to_bytes(32, "big") == model.hashes[-1]
    assert replayed.state.rows == rows_at(view, find_block(view, "latest"))
