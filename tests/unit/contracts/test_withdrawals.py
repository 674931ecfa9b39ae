"""Withdrawals by storage proof: made by our own tries, taken once, and refused when bent."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from sequencer.model.refusals import Refused
from sequencer.settlement.proofs import Claim, WithdrawalProof, require_proof
from sequencer.starknet.felt import FELT_PRIME, Felt
from sequencer.starknet.names import selector
from sequencer.starknet.trie_node import Binary, Edge, Node
from tests.unit.contracts.world import (
    CHAIN_ID,
    CLASSES_ROOT,
    DAY,
    DELAY,
    EXCHANGE,
    GENESIS,
    L1_BRIDGE,
    OPERATOR,
    OWNER,
    PAYER,
    STRANGER,
    AppState,
    Proof,
    Withdrawal,
    World,
    root_of,
)

FUNDS = 10**9
MINE = Withdrawal(id=0x1D7, recipient=0xBEEF, amount=2_500_000)
OTHERS = [Withdrawal(id=0x100 + place, recipient=0xB0B + place, amount=1) for place in range(12)]
ABSENT = Withdrawal(id=0xAB5E27, recipient=0xBEEF, amount=2_500_000)
STATE = AppState([MINE, *OTHERS], of_another=[ABSENT])
PROOF = STATE.proof(MINE.slot)
BLOCK = GENESIS + 1


def world_with_final_block() -> World:
    world = World()
    world.machine.handle(world.contract, "deposit_from_l1", L1_BRIDGE, 1, FUNDS)
    world.post(BLOCK, STATE.root)
    world.pass_time(DELAY)
    world.send(STRANGER, "finalize", BLOCK)
    return world


@pytest.fixture(scope="module")
def world() -> World:
    """Return a world in which every call of a test is refused, so that it stays as it is."""
    return world_with_final_block()


def claim(of: Withdrawal = MINE, proof: Proof = PROOF, block: int = BLOCK) -> list[Felt]:
    return [block, of.id, of.recipient, of.amount, *proof.calldata()]


def refused(world: World, of: Withdrawal = MINE, proof: Proof = PROOF, block: int = BLOCK) -> str:
    return world.refused(STRANGER, "withdraw", *claim(of, proof, block))


def test_a_proven_withdrawal_is_paid_by_anybody_and_once() -> None:
    world = world_with_final_block()
    assert world.view("is_paid", MINE.id) == [0]
    told, moved = world.send(STRANGER, "withdraw", *claim())
    name = selector("LogWithdrawal")
    assert told == (name, MINE.id, MINE.recipient, MINE.amount, BLOCK)
    assert moved == (selector("Transfer"), world.contract, MINE.recipient, MINE.amount, 0)
    assert world.view("is_paid", MINE.id) == [1]
    assert world.view("get_money")[3] == MINE.amount
    assert world.balance(MINE.recipient) == MINE.amount
    assert refused(world) == "ALREADY_PAID"
    assert world.balance(world.contract) == FUNDS - MINE.amount


def test_every_withdrawal_of_a_state_can_be_proven() -> None:
    world = world_with_final_block()
    for each in OTHERS:
        world.send(PAYER, "withdraw", *claim(each, STATE.proof(each.slot)))
    assert world.view("get_money")[3] == len(OTHERS)


def test_what_was_paid_is_not_paid_under_a_later_root() -> None:
    world = world_with_final_block()
    world.send(STRANGER, "withdraw", *claim())
    later = AppState([MINE])
    world.post(BLOCK + 1, later.root)
    world.pass_time(DELAY)
    world.send(STRANGER, "finalize", BLOCK + 1)
    assert refused(world, proof=later.proof(MINE.slot), block=BLOCK + 1) == "ALREADY_PAID"


def test_what_the_contract_does_not_have_stays_owed() -> None:
    great = replace(MINE, amount=FUNDS + 1)
    state = AppState([great])
    world = World(state_root=state.root)
    world.machine.handle(world.contract, "deposit_from_l1", L1_BRIDGE, 1, FUNDS)
    proof = state.proof(great.slot)
    assert refused(world, great, proof, GENESIS) == "BALANCE_INSUFFICIENT"
    assert world.view("is_paid", great.id) == [0]


def test_paid_amounts_never_wrap() -> None:
    great, small = replace(MINE, amount=2**128 - 1), OTHERS[0]
    state = AppState([great, small])
    world = World(state_root=state.root)
    for _ in range(2):
        world.machine.handle(world.contract, "deposit_from_l1", L1_BRIDGE, 1, FUNDS)
    world.send(STRANGER, "withdraw", *claim(small, state.proof(small.slot), GENESIS))
    assert refused(world, great, state.proof(great.slot), GENESIS) == "u128_add Overflow"


def test_the_first_reason_against_a_withdrawal_names_the_refusal() -> None:
    world = world_with_final_block()
    world.post(BLOCK + 1)
    bent, nobody = replace(PROOF, nonce=9), replace(MINE, recipient=0)
    assert refused(world, MINE, bent) == "PROOF_VALUE"
    assert refused(world, replace(MINE, amount=0), bent) == "AMOUNT_INVALID"
    assert refused(world, replace(nobody, amount=0), bent) == "RECIPIENT_INVALID"
    world.send(STRANGER, "withdraw", *claim())
    assert refused(world, nobody, bent) == "ALREADY_PAID"
    assert refused(world, nobody, bent, BLOCK + 1) == "BLOCK_NOT_FINALIZED"
    assert refused(world, nobody, bent, BLOCK + 2) == "BLOCK_NOT_POSTED"
    world.send(OWNER, "pause_withdrawals", 1)
    assert refused(world, nobody, bent, BLOCK + 2) == "WITHDRAWALS_PAUSED"


def expected_code(proof: Proof) -> str:
    """Ask our own node's check of a claim, which knows no contract, what is wrong with a proof."""
    claim = Claim(
        contract=0,
        exchange=EXCHANGE,
        chain_id=CHAIN_ID,
        height=BLOCK,
        state_root=STATE.root,
        withdrawal_id=MINE.id,
        recipient=MINE.recipient,
        amount=MINE.amount,
        proof=WithdrawalProof(
            classes_root=proof.classes_root,
            class_hash=proof.class_hash,
            nonce=proof.nonce,
            contract_nodes=tuple(proof.contract_nodes),
            storage_nodes=tuple(proof.storage_nodes),
        ),
    )
    try:
        require_proof(claim)
    except Refused as refused:
        return refused.reason.value
    return "accepted"


