"""What a plugin is: a class of somebody's that is told of blocks and of reverts.

Promises
- `new_block` and `revert_block` come exactly once and in the chain's order, whatever is killed
  when: what a plugin writes into its bucket becomes durable together with how far it has come. A
  call that was cut off comes again, with the same key, and the bucket as it was before it.
- After every rollback or undo comes `reorg_done`. A rollback reverts its blocks one by one, the
  newest first; an undo brings the same blocks again, as new ones.
- A plugin that raises, hangs or dies is parked: it is told nothing more until the operator unparks
  or rebuilds it, and nothing else waits for it.

Laws
- The methods are those of Juno's plugin interface and mean the same; only `new_block` and
  `revert_block` are needed. All are called one at a time, in one thread.
- Whatever a plugin does outside its bucket it does once per key: keys rise, and are the same
  whenever a call is repeated. After a rebuild all of them come again, from the first.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from sequencer.chain.block import Block
from sequencer.engine.deliveries import ReorgFacts
from sequencer.engine.plan import Plan
from sequencer.starknet.felt import Felt
from sequencer.starknet.published import StateUpdate
from sequencer.starknet.state import StateDiff

Classes: TypeAlias = Mapping[Felt, Mapping[str, Any]]
"""Class hash -> the class as `starknet_getClass` returns it: the classes that a block declares."""

Reorg: TypeAlias = ReorgFacts
"""A rollback, or the undo of one: its id, its kind, why, which blocks, and the head after it."""


class Key(msgspec.Struct, frozen=True, order=True):
    """Names a call for ever: the commit that it tells of, and its place among the calls for it."""

    sequence: int
    step: int = 0

    def __str__(self) -> str:
        return f"{self.sequence}.{self.step}"


class BlockAndStateUpdate(msgspec.Struct, frozen=True):
    """A block with what it changed."""

    block: Block
    state_update: StateUpdate


class Opinion(msgspec.Struct, frozen=True):
    """What a plugin says to a plan: a warning, or (`veto`) that it shall not be done."""

    words: str
    veto: bool = False


class Bucket(Protocol):
    """A plugin's own key-value store. Keys are up to 255 bytes; there is a limit for all of it.

    What is written in a call is durable with the call, or gone with it.
    """

    def get(self, key: bytes) -> bytes | None:
        """Return a value, None where there is none."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value. Error: BucketFull, and nothing was set."""

    def delete(self, key: bytes) -> None:
        """Remove a key, if it is there."""

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """List keys that begin with `prefix`, with their values, in the order of the keys."""


class BucketFull(Exception):
    """The bucket has no room for that; the limit is in the message."""


class Context(Protocol):
    """What a plugin is given at `init`, and may keep."""

    @property
    def name(self) -> str:
        """Its name, under which its bucket and its place in the chain are kept."""

    @property
    def options(self) -> Mapping[str, str]:
        """What whoever configured it has said."""

    @property
    def folder(self) -> Path:
        """A folder of its own, which is there."""

    @property
    def chain_id(self) -> Felt:
        """The chain's id, a short string."""

    @property
    def bucket(self) -> Bucket:
        """Its own key-value store."""

    @property
    def done(self) -> Key | None:
        """The last call that is durable; None: nothing is, so outside the bucket begin anew."""

    @property
    def is_dry(self) -> bool:
        """A dry run: nothing that is done in it is kept, and nothing outside should be touched."""

    @property
    def key(self) -> Key:
        """The key of the call under way: what is done outside is done once per key."""

    @property
    def reorg(self) -> Reorg | None:
        """The rollback or undo that the call under way belongs to."""

    @property
    def say(self) -> Callable[[str], None]:
        """Takes a line of text for the operator's log."""


class Plugin(Protocol):
    """A plugin. A class that inherits from this one has the methods that it does not define."""

    def init(self, context: Context) -> None:
        """Begin, in a new process. Whatever it raises parks it."""

    def shutdown(self) -> None:
        """End; what takes too long is cut off, so nothing may depend on it."""

    def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> None:
        """Take the block on top of the last one."""

    def revert_block(
        self,
        from_block: BlockAndStateUpdate,
        to_block: BlockAndStateUpdate | None,
        reverse_state_diff: StateDiff,
    ) -> None:
        """Take back the last block, `from_block`; `to_block` is the last one then, if any is.

        Of `reverse_state_diff`, slots, nonces and classes of contracts are to be set, 0 where there
        was nothing: a contract that the block deployed has class 0. Declared classes are to be
        removed.
        """

    def reorg_done(self, reorg: Reorg) -> None:
        """Take note that a rollback or an undo is complete."""

    def may_reorg(self, plan: Plan) -> Opinion | None:
        """Say what speaks against a rollback, before it is done; None for nothing.

        Nobody waits long for the answer, and a veto can be overridden by the operator.
        """
