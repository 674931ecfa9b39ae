"""What a node and a plugin's process say to each other: one message down, one answer up.

Promises
- A block goes as it is stored, so that a node spends nothing on writing it again.

Laws
- A frame is its length in eight bytes and a MessagePack map with the name of its kind. Values with
  felts are in the layout of rows, for MessagePack has no such integers.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from sequencer.model.plugin_limits import PLUGIN_FRAME_BYTES_MAX

LENGTH_BYTES = 8
"""In front of each message."""


class Message(msgspec.Struct, frozen=True, tag=True):
    """The family of messages."""


class BlockParts(msgspec.Struct, frozen=True):
    """A block as it is stored, with the root before it."""

    hash: bytes
    header: bytes
    body: bytes
    old_root: bytes


class Begin(Message, frozen=True):
    """Make the plugin and call `init`. `done` is the last durable call, if there is one."""

    name: str
    use: str
    options: Mapping[str, str]
    folder: str
    chain_id: bytes
    done: tuple[int, int] | None
    is_dry: bool
    bucket: Sequence[tuple[bytes, bytes]]


class TellBlock(Message, frozen=True):
    """Call `new_block`. `key` names the call; `reorg` is what it belongs to, empty for nothing."""

    key: tuple[int, int]
    block: BlockParts
    reorg: bytes = b""


class TellRevert(Message, frozen=True):
    """Call `revert_block`."""

    key: tuple[int, int]
    block: BlockParts
    parent: BlockParts | None
    reverse_diff: bytes
    reorg: bytes


class TellDone(Message, frozen=True):
    """Call `reorg_done`."""

    key: tuple[int, int]
    reorg: bytes


class AskOpinion(Message, frozen=True):
    """Call `may_reorg`, with a plan as it is kept."""

    plan_id: str
    plan: bytes


class End(Message, frozen=True):
    """Call `shutdown`, and end."""


ToPlugin: TypeAlias = Begin | TellBlock | TellRevert | TellDone | AskOpinion | End


class Taken(Message, frozen=True):
    """The call returned. `changes` are what it wrote into its bucket, None for what it removed."""

    changes: Sequence[tuple[bytes, bytes | None]] = ()


class Judged(Message, frozen=True):
    """What the plugin says to a plan; no words are no objection."""

    words: str = ""
    veto: bool = False


class Failed(Message, frozen=True):
    """The call did not do what a call does: why it is parked, and the words."""

    cause: str
    words: str


class Said(Message, frozen=True):
    """A line for the operator's log, ahead of the answer."""

    words: str


FromPlugin: TypeAlias = Taken | Judged | Failed | Said

_DOWN: msgspec.msgpack.Decoder[ToPlugin] = msgspec.msgpack.Decoder(ToPlugin)
_UP: msgspec.msgpack.Decoder[FromPlugin] = msgspec.msgpack.Decoder(FromPlugin)


def write_frame(message: Message) -> bytes:
    """Write a message with its length in front."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def read_length(data: bytes, bytes_max: int = PLUGIN_FRAME_BYTES_MAX) -> int:
    """Read a length. Error: ValueError for one that no message has."""
    length = int.from_bytes(data, "big")
    if length > bytes_max:
        raise ValueError(f"a message of {length} bytes")
    return length


def read_down(data: bytes) -> ToPlugin:
    """Read a message to a plugin. Error: ValueError for bytes that are none."""
    return _DOWN.decode(data)


def read_up(data: bytes) -> FromPlugin:
    """Read an answer. Error: ValueError for bytes that are none."""
    return _UP.decode(data)
