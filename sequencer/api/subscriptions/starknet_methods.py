"""Starknet's five subscriptions: what they may name, and what they begin with.

Promises
- Blocks are gone back to inclusively, and no further than the specification says (68).
- Filters are bounded: 67 for too many addresses, 34 for too many keys.

Laws
- Only a block of the live chain can be begun with: whoever names an orphaned one must hear that it
  is gone (24), and not follow a chain that has ended.
"""

from collections.abc import Callable, Sequence, Set

from sequencer.api.json_rpc import Parameter
from sequencer.api.starknet_rpc.errors import (
    BLOCK_NOT_FOUND,
    TOO_MANY_ADDRESSES,
    TOO_MANY_BLOCKS_BACK,
    starknet_error,
)
from sequencer.api.starknet_rpc.resolve import resolve_sealed
from sequencer.api.starknet_rpc.values import (
    INCLUDE_PROOF_FACTS,
    LATEST,
    BlockId,
    EventFilter,
    read_addresses,
    read_block_id,
    read_event_keys,
    read_felt,
    read_flags,
)
from sequencer.api.starknet_rpc.wire import ACCEPTED_ON_L2, PRE_CONFIRMED_STATUS, RECEIVED
from sequencer.api.subscriptions.beginnings import (
    Beginning,
    begin_with_blocks,
    begin_with_nothing,
    begin_with_status,
)
from sequencer.api.subscriptions.feed import Feed
from sequencer.api.subscriptions.news import Topic
from sequencer.api.subscriptions.topics import Events, Heads, Receipts, Status, Transactions
from sequencer.engine.lookup import find_place
from sequencer.model.api_limits import SUBSCRIPTION_ADDRESSES_MAX, SUBSCRIPTION_BLOCKS_BACK_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import Felt

Kind = tuple[str, Sequence[Parameter], Callable[..., tuple[Topic, Beginning]]]
"""A method's name and parameters, and what makes a topic and its beginning of their values."""

_NEWEST = BlockId(tag=LATEST)
_DURABLE = frozenset({ACCEPTED_ON_L2})
_CANDIDATE = "CANDIDATE"
_NOBODY: frozenset[Felt] = frozenset()


def starknet_kinds(feed: Feed) -> Sequence[Kind]:
    """Return Starknet's subscriptions."""

    def blocks(topic: Topic, block_id: BlockId) -> tuple[Topic, Beginning]:
        return topic, _from_block(feed, block_id)

    def heads(block_id: BlockId) -> tuple[Topic, Beginning]:
        return blocks(Heads(), block_id)

    def events(
        from_address: Set[Felt],
        keys: Sequence[Set[Felt]],
        block_id: BlockId,
        finality_status: str,
    ) -> tuple[Topic, Beginning]:
        wanted = EventFilter(from_address, keys)
        return blocks(Events(wanted, finality_status == PRE_CONFIRMED_STATUS), block_id)

    def status(transaction_hash: Felt, block_id: BlockId) -> tuple[Topic, Beginning]:
        return _status(feed, Status(transaction_hash))

    def transactions(
        finality_status: Set[str], sender_address: Set[Felt], tags: Set[str]
    ) -> tuple[Topic, Beginning]:
        with_proof_facts = INCLUDE_PROOF_FACTS in tags
        topic = Transactions(finality_status or _DURABLE, sender_address, with_proof_facts)
        return topic, begin_with_nothing

    def receipts(finality_status: Set[str], sender_address: Set[Felt]) -> tuple[Topic, Beginning]:
        return Receipts(finality_status or _DURABLE, sender_address), begin_with_nothing

    return (
        ("starknet_subscribeNewHeads", (_BLOCK,), heads),
        ("starknet_subscribeEvents", _OF_EVENTS, events),
        ("starknet_subscribeTransactionStatus", _OF_STATUS, status),
        ("starknet_subscribeNewTransactions", _OF_TRANSACTIONS, transactions),
        ("starknet_subscribeNewTransactionReceipts", _OF_RECEIPTS, receipts),
    )


def _statuses(*allowed: str) -> Parameter:
    return Parameter("finality_status", read_flags(*allowed), _DURABLE)


def _from_block(feed: Feed, block_id: BlockId) -> Beginning:
    view = feed.service.views.view
    first, last = resolve_sealed(feed.service, view, block_id), view.block(view.head.height)
    if last is None or view.orphaned_by(first):
        raise starknet_error(BLOCK_NOT_FOUND)
    if last.height - first.height > SUBSCRIPTION_BLOCKS_BACK_MAX:
        raise starknet_error(TOO_MANY_BLOCKS_BACK)
    return begin_with_blocks(feed.press, last, first.height, view.head.epoch)


def _status(feed: Feed, topic: Status) -> tuple[Topic, Beginning]:
    view = feed.service.views.view
    place = find_place(view, topic.hash)
    if place is None:
        return topic, begin_with_nothing
    return topic, begin_with_status(feed.press, topic, place.block, view.head.epoch)


def _read_block(value: object) -> BlockId:
    block_id = read_block_id(value)
    if block_id.tag not in ("", LATEST):
        raise Refused(Reason.PARAMETER_INVALID, f"a subscription begins with none: {shown(value)}")
    return block_id


def _read_addresses(value: object) -> frozenset[Felt]:
    count = len(value) if isinstance(value, list) else 1
    if count > SUBSCRIPTION_ADDRESSES_MAX:
        words = f"{count} addresses, {SUBSCRIPTION_ADDRESSES_MAX} allowed"
        raise starknet_error(TOO_MANY_ADDRESSES, words)
    return read_addresses(value)


def _read_finality(value: object) -> str:
    return next(iter(read_flags(PRE_CONFIRMED_STATUS, ACCEPTED_ON_L2)([value])))


_BLOCK = Parameter("block_id", _read_block, _NEWEST)
_SENDERS = Parameter("sender_address", _read_addresses, _NOBODY)
_OF_EVENTS = (
    Parameter("from_address", _read_addresses, _NOBODY),
    Parameter("keys", read_event_keys, ()),
    _BLOCK,
    Parameter("finality_status", _read_finality, ACCEPTED_ON_L2),
)
# A block is what starknet.js adds, and changes nothing.
_OF_STATUS = (
    Parameter("transaction_hash", read_felt),
    Parameter("block_id", read_block_id, _NEWEST),
)
_OF_TRANSACTIONS = (
    _statuses(RECEIVED, _CANDIDATE, PRE_CONFIRMED_STATUS, ACCEPTED_ON_L2),
    _SENDERS,
    Parameter("tags", read_flags(INCLUDE_PROOF_FACTS), frozenset()),
)
_OF_RECEIPTS = (_statuses(PRE_CONFIRMED_STATUS, ACCEPTED_ON_L2), _SENDERS)
