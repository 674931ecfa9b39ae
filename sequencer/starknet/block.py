"""What a block commits to: transactions, events, receipts, the state diff, and the block hash.

Promises
- Formulas hold from Starknet 0.13.2 on; an older version is refused, never guessed.

Laws
- Each commitment over a list is a Poseidon Patricia trie of height 64 with keys 0 .. n - 1.
- The state diff is committed in sorted order, so the order of a diff's entries never matters.
"""

from collections.abc import Mapping, Sequence

import msgspec

from sequencer.model.limits import COMMITMENT_TRIE_HEIGHT
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt, encode_short_string, pack_felts, require_felt
from sequencer.starknet.felt_hash import (
    poseidon,
    poseidon_array,
    poseidon_arrays,
    starknet_keccak,
)
from sequencer.starknet.native import NATIVE
from sequencer.starknet.state import StateDiff
from sequencer.starknet.trie import no_nodes, update
from sequencer.starknet.version import BLOCK_HASH_0, BLOCK_HASH_1, Version, parse_version

_STATE_DIFF = encode_short_string("STARKNET_STATE_DIFF0")
_GAS_PRICES = encode_short_string("STARKNET_GAS_PRICES0")
_BLOCK_0 = encode_short_string("STARKNET_BLOCK_HASH0")
_BLOCK_1 = encode_short_string("STARKNET_BLOCK_HASH1")


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something a contract announced."""

    from_address: Felt
    keys: Sequence[Felt]
    data: Sequence[Felt]


class Message(msgspec.Struct, frozen=True, gc=False):
    """Something a contract sent to the settlement layer."""

    from_address: Felt
    to_address: Felt
    payload: Sequence[Felt]


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What became of a transaction. Fee in the smallest unit of the fee token; gas in units.

    `revert_reason` is None where the transaction succeeded.
    """

    transaction_hash: Felt
    actual_fee: Felt
    events: Sequence[Event] = ()
    messages: Sequence[Message] = ()
    revert_reason: str | None = None
    l1_gas: int = 0
    l1_data_gas: int = 0


class GasPrices(msgspec.Struct, frozen=True, gc=False):
    """Prices of one unit of each resource, in wei and in fri."""

    l1_wei: int
    l1_fri: int
    l1_data_wei: int
    l1_data_fri: int
    l2_wei: int = 0
    l2_fri: int = 0


class Commitments(msgspec.Struct, frozen=True, gc=False):
    """Everything that a block's content adds to its header."""

    transactions: Felt
    events: Felt
    receipts: Felt
    state_diff: Felt
    transaction_count: int
    event_count: int
    state_diff_length: int


class Header(msgspec.Struct, frozen=True, gc=False):
    """The fields of a block hash. `timestamp` in seconds; `blob` is the L1 availability mode."""

    number: int
    parent_hash: Felt
    state_root: Felt
    sequencer: Felt
    timestamp: int
    commitments: Commitments
    blob: bool
    prices: GasPrices
    starknet_version: str


def list_commitment(leaves: Sequence[Felt]) -> Felt:
    """Return the root of a list's trie; 0 for an empty list. Refusal: FELT_OUT_OF_RANGE."""
    if NATIVE is None:
        return update(no_nodes, dict(enumerate(leaves)), COMMITMENT_TRIE_HEIGHT, poseidon).root
    felts = pack_felts(require_felt(leaf) for leaf in leaves)
    return int.from_bytes(NATIVE.list_root(felts), "big")


def transaction_felts(
    transaction_hash: Felt, signature: Sequence[Felt], version: Version
) -> Sequence[Felt]:
    """Return what a transaction's leaf is the poseidon_array of: hash, *signature.

    Before 0.13.4 no signature counts as one 0.
    """
    if not signature and version < BLOCK_HASH_1:
        return (transaction_hash, 0)
    return (transaction_hash, *signature)


def event_felts(event: Event, transaction_hash: Felt) -> Sequence[Felt]:
    """Return the same of an event: from, transaction hash, |keys|, *keys, |data|, *data."""
    head = (event.from_address, transaction_hash)
    return (*head, len(event.keys), *event.keys, len(event.data), *event.data)


