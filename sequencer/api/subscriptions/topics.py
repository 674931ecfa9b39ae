"""What Starknet's five subscriptions tell.

Promises
- With PRE_CONFIRMED among the wanted statuses a thing is told once before its block is on the disk
  and once more with it; without, only then.
- A rollback is one notice for each subscription; an undo orphans nothing, and is none.

Laws
- RECEIVED is told when a transaction is accepted; there is no candidate on this chain.
"""

from collections.abc import Sequence, Set
from functools import partial

import msgspec

from sequencer.api.starknet_rpc.values import EventFilter
from sequencer.api.starknet_rpc.wire import (
    ACCEPTED_ON_L1,
    PRE_CONFIRMED_STATUS,
    RECEIVED,
    Emitted,
    Fields,
    emitted_fields,
    execution_fields,
    header_fields,
    receipt_fields,
    transaction_fields,
)
from sequencer.api.subscriptions.news import Message, News, Topic
from sequencer.engine.reorgs import Reorg
from sequencer.model.records import IncidentKind
from sequencer.starknet.felt import Felt, format_felt, format_hash
from sequencer.starknet.transactions import DeployAccountV3, Transaction

_HEADS, _EVENTS = "starknet_subscriptionNewHeads", "starknet_subscriptionEvents"
_STATUS = "starknet_subscriptionTransactionStatus"
_TRANSACTIONS = "starknet_subscriptionNewTransaction"
_RECEIPTS = "starknet_subscriptionNewTransactionReceipts"
_REORG = "starknet_subscriptionReorg"


class StarknetTopic(Topic, frozen=True):
    """A topic of Starknet's: each of them is told of rollbacks in the same words."""

    def of_reorg(self, reorg: Reorg) -> Sequence[Message]:
        """Return the one notice of a rollback: the blocks that are orphaned."""
        if reorg.kind is not IncidentKind.ROLLBACK:
            return ()
        fields = {
            "starting_block_hash": format_hash(reorg.first.block_hash),
            "starting_block_number": reorg.first.height,
            "ending_block_hash": format_hash(reorg.last.block_hash),
            "ending_block_number": reorg.last.height,
        }
        return (Message(_REORG, msgspec.json.encode(fields)),)


class Heads(StarknetTopic, frozen=True):
    """Headers of blocks on the disk."""

    def of_block(self, news: News) -> Sequence[Message]:
        """Return the header."""
        header, hash_ = news.header, news.place.block_hash
        if header is None or hash_ is None:
            return ()
        return (Message(_HEADS, msgspec.json.encode(header_fields(header, hash_))),)


class Events(StarknetTopic, frozen=True):
    """Events that pass a filter."""

    wanted: EventFilter = EventFilter()
    pre_confirmed: bool = False

    @property
    def sees_pending(self) -> bool:
        """Say whether it was asked for."""
        return self.pre_confirmed

    def of_block(self, news: News) -> Sequence[Message]:
        """Return the events, in order."""
        if news.header is None and not self.pre_confirmed:
            return ()
        found = [each for each in news.emitted if self.wanted.matches(each.event)]
        return [
            news.once((_EVENTS, each.transaction, each.position), partial(_event, news, each))
            for each in found
        ]


