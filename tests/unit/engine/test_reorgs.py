"""Records of rollbacks and undos on random histories, against a client that keeps every block."""

from random import Random

import pytest

from sequencer.engine.lookup import find_block, read_block
from sequencer.engine.reorgs import (
    Standing,
    ancestor_at,
    fate_of,
    list_reorgs,
    reorgs_since,
)
from sequencer.engine.rollback import unfollowed
from sequencer.model.records import BlockRecord, IncidentKind
from sequencer.starknet.felt import Felt
from sequencer.starknet.messages import order_hash
from tests.unit.chain.network import address_of
from tests.unit.engine.rolling import WHY, Chain


class Keeper:
    """Keeps what a client that never looks away knows: branches, and what each reorg moved."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.branch: list[BlockRecord] = []
        self.moved: list[tuple[IncidentKind, list[BlockRecord]]] = []
        self.dropped: dict[int, list[BlockRecord]] = {}
        self.follow()

    def follow(self) -> None:
        view = self.chain.store.view
        for height in range(len(self.branch), view.head.height + 1):
            self.branch.append(find_block(view, str(height)))

    def back(self, target: int) -> None:
        reorg_id = self.chain.back(target).epoch
        self.dropped[reorg_id] = self.branch[target + 1 :]
        self.moved.append((IncidentKind.ROLLBACK, self.branch[target + 1 :]))
        del self.branch[target + 1 :]

    def undo(self, reorg_id: int) -> None:
        self.chain.undo(reorg_id)
        restored = self.dropped.pop(reorg_id)
        self.moved.append((IncidentKind.UNDO, restored))
        self.branch += restored


def random_history(seed: int) -> Keeper:
    """Make blocks, go back, take it back, go back further, in any order."""
    random, chain = Random(seed), Chain()
    keeper = Keeper(chain)
    for _ in range(24):
        kind, height = random.random(), chain.head.height
        undoable = next(unfollowed(chain.store.view), None)
        if kind < 0.3 and height > 5:
            keeper.back(random.randrange(4, height))
        elif kind < 0.5 and undoable is not None:
            keeper.undo(undoable.after.epoch)
        else:
            if chain.head.latch is not None:
                chain.reopen()
            chain.blocks(random.randrange(1, 4))
        keeper.follow()
    return keeper


def named(block: BlockRecord) -> tuple[int, bytes]:
    return block.height, block.block_hash


@pytest.mark.parametrize("seed", range(3))
def test_records_say_what_was_moved(seed: int) -> None:
    keeper = random_history(seed)
    view = keeper.chain.store.view
    reorgs = list_reorgs(view, 0, 1_000)
    assert len(reorgs) == len(keeper.moved) == view.head.epoch
    for reorg, (kind, blocks) in zip(reorgs, keeper.moved, strict=True):
        assert reorg.kind is kind
        assert (reorg.first.height, reorg.first.block_hash) == named(blocks[0])
        assert (reorg.last.height, reorg.last.block_hash) == named(blocks[-1])
        assert reorg.details.reason == WHY
        lower = reorg.new_head if kind is IncidentKind.ROLLBACK else reorg.old_head
        assert lower.block_hash == blocks[0].parent_hash
    for epoch in range(view.head.epoch + 1):
        assert reorgs_since(view, epoch, 1_000) == reorgs[epoch:]
        assert reorgs_since(view, epoch, 2) == reorgs[epoch:][-2:]
    numbers = [each.number for each in reorgs]
    assert list_reorgs(view, numbers[1], 2) == reorgs[2:4]


@pytest.mark.parametrize("seed", range(3))
def test_an_ancestor_is_found_on_its_own_branch(seed: int) -> None:
    keeper = random_history(seed)
    view = keeper.chain.store.view
    tops = [blocks[-1] for _, blocks in keeper.moved] + [find_block(view, "latest")]
    for top in tops:
        walked: BlockRecord | None = top
        while walked is not None and walked.height > 0:
            assert ancestor_at(view, top, walked.height) == walked
            walked = view.block_at(walked.height - 1, walked.parent_sequence)


def test_a_long_branch_costs_few_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain()
    chain.blocks(3)
    chain.back(5)
    chain.reopen()
    chain.blocks(60)
    view, reads = chain.store.view, [0]
    block_at = type(view).block_at

    def counted(self: object, height: int, sequence: int) -> BlockRecord | None:
        reads[0] += 1
        return block_at(view, height, sequence)

    monkeypatch.setattr(type(view), "block_at", counted)
    assert ancestor_at(view, find_block(view, "latest"), 1) == find_block(view, "1")
    assert reads[0] < 20


@pytest.mark.parametrize("seed", range(3))
def test_every_order_has_its_story(seed: int) -> None:
    random, chain = Random(seed), Chain()
    applied: dict[Felt, BlockRecord] = {}
    live: dict[Felt, list[IncidentKind]] = {}
    undone: dict[Felt, int] = {}
    for number in range(24):
        kind, height = random.random(), chain.head.height
        undoable = next(unfollowed(chain.store.view), None)
        if kind < 0.3 and height > 5:
            target = random.randrange(4, height)
            reorg_id = chain.back(target).epoch
            for hash_, block in applied.items():
                if block.height > target and not undone[hash_]:
                    live[hash_].append(IncidentKind.ROLLBACK)
                    undone[hash_] = reorg_id
        elif kind < 0.5 and undoable is not None:
            chain.undo(undoable.after.epoch)
            for hash_, reorg_id in undone.items():
                if reorg_id == undoable.after.epoch:
                    live[hash_].append(IncidentKind.UNDO)
                    undone[hash_] = 0
        else:
            if chain.head.latch is not None:
                chain.reopen()
            order = chain.rig.bid(number)
            chain.act(order)
            hash_ = order_hash(order.order, order.signer, chain.rig.state.system.chain_id)
            applied[hash_] = find_block(chain.store.view, "latest")
            live[hash_], undone[hash_] = [], 0
    assert any(live.values())
    for hash_, block in applied.items():
        fate = fate_of(chain.store.view, hash_)
        assert fate.block == block
        assert [each.kind for each in fate.reorgs] == live[hash_]
        expected = Standing.UNDONE if undone[hash_] else Standing.APPLIED
        assert fate.standing is expected
        if undone[hash_]:
            assert fate.reorgs[-1].reorg_id == undone[hash_]
        # The operator's transaction that carried it has the same story.
        carried = read_block(chain.store.view, block).receipts[-1].transaction_hash
        assert fate_of(chain.store.view, carried) == fate
    assert fate_of(chain.store.view, address_of("alice")).standing is Standing.UNKNOWN
