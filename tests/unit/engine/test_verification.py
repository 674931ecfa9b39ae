"""The chain executed again in the background: what it finds, and what it does after a rollback."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pytest

from sequencer.chain.stored import Body
from sequencer.engine.recovery import mark_planned_stop
from sequencer.engine.throttle import Stopped, Throttle
from sequencer.engine.verification import (
    NOWHERE,
    Verification,
    VerificationStatus,
    check_owed_root,
)
from sequencer.exchange.state import Table
from sequencer.model.commands import Fault, FaultKind, SetGuard
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.limits import VERIFICATION_REST_TIMES
from sequencer.model.rows import Guard
from sequencer.ports import Worker
from sequencer.storage import keys
from tests.unit.chain.network import MARKET, address_of
from tests.unit.engine.builders import InlineWorker, turns
from tests.unit.engine.damage import (
    a_receipt_less,
    a_transaction_less,
    another_diff,
    another_receipt,
    body_key,
    change_body,
    change_header,
    planted,
    put,
)
from tests.unit.engine.rolling import Chain, disk_with_bids, drill_disk

_T = TypeVar("_T")


@pytest.fixture
def chain() -> Chain:
    """A chain at block 8 with checkpoints at 2, at 4, where it was once stopped, and at 6."""
    chain = Chain(disk_with_bids())
    chain.store.create_checkpoint(2, "two", "olga")
    chain.store.create_checkpoint(6, "six", "olga")
    return chain


class StoreOf:
    """The store of a chain that is started again and again."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def __getattr__(self, name: str) -> object:
        return getattr(self._chain.store, name)


class Few:
    """A worker that does some pieces of work, and then nothing any more."""

    def __init__(self, count: int) -> None:
        self.left = count

    async def run(self, work: Callable[[], _T]) -> _T:
        if self.left == 0:
            await asyncio.Event().wait()
        self.left -= 1
        return work()


class Watch:
    """A verification of a chain in the hands of a test. Time passes with each look at the clock."""

    def __init__(self, chain: Chain, worker: Worker | None = None, tick: float = 0.0) -> None:
        self.halts: list[Halt] = []
        self.now = self.worked = self.rested = 0.0
        self._tick = tick
        throttle = Throttle(VERIFICATION_REST_TIMES, self._look, self._rest)
        self.verification = Verification(StoreOf(chain), worker or InlineWorker(), throttle)  # type: ignore[arg-type]

    @property
    def status(self) -> VerificationStatus:
        return self.verification.status

    async def go_on(self) -> VerificationStatus:
        """Let it do all that there is to do."""
        running = asyncio.ensure_future(self.verification.run(self.halts.append))
        await turns(300)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return self.status

    def _look(self) -> float:
        self.now += self._tick
        self.worked += self._tick
        return self.now

    def _rest(self, seconds: float) -> None:
        self.now += seconds
        self.rested += seconds


def waiting(since: int, verified: int, checkpoint: str) -> VerificationStatus:
    return VerificationStatus(since, verified, checkpoint)


async def test_it_begins_at_the_newest_checkpoint_below_the_head_and_follows_the_head(
    chain: Chain,
) -> None:
    watch = Watch(chain)
    assert watch.status == VerificationStatus()
    assert await watch.go_on() == waiting(6, 8, "six")
    chain.blocks(3)
    chain.store.create_checkpoint(10, "ten", "olga")
    assert await watch.go_on() == waiting(6, 11, "ten")
    assert watch.halts == []


async def test_a_checkpoint_at_the_head_is_no_place_to_begin(chain: Chain) -> None:
    mark_planned_stop(chain.store)
    assert await Watch(chain).go_on() == waiting(6, 8, "planned stop")
    chain.blocks(1)
    assert (await Watch(chain).go_on()).since_height == 8


async def test_without_a_checkpoint_it_begins_at_the_oldest_block_that_is_kept(
    chain: Chain,
) -> None:
    for each in chain.store.view.checkpoints():
        chain.store.drop_checkpoint(each.sequence)
    assert await Watch(chain).go_on() == waiting(0, 8, "")


async def test_a_chain_of_one_block_waits_for_the_next() -> None:
    chain = Chain(drill_disk())
    chain.back(0)
    watch = Watch(chain)
    assert await watch.go_on() == VerificationStatus()
    chain.reopen()
    assert await watch.go_on() == waiting(0, 1, "")


