"""Hypothesis strategies and small judges that several tests share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest
from hypothesis import strategies as st

from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import FELT_PRIME

Unchecked: TypeAlias = Any
"""A value that the type checker looks away from: decoded JSON, or a type that nobody may pass."""

EXTREME_FELTS = (0, 1, 2, 2**64, 2**128, 2**250, 2**251 - 1, 2**251, FELT_PRIME - 1)
NOT_FELTS = (-1, FELT_PRIME, 2**252, 2**256, -FELT_PRIME, True, False, None, 1.0, "1", "0x1", b"1")

felts = st.one_of(st.sampled_from(EXTREME_FELTS), st.integers(0, FELT_PRIME - 1))
felt_lists = st.lists(felts, max_size=5)
signable_hashes = st.one_of(st.sampled_from((1, 2, 2**250, 2**251 - 1)), st.integers(1, 2**251 - 1))
short_strings = st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=1, max_size=31)
"""Without NUL: a short string is a number, so characters of value 0 in front of it are lost."""


@contextmanager
def refused(reason: Reason) -> Iterator[None]:
    """Expect a refusal with exactly this reason."""
    with pytest.raises(Refused) as caught:
        yield
    assert caught.value.reason is reason, caught.value


def reason_of(call: Callable[[], object]) -> Reason | None:
    """Return the reason of the refusal that a call raises, or None where it returns."""
    try:
        call()
    except Refused as refusal:
        return refusal.reason
    return None
