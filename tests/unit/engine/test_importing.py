"""A chain made of its export: the same to the byte where it can be, and refused by name else."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

import pytest

from sequencer.chain.export import Kept, ReorgMark, read_entries, read_export, write_export
from sequencer.engine.exporting import export_lines
from sequencer.engine.importing import Imported, extras_of, import_chain
from sequencer.engine.lookup import live_blocks
from sequencer.engine.recovery import recover
from sequencer.engine.rollback import apply_plan
from sequencer.engine.upkeep import Keeping
from sequencer.model.commands import CancelAll
from sequencer.model.halts import HaltCause
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import as_bytes
from sequencer.starknet.messages import order_hash
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk
from tests.properties.chain_script import CHAIN_ID, Instance, Script
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import MemoryNote, Rig, causes, copy_of, running
from tests.unit.engine.deposit_world import DepositWorld
from tests.unit.engine.rolling import ORDER, Chain
from tests.unit.storage.builders import simulated

BLOCKS = 34
KEEPING = Keeping(finalized_height=lambda: -1)
_CHECKPOINT = b"K"


def imported(lines: Sequence[bytes]) -> tuple[ChainStore, Imported]:
    store = simulated(SimulatedDisk())
    return store, import_chain(store, lines)


def contents(store: ChainStore) -> dict[bytes, bytes]:
    """Every key and value, checkpoints aside: those of a stop are of one store alone."""
    found = store.view.source.scan(b"\x00", b"\xff")
    return {key: value for key, value in found if key[:1] != _CHECKPOINT}


async def _play(blocks: int) -> Instance:
    instance, script = Instance(simulated(SimulatedDisk()), MemoryNote(), KEEPING), Script(7)
    for _ in range(blocks):
        instance.make_block(script)
    return instance


@cache
def played(blocks: int = BLOCKS) -> tuple[Instance, tuple[bytes, ...]]:
    instance = asyncio.run(_play(blocks))
    return instance, tuple(export_lines(instance.store.view))


@cache
def gone_back() -> tuple[SimulatedDisk, int, tuple[int, ...]]:
    """A chain that was gone back on twice, once for good.

    Returns the hash of an order that stayed, and those of commands that were undone.
    """
    chain = Chain()
    chain.blocks(2)
    kept = chain.rig.bid(1)
    chain.act(kept)
    target = chain.head.height
    undone = [chain.rig.bid(2), chain.rig.bid(3)]
    for order in undone:
        chain.act(order)
    transfer = chain.rig.transfer()
    chain.act(transfer)
    chain.back(target)
    chain.undo(1)
    chain.back(target)
    chain.reopen()
    chain.act(("alice", CancelAll(address_of("alice"))))
    stayed, *hashes = (order_hash(each.order, each.signer, CHAIN_ID) for each in (kept, *undone))
    return chain.disk, stayed, (*hashes, chain.rig.hash_of(transfer))


def test_what_became_true_beside_a_block_follows_from_the_block() -> None:
    instance, _ = played()
    blocks = list(live_blocks(instance.store.view, 1))
    told = {block.header.number: extras_of(block, CHAIN_ID) for block in blocks}
    assert told == instance.extras
    assert sum(len(each.orders) for each in told.values()) > 20
    assert all(each.high_water for each in told.values())


def test_the_store_is_the_same_to_the_byte() -> None:
    instance, lines = played()
    store, facts = imported(lines)
    assert facts.head.block_hash == instance.store.head.block_hash
    assert facts.head.state_root == instance.store.head.state_root
    assert contents(store) == contents(instance.store)
    assert tuple(export_lines(store.view)) == lines
    assert recover(store).was_planned


def test_a_chain_that_was_gone_back_on_remembers_what_it_undid() -> None:
    disk, stayed, undone = gone_back()
    origin = simulated(copy_of(disk))
    lines = tuple(export_lines(origin.view))
    store, facts = imported(lines)
    head = origin.head
    assert (facts.head.block_hash, facts.head.state_root) == (head.block_hash, head.state_root)
    assert (facts.head.epoch, facts.reorgs, facts.undone) == (3, 2, len(undone))
    for hash_, reorg_id in ((stayed, 0), *((each, 3) for each in undone)):
        mark, was = store.view.seen(as_bytes(hash_)), origin.view.seen(as_bytes(hash_))
        assert mark is not None
        assert was is not None
        assert store.view.undone_by(mark.sequence) == reorg_id
        assert mark.until_ms == was.until_ms or not reorg_id
    first, *rest = export_lines(store.view)
    blocks = [line for line in rest if line.startswith(b'{"header":')]
    assert [first, *blocks] == [lines[0], *(each for each in lines if each in blocks)]
    assert len(blocks) == head.height


def test_a_chain_that_was_made_so_goes_on_and_back() -> None:
    disk, _, _ = gone_back()
    made = SimulatedDisk()
    store = simulated(made)
    head = import_chain(store, export_lines(simulated(copy_of(disk)).view)).head
    chain = Chain(made)
    with pytest.raises(Refused, match="there is no reorg 3"):
        chain.undo(3)
    chain.blocks(3)
    gone = chain.head.block_hash
    assert chain.back(head.height).epoch == 4
    assert chain.head.block_hash == head.block_hash
    assert chain.undo(4).block_hash == gone
    chain.back(head.height)
    assert chain.reopen().reorg_id == 6
    chain.blocks(2)
    assert not recover(chain.store, full=True).halts


async def test_what_was_undone_elsewhere_is_refused_here() -> None:
    disk, _, undone = gone_back()
    made = SimulatedDisk()
    import_chain(simulated(made), export_lines(simulated(copy_of(disk)).view))
    rig = Rig(made)
    transfer = rig.transfer()
    assert rig.hash_of(transfer) in undone
    with pytest.raises(Refused, match="was undone by reorg 3") as caught:
        rig.admission.transaction(transfer)
    assert caught.value.reason is Reason.ORPHANED_COMMAND
    rig.admission.transaction(rig.transfer(amount=2))


def test_an_export_of_an_import_carries_on_what_was_undone() -> None:
    disk, _, undone = gone_back()
    store, _ = imported(tuple(export_lines(simulated(copy_of(disk)).view)))
    twice, facts = imported(tuple(export_lines(store.view)))
    assert facts.undone == len(undone)
    assert contents(twice) == contents(store)


def refused(lines: Sequence[bytes], reason: Reason, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        imported(lines)
    assert caught.value.reason is reason, str(caught.value)


def test_a_file_that_is_cut_short_is_refused_at_its_end() -> None:
    _, lines = played()
    refused((), Reason.EXPORT_MALFORMED, "line 1: the file is empty")
    refused(lines[:1], Reason.EXPORT_MALFORMED, "line 1: it does not say what was undone")
    for count in (3, 4, 20, len(lines) - 1):
        words = f"line {count}: it ends here without its last line"
        refused(lines[:count], Reason.EXPORT_MALFORMED, words)
    for count in (5, len(lines)):
        *whole, last = lines[:count]
        for left in (1, len(last) // 2, len(last) - 1):
            words = f"line {count}: it is cut short"
            refused((*whole, last[:left]), Reason.EXPORT_MALFORMED, words)


BROKEN: dict[str, tuple[Callable[[list[bytes]], list[bytes]], Reason, str]] = {
    "no export": (lambda _: [b"no export\n"], Reason.GENESIS_INVALID, "line 1: "),
    "another object": (lambda _: [b"{}\n"], Reason.GENESIS_INVALID, "line 1: "),
    "binary": (lambda _: [b"\xff\xfe\x00\n"], Reason.GENESIS_INVALID, "line 1: "),
    "two blocks changed places": (
        lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]],
        Reason.EXPORT_MALFORMED,
        "line 10: block 8 stands where block 7 comes",
    ),
    "a block twice": (
        lambda lines: [*lines[:10], *lines[9:]],
        Reason.EXPORT_MALFORMED,
        "line 11: block 7 stands where block 8 comes",
    ),
    "a block is missing": (
        lambda lines: [*lines[:9], *lines[10:]],
        Reason.EXPORT_MALFORMED,
        "line 10: block 8 stands where block 7 comes",
    ),
    "what is kept comes late": (
        lambda lines: [lines[0], lines[1], lines[3], lines[2], *lines[4:]],
        Reason.EXPORT_MALFORMED,
        "line 4: what is kept stands ahead of all blocks",
    ),
    "what is kept is missing": (
        lambda lines: [lines[0], *lines[3:]],
        Reason.EXPORT_MALFORMED,
        "line 2: it does not say what was undone",
    ),
    "it goes on": (
        lambda lines: [*lines, lines[-2]],
        Reason.EXPORT_MALFORMED,
        f"line {BLOCKS + 5}: it goes on behind its last line",
    ),
    "another genesis": (
        lambda lines: [lines[0].replace(b"PERPCHAIN_TEST", b"PERPCHAIN_TOAST"), *lines[1:]],
        Reason.BLOCK_DIFFERS,
        "line 4: ",
    ),
}


@pytest.mark.parametrize(("change", "reason", "words"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_whole_export_is_refused_with_its_line(
    change: Callable[[list[bytes]], list[bytes]], reason: Reason, words: str
) -> None:
    refused(change([*played()[1]]), reason, words)


@pytest.mark.parametrize("seed", range(24))
def test_a_changed_byte_is_found(seed: int) -> None:
    """The line with the change is named, or one behind it: the last one's hash tells of all."""
    random, lines = Random(seed), played(5)[1]
    at = random.randrange(len(lines))
    changed = bytearray(lines[at])
    changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    with pytest.raises(Refused) as caught:
        imported((*lines[:at], bytes(changed), *lines[at + 1 :]))
    line = int(caught.value.detail.removeprefix("line ").partition(":")[0])
    assert at + 1 <= line <= len(lines), str(caught.value)