async def test_it_says_which_part_is_under_way(chain: Chain) -> None:
    chain.store.drop_checkpoint(chain.store.view.checkpoints()[-1].sequence)
    few = Few(1)
    watch = Watch(chain, few)
    assert await watch.go_on() == VerificationStatus(4, 4, "planned stop", 4, 8)
    chain.store.create_checkpoint(6, "six", "olga")
    few.left = 1
    assert await watch.go_on() == VerificationStatus(4, 5, "planned stop", 4, 6)
    few.left = 1
    assert await watch.go_on() == VerificationStatus(4, 6, "six", 6, 8)
    few.left = 9
    assert await watch.go_on() == waiting(4, 8, "six")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (another_receipt, "block 8: the receipt of transaction 0"),
        (a_receipt_less, "block 8: receipts of block 8"),
        (a_transaction_less, "block 8: receipts of block 8"),
        (another_diff, "block 8: state diff of block 8"),
    ],
)
async def test_a_difference_halts_once_and_is_gone_with_its_block(
    chain: Chain, change: Callable[[Body], Body], words: str
) -> None:
    change_body(chain, 8, change)
    watch = Watch(chain)
    status = await watch.go_on()
    assert watch.halts == [Halt(HaltCause.BLOCK_DIFFERS, words)]
    assert not watch.halts[0].is_final
    assert (status.verified_height, status.differs) == (7, words)
    chain.blocks(2)
    assert (await watch.go_on()).differs == words
    chain.back(7)
    assert await watch.go_on() == waiting(6, 7, "six")
    chain.reopen()
    chain.blocks(1)
    assert await watch.go_on() == waiting(6, 9, "six")
    assert len(watch.halts) == 1


async def test_a_header_that_was_changed_is_a_difference(chain: Chain) -> None:
    change_header(chain, 8)
    watch = Watch(chain)
    await watch.go_on()
    assert watch.halts == [Halt(HaltCause.BLOCK_DIFFERS, "block 8: header of block 8")]


async def test_a_body_that_cannot_be_read_is_a_difference(chain: Chain) -> None:
    put(chain.disk, body_key(chain, 7), None)
    watch = Watch(chain)
    await watch.go_on()
    (halt,) = watch.halts
    assert halt.detail == "block 7: HEADERS_BROKEN: block 7 has no body"


async def test_a_store_that_cannot_be_read_halts_for_good(chain: Chain) -> None:
    (_, _, checkpoint) = chain.store.view.checkpoints()
    put(chain.disk, keys.CHECKPOINT.key(checkpoint.sequence), b"scribbled")
    watch = Watch(chain)
    await asyncio.wait_for(watch.verification.run(watch.halts.append), 5)
    (halt,) = watch.halts
    assert halt.cause is HaltCause.READ_FAILED
    assert halt.detail.startswith("RECORD_CORRUPT")


async def test_a_row_that_was_changed_where_it_begins_is_a_difference(chain: Chain) -> None:
    planted(chain.disk, Table.ORDER, 6)
    chain.load()
    watch = Watch(chain)
    status = await watch.go_on()
    (halt,) = watch.halts
    assert halt.cause is HaltCause.BLOCK_DIFFERS
    assert halt.detail == status.differs
    assert halt.detail.startswith("block 6: TARGET_ROOT_DIFFERS: the rows at block 6 hash to")
    assert (status.since_height, status.verified_height) == (NOWHERE, NOWHERE)


async def test_going_back_not_far_enough_finds_it_again(chain: Chain) -> None:
    change_body(chain, 7, another_receipt)
    watch = Watch(chain)
    await watch.go_on()
    # A checkpoint above it, made since, is no place from which to miss it.
    chain.store.create_checkpoint(7, "bad", "olga")
    chain.blocks(2)
    chain.back(9)
    await watch.go_on()
    assert [halt.detail for halt in watch.halts] == ["block 7: the receipt of transaction 0"] * 2


async def test_what_is_undone_before_it_is_told_halts_nobody(chain: Chain) -> None:
    change_body(chain, 8, another_receipt)

    class Late(InlineWorker):
        async def run(self, work: Callable[[], _T]) -> _T:
            done = work()
            if watch.status.differs and chain.head.height == 8:
                chain.back(7)
            return done

    watch = Watch(chain, Late())
    assert await watch.go_on() == waiting(6, 7, "six")
    assert chain.head.height == 7
    assert watch.halts == []


