"""A call that tells a plugin of the chain: what it writes into its bucket counts whole, or not."""

from collections.abc import Sequence
from threading import get_ident

import msgspec

from sequencer.plugins.calling import Raised, Returned, call, one_line
from sequencer.plugins.context import NOBODY, MemoryBucket


class Kept(msgspec.Struct, frozen=True):
    """What a call wrote: keys with their values, None for what it removed."""

    changes: Sequence[tuple[bytes, bytes | None]]


class Unkept(msgspec.Struct, frozen=True):
    """Why nothing that a call wrote counts; `is_nonsense`: it returned something."""

    words: str
    is_nonsense: bool = False


def tell(plugin: object, bucket: MemoryBucket, method: str, *arguments: object) -> Kept | Unkept:
    """Call a method of somebody's plugin, if the plugin has it; in there alone its bucket opens."""
    bucket.writer = get_ident()
    outcome = call(plugin, method, *arguments)
    bucket.writer = NOBODY
    if isinstance(outcome, Returned) and outcome.value is None:
        return Kept(bucket.take_changes())
    bucket.undo_changes()
    if isinstance(outcome, Raised):
        return Unkept(outcome.words)
    return Unkept(f"returned {kind_of(outcome.value)} instead of nothing", is_nonsense=True)


def kind_of(value: object) -> str:
    """Name the kind of a value of somebody's: its text could be long, or raise."""
    return one_line(f"a value of type {type(value).__name__}")
