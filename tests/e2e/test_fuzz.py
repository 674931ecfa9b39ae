"""A short campaign of mutated requests against a whole devnet; `make fuzz` is the long one."""

from scripts.fuzz import fuzz

REQUESTS = 2_000
CODES = (-32_700, -32_600, -32_601, -32_602)


def test_a_node_answers_whatever_is_sent_and_keeps_its_state() -> None:
    found = fuzz("node", REQUESTS, 2, print)
    assert not found.violations
    assert found.counters["requests"] == REQUESTS
    assert found.counters["results"] > 0
    assert all(found.counters[f"code {code}"] > 0 for code in CODES)
