"""Calls of the native core together with what has to come of them."""

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple, TypeAlias

from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import CURVE_ORDER
from sequencer.starknet.native import Core

FELT_BYTES = 32
BOUND = 2**251
"""The first number that is too large for a message hash, an r, an s and an inverse of s."""

EDGES = (
    *(0, 1, 2, 3, 15, 16, 127, 128, 255, 256, 2**64, 2**128, 2**248 - 1, 2**248, 2**250),
    *(BOUND - 1, BOUND, BOUND + 1, CURVE_ORDER - 1, CURVE_ORDER, CURVE_ORDER + 1),
    *(FELT_PRIME - 2, FELT_PRIME - 1),
)
"""Felts at which something begins or ends."""

BEYOND = (FELT_PRIME, FELT_PRIME + 1, 2**252, 2**255, 2**256 - 1)
"""Numbers of 32 bytes that are no felts."""

BEYOND_MACHINE = "a number beyond the machine's"
"""How a count or a height is called that no machine word holds: the binding's own words count."""


class Raised(NamedTuple):
    """An exception that has to come, and words that its message has."""

    kinds: tuple[type[BaseException], ...]
    words: str


Expected: TypeAlias = bytes | tuple[bytes, object] | Raised | BaseException
"""An answer, or what is raised: of some kind, or the very object."""


class Call(NamedTuple):
    """One call: `inputs` things are handed in, and `counts` is what they are instances of.

    `shown` is the data and `about` the rest of what to report where the answer is wrong.
    """

    name: str
    run: Callable[[Core], object]
    expected: Expected
    shown: bytes
    inputs: int
    counts: Counter[str]
    about: str = ""


def malformed(
    name: str, words: str, shown: bytes, run: Callable[[Core], object], about: str = ""
) -> Call:
    """Make a call that has to end in a ValueError with these words."""
    raised = Raised((ValueError,), words)
    return Call(name, run, raised, shown, 1, Counter([cause(name, words)]), about)


def beyond_machine(name: str, run: Callable[[Core], object]) -> Call:
    """Make a call with a number that its parameter cannot hold."""
    raised = Raised((ValueError,), "")
    return Call(name, run, raised, b"", 1, Counter([cause(name, BEYOND_MACHINE)]))


def cause(name: str, words: str) -> str:
    """Name the counter of a refusal."""
    return f"{name}: refused: {words}"


def encoded(felts: Iterable[int]) -> bytes:
    """Write numbers of up to 256 bits behind each other."""
    return b"".join([felt.to_bytes(FELT_BYTES, "big") for felt in felts])


def any_felt(random: Random) -> int:
    """Make a felt, one in four at an edge."""
    return random.choice(EDGES) if random.random() < 0.25 else random.randrange(FELT_PRIME)


def cut_or_longer(random: Random, data: bytes, unit: int) -> bytes:
    """Change bytes so that they are no whole number of units."""
    more = random.randrange(1, unit)
    is_cut = random.random() < 0.5 and len(data) >= unit
    return data[:-more] if is_cut else data + random.randbytes(more)


def with_beyond(random: Random, felts: list[int]) -> bytes:
    """Write felts, one of which is none."""
    place = random.randrange(len(felts))
    return encoded([*felts[:place], random.choice(BEYOND), *felts[place + 1 :]])
