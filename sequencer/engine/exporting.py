"""A chain as an export: its blocks, and what it keeps that no live block says.

Promises
- Whoever makes a chain of it refuses what this one refuses: commands that a rollback undid, and
  reports as old as one that was ever taken.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from sequencer.chain.export import Kept, ReorgMark, SourceMark, UndoneMark, write_export
from sequencer.engine.lookup import live_blocks
from sequencer.engine.recovery import genesis_of
from sequencer.model.transfer_limits import EXPORT_MARKS_TOGETHER_MAX
from sequencer.ports import ChainView


def export_lines(view: ChainView) -> Iterator[bytes]:
    """Write a chain as the lines of an export. Failures: those of a read."""
    return write_export(genesis_of(view).encode(), live_blocks(view, 1), _kept(view))


def _kept(view: ChainView) -> Iterator[Kept]:
    reorgs = [ReorgMark(*each) for each in view.reorgs()]
    yield Kept(reorgs, is_latched=view.head.latch is not None)
    undone = _undone(view) if reorgs else iter(())
    while marks := list(islice(undone, EXPORT_MARKS_TOGETHER_MAX)):
        yield Kept(undone=marks)
    sources = _sources(view.high_waters())
    while newest := list(islice(sources, EXPORT_MARKS_TOGETHER_MAX)):
        yield Kept(sources=newest)


def _undone(view: ChainView) -> Iterator[UndoneMark]:
    for message_hash, mark in view.seen_marks():
        reorg_id = view.undone_by(mark.sequence)
        if reorg_id:
            yield UndoneMark(int.from_bytes(message_hash, "big"), mark.until_ms, reorg_id)


def _sources(high_waters: Iterable[tuple[bytes, int]]) -> Iterator[SourceMark]:
    return (SourceMark(source.decode(), time) for source, time in high_waters)
