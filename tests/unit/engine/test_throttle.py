"""A small share of the processor, held whatever the pieces of work are, and a prompt end."""

import threading

import pytest

from sequencer.engine.throttle import Stopped, Throttle
from sequencer.model.limits import BACKGROUND_WORK_MS

LONG = BACKGROUND_WORK_MS / 1_000


class Time:
    """A clock that stands still but for `work` and rests."""

    def __init__(self) -> None:
        self.now = 100.0
        self.worked = 0.0
        self.rested = 0.0

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.worked += seconds

    def rest(self, seconds: float) -> None:
        self.now += seconds
        self.rested += seconds


def throttled(time: Time, times: int = 9) -> Throttle:
    return Throttle(times, lambda: time.now, time.rest)


@pytest.mark.parametrize("times", [0, 1, 9])
@pytest.mark.parametrize("piece", [LONG / 50, LONG, 40 * LONG])
def test_it_rests_so_many_times_as_long_as_it_worked(times: int, piece: float) -> None:
    time = Time()
    throttle = throttled(time, times)
    throttle.begin()
    for _ in range(500):
        time.work(piece)
        throttle.pause()
    throttle.rest()
    assert time.rested == pytest.approx(times * time.worked)


def test_short_work_is_not_interrupted_and_long_work_is_at_the_next_pause() -> None:
    time = Time()
    throttle = throttled(time)
    time.work(LONG / 2)
    throttle.pause()
    assert time.rested == 0
    time.work(LONG)
    throttle.pause()
    assert time.rested == pytest.approx(9 * 1.5 * LONG)


def test_waiting_before_the_work_begins_is_no_work() -> None:
    time = Time()
    throttle = throttled(time)
    time.now += 1_000
    throttle.begin()
    time.work(LONG)
    throttle.rest()
    assert time.rested == pytest.approx(9 * LONG)


def test_it_stops_at_the_next_pause_and_out_of_a_rest() -> None:
    throttle = Throttle(10**9)
    resting, ended = threading.Event(), threading.Event()
    rest = throttle._rest

    def say_so(seconds: float) -> None:
        resting.set()
        rest(seconds)

    throttle._rest = say_so

    def work() -> None:
        try:
            while True:
                throttle.pause()
        except Stopped:
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert resting.wait(5)
    throttle.stop()
    thread.join(5)
    assert ended.is_set()
