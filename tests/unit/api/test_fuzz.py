"""A short campaign of mutated requests against a server process; `make fuzz` is the long one."""

from scripts.fuzz import fuzz

REQUESTS = 3_000


def test_whatever_is_sent_is_answered_or_ends() -> None:
    outcome = fuzz("toy", REQUESTS, seed=1)
    assert not outcome.violations
    assert not outcome.missing
    assert outcome.counts["requests"] == REQUESTS
