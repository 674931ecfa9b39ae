"""The worker's thread: one, in order, apart from the loop, and what fails there is raised here."""

import asyncio
import threading

import pytest

from sequencer.engine.worker import ThreadWorker


async def test_work_is_done_in_order_in_one_other_thread() -> None:
    worker, done = ThreadWorker("test"), list[tuple[int, int]]()

    async def work(number: int) -> None:
        await worker.run(lambda: done.append((number, threading.get_ident())))

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(work(number))
    worker.close()
    assert [number for number, _ in done] == list(range(20))
    assert len({thread for _, thread in done}) == 1
    assert done[0][1] != threading.get_ident()


async def test_what_is_returned_or_raised_comes_back() -> None:
    worker = ThreadWorker("test")
    assert await worker.run(lambda: 7) == 7
    with pytest.raises(KeyError):
        await worker.run(lambda: dict[str, int]()["absent"])
    assert await worker.run(lambda: 8) == 8
    worker.close()


async def test_work_that_has_begun_is_finished_although_nobody_waits() -> None:
    worker, done = ThreadWorker("test"), list[int]()
    begun, go = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(5)
        done.append(1)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(worker.run(work))
        await asyncio.sleep(0)
        begun.wait(5)
        waiting.cancel()
    go.set()
    worker.close()
    assert done == [1]
