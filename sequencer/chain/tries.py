"""The state's tries: what sealing needs of them, and a keeper that has them whole in memory."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sequencer.chain.commitment import PROTOCOL_VERSION, Committed, commit_changes
from sequencer.exchange.state import Table
from sequencer.starknet.felt import Felt
from sequencer.starknet.state import ContractLeaf
from sequencer.starknet.trie import Position, Reader


class TrieSource(Protocol):
    """Somebody who keeps the tries as of one block and takes over what the next one changes."""

    def reader(self, trie: int) -> Reader:
        """Return how a trie is read."""
        ...

    def leaf(self, address: Felt) -> ContractLeaf:
        """Return a contract's leaf, all zero where there is none."""
        ...

    def apply(self, committed: Committed) -> None:
        """Take over what a block changed."""
        ...


class Tries:
    """Nodes by trie id and position, and the contracts' leaves."""

    def __init__(self) -> None:
        self._nodes: dict[int, dict[Position, bytes]] = {}
        self._leaves: dict[Felt, ContractLeaf] = {}

    def reader(self, trie: int) -> Reader:
        """Return how a trie is read."""
        return self._nodes.setdefault(trie, {}).get

    def leaf(self, address: Felt) -> ContractLeaf:
        """Return a contract's leaf, all zero where there is none."""
        return self._leaves.get(address, ContractLeaf())

    def apply(self, committed: Committed) -> None:
        """Take over what a block changed."""
        for trie, changes in committed.nodes.items():
            nodes = self._nodes.setdefault(trie, {})
            for position, node in changes.items():
                if node is None:
                    nodes.pop(position, None)
                else:
                    nodes[position] = node
        self._leaves.update(committed.commitment.contracts)


def tries_of_rows(
    rows: Mapping[Table, Mapping[Any, Any]], pause: Callable[[], None] | None = None
) -> tuple[Tries, Felt]:
    """Build the tries of rows from nothing, and return them with the state root.

    Cost: every slot and every row of the state is hashed; `pause` is called in between.
    """
    tries = Tries()
    net = {(table, key): (None, row) for table, of in rows.items() for key, row in of.items()}
    committed = commit_changes(net, tries.reader, tries.leaf, PROTOCOL_VERSION, pause)
    tries.apply(committed)
    return tries, committed.commitment.state_root


def root_of_rows(rows: Mapping[Table, Mapping[Any, Any]]) -> Felt:
    """Return the state root of rows: the proof that rows and root belong together."""
    return tries_of_rows(rows)[1]
