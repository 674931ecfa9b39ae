"""The numbers in the unit tests in Cairo are those of our own Python."""

from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.settlement.proofs import withdrawal_slot
from sequencer.starknet.felt_hash import pedersen
from sequencer.starknet.trie_node import Binary, node_hash
from sequencer.starknet.trie_proof import proven_value
from tests.contracts.cairo_vectors import (
    ABSENT_ID,
    AMOUNT,
    EXCHANGE,
    PRESENT_ID,
    RECIPIENT,
    VECTORS,
    WITHDRAWALS,
    build_world,
    leaf_of,
    render,
    withdrawal_leaf,
)


def test_the_unit_tests_in_cairo_compare_with_our_own_numbers() -> None:
    assert VECTORS.read_text("utf-8") == render(), "run python -m tests.contracts.cairo_vectors"


def test_the_vectors_prove_what_they_say() -> None:
    world = build_world({each: (RECIPIENT, amount) for each, amount in WITHDRAWALS.items()})

    def proven(withdrawal_id: int) -> int:
        slot = withdrawal_slot(withdrawal_id)
        nodes = {node_hash(node, pedersen): node for node in world.exchange.path(slot)}
        return proven_value(world.exchange.root, slot, nodes, TRIE_HEIGHT_MAX, pedersen)

    assert proven(PRESENT_ID) == withdrawal_leaf(PRESENT_ID, RECIPIENT, AMOUNT)
    assert proven(ABSENT_ID) == 0
    last = world.contracts.path(EXCHANGE)[-1]
    assert isinstance(last, Binary)
    assert last.left == leaf_of(world.exchange)
    assert last.right == leaf_of(world.neighbour)