class Transactions(StarknetTopic, frozen=True):
    """Transactions by their senders; no senders are all. `proof_facts` are told where wanted."""

    finality: Set[str]
    senders: Set[Felt] = frozenset()
    proof_facts: bool = False

    @property
    def sees_pending(self) -> bool:
        """Say whether it was asked for."""
        return PRE_CONFIRMED_STATUS in self.finality

    def of_block(self, news: News) -> Sequence[Message]:
        """Return the transactions, in order."""
        return [
            news.once((_TRANSACTIONS, self.proof_facts, at), partial(self._written, news, at))
            for at in _wanted(news, self.finality, self.senders)
        ]

    def of_waiting(self, transaction: Transaction, hash_: Felt) -> Sequence[Message]:
        """Return the transaction, where that was asked for."""
        wanted = not self.senders or _sender_of(transaction) in self.senders
        if RECEIVED not in self.finality or not wanted:
            return ()
        return (self._message(transaction, hash_, RECEIVED),)

    def _written(self, news: News, at: int) -> Message:
        hash_ = news.receipts[at].transaction_hash
        return self._message(news.transactions[at], hash_, news.finality)

    def _message(self, transaction: Transaction, hash_: Felt, finality: str) -> Message:
        fields = transaction_fields(transaction, hash_, proof_facts=self.proof_facts)
        return Message(_TRANSACTIONS, msgspec.json.encode(fields | {"finality_status": finality}))


class Receipts(StarknetTopic, frozen=True):
    """Receipts by the senders of their transactions; no senders are all."""

    finality: Set[str]
    senders: Set[Felt] = frozenset()

    @property
    def sees_pending(self) -> bool:
        """Say whether it was asked for."""
        return PRE_CONFIRMED_STATUS in self.finality

    def of_block(self, news: News) -> Sequence[Message]:
        """Return the receipts, in order."""
        return [
            news.once((_RECEIPTS, at), partial(_receipt, news, at))
            for at in _wanted(news, self.finality, self.senders)
        ]


class Status(StarknetTopic, frozen=True):
    """How final one transaction is, and what became of it."""

    hash: Felt

    @property
    def sees_pending(self) -> bool:
        """Say yes: that is where most of them are seen first."""
        return True

    def of_block(self, news: News) -> Sequence[Message]:
        """Return the status that its block gives it."""
        return self._in_block(news, news.finality)

    def of_final_block(self, news: News) -> Sequence[Message]:
        """Return the status in a block that can never be rolled back."""
        return self._in_block(news, ACCEPTED_ON_L1)

    def of_waiting(self, transaction: Transaction, hash_: Felt) -> Sequence[Message]:
        """Return the status of the transaction while it waits."""
        return (self.waiting(),) if hash_ == self.hash else ()

    def waiting(self) -> Message:
        """Return the status of a transaction that waits for a block."""
        return self._written({"finality_status": RECEIVED})

    def _in_block(self, news: News, finality: str) -> Sequence[Message]:
        at = news.positions.get(self.hash)
        if at is None:
            return ()
        fields = execution_fields(news.receipts[at], "failure_reason")
        return (self._written({"finality_status": finality, **fields}),)

    def _written(self, status: Fields) -> Message:
        fields = {"transaction_hash": format_felt(self.hash), "status": status}
        return Message(_STATUS, msgspec.json.encode(fields))


def _wanted(news: News, finality: Set[str], senders: Set[Felt]) -> Sequence[int]:
    if news.finality not in finality:
        return ()
    everything = range(len(news.transactions))
    if not senders:
        return everything
    return [at for at in everything if _sender_of(news.transactions[at]) in senders]


def _sender_of(transaction: Transaction) -> Felt | None:
    """Return who sent a transaction; a message of the settlement chain has no sender here."""
    if isinstance(transaction, DeployAccountV3):
        return transaction.address()
    sender: Felt | None = getattr(transaction, "sender", None)
    return sender


def _event(news: News, emitted: Emitted) -> Message:
    fields = emitted_fields(emitted) | _block_fields(news) | {"finality_status": news.finality}
    return Message(_EVENTS, msgspec.json.encode(fields))


def _receipt(news: News, at: int) -> Message:
    fields = receipt_fields(news.transactions[at], news.receipts[at], news.finality)
    return Message(_RECEIPTS, msgspec.json.encode(fields | _block_fields(news)))


def _block_fields(news: News) -> Fields:
    fields: Fields = {"block_number": news.place.height}
    if news.place.block_hash is not None:
        fields["block_hash"] = format_felt(news.place.block_hash)
    return fields
