"""The numbers that the unit tests in Cairo compare with, worked out by the node's own Python.

python -m tests.contracts.cairo_vectors     write contracts/tests/settlement/money/vectors.cairo
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import msgspec

from contracts.artifacts import FOLDER
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.settlement.proofs import withdrawal_slot
from sequencer.starknet.deposits import deposit_message, next_chain_hash
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.felt_hash import pedersen, poseidon_array
from sequencer.starknet.state import ContractLeaf, contract_leaf_hash, state_root
from sequencer.starknet.transactions import transaction_hash
from sequencer.starknet.trie_node import Binary, Node
from sequencer.starknet.version import STATE_ROOT_ALWAYS_COMBINED
from tests.proven_trie import ProvenTrie

VECTORS = FOLDER / "tests" / "settlement" / "money" / "vectors.cairo"

CHAIN_ID = encode_short_string("PERPCHAIN")
EXCHANGE = 0x5C0FFEE5C0FFEE5C0FFEE5C0FFEE5C0FFEE5C0FFEE5C0FFEE5C0FFEE5C0FFE0
CLASS_HASH = encode_short_string("exchange class")
CLASSES_ROOT = encode_short_string("classes root")
EXCHANGE_NONCE = 3
SETTLEMENT = encode_short_string("settlement")
RECIPIENT = encode_short_string("recipient")
AMOUNT = 2_500_000
ABSENT_ID = encode_short_string("absent")
PRESENT_ID = encode_short_string("withdrawal 7")
WITHDRAWALS = {
    encode_short_string(f"withdrawal {place}"): AMOUNT + place - 7 for place in range(40)
}
ACCOUNT_MAX = 2**251 - 257
DEPOSITS = ((encode_short_string("trader"), 1), (ACCOUNT_MAX, 10**15), (1, 77_000_000))


class World(msgspec.Struct, frozen=True):
    """A state of the appchain: the exchange's storage, its neighbour's, and all contracts."""

    exchange: ProvenTrie
    neighbour: ProvenTrie
    contracts: ProvenTrie

    @property
    def state_root(self) -> Felt:
        """Return what is posted."""
        return state_root(self.contracts.root, CLASSES_ROOT, STATE_ROOT_ALWAYS_COMBINED)


def withdrawal_leaf(withdrawal_id: Felt, recipient: Felt, amount: int) -> Felt:
    """Return what the exchange keeps of a withdrawal."""
    return poseidon_array((withdrawal_id, recipient, amount))


def build_world(withdrawals: Mapping[Felt, tuple[Felt, int]]) -> World:
    """Build a state in which these withdrawals, recipient and amount by id, are requested.

    Another contract, whose address differs in the last bit only, has a row for the absent one, too.
    """
    slots = {
        withdrawal_slot(each): withdrawal_leaf(each, recipient, amount)
        for each, (recipient, amount) in withdrawals.items()
    }
    others = {withdrawal_slot(ABSENT_ID): withdrawal_leaf(ABSENT_ID, RECIPIENT, AMOUNT)}
    storage, neighbour = ProvenTrie(slots), ProvenTrie(slots | others)
    leaves = {
        # The last node of the exchange's path is a branch.
        EXCHANGE: leaf_of(storage),
        EXCHANGE ^ 1: leaf_of(neighbour),
        **{pedersen(place, place) % 2**TRIE_HEIGHT_MAX: place for place in range(1, 30)},
    }
    return World(storage, neighbour, ProvenTrie(leaves))


def leaf_of(storage: ProvenTrie) -> Felt:
    """Return the leaf of a contract with this storage."""
    return contract_leaf_hash(
        ContractLeaf(class_hash=CLASS_HASH, storage_root=storage.root, nonce=EXCHANGE_NONCE)
    )


def message_hashes(settlement: Felt) -> list[Felt]:
    """Return the hash of each deposit's L1 handler transaction on the appchain."""
    return [
        transaction_hash(deposit_message(EXCHANGE, settlement, nonce, *deposit), CHAIN_ID)
        for nonce, deposit in enumerate(DEPOSITS)
    ]


def deposit_hashes(messages: Sequence[Felt]) -> list[Felt]:
    """Return the hash chain over messages."""
    return list(accumulate(messages, next_chain_hash, initial=0))[1:]


def render() -> str:
    """Return the text of vectors.cairo."""
    world = build_world({each: (RECIPIENT, amount) for each, amount in WITHDRAWALS.items()})
    messages = message_hashes(SETTLEMENT)
    numbers = {
        "CHAIN_ID": CHAIN_ID,
        "EXCHANGE": EXCHANGE,
        "CLASS_HASH": CLASS_HASH,
        "CLASSES_ROOT": CLASSES_ROOT,
        "EXCHANGE_NONCE": EXCHANGE_NONCE,
        "PRESENT_ID": PRESENT_ID,
        "ABSENT_ID": ABSENT_ID,
        "PRESENT_SLOT": withdrawal_slot(PRESENT_ID),
        "PRESENT_LEAF": withdrawal_leaf(PRESENT_ID, RECIPIENT, AMOUNT),
        "STATE_ROOT": world.state_root,
        **{f"MESSAGE_HASH_{place}": value for place, value in enumerate(messages)},
        **{f"DEPOSIT_HASH_{place}": value for place, value in enumerate(deposit_hashes(messages))},
    }
    paths = {
        "present": world.exchange.path(withdrawal_slot(PRESENT_ID)),
        "absent": world.exchange.path(withdrawal_slot(ABSENT_ID)),
        "of_neighbour": world.neighbour.path(withdrawal_slot(ABSENT_ID)),
        "contract": world.contracts.path(EXCHANGE),
    }
    lines = [line for name, value in numbers.items() for line in _constant(name, value)]
    functions = [line for name, nodes in paths.items() for line in _function(name, nodes)]
    head = "// Written by tests/contracts/cairo_vectors.py, which says what is what."
    opening = ["#[cfg(test)]", "mod vectors {", "    use super::ProofNode;", ""]
    return "\n".join([head, *opening, *lines, *functions, "}", ""])


def _constant(name: str, value: int) -> list[str]:
    head = f"    pub const {name}: felt252 ="
    line = f"{head} {value:#x};"
    return [line] if len(line) <= 100 else [head, f"        {value:#x};"]


def _function(name: str, nodes: Sequence[Node]) -> list[str]:
    shown = [f"            {line}" for node in nodes for line in _shown(node)]
    head = ["", f"    pub fn {name}() -> Array<ProofNode> {{", "        array!["]
    return [*head, *shown, "        ]", "    }"]


def _shown(node: Node) -> list[str]:
    if isinstance(node, Binary):
        kind, fields = "Binary", [f"{node.left:#x}", f"{node.right:#x}"]
    else:
        kind, fields = "Edge", [f"{node.path:#x}", str(node.length), f"{node.child:#x}"]
    inner = [f"        {field}," for field in fields]
    return [f"ProofNode::{kind}(", "    (", *inner, "    ),", "),"]


if __name__ == "__main__":
    VECTORS.write_text(render(), "utf-8", newline="\n")
