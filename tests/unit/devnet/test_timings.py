"""Measured times: kept from one process to the next, also where one was killed in a line."""

from pathlib import Path

from devnet.report.record import percentile, step_facts, timing_facts
from devnet.run_folder import RunNotes
from devnet.timings import TIMINGS_FILE, Stopwatch, Timed, read_timings


def test_two_processes_add_up(tmp_path: Path) -> None:
    with Stopwatch(tmp_path) as first:
        first.answer(5)
        first.block(1, 20, 30)
    with Stopwatch(tmp_path) as second:
        second.block(2, 21, 31)
        second.answer(7)
    times = [Timed(answer_us=5), Timed(1, 20, 30), Timed(2, 21, 31), Timed(answer_us=7)]
    assert read_timings(tmp_path) == times


def test_what_a_block_is_kept_with_is_there_after_a_kill(tmp_path: Path) -> None:
    stopwatch = Stopwatch(tmp_path)
    stopwatch.answer(5)
    stopwatch.block(1, 20, 30)
    assert read_timings(tmp_path) == [Timed(answer_us=5), Timed(1, 20, 30)]
    stopwatch.__exit__(None, None, None)


def test_a_line_that_was_cut_off_or_is_none_of_ours_is_left_out(tmp_path: Path) -> None:
    with Stopwatch(tmp_path) as stopwatch:
        stopwatch.block(1, 20, 30)
    path = tmp_path / TIMINGS_FILE
    path.write_bytes(path.read_bytes() + b'nonsense\n\xff\n{"height":"x"}\n{"height":2,"clo')
    assert read_timings(tmp_path) == [Timed(1, 20, 30)]


def test_without_a_file_nothing_was_measured(tmp_path: Path) -> None:
    assert read_timings(tmp_path) == []
    assert [*timing_facts([])] == []
    assert [*step_facts(RunNotes())] == []


def test_percentiles_are_values_that_were_measured() -> None:
    rising = [*range(1, 101)]
    assert [percentile(rising, percent) for percent in (0, 50, 99, 100)] == [1, 51, 100, 100]
    (answers, closed, sealed) = timing_facts([Timed(1, 20, 30), Timed(answer_us=5), Timed(2, 40)])
    assert (answers.count, answers.p50_us, answers.most_us) == (1, 5, 5)
    assert (closed.count, closed.most_us, sealed.count) == (2, 40, 1)


def test_only_steps_that_were_timed_are_there() -> None:
    notes = RunNotes(commit_microseconds=7_143, total_ms=2_204)
    assert [(step.name, step.took_us) for step in step_facts(notes)] == [
        *(("commit", 7_143), ("first order", 2_204_000))
    ]
