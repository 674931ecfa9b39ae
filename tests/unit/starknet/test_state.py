"""State roots: published values, leaves, and that the way to a state does not matter."""

from collections.abc import Callable, Mapping
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.model.refusals import Reason
from sequencer.starknet.felt import FELT_PRIME, Felt
from sequencer.starknet.felt_hash import pedersen, poseidon
from sequencer.starknet.state import (
    CLASSES_TRIE,
    CONTRACTS_TRIE,
    Commitment,
    ContractLeaf,
    StateDiff,
    class_leaf_hash,
    commit,
    contract_leaf_hash,
    state_root,
)
from sequencer.starknet.trie import Reader, no_nodes
from sequencer.starknet.version import Version
from tests.reference_trie import Nodes, apply, build
from tests.strategies import Unchecked, felts, refused

BEFORE: Version = (0, 13, 6)
COMBINED: Version = (0, 14, 0)

BOTH = 0x6BEB971880D4B4996B10FE613B8D49FA3DDA8F8B63156C919077E08C534D06E
CLASSES_ONLY = 0x39EB9CA5F6C6DFDD4D91E3D1C03181B3C9BBC2BFE85E0D39B011BCD07CAC79A
GENESIS_CONTRACTS = 0x3C538D437670F4C6F72DD799F215A007720EC7D19BC64195C96399145D8746F
GENESIS_STATE = 0x68BCF9E9257AB6BFFD9425833A208AAAB6B85649FD21C787A546CB7CB9ABF


class State:
    """A keeper of nodes and leaves, as simple as can be."""

    def __init__(self) -> None:
        self.nodes: dict[int, Nodes] = {}
        self.leaves: dict[Felt, ContractLeaf] = {}
        self.root = 0

    def reader(self, trie: int) -> Reader:
        return self.nodes.get(trie, {}).get

    def leaf(self, address: Felt) -> ContractLeaf:
        return self.leaves.get(address, ContractLeaf())

    def take(self, diff: StateDiff, version: Version = BEFORE) -> Commitment:
        commitment = commit(self.reader, self.leaf, diff, version)
        for trie, changes in commitment.nodes.items():
            self.nodes[trie] = apply(self.nodes.get(trie, {}), changes)
        self.leaves |= commitment.contracts
        self.root = commitment.state_root
        return commitment


def no_leaf(_: Felt) -> ContractLeaf:
    return ContractLeaf()


def commit_alone(diff: StateDiff, version: Version = BEFORE) -> Commitment:
    return commit(lambda _: no_nodes, no_leaf, diff, version)


@pytest.mark.parametrize("version", [BEFORE, COMBINED, (0, 13, 2), (0, 14, 0, 1), (1, 0, 0)])
def test_state_roots(version: Version) -> None:
    assert state_root(0x123456, 0x789ABC, version) == BOTH
    assert state_root(0, 0x789ABC, version) == CLASSES_ONLY
    assert state_root(0, 0, version) == 0
    combined = state_root(0x123456, 0, version)
    assert (combined == 0x123456) == (version < COMBINED)


def test_the_genesis_of_0_14() -> None:
    commitment = commit_alone(StateDiff(storage={2: {0: 0x80}}), COMBINED)
    assert commitment.contracts_root == GENESIS_CONTRACTS
    assert commitment.classes_root == 0
    assert commitment.state_root == GENESIS_STATE
    assert commit_alone(StateDiff(storage={2: {0: 0x80}})).state_root == GENESIS_CONTRACTS


def test_leaves() -> None:
    assert contract_leaf_hash(ContractLeaf()) == 0
    assert contract_leaf_hash(ContractLeaf(1, 2, 3)) == (pedersen(pedersen(pedersen(1, 2), 3), 0))
    assert contract_leaf_hash(ContractLeaf(nonce=1)) != 0
    label = int.from_bytes(b"CONTRACT_CLASS_LEAF_V0", "big")
    assert class_leaf_hash(5) == poseidon(label, 5)


def test_an_empty_diff_changes_nothing() -> None:
    assert StateDiff().length() == 0
    commitment = commit_alone(StateDiff())
    assert commitment.state_root == commitment.contracts_root == commitment.classes_root == 0
    assert commitment.contracts == {}
    assert all(changes == {} for changes in commitment.nodes.values())


def test_deprecated_classes_leave_the_root_alone() -> None:
    diff = StateDiff(deprecated=[1, 2, 3])
    assert diff.length() == 3
    assert commit_alone(diff).state_root == 0


def test_a_contract_without_anything_is_absent() -> None:
    state = State()
    state.take(StateDiff(storage={5: {1: 2}}, nonces={5: 1}, classes={5: 9}))
    assert state.root != 0
    state.take(StateDiff(storage={5: {1: 0}}, nonces={5: 0}, classes={5: 0}))
    assert state.root == 0
    assert not any(state.nodes.values())


def test_migrated_classes_take_the_place_of_declared_ones() -> None:
    first, second = State(), State()
    first.take(StateDiff(declared={7: 1, 8: 2}))
    first.take(StateDiff(migrated={7: 3}))
    second.take(StateDiff(declared={7: 3, 8: 2}))
    assert first.root == second.root
    assert first.nodes == second.nodes


def test_a_leaf_keeps_what_a_diff_does_not_name() -> None:
    state = State()
    state.take(StateDiff(storage={5: {1: 2}}, nonces={5: 3}, classes={5: 4}))
    before = state.leaf(5)
    state.take(StateDiff(nonces={5: 6}))
    assert state.leaf(5) == ContractLeaf(before.class_hash, before.storage_root, 6)


