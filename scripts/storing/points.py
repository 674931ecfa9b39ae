"""Enumerated points of a crash: every write of a seeded history fails in every way.

Promises
- Each write of the history, of database and witness, fails once and for ever, leaving nothing, a
  torn record or all of it unsynced, followed by the end of the process or a power cut. Each batch
  also meets a disk that is full. After some of them a write of the recovery fails, too.

Laws
- What failed is answered by a failure, after which that handle writes nothing and still reads the
  head that was acknowledged last.
- Opened again, the store is exactly the boundary before the step that was cut, or the one after it;
  never less than what was acknowledged. Rows have the head's digest, the trie is whole.
- From there the history goes on as if nothing had been: two steps of it always, now and then all.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from random import Random
from typing import NamedTuple

from scripts.campaigning.seeds import Outcome
from scripts.crashing.checking import Violation
from scripts.storing.chains import simulated, walked
from scripts.storing.histories import ACTS, Boundary, Told, copied, tell
from sequencer.model.records import Head, InboxFact
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage import keys
from sequencer.storage.encoding import decode_record
from sequencer.storage.simulated import Fault, SimulatedDisk, SimulatedKeyValue, Trace

HISTORIES_WHOLE, HISTORIES_RELEASE = 20, 200
"""Histories of a sample and of a release."""

STEPS = 28
"""Steps of a history."""

_GOES_ON_STEPS, _TO_THE_END_PART = 2, 12
_RECOVERY_PART = 3
_FACT = InboxFact(99, bytes(32), bytes(32), b"too late")

_WAYS = tuple(product(Trace, (False, True), (False, True)))

HAPPENINGS = (
    *(f"in {name}" for name in ACTS),
    *(f"left {trace.value}" for trace in Trace),
    *("once", "for ever", "process ended", "power cut", "disk full"),
    *("batch failed", "witness failed", "the old head came back", "the new head came back"),
    *("recovery wrote the witness", "a write of the recovery failed"),
    "gone on to the end",
)
"""What has to come about in a whole campaign, each at least once."""


class Point(NamedTuple):
    """Where and how a step of a history is cut. `write` counts from 1 within the step."""

    step: int
    write: int
    trace: Trace = Trace.NOTHING
    for_ever: bool = False
    power: bool = False
    full: bool = False

    def words(self) -> str:
        """Describe it in a line."""
        often = "for ever" if self.for_ever else "once"
        how = "disk full" if self.full else f"fails {often}, leaves {self.trace.value}"
        end = "power cut" if self.power else "process ended"
        return f"step {self.step}, write {self.write} {how}, {end}"


def play(seeds: Sequence[int]) -> list[Outcome]:
    """Strike all points of histories."""
    return [_play_one(seed) for seed in seeds]


def _play_one(seed: int) -> Outcome:
    told = tell(seed, STEPS)
    counts: Counter[str] = Counter()
    for number, point in enumerate(points_of(told)):
        counts["points"] += 1
        try:
            _Struck(told, point, Random(f"{seed} {number}"), counts).check()
        except (Violation, StoreFailed, LookupError) as error:
            words = f"history {seed}, {point.words()}: {error!r}"
            return Outcome(seed, words, dict(counts))
    return Outcome(seed, "", dict(counts))


def points_of(told: Told) -> Iterator[Point]:
    """List every point of a history."""
    for number, step in enumerate(told.steps):
        disk = copied(told.boundaries[number].disk)
        store = simulated(disk)
        opened = disk.writes
        step.take(store)
        for write in range(1, disk.writes - opened + 1):
            for trace, for_ever, power in _WAYS:
                yield Point(number, write, trace, for_ever, power)
        yield Point(number, 1, full=True, power=number % 2 == 0)


class _Struck:
    """One point of a history on a disk of its own."""

    def __init__(self, told: Told, point: Point, random: Random, counts: Counter[str]) -> None:
        self._told, self._point, self._random, self._counts = told, point, random, counts
        self._disk = copied(told.boundaries[point.step].disk, random.randrange(2**32))

    def check(self) -> None:
        """Cut the step, open the store again, and go on. Raises Violation."""
        self._cut()
        disk, point = self._disk, self._point
        disk.fault, disk.capacity_bytes = Fault(), 0
        if point.power:
            disk.power_cut()
        self._count("power cut" if point.power else "process ended")
        if self._random.randrange(_RECOVERY_PART) == 0:
            self._cut_recovery()
        step = self._recovered()
        is_whole = self._random.randrange(_TO_THE_END_PART) == 0
        last = len(self._told.steps) if is_whole else step + _GOES_ON_STEPS
        self._count("gone on to the end" if is_whole else "gone on for two steps")
        self._go_on(step, min(last, len(self._told.steps)))

    def _cut(self) -> None:
        disk, point, told = self._disk, self._point, self._told
        store = simulated(disk)
        if point.full:
            disk.capacity_bytes = disk.used_bytes + 1
        else:
            disk.fault = Fault(disk.writes + point.write, point.for_ever, point.trace)
            self._count(f"left {point.trace.value}")
            self._count("for ever" if point.for_ever else "once")
        step = told.steps[point.step]
        failure = _failure_of(lambda: step.take(store))
        if failure is None:
            raise Violation(f"{step.name} was acknowledged although a write failed")
        self._count(f"in {step.name}")
        if point.full:
            self._count("disk full")
        is_witness = failure.problem is StoreProblem.WITNESS_FAILED
        self._count("witness failed" if is_witness else "batch failed")
        writes = disk.writes
        again = _failure_of(lambda: store.record_inbox([_FACT]))
        _require(again is failure and disk.writes == writes, "written after a failed write")
        _require(store.head == _head_of(told.boundaries[point.step]), "another head is read")
        rows = len(list(store.checked_rows()))
        _require(rows == len(list(store.view.state().rows())), "rows are not served")

    def _cut_recovery(self) -> None:
        """Let the first write of the recovery fail, if it has one, and then power as well."""
        disk = self._disk
        for_ever, trace = self._random.random() < 0.5, self._random.choice((*Trace,))
        disk.fault = Fault(disk.writes + 1, for_ever, trace)
        failure = _failure_of(lambda: simulated(disk))
        disk.fault = Fault()
        if failure is not None:
            _require(failure.problem is StoreProblem.WITNESS_FAILED, f"recovery failed: {failure}")
            self._count("a write of the recovery failed")
            disk.power_cut()

    def _recovered(self) -> int:
        """Open the store, and return the number of the step that comes next."""
        disk, told, before = self._disk, self._told, self._point.step
        writes = disk.writes
        store = simulated(disk)
        if disk.writes > writes:
            self._count("recovery wrote the witness")
        found = _contents(disk)
        old, new = (found == told.boundaries[before + more].contents for more in (0, 1))
        _require(old or new, "it is no boundary of the step")
        self._count("the new head came back" if new else "the old head came back")
        _require(store.acknowledged, "the witness is lost")
        _require(store.head == _head_of(told.boundaries[before + new]), "another head")
        rows = len(list(store.checked_rows()))
        _require(rows == len(list(store.view.state().rows())), "rows are lost")
        walked(store.view.state())
        return before + new

    def _go_on(self, first: int, last: int) -> None:
        store = simulated(self._disk)
        for number in range(first, last):
            self._told.steps[number].take(store)
            same = _contents(self._disk) == self._told.boundaries[number + 1].contents
            _require(same, f"step {number} came to something else afterwards")

    def _count(self, name: str) -> None:
        self._counts[name] += 1


def _contents(disk: SimulatedDisk) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(SimulatedKeyValue(disk).scan(b"", b"\xff"))


def _head_of(boundary: Boundary) -> Head:
    key = keys.HEAD.key()
    head = dict(boundary.contents).get(key)
    return Head() if head is None else decode_record(key, head, Head)


def _failure_of(call: Callable[[], object]) -> StoreFailed | None:
    try:
        call()
    except StoreFailed as failure:
        return failure
    return None


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise Violation(words)
