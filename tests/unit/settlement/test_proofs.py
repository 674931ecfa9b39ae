"""What is refused of a withdrawal's proof before it is sent, by the names of the contract."""

import random
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.settlement.claims import read_claim, write_claim
from sequencer.settlement.proofs import (
    Claim,
    ordered_path,
    proof_calldata,
    require_proof,
    withdrawal_slot,
)
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import pedersen
from sequencer.starknet.trie_node import Binary, Edge, Node, node_hash
from tests.contracts.withdrawals import OwingState, Withdrawn
from tests.proven_trie import flipped
from tests.strategies import refused

SEED = 20_240_808
OWED = [Withdrawn(0x1D00 + number, 0x5E00 + number, 10**6 + number) for number in range(30)]


@pytest.fixture(scope="module")
def state() -> OwingState:
    return OwingState(random.Random(SEED), OWED)


@pytest.fixture
def claim(state: OwingState) -> Claim:
    return state.claim(OWED[3])


def with_storage(claim: Claim, nodes: Sequence[Node]) -> Claim:
    return replace(claim, proof=replace(claim.proof, storage_nodes=tuple(nodes)))


def with_contracts(claim: Claim, nodes: Sequence[Node]) -> Claim:
    return replace(claim, proof=replace(claim.proof, contract_nodes=tuple(nodes)))


PATHS: list[tuple[str, Callable[[Claim, Sequence[Node]], Claim]]] = [
    ("storage_nodes", with_storage),
    ("contract_nodes", with_contracts),
]


def test_every_withdrawal_is_proven(state: OwingState) -> None:
    for each in OWED:
        require_proof(state.claim(each))


def test_what_is_not_owed_has_no_path(state: OwingState) -> None:
    slot = withdrawal_slot(0xABCD)
    with refused(Reason.PROOF_ABSENT):
        ordered_path(state.storage.root, slot, state.storage.path(slot))


def test_nodes_are_put_in_order_whatever_is_among_them(state: OwingState) -> None:
    choose, slot = random.Random(SEED), withdrawal_slot(OWED[0].withdrawal_id)
    nodes = [
        node for each in OWED for node in state.storage.path(withdrawal_slot(each.withdrawal_id))
    ]
    choose.shuffle(nodes)
    path = ordered_path(state.storage.root, slot, nodes)
    assert path == tuple(state.storage.path(slot))
    assert node_hash(path[0], pedersen) == state.storage.root


@pytest.mark.parametrize(("name", "with_nodes"), PATHS)
def test_any_changed_bit_is_found(
    claim: Claim, name: str, with_nodes: Callable[[Claim, Sequence[Node]], Claim]
) -> None:
    choose = random.Random(SEED)
    nodes: Sequence[Node] = getattr(claim.proof, name)
    for place, node in enumerate(nodes):
        for _ in range(8):
            bad = with_nodes(claim, [*nodes[:place], flipped(node, choose), *nodes[place + 1 :]])
            with pytest.raises(Refused) as caught:
                require_proof(bad)
            found = caught.value.reason
            expected = {Reason.PROOF_NODE, Reason.PROOF_LENGTH, Reason.PROOF_ABSENT}
            expected |= {Reason.PROOF_VALUE, Reason.ROOT_DIFFERS}
            assert found in expected
            # Below the first node the one above names the hash.
            if place:
                assert found in {Reason.PROOF_NODE, Reason.PROOF_LENGTH, Reason.PROOF_ABSENT}


@pytest.mark.parametrize(("name", "with_nodes"), PATHS)
def test_a_path_of_another_length_is_refused(
    claim: Claim, name: str, with_nodes: Callable[[Claim, Sequence[Node]], Claim]
) -> None:
    nodes: Sequence[Node] = getattr(claim.proof, name)
    with refused(Reason.PROOF_EMPTY):
        require_proof(with_nodes(claim, []))
    with refused(Reason.PROOF_LENGTH):
        require_proof(with_nodes(claim, nodes[:-1]))
    with refused(Reason.PROOF_LENGTH):
        require_proof(with_nodes(claim, [*nodes, nodes[-1]]))


@pytest.mark.parametrize("length", [0, 252, 2**40])
def test_an_edge_that_is_none_is_refused(claim: Claim, length: int) -> None:
    with refused(Reason.PROOF_NODE):
        require_proof(with_storage(claim, [Edge(child=1, path=0, length=length)]))
    with refused(Reason.PROOF_NODE):
        require_proof(with_storage(claim, [Edge(child=1, path=2**9, length=9)]))


def test_an_edge_past_the_leaf_is_refused(claim: Claim) -> None:
    bottom = Edge(child=1, path=0, length=TRIE_HEIGHT_MAX)
    top = Binary(*[node_hash(bottom, pedersen)] * 2)
    with refused(Reason.PROOF_LENGTH):
        require_proof(with_storage(claim, [top, bottom]))


