"""What a recomputation found: one row per hash or per group of equal outcome."""

from enum import StrEnum

import msgspec

from sequencer.starknet.felt import Felt, format_felt


class Verdict(StrEnum):
    """Outcome of one comparison."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


class Finding(msgspec.Struct, frozen=True):
    """`count` comparisons of one kind in one file. Expected and computed are set on a failure."""

    file: str
    subject: str
    verdict: Verdict
    count: int = 1
    note: str = ""
    expected: str | None = None
    computed: str | None = None


def compare(file: str, subject: str, expected: Felt, computed: Felt, note: str = "") -> Finding:
    """Compare a published felt with the one computed here."""
    if expected == computed:
        return Finding(file, subject, Verdict.PASSED, note=note)
    texts = (format_felt(expected), format_felt(computed))
    return Finding(file, subject, Verdict.FAILED, 1, note, *texts)


def not_checked(file: str, subject: str, why: str) -> Finding:
    """Say that something was left out, and why."""
    return Finding(file, subject, Verdict.NOT_CHECKED, note=why)
