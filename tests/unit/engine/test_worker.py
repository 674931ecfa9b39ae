"""The worker's thread: one, in order, apart from the loop, and what fails there is raised here."""

import asyncio
import threading

import pytest

from sequencer.engine.worker import ASKER, FairWorker, ThreadWorker


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


async def test_askers_take_turns_however_much_one_of_them_asks_for() -> None:
    thread, done, go = ThreadWorker("test"), list[str](), threading.Event()
    worker = FairWorker(thread)

    async def ask(asker: str, number: int) -> None:
        ASKER.set(asker)
        await worker.run(lambda: done.append(f"{asker}{number}") if go.wait(5) else None)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask("a", number)) for number in range(6)]
        await asyncio.sleep(0)
        tasks += [group.create_task(ask("b", number)) for number in range(2)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        go.set()
    assert done == ["a0", "a1", "a2", "b0", "b1", "a4", "a5"]
    thread.close()


async def test_a_turn_that_nobody_waits_for_any_more_is_passed_on() -> None:
    thread, done, go = ThreadWorker("test"), list[int](), threading.Event()
    worker = FairWorker(thread)

    async def ask(number: int) -> None:
        await worker.run(lambda: done.append(number) if go.wait(5) else None)

    tasks = [asyncio.create_task(ask(number)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[0].add_done_callback(lambda _: tasks[2].cancel())
    go.set()
    await asyncio.wait(tasks)
    assert await worker.run(lambda: 7) == 7
    assert {0, 1, 3} <= set(done)
    thread.close()


async def test_whoever_gives_up_waits_until_what_was_lent_is_free_again() -> None:
    thread, go, done = ThreadWorker("test"), threading.Event(), list[str]()
    worker, begun = FairWorker(thread), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(5)
        done.append("work")

    async def ask() -> None:
        try:
            await worker.run(work)
        finally:
            done.append("asker")

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask())
        await asyncio.to_thread(begun.wait, 5)
        asking.cancel()
        await asyncio.sleep(0)
        assert not done
        go.set()
    assert done == ["work", "asker"]
    thread.close()