def bent_node(node: Node) -> Node:
    if isinstance(node, Binary):
        return Binary(node.left ^ 1, node.right)
    return Edge(node.child ^ 1, node.path, node.length)


def changed(nodes: list[Node], place: int, new: Callable[[Node], Node]) -> list[Node]:
    return [new(node) if at == place else node for at, node in enumerate(nodes)]


@pytest.mark.parametrize("place", range(len(PROOF.storage_nodes)))
def test_one_bit_of_a_storage_node_is_found(world: World, place: int) -> None:
    nodes = changed(list(PROOF.storage_nodes), place, bent_node)
    proof = replace(PROOF, storage_nodes=nodes)
    assert refused(world, proof=proof) == expected_code(proof) != "accepted"


@pytest.mark.parametrize("place", range(len(PROOF.contract_nodes)))
def test_one_bit_of_a_contract_node_is_found(world: World, place: int) -> None:
    nodes = changed(list(PROOF.contract_nodes), place, bent_node)
    proof = replace(PROOF, contract_nodes=nodes)
    assert refused(world, proof=proof) == expected_code(proof) != "accepted"


def test_sides_that_are_not_on_the_way_are_bound_by_the_root(world: World) -> None:
    top, *rest = PROOF.contract_nodes
    assert isinstance(top, Binary)
    assert EXCHANGE < 2**250, "the way goes to the left first"
    other = Binary(top.left, top.right ^ 1)
    assert refused(world, proof=replace(PROOF, contract_nodes=[other, *rest])) == "ROOT_DIFFERS"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"classes_root": 1}, "ROOT_DIFFERS"),
        ({"class_hash": 1}, "PROOF_VALUE"),
        ({"nonce": 4}, "PROOF_VALUE"),
        ({"storage_nodes": []}, "PROOF_EMPTY"),
        ({"contract_nodes": []}, "PROOF_EMPTY"),
        ({"storage_nodes": PROOF.storage_nodes[:-1]}, "PROOF_LENGTH"),
        ({"contract_nodes": PROOF.contract_nodes[:-1]}, "PROOF_LENGTH"),
        ({"storage_nodes": [*PROOF.storage_nodes, Binary(1, 2)]}, "PROOF_LENGTH"),
        ({"contract_nodes": [*PROOF.contract_nodes, Edge(1, 2, 3)]}, "PROOF_LENGTH"),
        ({"storage_nodes": PROOF.contract_nodes}, "PROOF_NODE"),
        ({"storage_nodes": PROOF.storage_nodes[1:]}, "PROOF_NODE"),
        ({"storage_nodes": [Edge(MINE.leaf, MINE.slot, 251)]}, "PROOF_VALUE"),
    ],
)
def test_another_proof_is_refused_by_name(
    world: World, changes: dict[str, object], code: str
) -> None:
    proof = replace(PROOF, **changes)
    assert refused(world, proof=proof) == expected_code(proof) == code