def test_a_chain_that_is_latched_is_refused() -> None:
    chain = Chain()
    chain.blocks(2)
    apply_plan(chain.store, chain.plan(1), ORDER)
    refused(tuple(export_lines(chain.store.view)), Reason.ROLLBACK_OPEN, "line 2: .*reopen it")


@pytest.mark.parametrize(
    "line",
    [
        b'{"reorgs":[{"reorg_id":"0x2","lifted_by":"0x0"}],"undone":[],"sources":[]}',
        b'{"reorgs":[{"reorg_id":"0x1","lifted_by":"0x1"}],"undone":[],"sources":[]}',
        b'{"undone":[{"hash":"0x1","until_ms":"0x0","reorg_id":"0x1"}]}',
        b'{"undone":[{"hash":"0x1","until_ms":"0x0","reorg_id":"0x0"}]}',
        b'{"sources":[{"source":"=a/b","time":"0x%b"}]}' % (b"f" * 40),
        b'{"sources":[{"source":"=%b","time":"0x1"}]}' % (b"a" * 999),
        b'{"sources":[{"source":7,"time":"0x1"}]}',
        b"[]",
    ],
)
def test_what_cannot_have_been_kept_is_refused(line: bytes) -> None:
    _, lines = played()
    words = "line 2: "
    refused((lines[0], b'{"kept":%b}\n' % line, *lines[2:]), Reason.EXPORT_MALFORMED, words)


