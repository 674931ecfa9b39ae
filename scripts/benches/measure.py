"""How a bench measures: rounds, medians, and the figure that it returns."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, NamedTuple


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
    return ", ".join(f"p{each} {percentile_ms(seconds, each)}" for each in (50, 95, 99))


def percentile_ms(seconds: Sequence[float], percent: int, digits: int | None = 2) -> float:
    """Return the time that so many of a hundred stay within, in milliseconds."""
    ordered = sorted(seconds)
    at = min(len(ordered) - 1, len(ordered) * percent // 100)
    return round(ordered[at] * 1_000, digits)


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


@contextmanager
def clocked(
    places: Sequence[tuple[str, Any, str]], now: Callable[[], float]
) -> Iterator[dict[str, float]]:
    """Add up the seconds of functions by the names that they go under, for as long as this lasts.

    `places`: that name, and the module or class that has the function, and what it is called there.
    """
    seconds: dict[str, float] = {}
    originals = [(owner, function, getattr(owner, function)) for _, owner, function in places]
    try:
        for name, owner, function in places:
            setattr(owner, function, _timed(getattr(owner, function), name, seconds, now))
        yield seconds
    finally:
        for owner, function, original in originals:
            setattr(owner, function, original)


def _timed(
    call: Callable[..., Any], name: str, seconds: dict[str, float], now: Callable[[], float]
) -> Callable[..., Any]:
    @wraps(call)
    def timed(*arguments: object, **named: object) -> object:
        start = now()
        try:
            return call(*arguments, **named)
        finally:
            seconds[name] = seconds.get(name, 0.0) + (now() - start)

    return timed
