"""A short campaign of mutated requests against a server process; `make fuzz` is the long one."""

from scripts.fuzz import fuzz

REQUESTS = 3_000


def test_whatever_is_sent_is_answered_or_ends() -> None:
    found = fuzz("toy", REQUESTS, 1, print)
    assert not found.violations
    assert not found.silent
    assert found.counters["requests"] == REQUESTS