def told(lines: Sequence[bytes], *reorgs: tuple[int, int]) -> tuple[bytes, ...]:
    """An export that says of other rollbacks: each with the undo's epoch, 0 for one in force."""
    marks = [ReorgMark(epoch, undo) for epoch, undo in reorgs]
    _, blocks = read_export(lines)
    return tuple(write_export(lines[0], blocks, [Kept(reorgs=marks)]))


@pytest.mark.parametrize(
    ("reorgs", "words"),
    [
        ((), "block 8 reopens the chain after reorg 3, and what is kept has no such one"),
        (((1, 0),), "block 8 reopens the chain after reorg 3"),
        (((1, 2), (3, 4)), "block 8 reopens the chain after reorg 3"),
        (((1, 2), (3, 0), (4, 0)), "what is kept has reorg 4, and no block reopens"),
    ],
)
def test_rollbacks_are_those_after_which_blocks_reopened_the_chain(
    reorgs: tuple[tuple[int, int], ...], words: str
) -> None:
    """An epoch that came out too low would give an id of a reorg twice."""
    lines = tuple(export_lines(simulated(copy_of(gone_back()[0])).view))
    refused(told(lines, *reorgs), Reason.EXPORT_MALFORMED, words)
    for reorg in ((1, 0), (1, 2)):
        words = "what is kept has reorg 1, and no block reopens the chain after it"
        refused(told(played(3)[1], reorg), Reason.EXPORT_MALFORMED, words)


