"""An appchain's state that owes withdrawals, by our own tries: roots, claims and proofs of it."""

import random
from collections.abc import Sequence

import msgspec

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.settlement.proofs import (
    Claim,
    WithdrawalProof,
    ordered_path,
    withdrawal_slot,
)
from sequencer.starknet.felt import ADDRESS_BOUND, FELT_PRIME
from sequencer.starknet.felt_hash import poseidon_array
from sequencer.starknet.state import ContractLeaf, contract_leaf_hash, state_root
from sequencer.starknet.version import parse_version
from tests.contracts.settlement_world import CHAIN_ID
from tests.proven_trie import ProvenTrie

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


class OwingState:
    """A state in which the exchange owes withdrawals, among other slots and contracts."""

    def __init__(self, choose: random.Random, owed: Sequence[Withdrawn], height: int = 5) -> None:
        slots = {
            choose.randrange(ADDRESS_BOUND): choose.randrange(1, FELT_PRIME) for _ in range(40)
        }
        for each in owed:
            slots |= each.slots()
        self.height = height
        self.storage = ProvenTrie(slots)
        self.classes_root = choose.randrange(FELT_PRIME)
        self.leaf = ContractLeaf(choose.randrange(FELT_PRIME), self.storage.root, 0)
        others = {
            choose.randrange(ADDRESS_BOUND): choose.randrange(1, FELT_PRIME) for _ in range(20)
        }
        leaves = others | {EXCHANGE_ADDRESS: contract_leaf_hash(self.leaf)}
        self.contracts = ProvenTrie(leaves)
        self.root = state_root(self.contracts.root, self.classes_root, VERSION)

    def proof(self, withdrawal_id: int) -> WithdrawalProof:
        """Prove a withdrawal."""
        slot = withdrawal_slot(withdrawal_id)
        contracts = self.contracts.path(EXCHANGE_ADDRESS)
        return WithdrawalProof(
            classes_root=self.classes_root,
            class_hash=self.leaf.class_hash,
            nonce=self.leaf.nonce,
            contract_nodes=ordered_path(self.contracts.root, EXCHANGE_ADDRESS, contracts),
            storage_nodes=ordered_path(self.storage.root, slot, self.storage.path(slot)),
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
