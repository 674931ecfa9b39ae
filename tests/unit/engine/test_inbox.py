"""The queue that is waited for without taking: order, wake-ups, times."""

import asyncio
from random import Random

import pytest

from sequencer.engine.inbox import Inbox
from tests.unit.engine.builders import turns


async def test_what_is_put_comes_out_in_order_and_as_much_as_is_asked_for() -> None:
    inbox: Inbox[int] = Inbox()
    for number in range(5):
        inbox.put(number)
    assert len(inbox) == 5
    assert inbox.take(2) == [0, 1]
    assert inbox.take(9) == [2, 3, 4]
    assert inbox.take(9) == []


async def test_waiting_takes_nothing_and_returns_at_once_where_there_is_something() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1)
    await inbox.wait()
    await inbox.wait()
    assert inbox.take(1) == [1]


async def test_a_wake_without_an_item_ends_a_wait() -> None:
    inbox: Inbox[int] = Inbox()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(inbox.wait())
        await turns()
        assert not waiting.done()
        inbox.wake()
    assert not len(inbox)


async def test_a_wait_ends_with_its_time_and_not_before() -> None:
    inbox: Inbox[int] = Inbox()
    loop = asyncio.get_running_loop()
    started = loop.time()
    await inbox.wait(0.003)
    assert loop.time() - started >= 0.003


async def test_a_wait_that_is_cancelled_loses_nothing_and_is_cancelled() -> None:
    inbox: Inbox[int] = Inbox()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(inbox.wait(1))
        await turns()
        inbox.put(7)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert inbox.take(1) == [7]


@pytest.mark.parametrize("seed", range(5))
async def test_no_wake_up_is_lost(seed: int) -> None:
    inbox: Inbox[int] = Inbox()
    random, count, taken = Random(seed), 200, list[int]()

    async def put() -> None:
        for number in range(count):
            inbox.put(number)
            for _ in range(random.randrange(3)):
                await asyncio.sleep(0)

    async def take() -> None:
        while len(taken) < count:
            await inbox.wait()
            taken.extend(inbox.take(random.randrange(1, 4)))
            for _ in range(random.randrange(3)):
                await asyncio.sleep(0)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(take())
        group.create_task(put())
    assert taken == list(range(count))


async def test_a_run_ends_where_one_does_not_join() -> None:
    inbox: Inbox[int] = Inbox()
    for number in (1, 3, 5, 2, 4, 7):
        inbox.put(number)

    def is_odd(number: int) -> bool:
        return number % 2 == 1

    runs = [inbox.take_run(2, is_odd) for _ in range(6)]
    assert runs == [[1, 3], [5], [2], [4], [7], []]
