"""The state commitment: from changed slots, nonces and classes to Starknet's state root.

Promises
- `commit` is pure. It reads nodes and contract leaves, and returns everything that changed; the
  keeper writes it or forgets it.
- Leaves are worked out per contract first, so that each trie is updated once.

Laws
- A contract without class, nonce and storage has leaf 0: it is absent.
- Deprecated (Cairo 0) declarations do not enter the classes trie.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.felt_hash import Hash, pedersen, pedersen_fold, poseidon, poseidon_array
from sequencer.starknet.trie import Changes, Reader, update
from sequencer.starknet.version import STATE_ROOT_ALWAYS_COMBINED, Version

_CLASS_LEAF = encode_short_string("CONTRACT_CLASS_LEAF_V0")
_STATE = encode_short_string("STARKNET_STATE_V0")

CONTRACTS_TRIE = -1
"""Trie id of the contracts trie; a storage trie's id is its contract's address."""

CLASSES_TRIE = -2
"""Trie id of the classes trie."""


class ContractLeaf(msgspec.Struct, frozen=True):
    """What the contracts trie commits to for one address."""

    class_hash: Felt = 0
    storage_root: Felt = 0
    nonce: Felt = 0


class StateDiff(msgspec.Struct, frozen=True):
    """What one block changed.

    `storage`: address -> key -> value. `classes`: contracts deployed or given another class.
    `declared`: class hash -> compiled class hash, `migrated` the same for classes declared before.
    `deprecated`: Cairo 0 classes.
    """

    storage: Mapping[Felt, Mapping[Felt, Felt]] = {}
    nonces: Mapping[Felt, Felt] = {}
    classes: Mapping[Felt, Felt] = {}
    declared: Mapping[Felt, Felt] = {}
    migrated: Mapping[Felt, Felt] = {}
    deprecated: Sequence[Felt] = ()

    def length(self) -> int:
        """Count the entries, as the block header does."""
        slots = sum(len(entries) for entries in self.storage.values())
        named = len(self.nonces) + len(self.classes) + len(self.deprecated)
        return slots + named + len(self.declared) + len(self.migrated)


class Commitment(msgspec.Struct, frozen=True):
    """The roots after a diff, and what has to be kept: nodes per trie id, contract leaves."""

    state_root: Felt
    contracts_root: Felt
    classes_root: Felt
    nodes: dict[int, Changes]
    contracts: dict[Felt, ContractLeaf]


def contract_leaf_hash(leaf: ContractLeaf) -> Felt:
    """Return pedersen(pedersen(pedersen(class, storage root), nonce), 0), or 0 for no contract."""
    if leaf == ContractLeaf():
        return 0
    return pedersen_fold(leaf.class_hash, (leaf.storage_root, leaf.nonce, 0))


def class_leaf_hash(compiled_class_hash: Felt) -> Felt:
    """Return poseidon("CONTRACT_CLASS_LEAF_V0", compiled class hash)."""
    return poseidon(_CLASS_LEAF, compiled_class_hash)


def state_root(contracts_root: Felt, classes_root: Felt, version: Version) -> Felt:
    """Combine both roots: poseidon_array("STARKNET_STATE_V0", contracts root, classes root).

    Before 0.14.0 a chain without Sierra classes has the contracts root itself; an empty state is 0.
    """
    if contracts_root == 0 and classes_root == 0:
        return 0
    if classes_root == 0 and version < STATE_ROOT_ALWAYS_COMBINED:
        return contracts_root
    return poseidon_array((_STATE, contracts_root, classes_root))


def commit(
    read: Callable[[int], Reader],
    leaf: Callable[[Felt], ContractLeaf],
    diff: StateDiff,
    version: Version,
    hash_pair: Hash = pedersen,
) -> Commitment:
    """Apply a diff to the three kinds of tries.

    `read(trie id)` gives a trie's reader, `leaf(address)` a contract's present leaf (all zero where
    there is none). `hash_pair` is Pedersen, as the caller wants it to be worked out. Refusals:
    FELT_OUT_OF_RANGE, TRIE_KEY_OUT_OF_RANGE.
    """
    nodes: dict[int, Changes] = {}
    contracts: dict[Felt, ContractLeaf] = {}
    for address in sorted({*diff.storage, *diff.nonces, *diff.classes}):
        before = leaf(address)
        storage = update(read(address), diff.storage.get(address, {}), TRIE_HEIGHT_MAX, hash_pair)
        nodes[address] = storage.changes
        contracts[address] = ContractLeaf(
            class_hash=diff.classes.get(address, before.class_hash),
            storage_root=storage.root,
            nonce=diff.nonces.get(address, before.nonce),
        )
    leaves = {address: contract_leaf_hash(after) for address, after in contracts.items()}
    of_contracts = update(read(CONTRACTS_TRIE), leaves, TRIE_HEIGHT_MAX, hash_pair)
    compiled = {**diff.declared, **diff.migrated}
    class_leaves = {class_hash: class_leaf_hash(casm) for class_hash, casm in compiled.items()}
    of_classes = update(read(CLASSES_TRIE), class_leaves, TRIE_HEIGHT_MAX, poseidon)
    nodes |= {CONTRACTS_TRIE: of_contracts.changes, CLASSES_TRIE: of_classes.changes}
    return Commitment(
        state_root=state_root(of_contracts.root, of_classes.root, version),
        contracts_root=of_contracts.root,
        classes_root=of_classes.root,
        nodes=nodes,
        contracts=contracts,
    )
