"""The state's tries as of the last sealed block: nodes in memory, read from the store when missing.

Laws
- One block is sealed and committed before the next is sealed, so what the store shows at its head
  and what is kept here are the same tries.
- Memory is bounded: of two generations the older one is dropped when the younger is full. What
  a block writes to one trie is in one generation, however much it is. A contract's leaf goes with
  its trie.
"""

from collections.abc import Callable

from sequencer.chain.codec import encode_key
from sequencer.chain.commitment import Committed
from sequencer.chain.stored import TABLES, decode_stored, trie_name
from sequencer.exchange.state import Table
from sequencer.model.cache_limits import TRIE_NODES_CACHED
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.rows import Contract
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import pedersen
from sequencer.starknet.state import ContractLeaf
from sequencer.starknet.trie import Position, Reader, root_of

_NO_NODE = b""
"""In place of a node: a place known to be empty is no missing one."""


class _Nodes:
    """Nodes of one trie: those asked for or written lately, and those of the time before.

    `leaf` is that of the contract whose trie it is, None where nobody has asked for it.
    """

    __slots__ = ("leaf", "older", "younger")

    def __init__(self) -> None:
        self.leaf: ContractLeaf | None = None
        self.younger: dict[Position, bytes] = {}
        self.older: dict[Position, bytes] = {}


class TrieCache:
    """Tries over a store's state at its head; `view` returns it, and is asked at each miss."""

    def __init__(self, view: Callable[[], ChainView]) -> None:
        self._view = view
        self._tries: dict[int, _Nodes] = {}
        self._room = max(1, TRIE_NODES_CACHED >> 1)
        self._younger_count = 0

    def reader(self, trie: int) -> Reader:
        """Return how a trie is read."""
        nodes, look = self._nodes(trie), self._look

        # Called for every node that an update touches, with the interpreter's lock held.
        def read(position: Position) -> bytes | None:
            return nodes.younger.get(position) or look(trie, position) or None

        return read

    def leaf(self, address: Felt) -> ContractLeaf:
        """Return a contract's leaf, all zero where there is none."""
        leaf = self._nodes(address).leaf
        if leaf is None:
            leaf = self._load_leaf(address)
            self._nodes(address).leaf = leaf
        return leaf

    def apply(self, committed: Committed) -> None:
        """Take over what a block changed."""
        for trie, changes in committed.nodes.items():
            written = {position: node or _NO_NODE for position, node in changes.items()}
            self._put(trie, written)
        for address, leaf in committed.commitment.contracts.items():
            self._nodes(address).leaf = leaf

    def _nodes(self, trie: int) -> _Nodes:
        nodes = self._tries.get(trie)
        if nodes is None:
            nodes = self._tries[trie] = _Nodes()
        return nodes

    def _look(self, trie: int, position: Position) -> bytes:
        nodes = self._nodes(trie)
        node = nodes.younger.get(position)
        if node is not None:
            return node
        node = nodes.older.get(position)
        if node is None:
            node = self._view().state().node(trie_name(trie), *position) or _NO_NODE
        self._put(trie, {position: node})
        return node

    def _put(self, trie: int, written: dict[Position, bytes]) -> None:
        if self._younger_count + len(written) > self._room:
            self._forget_older()
        younger = self._nodes(trie).younger
        before = len(younger)
        younger.update(written)
        self._younger_count += len(younger) - before

    def _forget_older(self) -> None:
        for trie, nodes in list(self._tries.items()):
            if not nodes.younger:
                del self._tries[trie]
            # Whoever still reads through a dropped trie's nodes finds none, and asks the cache.
            nodes.older, nodes.younger = nodes.younger, {}
        self._younger_count = 0

    def _load_leaf(self, address: Felt) -> ContractLeaf:
        number, key = TABLES[Table.CONTRACT].number, encode_key(address)
        data = self._view().state().row(number, key)
        if data is None:
            return ContractLeaf()
        contract: Contract = decode_stored(number, key, data)[2]
        storage_root = root_of(self.reader(address), TRIE_HEIGHT_MAX, pedersen)
        return ContractLeaf(contract.class_hash, storage_root, contract.nonce)