@pytest.mark.parametrize(
    ("length", "path"), [(0, 0), (252, MINE.slot), (255, MINE.slot), (250, 2**250), (3, 8)]
)
def test_edges_that_no_trie_has_are_refused(world: World, length: int, path: int) -> None:
    edge = Edge(MINE.leaf, path, length)
    assert refused(world, proof=replace(PROOF, storage_nodes=[edge])) == "PROOF_NODE"


def test_a_node_that_names_nothing_is_too_short(world: World) -> None:
    lone = Binary(MINE.leaf, MINE.leaf)
    assert refused(world, proof=replace(PROOF, storage_nodes=[lone])) == "PROOF_LENGTH"


def test_absence_is_no_proof(world: World) -> None:
    assert refused(world, ABSENT, STATE.proof(ABSENT.slot)) == "PROOF_ABSENT"


def test_another_amount_recipient_or_id_is_not_proven(world: World) -> None:
    assert refused(world, replace(MINE, amount=MINE.amount + 1)) == "PROOF_VALUE"
    assert refused(world, replace(MINE, recipient=MINE.recipient + 1)) == "PROOF_VALUE"
    assert refused(world, replace(MINE, id=MINE.id + 1)) == "PROOF_NODE"


def test_another_contracts_row_pays_nothing(world: World) -> None:
    proof = STATE.proof_of_another(ABSENT.slot)
    assert refused(world, ABSENT, proof) == "PROOF_VALUE"
    ours = replace(proof, contract_nodes=PROOF.contract_nodes)
    assert refused(world, ABSENT, ours) == "PROOF_VALUE"


def test_a_proof_is_of_one_root(world: World) -> None:
    assert refused(world, block=GENESIS) == "ROOT_DIFFERS"
    other = AppState([MINE])
    assert other.root != STATE.root
    assert refused(world, proof=other.proof(MINE.slot)) == "ROOT_DIFFERS"


def test_a_root_that_was_taken_back_pays_nothing() -> None:
    world = World()
    world.post(BLOCK, STATE.root)
    world.send(OPERATOR, "revert_state_to", 0, GENESIS, root_of(GENESIS), 1)
    assert refused(world) == "BLOCK_NOT_POSTED"
    world.post(BLOCK)
    assert refused(world) == "BLOCK_NOT_FINALIZED"