@pytest.mark.parametrize(
    ("steps", "reorg_id"),
    [
        ("back undo", 2),
        ("back back undo", 1),
        ("back undo back undo", 2),
        ("back reopen back undo", 3),
        ("back reopen back back undo", 2),
        ("back undo reopen back back undo back", 6),
    ],
)
def test_of_rollbacks_and_undos_without_a_block_in_between_any_may_be_reopened_after(
    steps: str, reorg_id: int
) -> None:
    chain, in_force = Chain(), [0]
    chain.blocks(6)
    for step in steps.split():
        if step == "back":
            in_force.append(chain.back(chain.head.height - 1).epoch)
        elif step == "undo":
            chain.undo(in_force.pop())
        else:
            chain.reopen()
            chain.blocks(2)
    assert chain.reopen().reorg_id == reorg_id
    _, made = imported(tuple(export_lines(chain.store.view)))
    assert made.head.epoch == chain.head.epoch


async def test_credited_deposits_are_facts_again() -> None:
    world = DepositWorld()
    world.send(5, 7, 11)
    await world.look()
    async with running(world.rig):
        await world.credited(3)
        world.send(13)
    origin = world.rig.store
    store, made = imported(tuple(export_lines(origin.view)))
    assert made.deposits == 3
    facts = store.view.inbox(0, 99)
    assert facts == origin.view.inbox(0, 3)
    assert [each.nonce for each in facts] == [0, 1, 2]


async def test_a_deposit_that_was_lost_meanwhile_is_missed() -> None:
    world = DepositWorld()
    world.send(5, 7, 11)
    await world.look()
    async with running(world.rig):
        await world.credited(3)
    made = SimulatedDisk()
    import_chain(simulated(made), export_lines(world.rig.store.view))
    for lost in (0, 1):
        there = DepositWorld(copy_of(made))
        there.settlement = world.settlement
        there.restart()
        world.contract.reorg(lost)
        await there.look()
        assert causes(there.halted) == [HaltCause.DEPOSIT_UNMADE] * lost


def test_old_lines_stay_readable() -> None:
    _, lines = played()
    old = [line for line in lines if not line.startswith((b'{"kept":', b'{"end":'))]
    _, entries = read_entries(old)
    assert len([*entries]) == BLOCKS
    _, entries = read_entries(lines)
    assert sum(isinstance(each, Kept) for each in entries) == 2


def test_an_import_without_a_witness_is_halted_until_acknowledged() -> None:
    disk = SimulatedDisk()
    import_chain(simulated(disk), played()[1])
    disk.witness_bytes = bytes(len(disk.witness_bytes))
    halts = recover(simulated(disk)).halts
    assert causes(halts) == [HaltCause.WITNESS_UNACKNOWLEDGED]
