"""The state's tries, whole and in memory: for genesis, verification and tests."""

from sequencer.chain.commitment import Committed
from sequencer.starknet.felt import Felt
from sequencer.starknet.state import ContractLeaf
from sequencer.starknet.trie import Node, Position, Reader


class Tries:
    """Nodes by trie id and position, and the contracts' leaves."""

    def __init__(self) -> None:
        self._nodes: dict[int, dict[Position, Node]] = {}
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