def receipt_felts(receipt: Receipt) -> Sequence[Felt]:
    """Return the same of a receipt: hash, fee, messages hash, revert hash, 0, L1 gas, L1 data gas.

    The slot of L2 gas is always 0; the revert hash is 0 or starknet_keccak of the reason.
    """
    reason = receipt.revert_reason
    revert_hash = 0 if reason is None else starknet_keccak(reason.encode())
    messages = messages_hash(receipt.messages) if receipt.messages else _NO_MESSAGES
    head = (receipt.transaction_hash, receipt.actual_fee, messages)
    return (*head, revert_hash, 0, receipt.l1_gas, receipt.l1_data_gas)


def messages_hash(messages: Sequence[Message]) -> Felt:
    """Return poseidon_array(count, then from, to, |payload|, *payload of each)."""
    felts = [len(messages)]
    for message in messages:
        felts += [message.from_address, message.to_address, len(message.payload), *message.payload]
    return poseidon_array(felts)


_NO_MESSAGES = messages_hash(())


def state_diff_commitment(diff: StateDiff) -> Felt:
    """Return the hash of a state diff in its sorted, counted form."""
    storage = {address: slots for address, slots in diff.storage.items() if slots}
    felts = [_STATE_DIFF, *_counted(diff.classes), *_counted({**diff.declared, **diff.migrated})]
    felts += [len(diff.deprecated), *sorted(diff.deprecated), 1, 0, len(storage)]
    for address in sorted(storage):
        felts += [address, *_counted(storage[address])]
    return poseidon_array(felts + _counted(diff.nonces))


def _counted(entries: Mapping[Felt, Felt]) -> list[Felt]:
    return [len(entries), *(felt for entry in sorted(entries.items()) for felt in entry)]


def commitments(
    transactions: Sequence[tuple[Felt, Sequence[Felt]]],
    receipts: Sequence[Receipt],
    diff: StateDiff,
    version: Version,
) -> Commitments:
    """Commit to a block's content. `transactions` are pairs of hash and signature, in order."""
    signed = [transaction_felts(hash_, signature, version) for hash_, signature in transactions]
    events = [
        event_felts(event, receipt.transaction_hash)
        for receipt in receipts
        for event in receipt.events
    ]
    return Commitments(
        transactions=list_commitment(poseidon_arrays(signed)),
        events=list_commitment(poseidon_arrays(events)),
        receipts=list_commitment(poseidon_arrays([receipt_felts(receipt) for receipt in receipts])),
        state_diff=state_diff_commitment(diff),
        transaction_count=len(transactions),
        event_count=len(events),
        state_diff_length=diff.length(),
    )


def block_hash(header: Header) -> Felt:
    """Return the block hash, version 0 before Starknet 0.13.4 and version 1 from then on.

    Refusals: BLOCK_VERSION_UNSUPPORTED before 0.13.2, BLOCK_MALFORMED for a count over 64 bits,
    FELT_OUT_OF_RANGE.
    """
    version = parse_version(header.starknet_version)
    if version < BLOCK_HASH_0:
        name = header.starknet_version
        raise Refused(Reason.BLOCK_VERSION_UNSUPPORTED, f"no block hash before 0.13.2: {name}")
    content, prices = header.commitments, header.prices
    l1 = (prices.l1_wei, prices.l1_fri, prices.l1_data_wei, prices.l1_data_fri)
    prefix, price_felts = _BLOCK_0, list(l1)
    if version >= BLOCK_HASH_1:
        prefix = _BLOCK_1
        price_felts = [poseidon_array((_GAS_PRICES, *l1, prices.l2_wei, prices.l2_fri))]
    roots = (content.state_diff, content.transactions, content.events, content.receipts)
    head = (header.number, header.state_root, header.sequencer, header.timestamp)
    tail = (encode_short_string(header.starknet_version), 0, header.parent_hash)
    return poseidon_array((prefix, *head, _packed_counts(header), *roots, *price_felts, *tail))


def _packed_counts(header: Header) -> Felt:
    content = header.commitments
    stated = (content.transaction_count, content.event_count, content.state_diff_length)
    if any(type(count) is not int or not 0 <= count < 1 << 64 for count in stated):
        raise Refused(Reason.BLOCK_MALFORMED, "a count of the block does not fit in 64 bits")
    counts = content.transaction_count << 192 | content.event_count << 128
    return counts | content.state_diff_length << 64 | (1 << 63 if header.blob else 0)
