"""What is acknowledged was synced: a kill alone cannot show a sync that is missing.

The calls of a real node are traced. Each batch in the log has one sync of the log; a block has one
of the witness after that; and only then is anything said about the block.
"""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.crashing.nodes import SAID, load, running_node
from scripts.crashing.tracing import (
    Call,
    attached,
    kind_of,
    kinds_by_path,
    read_trace,
    texts_of,
    why_absent,
)

_LETTERS = {
    ("log", "write"): "w",
    ("log", "fdatasync"): "s",
    ("witness", "pwrite64"): "p",
    ("witness", "fdatasync"): "f",
}
_BLOCK_ENDS = ("witness", "fdatasync")
_BATCHES = re.compile(r"(?:w+s(?:pf)?)+")
_HEIGHT = re.compile(rb'"height":(\d+)')
_MAGIC = b"perpchain witness 1\n"
_MAIN = "from sequencer.__main__ import main; main()"


class Step(NamedTuple):
    """A call that has ended: when it began and ended, and what it was."""

    began: int
    ended: int
    kind: str
    call: Call


def steps_of(calls: list[Call], folder: Path) -> Iterator[Step]:
    kinds, open_calls = kinds_by_path(folder), dict[int, tuple[int, Call]]()
    for at, call in enumerate(calls):
        if call.began:
            open_calls[call.thread] = (at, call)
        if call.ended:
            began, first = open_calls.pop(call.thread)
            yield Step(began, at, kind_of(first, kinds), first)


def traced(folder: Path, program: str = _MAIN) -> list[Step]:
    """Run a node that acknowledges some blocks, and return what it did."""
    words = ("--block-interval-ms", "5")
    with (
        running_node(folder, *words, program=program) as (process, talk),
        attached(process.pid, folder) as trace,
    ):
        nonces: dict[str, int] = {}
        for _ in range(6):
            talk.send(load(nonces, 5))
            assert talk.until(lambda: len(talk.answers) >= talk.sent)
        process.send_signal(signal.SIGTERM)
        talk.drain()
        assert process.wait() == 0, (folder / SAID).read_text()
    assert all(answer.status == "applied" for answer in talk.answers)
    return since_a_block(sorted(steps_of(read_trace(trace), folder), key=lambda step: step.began))


def since_a_block(steps: list[Step]) -> list[Step]:
    """Leave out what strace has not seen from its beginning: up to the end of the first block."""
    synced = (step.ended for step in steps if (step.kind, step.call.name) == _BLOCK_ENDS)
    begin = next(synced, -1)
    return [step for step in steps if step.began > begin]


def batches(steps: list[Step]) -> str:
    return "".join(_LETTERS.get((step.kind, step.call.name), "") for step in steps)


def synced_at(steps: list[Step]) -> dict[int, int]:
    """When the witness of each block was on the disk, by height."""
    written = [step for step in steps if step.kind == "witness"]
    found = {}
    for write, sync in zip(written[::2], written[1::2], strict=True):
        (slot,) = (text for text in texts_of(write.call) if text.startswith(_MAGIC))
        found[int.from_bytes(slot[len(_MAGIC) + 8 : len(_MAGIC) + 16]) - 1] = sync.ended
    return found


def require_tracing() -> None:
    if reason := why_absent():
        pytest.skip(reason)


def test_each_answer_follows_one_sync_of_the_log_and_one_of_the_witness(tmp_path: Path) -> None:
    require_tracing()
    steps = traced(tmp_path)
    assert _BATCHES.fullmatch(batches(steps)), batches(steps)
    synced = synced_at(steps)
    said = [
        (int(height), step.began)
        for step in steps
        if step.kind == "answers"
        for text in texts_of(step.call)
        for height in _HEIGHT.findall(text)
    ]
    assert len(synced) >= 5
    later = [(height, at) for height, at in said if height >= min(synced)]
    assert len(later) > 20
    assert all(at > synced[height] for height, at in later)
    assert sorted(synced) == [*range(min(synced), max(synced) + 1)]


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("leveldb.plyvel = Unsynced(leveldb.plyvel)", "s"),
        ("witness.durable_sync = lambda descriptor: None", "f"),
    ],
    ids=["log", "witness"],
)
def test_a_missing_sync_is_seen(tmp_path: Path, change: str, missing: str) -> None:
    require_tracing()
    steps = traced(tmp_path, f"{_UNSYNCED}\n{change}\n{_MAIN}")
    assert set("wspf") - set(batches(steps)) == {missing}
    assert not _BATCHES.fullmatch(batches(steps))


_UNSYNCED = """
import sequencer.storage.leveldb as leveldb
import sequencer.storage.witness as witness

class Unsynced:
    def __init__(self, library):
        self.Error = library.Error
        self.library = library
    def DB(self, *arguments, **settings):
        return Database(self.library.DB(*arguments, **settings))

class Database:
    def __init__(self, database):
        self.database = database
    def __getattr__(self, name):
        return getattr(self.database, name)
    def write_batch(self, transaction, sync):
        return self.database.write_batch(transaction=transaction, sync=False)
"""
