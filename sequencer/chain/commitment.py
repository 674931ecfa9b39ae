"""From row changes to the state root: what a block changed, as Starknet commits to it.

Promises
- Only the net effect counts: a row that ends as it began changes nothing, and the order of changes
  never matters.
- Pure: tries are read through readers, and what changed in them is returned.

Laws
- Every row of state is under the root: in slots of its contract, or as a leaf of the rows trie,
  whose root is a slot of the exchange.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from sequencer.chain.slots import (
    ROWS_ROOT_SLOT,
    ROWS_TRIE_HEIGHT,
    has_slots,
    row_leaf,
    row_place,
    slots_of,
)
from sequencer.exchange.state import Change, Table
from sequencer.model.rows import Contract
from sequencer.starknet.felt import ADDRESS_BOUND, Felt
from sequencer.starknet.felt_hash import Blake2s, Hash, pedersen, starknet_keccak
from sequencer.starknet.names import storage_address
from sequencer.starknet.state import Commitment, ContractLeaf, StateDiff, commit
from sequencer.starknet.trie import Changes, Pausing, Reader, update
from sequencer.starknet.version import Version, parse_version

STARKNET_VERSION = "0.14.2"
"""The protocol version in every header."""

PROTOCOL_VERSION = parse_version(STARKNET_VERSION)
"""The same in numbers."""

EXCHANGE_ADDRESS = starknet_keccak(b"perpchain.exchange") % ADDRESS_BOUND
"""The address of the exchange's contract."""

PUBLIC_KEY_SLOT = storage_address("Account_public_key")
"""The slot in which an account keeps its key."""

ROWS_TRIE = -3
"""Trie id of the rows trie, beside those of `starknet.state`."""

ROWS_HASH = Blake2s(b"pc-node")
"""The hash of the rows trie."""

Net: TypeAlias = dict[tuple[Table, Any], tuple[Any, Any]]
"""Row before and after, by table and key; the two differ."""


class Committed(msgspec.Struct, frozen=True):
    """What a block's changes come to: the diff, the roots and every node that changed."""

    diff: StateDiff
    commitment: Commitment
    nodes: dict[int, Changes]


def net_changes(changes: Iterable[Change]) -> Net:
    """Reduce a journal to the rows that really changed, in the order of their first change."""
    net: Net = {}
    for table, key, before, after in changes:
        first = net.get((table, key))
        net[table, key] = (before if first is None else first[0], after)
    return {place: pair for place, pair in net.items() if pair[0] != pair[1]}


def commit_changes(
    net: Net,
    read: Callable[[int], Reader],
    leaf: Callable[[Felt], ContractLeaf],
    version: Version,
    pause: Callable[[], None] | None = None,
) -> Committed:
    """Work out the state diff and the new state root.

    `read(trie id)` gives a trie's reader (a contract's storage, ROWS_TRIE, or those of
    `starknet.state`), `leaf(address)` a contract's present leaf. `pause` is called at every row
    and often in a trie, for whoever must not work without a rest. Broken law: SLOT_RANGE.
    """
    diff, rows_nodes = diff_of(net, read(ROWS_TRIE), pause)
    commitment = commit(read, leaf, diff, version, _pausing(pedersen, pause))
    return Committed(diff, commitment, {**commitment.nodes, ROWS_TRIE: rows_nodes})


def diff_of(
    net: Net, read_rows: Reader, pause: Callable[[], None] | None = None
) -> tuple[StateDiff, Changes]:
    """Return the state diff of row changes, and the nodes of the rows trie that change with them.

    `read_rows` reads the rows trie as it is before. Broken law: SLOT_RANGE.
    """
    diff, leaves = split_changes(net, pause)
    if not leaves:
        return diff, {}
    rows = update(read_rows, leaves, ROWS_TRIE_HEIGHT, _pausing(ROWS_HASH, pause))
    of_exchange = {**diff.storage.get(EXCHANGE_ADDRESS, {}), ROWS_ROOT_SLOT: rows.root}
    storage = {**diff.storage, EXCHANGE_ADDRESS: of_exchange}
    return msgspec.structs.replace(diff, storage=storage), rows.changes


def split_changes(
    net: Net, pause: Callable[[], None] | None = None
) -> tuple[StateDiff, dict[int, Felt]]:
    """Return what row changes do to slots, nonces and classes, and to leaves of the rows trie.

    The diff lacks the slot with the rows trie's root. Broken law: SLOT_RANGE.
    """
    storage: dict[Felt, dict[Felt, Felt]] = {}
    nonces: dict[Felt, Felt] = {}
    classes: dict[Felt, Felt] = {}
    declared: dict[Felt, Felt] = {}
    leaves: dict[int, Felt] = {}
    for (table, key), (before, after) in net.items():
        if pause is not None:
            pause()
        if table is Table.CONTRACT:
            _contract_changes(key, before, after, storage, nonces, classes)
        elif table is Table.CLASS:
            declared[key] = after.compiled_class_hash
        elif has_slots(table):
            slots = storage.setdefault(EXCHANGE_ADDRESS, {})
            slots.update(_slot_changes(table, key, before, after))
        else:
            leaves[row_place(table, key)] = row_leaf(after)
    filled = {address: slots for address, slots in storage.items() if slots}
    return StateDiff(filled, nonces, classes, declared), leaves


def _pausing(hash_pair: Hash, pause: Callable[[], None] | None) -> Hash:
    return hash_pair if pause is None else Pausing(hash_pair, pause)


def _contract_changes(
    address: Any,
    before: Contract | None,
    after: Contract,
    storage: dict[Felt, dict[Felt, Felt]],
    nonces: dict[Felt, Felt],
    classes: dict[Felt, Felt],
) -> None:
    was = before or Contract(0)
    if was.nonce != after.nonce:
        nonces[address] = after.nonce
    if was.class_hash != after.class_hash:
        classes[address] = after.class_hash
    if was.public_key != after.public_key:
        storage.setdefault(address, {})[PUBLIC_KEY_SLOT] = after.public_key


def _slot_changes(table: Table, key: Any, before: Any, after: Any) -> dict[Felt, Felt]:
    """Return the slots that a row's change sets; vacated ones become 0."""
    was = {} if before is None else slots_of(table, key, before)
    now = {} if after is None else slots_of(table, key, after)
    changed = {slot: value for slot, value in now.items() if was.get(slot) != value}
    return changed | dict.fromkeys(was.keys() - now.keys(), 0)