@pytest.mark.parametrize("field", ["recipient", "amount"])
def test_another_payment_is_not_what_is_proven(claim: Claim, field: str) -> None:
    with refused(Reason.PROOF_VALUE):
        require_proof(replace(claim, **{field: getattr(claim, field) + 1}))


def test_the_path_of_another_withdrawal_is_refused(state: OwingState, claim: Claim) -> None:
    other = state.proof(OWED[4].withdrawal_id).storage_nodes
    with pytest.raises(Refused) as caught:
        require_proof(with_storage(claim, other))
    assert caught.value.reason in {Reason.PROOF_ABSENT, Reason.PROOF_NODE, Reason.PROOF_VALUE}


@pytest.mark.parametrize("field", ["class_hash", "nonce"])
def test_the_exchange_has_its_own_leaf(claim: Claim, field: str) -> None:
    proof = replace(claim.proof, **{field: getattr(claim.proof, field) + 1})
    with refused(Reason.PROOF_VALUE):
        require_proof(replace(claim, proof=proof))


def test_the_storage_of_another_state_is_refused(claim: Claim) -> None:
    other = OwingState(random.Random(SEED + 1), OWED)
    with refused(Reason.PROOF_VALUE):
        require_proof(with_storage(claim, other.claim(OWED[3]).proof.storage_nodes))


def test_another_contract_proves_nothing(claim: Claim) -> None:
    with pytest.raises(Refused) as caught:
        require_proof(replace(claim, exchange=claim.exchange ^ 1))
    assert caught.value.reason is Reason.PROOF_ABSENT


def test_another_root_is_refused(claim: Claim) -> None:
    with refused(Reason.ROOT_DIFFERS):
        require_proof(replace(claim, state_root=claim.state_root ^ 1))
    proof = replace(claim.proof, classes_root=claim.proof.classes_root ^ 1)
    with refused(Reason.ROOT_DIFFERS):
        require_proof(replace(claim, proof=proof))


def test_an_empty_trie_has_no_path() -> None:
    with refused(Reason.PROOF_EMPTY):
        ordered_path(0, 5, [])


def test_calldata_is_what_the_contract_reads() -> None:
    nodes: tuple[Node, ...] = (Binary(left=1, right=2), Edge(child=9, path=5, length=4))
    claim = OwingState(random.Random(1), OWED).claim(OWED[0])
    proof = replace(claim.proof, classes_root=10, class_hash=11, nonce=12)
    proof = replace(proof, contract_nodes=nodes, storage_nodes=nodes[1:])
    edge = (1, 5, 4, 9)
    assert [*proof_calldata(proof)] == [10, 11, 12, 2, 0, 1, 2, *edge, 1, *edge]


def test_a_file_gives_the_same_claim_back(claim: Claim) -> None:
    assert read_claim(write_claim(claim)) == claim


@pytest.mark.parametrize("amount", [2**63 - 1, 2**63, 2**64, 2**128 - 1])
def test_a_file_has_every_amount_that_the_contract_has(claim: Claim, amount: int) -> None:
    large = replace(claim, amount=amount)
    assert read_claim(write_claim(large)) == large


def test_a_file_has_no_other_amount(claim: Claim) -> None:
    with refused(Reason.AMOUNT_INVALID):
        write_claim(replace(claim, amount=2**128))
    text = write_claim(replace(claim, amount=2**128 - 1)).decode()
    with refused(Reason.CLAIM_MALFORMED):
        read_claim(text.replace(str(2**128 - 1), str(2**128)).encode())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"left": "0x', '"left": "', Reason.PROOF_NODE),
        ('"left"', '"child"', Reason.PROOF_NODE),
        ('"amount": 1', '"amount": -1', Reason.CLAIM_MALFORMED),
        ('"block_number": 5', '"block_number": "5"', Reason.CLAIM_MALFORMED),
        ('"recipient": "0x', '"recipient": "', Reason.CLAIM_MALFORMED),
        ('"recipient": "0x', '"recipient": "0xffffffffffffffffffffffffff', Reason.CLAIM_MALFORMED),
        ('"nonce"', '"other"', Reason.CLAIM_MALFORMED),
        ("{", "[", Reason.CLAIM_MALFORMED),
    ],
)
def test_a_file_of_something_else_is_refused(
    claim: Claim, old: str, new: str, reason: Reason
) -> None:
    text = write_claim(replace(claim, recipient=FELT_PRIME - 1)).decode()
    assert old in text
    with refused(reason):
        read_claim(text.replace(old, new, 1).encode())
    with refused(Reason.CLAIM_MALFORMED):
        read_claim(b"\xff")


def test_a_file_is_not_believed(claim: Claim) -> None:
    text = write_claim(claim).decode()
    more = text.replace(f'"amount": {claim.amount}', f'"amount": {claim.amount + 1}')
    with refused(Reason.PROOF_VALUE):
        require_proof(read_claim(more.encode()))
