"""State roots of published updates, each from its predecessor's state.

Promises
- A state is never changed: applying an update makes a new one that shares the untouched tries, so
  several updates may follow the same state.
- An update whose predecessor is missing, or was itself wrong, is not checked.
"""

from collections.abc import Iterator, Mapping

import msgspec

from sequencer.model.refusals import Refused
from sequencer.starknet.felt import Felt
from sequencer.starknet.published import StateUpdate
from sequencer.starknet.state import Commitment, ContractLeaf, StateDiff, commit
from sequencer.starknet.trie import Position, Reader
from sequencer.starknet.verdict import Finding, compare, not_checked
from sequencer.starknet.version import STATE_ROOT_ALWAYS_COMBINED, Version

_SUBJECT = "state root"
_BEFORE_COMBINED: Version = (0,)


class _State(msgspec.Struct, frozen=True):
    """A whole state: nodes per trie id, and contract leaves per address."""

    nodes: Mapping[int, Mapping[Position, bytes]] = {}
    contracts: Mapping[Felt, ContractLeaf] = {}

    def reader(self, trie: int) -> Reader:
        return self.nodes.get(trie, {}).get

    def leaf(self, address: Felt) -> ContractLeaf:
        return self.contracts.get(address, ContractLeaf())

    def after(self, commitment: Commitment) -> "_State":
        nodes = {**self.nodes}
        for trie, changes in commitment.nodes.items():
            merged = {**nodes.get(trie, {}), **changes}
            nodes[trie] = {at: node for at, node in merged.items() if node is not None}
        return _State(nodes, {**self.contracts, **commitment.contracts})


def check_roots(
    updates: Mapping[str, StateUpdate], versions: Mapping[str, Version]
) -> Iterator[Finding]:
    """Check every update's root against the state that its old root names.

    `versions` has the protocol version of those updates whose block is at hand; for another, both
    rules of the state root are tried. Yields one finding per file.
    """
    states: dict[Felt, _State] = {0: _State()}
    waiting = dict(updates)
    while ready := [name for name, update in waiting.items() if update.old_root in states]:
        for name in ready:
            try:
                yield _check_root(name, waiting.pop(name), states, versions.get(name))
            except Refused as refused:
                raise Refused(refused.reason, f"{name}: {refused.detail}") from None
    for name in waiting:
        yield not_checked(name, _SUBJECT, "no state with its old root is at hand")


def _check_root(
    name: str, update: StateUpdate, states: dict[Felt, _State], version: Version | None
) -> Finding:
    state = states[update.old_root]
    commitment = _commit(state, update.diff, update.new_root, version)
    if commitment.state_root == update.new_root:
        states[update.new_root] = state.after(commitment)
    return compare(name, _SUBJECT, update.new_root, commitment.state_root)


def _commit(state: _State, diff: StateDiff, expected: Felt, version: Version | None) -> Commitment:
    def with_rules_of(rules: Version) -> Commitment:
        return commit(state.reader, state.leaf, diff, rules)

    if version is not None:
        return with_rules_of(version)
    commitment = with_rules_of(_BEFORE_COMBINED)
    if commitment.state_root == expected:
        return commitment
    return with_rules_of(STATE_ROOT_ALWAYS_COMBINED)
