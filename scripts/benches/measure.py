"""How a bench measures: rounds, medians, and the figure that it returns."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number."""

    value: float
    unit: str
    note: str


class World(NamedTuple):
    """A chain's size: accounts, how many of them hold positions in all markets, blocks, and ids of
    orders that were there a moment ago."""

    accounts: int
    holders: int
    blocks: int = 1
    used_orders: int = 0


class Trading(NamedTuple):
    """A run of orders: on which chain, how many accounts trade and send, and for how long."""

    world: World
    traders: int
    messages: int
    seconds: int


class Sizes(NamedTuple):
    """How much work a run does."""

    rounds: int
    calls: int
    trie_leaves: int
    trie_updates: int
    commands: int
    samples: int
    trading: Trading
    history: World
    rollback: World
    settling_seconds: int


FULL = Sizes(
    5,
    calls=2_000,
    trie_leaves=100_000,
    trie_updates=2_000,
    commands=50_000,
    samples=200,
    trading=Trading(
        World(100_000, 5_000, used_orders=50_000), traders=2_000, messages=150_000, seconds=60
    ),
    history=World(100_000, 50_000, 100_000),
    rollback=World(10_000, 1_000, 10_050),
    settling_seconds=100,
)
QUICK = Sizes(
    3,
    calls=200,
    trie_leaves=5_000,
    trie_updates=500,
    commands=3_000,
    samples=20,
    trading=Trading(World(2_000, 200, used_orders=1_000), traders=200, messages=4_000, seconds=5),
    history=World(5_000, 2_500, 5_000),
    rollback=World(500, 50, 110),
    settling_seconds=3,
)


class Skipped(Exception):
    """A bench that needs what is not here; the message says what, and how to get it."""


def spread(seconds: Sequence[float]) -> str:
    """Say in milliseconds what half, 95 and 99 of a hundred times stay within."""
    ordered = sorted(seconds)
    return ", ".join(f"p{each} {percentile_ms(ordered, each)}" for each in (50, 95, 99))


def percentile_ms(seconds: Sequence[float], percent: int) -> float:
    """Return the time that so many of a hundred stay within, in milliseconds."""
    ordered = sorted(seconds)
    at = min(len(ordered) - 1, len(ordered) * percent // 100)
    return round(ordered[at] * 1_000, 2)


def seconds_of(work: Callable[[], object], rounds: int) -> float:
    """Return the median time of a piece of work, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def per_second(call: Callable[[int], object], sizes: Sizes, note: str) -> Figure:
    """Measure how often a call of one index runs in a second."""
    taken = seconds_of(lambda: [call(index) for index in range(sizes.calls)], sizes.rounds)
    return Figure(round(sizes.calls / taken), "per second", f"{note}; {sizes.calls} calls")
