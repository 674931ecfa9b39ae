"""One small history of the campaign of points, and stores that lie about it."""

from collections import Counter
from collections.abc import Callable

import pytest

from scripts.storing import points
from scripts.storing.histories import ACTS, tell
from sequencer.ports import StoreFailed
from sequencer.storage.key_value import Batch
from sequencer.storage.simulated import SimulatedDisk, SimulatedKeyValue, SimulatedWitness


def test_every_point_of_a_history_holds() -> None:
    (outcome,) = points.play([1])
    assert outcome.violated == ""
    assert outcome.counts["points"] > 300
    missing = [name for name in points.HAPPENINGS if not outcome.counts.get(name)]
    assert all(name.startswith("in ") for name in missing)


def test_a_history_follows_from_its_seed_and_some_have_every_kind_of_step() -> None:
    assert tell(3, 12).steps == tell(3, 12).steps != tell(4, 12).steps
    kinds = Counter(step.name for seed in range(12) for step in tell(seed, points.STEPS).steps)
    assert set(kinds) == set(ACTS)


def _half(write: Callable[[SimulatedKeyValue, Batch], None]) -> Callable[..., None]:
    def written(self: SimulatedKeyValue, batch: Batch) -> None:
        if len(batch) > 1:
            write(self, batch[: len(batch) // 2])
        write(self, batch)

    return written


def test_a_batch_in_two_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedKeyValue, "write", _half(SimulatedKeyValue.write))
    (outcome,) = points.play([1])
    assert "HEAD_MISSING" in outcome.violated or "no boundary" in outcome.violated


def test_a_write_after_a_failed_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    append = SimulatedDisk.append

    def again(self: SimulatedDisk, batch: Batch) -> None:
        try:
            append(self, batch)
        except StoreFailed:
            append(self, batch)

    monkeypatch.setattr(SimulatedDisk, "append", again)
    (outcome,) = points.play([1])
    assert "was acknowledged although a write failed" in outcome.violated


def test_a_witness_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimulatedWitness, "write", lambda self, witness: None)
    (outcome,) = points.play([1])
    assert outcome.violated != ""
