"""Items: one answer each, whether somebody waits for it or not."""

import asyncio
import gc

from sequencer.engine.items import Applied, Item
from sequencer.model.commands import SetMode
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.starknet.block import Receipt
from tests.unit.engine.builders import answer

DONE = Applied(7, 1, 0, Receipt(2, 0))


def an_item() -> Item:
    return Item(SetMode(Mode.OPEN), 0)


async def test_the_first_answer_counts() -> None:
    one, other = an_item(), an_item()
    one.refuse(Reason.HALTED, "first")
    one.apply(DONE)
    one.refuse(Reason.BUSY, "third")
    other.apply(DONE)
    other.refuse(Reason.HALTED, "second")
    assert await answer(one) is Reason.HALTED
    assert await answer(other) == DONE


async def test_whoever_asked_may_be_gone() -> None:
    one, other = an_item(), an_item()
    one.answer.cancel()
    other.answer.cancel()
    one.apply(DONE)
    other.refuse(Reason.BUSY, "")
    assert one.answer.cancelled()
    assert other.answer.cancelled()


async def test_a_refusal_that_nobody_reads_is_no_complaint() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
    an_item().refuse(Reason.BUSY, "nobody is there")
    gc.collect()
    assert not complaints
