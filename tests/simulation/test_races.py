"""Some seeds of the simulation; `make simulate` runs a thousand."""

import asyncio
from collections import Counter
from functools import partial
from random import Random

import pytest

from scripts.simulating.campaign import OVERLAPS, run_seeds
from scripts.simulating.loop import Deadlock, RunAway, SimulatedLoop, run_simulated
from scripts.simulating.surroundings import SimulatedWorker

SEEDS = range(1, 25)


def test_no_law_is_broken_and_the_same_seed_gives_the_same_trace() -> None:
    # In a process of their own: what a run replaces by name must not be replaced for other tests.
    first = list(run_seeds([*SEEDS, SEEDS[0], SEEDS[1]], jobs=2))
    counts: Counter[str] = Counter()
    for outcome in first[: len(SEEDS)]:
        assert not outcome.violations
        counts.update(outcome.counts)
    assert [each.trace_hash for each in first[len(SEEDS) :]] == [
        each.trace_hash for each in first[:2]
    ]
    assert len({each.trace_hash for each in first}) == len(SEEDS)
    assert sum(counts[name] == 0 for name in OVERLAPS) < len(OVERLAPS) // 2
    for name in ("rollback", "undo", "plan stale", "stale plan applied again", "fill"):
        assert counts[name] > 5


def test_time_is_virtual_and_the_order_of_what_is_ready_follows_from_the_seed() -> None:
    def order_of(seed: int) -> tuple[list[int], float]:
        told: list[int] = []

        async def tell(number: int) -> None:
            await asyncio.sleep(3_600)
            told.append(number)

        async def run() -> float:
            await asyncio.gather(*map(tell, range(8)))
            return asyncio.get_running_loop().time()

        loop = SimulatedLoop(seed)
        return told, run_simulated(loop, run())

    orders = [order_of(seed) for seed in (1, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[2][0]
    assert {seconds for _, seconds in orders} == {3_600.0}


def test_whoever_waits_for_nothing_is_found() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    loop = SimulatedLoop(1)
    with pytest.raises(Deadlock):
        run_simulated(loop, wait())
    assert "wait" in loop.left[0]


def test_whoever_never_ends_is_stopped() -> None:
    loop = SimulatedLoop(1)
    loop.steps_max = 1_000

    def again() -> None:
        loop.call_later(1, again)

    async def wait() -> None:
        again()
        await loop.create_future()

    with pytest.raises(RunAway):
        run_simulated(loop, wait())


def test_a_worker_works_in_order_and_takes_time() -> None:
    done: list[tuple[int, float]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        worker = SimulatedWorker(Random(1), (0.01, 0.02), lambda: None)

        def note(number: int) -> None:
            done.append((number, loop.time()))

        await asyncio.gather(*(worker.run(partial(note, number)) for number in range(9)))
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 // 0)

    run_simulated(SimulatedLoop(1), run())
    times = [seconds for _, seconds in done]
    assert len(set(times)) == len(times) == 9
    assert times == sorted(times)
    assert times[0] >= 0.01
