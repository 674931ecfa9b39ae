"""The past, loaded for whoever asks: no address takes all the places there are."""

import asyncio
from pathlib import Path

from sequencer.engine.history import History
from sequencer.engine.worker import ASKER
from sequencer.exchange.state import State
from sequencer.model.api_limits import PAST_WAITING_PER_ADDRESS_MAX
from sequencer.model.refusals import Reason, Refused
from tests.unit.engine.builders import HeldWorker, InlineWorker
from tests.unit.engine.desks import operated


async def test_an_address_has_some_of_the_places_and_others_the_rest(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.blocks(PAST_WAITING_PER_ADDRESS_MAX + 1)
        worker, view = HeldWorker(), rig.service.views.view
        worker.free.clear()
        history = History(InlineWorker(), worker)
        refused, is_refused = list[Reason](), asyncio.Event()

        async def ask(asker: str, height: int) -> State | None:
            ASKER.set(asker)
            record = view.block(height)
            assert record is not None
            try:
                return await history.state_at(view, record)
            except Refused as busy:
                refused.append(busy.reason)
                is_refused.set()
                return None

        async with asyncio.TaskGroup() as group:
            heights = range(PAST_WAITING_PER_ADDRESS_MAX + 1)
            greedy = [group.create_task(ask("a", height)) for height in heights]
            modest = group.create_task(ask("b", PAST_WAITING_PER_ADDRESS_MAX))
            # What is loaded already is shared, whoever asked for it.
            shared = group.create_task(ask("a", 0))
            await is_refused.wait()
            await asyncio.sleep(0)
            worker.free.set()
        assert refused == [Reason.BUSY]
        assert greedy[-1].result() is None
        assert modest.result() is not None
        assert shared.result() is greedy[0].result()
        for height in heights:
            assert await ask("a", height) is not None