def test_lengths_count_entries() -> None:
    diff = StateDiff(
        storage={1: {1: 1, 2: 0}, 2: {}, 3: {3: 3}},
        nonces={1: 1},
        classes={1: 1, 9: 9},
        declared={4: 4},
        migrated={5: 5},
        deprecated=[6, 7],
    )
    assert diff.length() == 3 + 1 + 2 + 1 + 1 + 2


addresses = st.one_of(st.integers(0, 4), st.sampled_from((2**250, 2**251 - 1)))
values = st.one_of(st.just(0), st.integers(0, 3), felts)
slots = st.dictionaries(addresses, values, max_size=3)
diffs = st.builds(
    StateDiff,
    storage=st.dictionaries(addresses, slots, max_size=3),
    nonces=st.dictionaries(addresses, values, max_size=2),
    classes=st.dictionaries(addresses, values, max_size=2),
    declared=st.dictionaries(addresses, felts, max_size=2),
    deprecated=st.lists(felts, max_size=2),
)


def backwards(entries: Mapping[Unchecked, Unchecked]) -> dict[Unchecked, Unchecked]:
    return {
        key: backwards(value) if isinstance(value, Mapping) else value
        for key, value in reversed(list(entries.items()))
    }


@settings(derandomize=True, deadline=None, max_examples=60)
@given(diffs)
def test_the_order_of_entries_never_matters(diff: StateDiff) -> None:
    turned = StateDiff(
        storage=backwards(diff.storage),
        nonces=backwards(diff.nonces),
        classes=backwards(diff.classes),
        declared=backwards(diff.declared),
        deprecated=diff.deprecated[::-1],
    )
    assert commit_alone(diff) == commit_alone(turned)


def merged(first: StateDiff, second: StateDiff) -> StateDiff:
    storage = {
        address: {**first.storage.get(address, {}), **second.storage.get(address, {})}
        for address in {*first.storage, *second.storage}
    }
    return StateDiff(
        storage=storage,
        nonces={**first.nonces, **second.nonces},
        classes={**first.classes, **second.classes},
        declared={**first.declared, **second.declared},
    )


def root_by_definition(diff: StateDiff, version: Version) -> Felt:
    """Build each trie whole from the final values of a diff."""
    leaves = {}
    for address in {*diff.storage, *diff.nonces, *diff.classes}:
        storage_root, _ = build(diff.storage.get(address, {}), 251, pedersen)
        whole = (diff.classes.get(address, 0), storage_root, diff.nonces.get(address, 0))
        leaves[address] = contract_leaf_hash(ContractLeaf(*whole))
    contracts_root, _ = build(leaves, 251, pedersen)
    compiled = {key: class_leaf_hash(value) for key, value in diff.declared.items()}
    return state_root(contracts_root, build(compiled, 251, poseidon)[0], version)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(diffs, min_size=1, max_size=4), st.sampled_from((BEFORE, COMBINED)))
def test_step_by_step_is_all_at_once(steps: list[StateDiff], version: Version) -> None:
    state = State()
    for step in steps:
        state.take(step, version)
    together = reduce(merged, steps)
    at_once = State()
    at_once.take(together, version)
    assert state.root == at_once.root == root_by_definition(together, version)
    assert {at: nodes for at, nodes in state.nodes.items() if nodes} == {
        at: nodes for at, nodes in at_once.nodes.items() if nodes
    }


def test_trie_ids_cannot_be_addresses() -> None:
    assert CONTRACTS_TRIE != CLASSES_TRIE
    assert max(CONTRACTS_TRIE, CLASSES_TRIE) < 0


OUTSIDE: tuple[tuple[Callable[[int], StateDiff], Reason, tuple[int, ...]], ...] = (
    (lambda bad: StateDiff(storage={bad: {1: 1}}), Reason.TRIE_KEY_OUT_OF_RANGE, (2**251, -1)),
    (lambda bad: StateDiff(storage={1: {bad: 1}}), Reason.TRIE_KEY_OUT_OF_RANGE, (2**251, -1)),
    (lambda bad: StateDiff(nonces={bad: 1}), Reason.TRIE_KEY_OUT_OF_RANGE, (2**251, -1)),
    (lambda bad: StateDiff(declared={bad: 1}), Reason.TRIE_KEY_OUT_OF_RANGE, (2**251, -1)),
    (lambda bad: StateDiff(storage={1: {1: bad}}), Reason.FELT_OUT_OF_RANGE, (FELT_PRIME, -1)),
    (lambda bad: StateDiff(nonces={1: bad}), Reason.FELT_OUT_OF_RANGE, (FELT_PRIME, -1)),
    (lambda bad: StateDiff(classes={1: bad}), Reason.FELT_OUT_OF_RANGE, (FELT_PRIME, -1)),
    (lambda bad: StateDiff(declared={1: bad}), Reason.FELT_OUT_OF_RANGE, (FELT_PRIME, -1)),
    (lambda bad: StateDiff(migrated={1: bad}), Reason.FELT_OUT_OF_RANGE, (FELT_PRIME, -1)),
)


@pytest.mark.parametrize(("diff_with", "reason", "bad"), OUTSIDE)
def test_numbers_out_of_range_are_refused(
    diff_with: Callable[[int], StateDiff], reason: Reason, bad: tuple[int, ...]
) -> None:
    for value in bad:
        with refused(reason):
            commit_alone(diff_with(value))