def test_withdrawals_are_paused_for_a_while_and_open_by_themselves() -> None:
    world = world_with_final_block()
    until = world.machine.timestamp + 100
    assert world.send(OWNER, "pause_withdrawals", 100) == [
        (selector("LogWithdrawalsPaused"), until)
    ]
    assert world.view("get_money")[5] == until
    world.pass_time(99)
    assert refused(world) == "WITHDRAWALS_PAUSED"
    world.pass_time(1)
    assert world.view("get_money")[5] == 0
    world.send(STRANGER, "withdraw", *claim())


def test_a_pause_has_a_length_and_a_day_after_it() -> None:
    world = World()
    for seconds in (0, 259_201, 2**64 - 1):
        assert world.refused(OWNER, "pause_withdrawals", seconds) == "PAUSE_INVALID"
    assert world.refused(OPERATOR, "pause_withdrawals", 0) == "NOT_OWNER"
    world.send(OWNER, "pause_withdrawals", 259_200)
    for seconds in (0, 259_200, DAY - 1):
        world.pass_time(seconds)
        assert world.refused(OWNER, "pause_withdrawals", 1) == "PAUSE_TOO_SOON"
    world.pass_time(1)
    world.send(OWNER, "pause_withdrawals", 1)


def test_a_pause_that_is_ended_early_counts_from_its_end() -> None:
    world = World()
    assert world.refused(OWNER, "resume_withdrawals") == "WITHDRAWALS_NOT_PAUSED"
    world.send(OWNER, "pause_withdrawals", 1_000)
    world.pass_time(10)
    assert world.refused(STRANGER, "resume_withdrawals") == "NOT_OWNER"
    assert world.send(OWNER, "resume_withdrawals") == [(selector("LogWithdrawalsResumed"),)]
    assert world.view("get_money")[5] == 0
    assert world.refused(OWNER, "resume_withdrawals") == "WITHDRAWALS_NOT_PAUSED"
    world.pass_time(DAY - 1)
    assert world.refused(OWNER, "pause_withdrawals", 1) == "PAUSE_TOO_SOON"
    world.pass_time(1)
    world.send(OWNER, "pause_withdrawals", 1)


def test_nodes_of_any_felts_are_read_and_refused(world: World) -> None:
    nodes = [Binary(FELT_PRIME - 1, 0), Edge(0, FELT_PRIME - 1, 251)]
    assert refused(world, proof=replace(PROOF, storage_nodes=nodes[1:])) == "PROOF_NODE"
    assert refused(world, proof=replace(PROOF, storage_nodes=nodes)) == "PROOF_NODE"


def random_proof(choose: random.Random) -> Proof:
    """Return a proof with a few things wrong, or none."""
    nodes = {name: list(getattr(PROOF, name)) for name in ("contract_nodes", "storage_nodes")}
    for _ in range(choose.choice((0, 1, 1, 2))):
        path = choose.choice(list(nodes.values()))
        place = choose.randrange(len(path) + 1)
        match choose.randrange(4):
            case 0 if path[place:]:
                del path[place]
            case 1:
                path.insert(place, Edge(choose.randrange(9), choose.randrange(9), 3))
            case 2 if path[place:]:
                path[place] = bent_node(path[place])
            case _:
                other = choose.choice([*PROOF.contract_nodes, *PROOF.storage_nodes])
                path[place : place + 1] = [other]
    return replace(PROOF, classes_root=CLASSES_ROOT + choose.choice((0, 0, 0, 1)), **nodes)


@pytest.mark.parametrize("seed", range(3))
def test_the_node_and_the_contract_refuse_proofs_alike(seed: int) -> None:
    choose = random.Random(seed)
    seen: Counter[str] = Counter()
    world = world_with_final_block()
    kept = dict(world.machine.slots)
    for _ in range(150):
        proof = random_proof(choose)
        code = refused(world, proof=proof)
        assert code == expected_code(proof)
        seen[code] += 1
        world.machine.slots = dict(kept)
    assert seen["accepted"]
    assert len(seen) > 3
