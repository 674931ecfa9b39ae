"""The state's tries as of the last sealed block: nodes in memory, read from the store when missing.

Laws
- One block is sealed and committed before the next is sealed, so what the store shows at its head
  and what is kept here are the same tries.
- Memory is bounded: of two generations the older one is dropped when the younger is full.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from sequencer.chain.codec import encode_key
from sequencer.chain.commitment import Committed
from sequencer.chain.stored import TABLES, decode_node, decode_stored, trie_name
from sequencer.exchange.state import Table
from sequencer.model.limits import CONTRACT_LEAVES_CACHED, TRIE_HEIGHT_MAX, TRIE_NODES_CACHED
from sequencer.model.rows import Contract
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import pedersen
from sequencer.starknet.state import ContractLeaf
from sequencer.starknet.trie import Node, Position, Reader, root_of

_K = TypeVar("_K")
_V = TypeVar("_V")


class _Generations(Generic[_K, _V]):
    """A dictionary that forgets what was not asked for lately, half of its room at a time."""

    __slots__ = ("_older", "_room", "_younger")

    def __init__(self, room: int) -> None:
        self._room = max(1, room >> 1)
        self._younger: dict[_K, _V] = {}
        self._older: dict[_K, _V] = {}

    def get(self, key: _K, load: Callable[[_K], _V]) -> _V:
        found = self._younger.get(key)
        if found is None:
            found = self._older.get(key)
            self.put(key, load(key) if found is None else found)
            return self._younger[key]
        return found

    def put(self, key: _K, value: _V) -> None:
        if len(self._younger) >= self._room:
            self._older, self._younger = self._younger, {}
        self._younger[key] = value


_Place = tuple[int, int, int]
_Found = tuple[Node | None]
"""A node in a tuple of its own, so that a place known to be empty is no missing one."""


class TrieCache:
    """Tries over a store's state at its head; `view` returns it, and is asked at each miss."""

    def __init__(self, view: Callable[[], ChainView]) -> None:
        self._view = view
        self._nodes: _Generations[_Place, _Found] = _Generations(TRIE_NODES_CACHED)
        self._leaves: _Generations[Felt, ContractLeaf] = _Generations(CONTRACT_LEAVES_CACHED)

    def reader(self, trie: int) -> Reader:
        """Return how a trie is read."""
        nodes, load = self._nodes, self._load_node

        def read(position: Position) -> Node | None:
            return nodes.get((trie, *position), load)[0]

        return read

    def leaf(self, address: Felt) -> ContractLeaf:
        """Return a contract's leaf, all zero where there is none."""
        return self._leaves.get(address, self._load_leaf)

    def apply(self, committed: Committed) -> None:
        """Take over what a block changed."""
        for trie, changes in committed.nodes.items():
            for position, node in changes.items():
                self._nodes.put((trie, *position), (node,))
        for address, leaf in committed.commitment.contracts.items():
            self._leaves.put(address, leaf)

    def _load_node(self, place: _Place) -> _Found:
        trie, depth, path = place
        data = self._view().state().node(trie_name(trie), depth, path)
        return (None if data is None else decode_node(data),)

    def _load_leaf(self, address: Felt) -> ContractLeaf:
        number, key = TABLES[Table.CONTRACT].number, encode_key(address)
        data = self._view().state().row(number, key)
        if data is None:
            return ContractLeaf()
        contract: Contract = decode_stored(number, key, data)[2]
        storage_root = root_of(self.reader(address), TRIE_HEIGHT_MAX, pedersen)
        return ContractLeaf(contract.class_hash, storage_root, contract.nonce)