async def test_harm_that_was_stored_is_counted_and_no_difference() -> None:
    chain = Chain(drill_disk())
    chain.act(chain.rig.bid(1))
    chain.act(Fault(FaultKind.LOST_ORDER, MARKET, address_of("alice")))
    chain.act(SetGuard(Guard.ZERO_PRICE, False))
    chain.act(Fault(FaultKind.ZERO_PRICE, MARKET))
    watch = Watch(chain)
    status = await watch.go_on()
    assert watch.halts == []
    assert (status.verified_height, status.harmed_blocks) == (chain.head.height, 2)
    # Executed once more after a rollback, it is counted only once.
    chain.back(8)
    chain.reopen()
    assert (await watch.go_on()).harmed_blocks == 2


async def test_after_a_rollback_it_goes_on_from_the_newest_verified_checkpoint(
    chain: Chain,
) -> None:
    for each in chain.store.view.checkpoints()[1:]:
        chain.store.drop_checkpoint(each.sequence)
    watch = Watch(chain)
    assert await watch.go_on() == waiting(2, 8, "two")
    for height in (4, 7):
        chain.store.create_checkpoint(height, f"at {height}", "olga")
    chain.back(6)
    few = Few(1)
    watch.verification._worker = few
    # The checkpoint at 7 is undone, and nothing above it is taken for verified.
    assert await watch.go_on() == VerificationStatus(2, 4, "at 4", 4, 6)
    chain.reopen()
    chain.blocks(3)
    change_body(chain, 8, another_receipt)
    few.left = 99
    assert (await watch.go_on()).verified_height == 7
    assert [halt.detail for halt in watch.halts] == ["block 8: the receipt of transaction 0"]


async def test_a_rollback_in_the_middle_and_its_undo_do_not_confuse_it(chain: Chain) -> None:
    chain.store.drop_checkpoint(chain.store.view.checkpoints()[-1].sequence)
    few = Few(4)
    watch = Watch(chain, few)
    assert (await watch.go_on()).verified_height == 7
    reorg_id = chain.back(5).epoch
    few.left = 1
    assert (await watch.go_on()).verified_height == 4
    chain.undo(reorg_id)
    few.left = 99
    assert await watch.go_on() == waiting(4, 8, "planned stop")
    chain.reopen()
    assert (await watch.go_on()).verified_height == 9
    assert watch.halts == []


async def test_an_undo_of_a_rollback_that_it_did_not_see_changes_nothing(chain: Chain) -> None:
    watch = Watch(chain)
    await watch.go_on()
    rerun = watch.verification._rerun
    chain.undo(chain.back(7).epoch)
    assert await watch.go_on() == waiting(6, 8, "six")
    assert watch.verification._rerun is rerun


@pytest.mark.parametrize("tick", [0.0005, 0.000_001])
async def test_it_rests_nine_times_as_long_as_it_works(chain: Chain, tick: float) -> None:
    watch = Watch(chain, tick=tick)
    await watch.go_on()
    assert watch.rested > 0
    # Some looks at the clock fall between the pieces of work, and are no work.
    assert watch.rested == pytest.approx(9 * watch.worked, rel=0.25)
    assert watch.rested < 9 * watch.worked


@pytest.mark.parametrize("rests", [1, 2, 5])
async def test_it_ends_when_told_to_also_in_the_middle_of_a_proof(chain: Chain, rests: int) -> None:
    watch = Watch(chain, tick=0.001)
    rest, done = watch._rest, list[float]()

    def stopping(seconds: float) -> None:
        rest(seconds)
        done.append(seconds)
        if len(done) == rests:
            watch.verification.stop()

    watch.verification._throttle._rest = stopping
    await asyncio.wait_for(watch.verification.run(watch.halts.append), 5)
    assert len(done) == rests
    assert watch.status.verified_height == NOWHERE
    assert watch.halts == []


async def test_it_writes_nothing(chain: Chain) -> None:
    writes = chain.disk.writes
    await Watch(chain).go_on()
    assert chain.disk.writes == writes


def test_an_owed_root_is_worked_out_as_of_its_block(chain: Chain) -> None:
    block = chain.store.view.block(6)
    assert block is not None
    throttle = Throttle(0)
    assert check_owed_root(chain.store, block, throttle) == []
    planted(chain.disk, Table.ORDER, 6)
    chain.load()
    (halt,) = check_owed_root(chain.store, block, throttle)
    assert halt.cause is HaltCause.START_CHECK
    assert "the rows at block 6 hash to" in halt.detail
    throttle.stop()
    with pytest.raises(Stopped):
        check_owed_root(chain.store, block, throttle)
