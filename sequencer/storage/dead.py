"""Which sequences are dead: the intervals that rollbacks retired and no undo lifted.

Laws
- A rollback goes back to a live block, so two intervals either contain each other or are apart.
- What a block saw is decided by the intervals that ended before it: a block inside an interval
  sees its own branch, also after the rollback that orphaned it.
"""

from bisect import bisect_right
from collections.abc import Iterable

from sequencer.model.records import Collection, DeadInterval
from sequencer.ports import StoreFailed, StoreProblem


class Skips:
    """Intervals that a reader steps over: apart from each other, in order."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, intervals: Iterable[DeadInterval]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for interval in sorted(intervals, key=lambda each: (each.first, -each.last)):
            if self._lasts and interval.last <= self._lasts[-1]:
                continue
            self._firsts.append(interval.first)
            self._lasts.append(interval.last)

    def below(self, sequence: int) -> int:
        """Return the sequence itself, or where it is dead the last one below its interval."""
        at = bisect_right(self._firsts, sequence) - 1
        if at < 0 or sequence > self._lasts[at]:
            return sequence
        return self._firsts[at] - 1


class DeadIntervals:
    """All intervals of a store, in the order of their epochs."""

    __slots__ = ("_in_force", "all", "skips")

    def __init__(self, intervals: Iterable[DeadInterval]) -> None:
        self.all = tuple(sorted(intervals, key=lambda each: each.epoch))
        self._in_force = tuple(each for each in self.all if each.lifted_by == 0)
        self.skips = Skips(self._in_force)

    def skips_before(self, sequence: int) -> Skips:
        """Return what a reader at a sequence steps over."""
        return Skips(each for each in self._in_force if each.last < sequence)

    def is_live(self, sequence: int) -> bool:
        """Say whether no rollback retired a sequence."""
        return self.skips.below(sequence) == sequence

    def orphaned_by(self, sequence: int) -> int:
        """Return the id of the reorg that first retired a sequence, 0 for a live one."""
        return next((each.epoch for each in self.containing(sequence)), 0)

    def containing(self, sequence: int) -> list[DeadInterval]:
        """List the intervals in force that a sequence is in, oldest first."""
        return [each for each in self._in_force if each.first <= sequence <= each.last]

    def newest(self) -> DeadInterval | None:
        """Return the newest interval in force."""
        return self._in_force[-1] if self._in_force else None

    def with_interval(self, interval: DeadInterval) -> "DeadIntervals":
        """Return these intervals with one added, or replaced under its epoch."""
        return DeadIntervals([*(e for e in self.all if e.epoch != interval.epoch), interval])

    def uncollected(self) -> list[DeadInterval]:
        """List the intervals in force that still have state, oldest first."""
        return [each for each in self._in_force if each.collection is not Collection.DONE]

    def require_sound(self, epoch: int) -> None:
        """Fail with HEAD_INCONSISTENT where these cannot be all intervals of an epoch.

        Each epoch was made by a rollback, which left an interval, or by an undo, which lifted one.
        """
        made = [each.epoch for each in self.all]
        made += [each.lifted_by for each in self.all if each.lifted_by]
        ordered = all(0 < each.first <= each.last < each.sequence for each in self.all)
        if sorted(made) != list(range(1, epoch + 1)) or not ordered:
            raise StoreFailed(
                StoreProblem.HEAD_INCONSISTENT, f"dead intervals do not make epoch {epoch}"
            )
