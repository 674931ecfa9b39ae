"""What a block tells, each thing of it written once, however many are told.

Promises
- Equal topics read the same messages, and an event that many want is encoded once.
- What is told of a block is told the same way whether it is new, replayed or restored.

Laws
- A block that is not on the disk yet has no hash, and nothing here ever gives it one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import msgspec

from sequencer.api.starknet_rpc.wire import (
    ACCEPTED_ON_L2,
    PRE_CONFIRMED_STATUS,
    Emitted,
    Fields,
    emitted,
)
from sequencer.chain.block import Block, ClosedBlock
from sequencer.engine.reorgs import Reorg
from sequencer.model.records import Head
from sequencer.starknet.block import Header, Receipt
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.transactions import Transaction

_T = TypeVar("_T")


class Message(NamedTuple):
    """A notification without its subscription: the method, and the result as JSON."""

    method: str
    result: bytes


class Place(msgspec.Struct, frozen=True):
    """Where something is true: height and hash of a block, and the node's epoch.

    `block_hash` is None where the block is not on the disk yet.
    """

    height: int
    block_hash: Felt | None
    epoch: int

    @classmethod
    def of_head(cls, head: Head) -> "Place":
        """Return the place of a head."""
        return cls(head.height, int.from_bytes(head.block_hash, "big"), head.epoch)

    def fields(self) -> Fields:
        """Write a place on the disk."""
        hash_ = None if self.block_hash is None else format_felt(self.block_hash)
        return {"height": self.height, "block_hash": hash_, "epoch": self.epoch}


class Topic(msgspec.Struct, frozen=True):
    """What a subscription is about. `follows_blocks`: it is told of blocks, also of restored ones.

    Whatever is told of a thing follows from the topic and the thing alone.
    """

    follows_blocks: ClassVar[bool] = True

    @property
    def sees_pending(self) -> bool:
        """Say whether it is told of blocks that are not on the disk yet."""
        return False

    def of_block(self, news: "News") -> Sequence[Message]:
        """Return what a block, or a part of one that is open, tells."""
        return ()

    def of_waiting(self, transaction: Transaction, hash_: Felt) -> Sequence[Message]:
        """Return what a transaction tells that was accepted and waits for a block."""
        return ()

    def of_reorg(self, reorg: Reorg) -> Sequence[Message]:
        """Return what a rollback or an undo tells, ahead of the blocks that it restored."""
        return ()


class News:
    """A block, or what an open one holds more since the last look.

    `header` is None, and the place has no hash, before it is on the disk. `first` is the place in
    the block of the first transaction here, `serial` the number of a look at an open one.
    """

    def __init__(
        self,
        place: Place,
        transactions: Sequence[Transaction],
        receipts: Sequence[Receipt],
        header: Header | None = None,
        first: int = 0,
        serial: int = 0,
    ) -> None:
        self.place = place
        self.transactions = transactions
        self.receipts = receipts
        self.header = header
        self.first = first
        self.serial = serial
        self._kept: dict[object, Any] = {}

    @classmethod
    def of_block(cls, block: Block, epoch: int) -> "News":
        """Return the news of a block on the disk."""
        place = Place(block.header.number, block.hash, epoch)
        return cls(place, block.transactions, block.receipts, block.header)

    @classmethod
    def of_pending(cls, closed: ClosedBlock, first: int, epoch: int, serial: int) -> "News":
        """Return the news of a block above the head, from one of its transactions on."""
        place = Place(closed.number, None, epoch)
        transactions, receipts = closed.transactions[first:], closed.receipts[first:]
        return cls(place, transactions, receipts, None, first, serial)

    @property
    def finality(self) -> str:
        """Return how final its transactions are by being here."""
        return PRE_CONFIRMED_STATUS if self.header is None else ACCEPTED_ON_L2

    def once(self, key: object, make: Callable[[], _T]) -> _T:
        """Return what was made under a key, or make it now."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: _T = self._kept[key]
        return kept

    def messages(self, topic: Topic) -> Sequence[Message]:
        """Return what it tells about a topic."""
        return self.once(topic, lambda: topic.of_block(self))

    def has_written(self, topic: Topic) -> bool:
        """Say whether what it tells about a topic is there without work."""
        return topic in self._kept

    @property
    def emitted(self) -> Sequence[Emitted]:
        """Return its events in order."""
        return self.once("emitted", lambda: emitted(self.receipts, self.first))

    @property
    def positions(self) -> Mapping[Felt, int]:
        """Return where its transactions are in its lists, by their hashes."""
        receipts = enumerate(self.receipts)
        return self.once("positions", lambda: {each.transaction_hash: at for at, each in receipts})
