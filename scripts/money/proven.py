"""A state of an appchain that owes withdrawals, by our own tries, and proofs of it to be bent."""

from collections.abc import Mapping, Sequence
from random import Random

import msgspec
from msgspec.structs import replace

from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.settlement.proofs import WithdrawalProof, withdrawal_slot
from sequencer.starknet.felt import ADDRESS_BOUND, Felt
from sequencer.starknet.felt_hash import pedersen, poseidon_array
from sequencer.starknet.state import ContractLeaf, contract_leaf_hash, state_root
from sequencer.starknet.trie import no_nodes, update
from sequencer.starknet.trie_node import Binary, Edge, Node
from sequencer.starknet.trie_proof import prove
from sequencer.starknet.version import STATE_ROOT_ALWAYS_COMBINED

EXCHANGE = 0x5C0FFEE5C0FFEE
_CLASSES_ROOT, _CLASS_HASH, _NONCE = 0xC1A55E5, 0xC1A55, 3
_OTHER_CONTRACTS = 20


class Withdrawn(msgspec.Struct, frozen=True):
    """A withdrawal; the amount in 1e-6 of the token."""

    id: Felt
    recipient: Felt
    amount: int


class _Trie:
    def __init__(self, leaves: Mapping[int, Felt]) -> None:
        done = update(no_nodes, leaves, TRIE_HEIGHT_MAX, pedersen)
        self.root = done.root
        self._nodes = {position: node for position, node in done.changes.items() if node}

    def path(self, key: int) -> tuple[Node, ...]:
        return tuple(prove(self._nodes.get, [key], TRIE_HEIGHT_MAX, pedersen).values())


class OwingState:
    """What the exchange owes, beside another contract that owes more, and others."""

    def __init__(self, owed: Sequence[Withdrawn], of_another: Sequence[Withdrawn]) -> None:
        self._exchange = _Trie(_slots(owed))
        self._other = _Trie(_slots([*owed, *of_another]))
        leaves = {
            pedersen(place, place) % ADDRESS_BOUND: place for place in range(1, _OTHER_CONTRACTS)
        }
        leaves |= {EXCHANGE: _leaf(self._exchange.root), EXCHANGE ^ 1: _leaf(self._other.root)}
        self._contracts = _Trie(leaves)
        self.root = state_root(self._contracts.root, _CLASSES_ROOT, STATE_ROOT_ALWAYS_COMBINED)

    def proof(self, withdrawal_id: Felt) -> WithdrawalProof:
        """Prove what the exchange has of a withdrawal, be it nothing."""
        return self._proof(EXCHANGE, self._exchange, withdrawal_id)

    def foreign_proof(self, withdrawal_id: Felt) -> WithdrawalProof:
        """Prove the other contract's slot, truly, up to the same root."""
        return self._proof(EXCHANGE ^ 1, self._other, withdrawal_id)

    def _proof(self, contract: Felt, storage: _Trie, withdrawal_id: Felt) -> WithdrawalProof:
        return WithdrawalProof(
            classes_root=_CLASSES_ROOT,
            class_hash=_CLASS_HASH,
            nonce=_NONCE,
            contract_nodes=self._contracts.path(contract),
            storage_nodes=storage.path(withdrawal_slot(withdrawal_id)),
        )


def bent(proof: WithdrawalProof, choose: Random) -> WithdrawalProof:
    """Change something about a proof, in one of many ways."""
    side = choose.choice(("storage_nodes", "contract_nodes"))
    nodes: list[Node] = list(getattr(proof, side))
    match choose.randrange(7):
        case 0:
            nodes.pop(choose.choice((0, -1)))
        case 1:
            nodes.append(Binary(1, 2))
        case 2:
            nodes.clear()
        case 3:
            return replace(proof, classes_root=proof.classes_root ^ 1)
        case 4:
            length = choose.choice((0, 3, 250, 251, 252, 255))
            nodes = [Edge(1, choose.choice((1, 2**200, 2**251 + 5)), length)]
        case 5:
            return replace(proof, nonce=proof.nonce + 1)
        case _:
            place = choose.randrange(len(nodes))
            nodes[place] = _flipped(nodes[place], choose)
    return replace(proof, **{side: tuple(nodes)})


def _flipped(node: Node, choose: Random) -> Node:
    bit = 1 << choose.randrange(250)
    if isinstance(node, Binary):
        return Binary(node.left ^ bit, node.right)
    length = choose.choice((node.length, node.length - 1, 0, 252))
    return Edge(node.child, node.path ^ choose.choice((0, 1)), length)


def _slots(owed: Sequence[Withdrawn]) -> dict[int, Felt]:
    return {
        withdrawal_slot(each.id): poseidon_array((each.id, each.recipient, each.amount))
        for each in owed
    }


def _leaf(storage_root: Felt) -> Felt:
    return contract_leaf_hash(ContractLeaf(_CLASS_HASH, storage_root, _NONCE))
