"""What a node and a plugin's process say to each other comes back as it was."""

from collections.abc import Callable

import msgspec
import pytest

from sequencer.model.plugin_limits import PLUGIN_FRAME_BYTES_MAX
from sequencer.plugins.host.messages import (
    LENGTH_BYTES,
    AskOpinion,
    Begin,
    BlockParts,
    End,
    Failed,
    Judged,
    Message,
    Said,
    Taken,
    TellBlock,
    TellDone,
    TellRevert,
    read_down,
    read_length,
    read_up,
    write_frame,
)

PARTS = BlockParts(b"\x00\xff", b"header", b"body", bytes(32))
DOWN: list[Message] = [
    Begin("name", "module:Class", {"a": "b"}, "/folder", b"id", (3, 1), False, [(b"k", b"")]),
    Begin("name", "module:Class", {}, "/folder", b"", None, True, []),
    TellBlock((2**60, 0), PARTS),
    TellBlock((5, 2), PARTS, b"reorg"),
    TellRevert((5, 2), PARTS, None, b"diff", b"reorg"),
    TellRevert((5, 2), PARTS, PARTS, b"", b"reorg"),
    TellDone((5, 2), b"reorg"),
    AskOpinion("abcd", b"plan"),
    End(),
]
UP: list[Message] = [
    Taken([]),
    Taken([(b"k", b"v"), (b"", None)]),
    Judged(),
    Judged("words", veto=True),
    Failed("PLUGIN_RAISED", "\u00e4"),
    Said("line"),
]


def body(frame: bytes) -> bytes:
    length = read_length(frame[:LENGTH_BYTES])
    assert length == len(frame) - LENGTH_BYTES
    return frame[LENGTH_BYTES:]


@pytest.mark.parametrize(
    ("message", "read", "read_other"),
    [(each, read_down, read_up) for each in DOWN] + [(each, read_up, read_down) for each in UP],
    ids=lambda each: type(each).__name__ if isinstance(each, Message) else "",
)
def test_what_is_said_comes_as_it_was_and_to_nobody_else(
    message: Message, read: Callable[[bytes], Message], read_other: Callable[[bytes], Message]
) -> None:
    data = body(write_frame(message))
    assert read(data) == message
    with pytest.raises(msgspec.DecodeError):
        read_other(data)


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x80", b"hello", b"\x81\xa4type\xa4What"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    for read in (read_down, read_up):
        with pytest.raises(msgspec.DecodeError):
            read(data)


def test_a_length_that_no_message_has_is_refused() -> None:
    assert read_length((7).to_bytes(LENGTH_BYTES, "big"), bytes_max=7) == 7
    with pytest.raises(ValueError, match="a message of 8 bytes"):
        read_length((8).to_bytes(LENGTH_BYTES, "big"), bytes_max=7)
    with pytest.raises(ValueError, match="a message of "):
        read_length((PLUGIN_FRAME_BYTES_MAX + 1).to_bytes(LENGTH_BYTES, "big"))
