"""The chain as clients read it: one head in everything, through blocks, rollbacks and halts."""

from pathlib import Path

import pytest

from sequencer.chain.text import to_text
from sequencer.engine import history
from sequencer.engine.lookup import read_block, state_at
from sequencer.engine.overlay import pending_diff
from sequencer.exchange.invariants import check_laws
from sequencer.exchange.state import State
from sequencer.model.commands import RegisterPublisher
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.rows import Mode
from tests.unit.chain.network import key_of
from tests.unit.engine.builders import rows_of
from tests.unit.engine.desks import Operated, operated


def require_one_head(rig: Operated) -> None:
    """Check that state and view are of one block, against the rows in the store."""
    view = rig.service.views.view
    record = view.block(view.head.height)
    assert record is not None
    stored = state_at(view, record)
    assert rows_of(rig.service.latest) == rows_of(stored)
    check_laws(rig.service.latest)


async def test_the_state_for_clients_is_that_of_the_head(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        require_one_head(rig)
        heights = []
        rig.service.listen(lambda: heights.append(rig.service.views.view.head.height), lambda: None)
        await rig.blocks(3)
        require_one_head(rig)
        assert heights == sorted(heights)
        assert heights[-1] == rig.height


async def test_a_rollback_shows_either_the_old_head_or_the_new_one(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        times = {height: rig.service.views.view.block(height) for height in range(rig.height + 1)}
        seen = []

        def look() -> None:
            view = rig.service.views.view
            seen.append((view.head.epoch, view.head.height, rig.service.latest.system.time_ms))

        rig.service.listen(look, look)
        before = (0, rig.height, rig.service.latest.system.time_ms)
        await rig.halt()
        halted = rig.height
        await rig.back(2)
        require_one_head(rig)
        record = times[2]
        assert record is not None
        time_ms = state_at(rig.service.views.view, record).system.time_ms
        assert seen[0] == before
        assert seen[-1] == (1, 2, time_ms)
        assert {(epoch, height) for epoch, height, _ in seen} == {
            (0, before[1]),
            (0, halted),
            (1, 2),
        }


async def test_what_is_open_is_newest_and_not_latest(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        service = rig.service
        item = rig.node.engine.writer.operate(RegisterPublisher("Delta", key_of(77)))
        shown: list[tuple[bool, bool]] = []

        def look() -> None:
            shown.append(
                ("Delta" in service.newest.publishers, "Delta" in service.latest.publishers)
            )

        service.listen(look, look)
        await item.answer
        assert (True, False) in shown
        assert shown[-1] == (True, True)
        assert service.pending()[-1].number == service.views.view.head.height + 1


async def test_the_diff_of_a_pending_block_is_the_one_it_is_sealed_with(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        service = rig.service
        diffs: dict[int, str] = {}

        def look() -> None:
            pending = service.pending()
            below = service.views.view.head.height
            for number, diff in enumerate(pending_diff(service.views.view, pending), below + 1):
                diffs[number] = to_text(diff)

        service.listen(lambda: None, look)
        await rig.node.engine.writer.operate(RegisterPublisher("Delta", key_of(77))).answer
        await rig.blocks(2)
        view = service.views.view
        for height in range(1, rig.height + 1):
            record = view.block(height)
            assert record is not None
            assert diffs[height] == to_text(read_block(view, record).diff)


async def test_old_blocks_states_and_traces_are_what_they_were(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        with rig.service.views.at_head() as view:
            for height in range(rig.height + 1):
                record = view.block(height)
                assert record is not None
                block = await rig.service.block(view, record)
                assert await rig.service.block(view, record) is block or height == rig.height
                traces = await rig.service.traces(view, record)
                hashes = [each.receipt.transaction_hash for each in traces]
                assert hashes == [receipt.transaction_hash for receipt in block.receipts]
                state = await rig.service.state_at(view, record)
                assert isinstance(state, State)
                assert state.system.time_ms // 1_000 == block.header.timestamp


async def test_a_chain_that_halted_for_good_shows_its_head(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(1)
        rig.node.engine.halt(Halt(HaltCause.LAW_BROKEN, "a test"))
        assert rig.service.newest is rig.service.latest
        (block,) = rig.service.pending()
        assert block.number == rig.height + 1
        assert not block.transactions
        assert rig.service.latest.system.mode is not Mode.HALTED
        assert rig.service.finalized_height() == -1


async def test_what_is_kept_of_the_past_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "BLOCK_ENTRIES_CACHED", 4)
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        past = history.History(rig.reader, rig.reader)
        with rig.service.views.at_head() as view:
            records = [view.block(height) for height in range(1, 4)]
            blocks = [await past.block(view, record) for record in records if record is not None]
            newest, oldest = records[-1], records[0]
            assert newest is not None
            assert oldest is not None
            assert past.kept_block(newest) is blocks[-1]
            assert past.kept_block(oldest) is None
