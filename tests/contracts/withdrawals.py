"""An appchain's state that owes withdrawals, by our own tries: roots, claims and proofs of it."""

import random
from collections.abc import Mapping, Sequence

import msgspec

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.settlement.proofs import (
    Claim,
    WithdrawalProof,
    ordered_path,
    withdrawal_slot,
)
from sequencer.starknet.felt import ADDRESS_BOUND, FELT_PRIME
from sequencer.starknet.felt_hash import pedersen, poseidon_array
from sequencer.starknet.state import ContractLeaf, contract_leaf_hash, state_root
from sequencer.starknet.trie import Changes, no_nodes, update
from sequencer.starknet.trie_node import Node
from sequencer.starknet.trie_proof import prove
from sequencer.starknet.version import parse_version
from tests.contracts.settlement_world import CHAIN_ID

VERSION = parse_version("0.14.0")


class Withdrawn(msgspec.Struct, frozen=True):
    """A withdrawal; the amount in 1e-6 of the token."""

    withdrawal_id: int
    recipient: int
    amount: int

    def slots(self) -> dict[int, int]:
        """Return what it writes."""
        value = poseidon_array((self.withdrawal_id, self.recipient, self.amount))
        return {withdrawal_slot(self.withdrawal_id): value}


class Trie:
    """A trie over leaves, which can prove them."""

    def __init__(self, leaves: Mapping[int, int]) -> None:
        made = update(no_nodes, leaves, TRIE_HEIGHT_MAX, pedersen)
        self.root = made.root
        self._nodes: Changes = made.changes

    def nodes(self, key: int) -> list[Node]:
        """Return the nodes that prove a key, from the root down."""
        return [*prove(self._nodes.get, (key,), TRIE_HEIGHT_MAX, pedersen).values()]


class OwingState:
    """A state in which the exchange owes withdrawals, among other slots and contracts."""

    def __init__(self, choose: random.Random, owed: Sequence[Withdrawn], height: int = 5) -> None:
        slots = {
            choose.randrange(ADDRESS_BOUND): choose.randrange(1, FELT_PRIME) for _ in range(40)
        }
        for each in owed:
            slots |= each.slots()
        self.height = height
        self.storage = Trie(slots)
        self.classes_root = choose.randrange(FELT_PRIME)
        self.leaf = ContractLeaf(choose.randrange(FELT_PRIME), self.storage.root, 0)
        others = {
            choose.randrange(ADDRESS_BOUND): choose.randrange(1, FELT_PRIME) for _ in range(20)
        }
        leaves = others | {EXCHANGE_ADDRESS: contract_leaf_hash(self.leaf)}
        self.contracts = Trie(leaves)
        self.root = state_root(self.contracts.root, self.classes_root, VERSION)

    def proof(self, withdrawal_id: int) -> WithdrawalProof:
        """Prove a withdrawal."""
        slot = withdrawal_slot(withdrawal_id)
        contracts = self.contracts.nodes(EXCHANGE_ADDRESS)
        return WithdrawalProof(
            classes_root=self.classes_root,
            class_hash=self.leaf.class_hash,
            nonce=self.leaf.nonce,
            contract_nodes=ordered_path(self.contracts.root, EXCHANGE_ADDRESS, contracts),
            storage_nodes=ordered_path(self.storage.root, slot, self.storage.nodes(slot)),
        )

    def claim(self, owed: Withdrawn, contract: int = 0xC0) -> Claim:
        """Return what a withdrawal is claimed with."""
        return Claim(
            contract=contract,
            exchange=EXCHANGE_ADDRESS,
            chain_id=CHAIN_ID,
            height=self.height,
            state_root=self.root,
            withdrawal_id=owed.withdrawal_id,
            recipient=owed.recipient,
            amount=owed.amount,
            proof=self.proof(owed.withdrawal_id),
        )
