"""A plugin's own process: it is told by the node over its pipes, and ends with it.

    python -m sequencer.plugins.host.child

Promises
- Whatever the plugin does with its thread, this process ends when the node's does, with all that
  is in its group.
- What the plugin prints goes where errors go; the pipe to the node carries answers alone.
- A call that fails changes nothing in the bucket, and is answered with the reason.
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from threading import Lock, Thread
from typing import BinaryIO, assert_never

from sequencer.chain.block import Block
from sequencer.chain.codec import decode_fields
from sequencer.chain.shipped_class import SHIPPED, class_fields
from sequencer.chain.stored import block_of, decode_body, decode_header
from sequencer.engine.plan import read_plan
from sequencer.model.plugins import ParkCause
from sequencer.model.refusals import Refused
from sequencer.plugins.calling import Raised, attempt, call, one_line
from sequencer.plugins.context import NOBODY, CallContext, MemoryBucket
from sequencer.plugins.host.messages import (
    LENGTH_BYTES,
    AskOpinion,
    Begin,
    BlockParts,
    End,
    Failed,
    FromPlugin,
    Judged,
    Said,
    Taken,
    TellBlock,
    TellDone,
    TellRevert,
    ToPlugin,
    read_down,
    read_length,
    write_frame,
)
from sequencer.plugins.loading import load_plugin
from sequencer.plugins.protocol import BlockAndStateUpdate, Classes, Key, Opinion, Reorg
from sequencer.plugins.telling import Kept, kind_of, tell
from sequencer.starknet.published import StateUpdate
from sequencer.starknet.state import StateDiff

_NOTHING = Taken()
_FILES_MAX = 1_024


class _Channel:
    """The two pipes: messages come in through a thread of their own."""

    def __init__(self, coming: BinaryIO, going: BinaryIO) -> None:
        self._coming, self._going = coming, going
        self._lock = Lock()
        self._messages: Queue[ToPlugin] = Queue()
        Thread(target=self._read, daemon=True).start()

    def next(self) -> ToPlugin:
        return self._messages.get()

    def send(self, message: FromPlugin) -> None:
        with self._lock:
            self._going.write(write_frame(message))
            self._going.flush()

    def say(self, words: str) -> None:
        self.send(Said(one_line(words)))

    def _read(self) -> None:
        try:
            while len(length := self._coming.read(LENGTH_BYTES)) == LENGTH_BYTES:
                self._messages.put(read_down(self._coming.read(read_length(length))))
        finally:
            # The node is gone. The plugin may be anywhere, and nobody is left to wait for it.
            if os.getpgrp() == os.getpid():
                os.killpg(os.getpid(), signal.SIGKILL)
            os._exit(0)


class _Plugin:
    """The plugin with what it was given."""

    def __init__(self, begin: Begin, say: Callable[[str], None]) -> None:
        self._bucket = MemoryBucket(begin.bucket)
        self._bucket.writer = NOBODY
        self.context = CallContext(
            name=begin.name,
            options=begin.options,
            folder=Path(begin.folder),
            chain_id=int.from_bytes(begin.chain_id, "big"),
            bucket=self._bucket,
            done=None if begin.done is None else Key(*begin.done),
            is_dry=begin.is_dry,
            say=say,
        )
        self._of_somebody: object = None
        self._use = begin.use

    def begin(self) -> FromPlugin:
        try:
            factory = load_plugin(self._use).factory
        except Refused as refused:
            return Failed(ParkCause.PLUGIN_INVALID.value, refused.detail)
        made = attempt(factory.__module__, factory)
        if isinstance(made, Raised):
            return Failed(ParkCause.PLUGIN_RAISED.value, made.words)
        self._of_somebody = made.value
        return self._call("init", self.context)

    def tell(self, message: TellBlock | TellRevert | TellDone) -> FromPlugin:
        reorg = decode_fields(message.reorg, 0, Reorg) if message.reorg else None
        self.context.enter(Key(*message.key), reorg)
        match message:
            case TellBlock(block=parts):
                block = _block_of(parts)
                classes = _classes_of(block.state_update.diff)
                return self._call("new_block", block.block, block.state_update, classes)
            case TellRevert(block=parts, parent=parent, reverse_diff=reverse):
                to = None if parent is None else _block_of(parent)
                diff = decode_fields(reverse, 0, StateDiff)
                return self._call("revert_block", _block_of(parts), to, diff)
            case TellDone():
                return self._call("reorg_done", reorg)
        assert_never(message)

    def judge(self, message: AskOpinion) -> FromPlugin:
        plan = read_plan(message.plan_id, message.plan)
        # It is asked between calls: what it wrote would belong to none of them.
        outcome = call(self._of_somebody, "may_reorg", plan)
        if isinstance(outcome, Raised):
            return Judged(f"no answer: it raised {outcome.words}")
        match outcome.value:
            case None:
                return Judged()
            case Opinion(words=str(words), veto=bool(veto)):
                return Judged(one_line(words) or "no words", veto)
        return Judged(f"no answer: it returned {kind_of(outcome.value)}")

    def end(self) -> None:
        call(self._of_somebody, "shutdown")

    def _call(self, method: str, *arguments: object) -> FromPlugin:
        outcome = tell(self._of_somebody, self._bucket, method, *arguments)
        if isinstance(outcome, Kept):
            return Taken(outcome.changes)
        if outcome.is_nonsense:
            return Failed(ParkCause.PLUGIN_NONSENSE.value, f"{method} {outcome.words}")
        return Failed(ParkCause.PLUGIN_RAISED.value, f"{method}: {outcome.words}")


def main() -> None:
    """Answer the node until it says that this is the end, or is gone."""
    _die_with_node()
    channel = _Channel(*_take_pipes())
    begin = channel.next()
    if not isinstance(begin, Begin):
        raise TypeError("the first message is not the beginning")
    plugin = _Plugin(begin, channel.say)
    message: ToPlugin = begin
    while not isinstance(message, End):
        channel.send(_answer(plugin, message))
        message = channel.next()
    plugin.end()
    # A thread of the plugin's that goes on keeps nobody waiting.
    sys.stderr.flush()
    os._exit(0)


def _answer(plugin: _Plugin, message: ToPlugin) -> FromPlugin:
    try:
        match message:
            case Begin():
                return plugin.begin()
            case AskOpinion():
                return plugin.judge(message)
            case TellBlock() | TellRevert() | TellDone():
                return plugin.tell(message)
            case End():
                return _NOTHING
    except KeyboardInterrupt:
        # No terminal reaches this process: the plugin raised it.
        return Failed(ParkCause.PLUGIN_RAISED.value, "KeyboardInterrupt")
    assert_never(message)


def _die_with_node() -> None:
    """Begin a process that ends this group with the node: where code keeps Python's lock for ever,
    no thread of this process could."""
    if sys.platform != "linux" or os.getpgrp() != os.getpid():
        return
    node = os.pidfd_open(os.getppid())
    if os.fork() == 0:
        os.closerange(0, node)
        os.closerange(node + 1, _FILES_MAX)
        select.select([node], [], [])
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.close(node)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes to the node away from whatever the plugin reads and prints."""
    coming, going = os.dup(0), os.dup(1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return os.fdopen(coming, "rb"), os.fdopen(going, "wb")


def _block_of(parts: BlockParts) -> BlockAndStateUpdate:
    header, body = decode_header(parts.header), decode_body(parts.body)
    block: Block = block_of(int.from_bytes(parts.hash, "big"), header, body)
    old_root = int.from_bytes(parts.old_root, "big")
    return BlockAndStateUpdate(
        block, StateUpdate(block.diff, old_root, header.state_root, block.hash)
    )


def _classes_of(diff: StateDiff) -> Classes:
    return {each: class_fields(SHIPPED[each].sierra) for each in diff.declared if each in SHIPPED}


if __name__ == "__main__":
    main()
