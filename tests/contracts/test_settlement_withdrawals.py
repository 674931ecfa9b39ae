"""Withdrawals by proof from a node of ours: what is paid, once, and what is refused, and by name.

Law: what our own check says of a bent proof, before it costs a fee, is what the contract says.
"""

import random
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from scripts.simulating.cast import CHAIN_ID
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.refusals import Refused
from sequencer.model.settlement import Post
from sequencer.settlement.proofs import Claim, WithdrawalProof, proof_calldata, require_proof
from sequencer.starknet.trie_node import Binary, Edge, Node
from tests.contracts.contract_world import DAY, DELAY, World, event
from tests.contracts.owing_node import AMOUNTS, RECIPIENT, Owing, owing
from tests.proven_trie import flipped

SEED = 20_260_101
BENT = 24
"""Proofs with one bit changed: each is a transaction."""

PAUSE_SECONDS_MAX = 259_200


@pytest.fixture(scope="module")
def owed(tmp_path_factory: pytest.TempPathFactory) -> Owing:
    return owing(tmp_path_factory.mktemp("chain"))


def arguments(claim: Claim, **changes: int) -> Sequence[int]:
    """Return a claim as `withdraw` takes it, perhaps with another block, recipient or amount."""
    fields = {
        "height": claim.height,
        "withdrawal_id": claim.withdrawal_id,
        "recipient": claim.recipient,
        "amount": claim.amount,
    }
    assert changes.keys() <= fields.keys()
    return [*(fields | changes).values(), *proof_calldata(claim.proof)]


def refusal(claim: Claim) -> str:
    """Say what our own check makes of a claim, "" for a sound one."""
    try:
        require_proof(claim)
    except Refused as refused:
        return refused.reason.value
    return ""


def with_proof(claim: Claim, proof: WithdrawalProof) -> Claim:
    return replace(claim, proof=proof)


async def begun(world: World, first: Post, **changes: int) -> None:
    """Deploy a contract for the node's chain that begins at a block, with nothing to pay from."""
    await world.deploy(
        state_root=first.state_root,
        block_number=first.height,
        block_hash=first.block_hash,
        chain_id=CHAIN_ID,
        **changes,
    )


async def settled(world: World, owed: Owing, *, final: bool = True) -> None:
    """Deploy a contract for the node's chain, its blocks posted, with money to pay from."""
    before = owed.genesis
    await begun(world, before)
    await world.token_done(world.stranger, "mint", world.contract, sum(AMOUNTS), 0)
    for post in (owed.early, owed.late):
        await world.done(
            world.operator,
            "update_state",
            *(0, before.height, before.state_root, post.height, post.state_root, post.block_hash),
        )
        before = post
    if final:
        await world.devnet.wait(DELAY)
        await world.done(world.stranger, "finalize", owed.late.height)


async def paid(world: World) -> int:
    return (await world.view("get_money"))[3]


async def test_what_is_owed_is_paid_once_whoever_asks(world: World, owed: Owing) -> None:
    await settled(world, owed)
    rest = sum(AMOUNTS)
    before = await world.balance(RECIPIENT)
    for caller, claim in zip(
        (world.stranger, world.owner, world.operator), owed.claims, strict=True
    ):
        assert await world.view("is_paid", claim.withdrawal_id) == [0]
        events = await world.done(caller, "withdraw", *arguments(claim))
        logged = (claim.withdrawal_id, RECIPIENT, claim.amount, claim.height)
        assert events == [event("LogWithdrawal", *logged)]
        assert await world.view("is_paid", claim.withdrawal_id) == [1]
        rest -= claim.amount
        assert await world.balance(world.contract) == rest
        await world.refused("ALREADY_PAID", caller, "withdraw", *arguments(claim))
    assert await paid(world) == sum(AMOUNTS) == await world.balance(RECIPIENT) - before


async def test_an_id_is_paid_under_one_root_and_never_under_another(
    world: World, owed: Owing
) -> None:
    await settled(world, owed)
    early, late = owed.early_claims[0], owed.claims[0]
    assert (early.withdrawal_id, early.state_root) != (late.withdrawal_id, late.state_root)
    assert early.withdrawal_id == late.withdrawal_id
    await world.done(world.stranger, "withdraw", *arguments(early))
    await world.refused("ALREADY_PAID", world.stranger, "withdraw", *arguments(late))
    await world.refused("ALREADY_PAID", world.stranger, "withdraw", *arguments(late, amount=0))
    assert await paid(world) == early.amount


async def test_nothing_is_paid_before_its_block_is_final(world: World, owed: Owing) -> None:
    await settled(world, owed, final=False)
    claim, by = owed.claims[0], world.stranger
    await world.refused("BLOCK_NOT_FINALIZED", by, "withdraw", *arguments(claim))
    between = claim.height + 1
    await world.refused("BLOCK_NOT_POSTED", by, "withdraw", *arguments(claim, height=between))
    await world.devnet.wait(DELAY)
    await world.done(by, "finalize", owed.early.height)
    await world.refused("BLOCK_NOT_FINALIZED", by, "withdraw", *arguments(claim))
    await world.done(by, "withdraw", *arguments(owed.early_claims[0]))
    # What is taken back is not there any more, whatever it proves.
    reverting = (0, owed.early.height, owed.early.state_root, 1)
    await world.done(world.operator, "revert_state_to", *reverting)
    last = owed.claims[-1]
    await world.refused("BLOCK_NOT_POSTED", by, "withdraw", *arguments(last))
    assert await paid(world) == AMOUNTS[0]


async def test_the_wrong_root_recipient_or_amount(world: World, owed: Owing) -> None:
    await settled(world, owed)
    claim, early, by = owed.claims[0], owed.early_claims[0], world.stranger
    for code, changed in (
        ("ROOT_DIFFERS", arguments(early, height=claim.height)),
        ("ROOT_DIFFERS", arguments(claim, height=early.height)),
        ("PROOF_VALUE", arguments(claim, recipient=RECIPIENT + 1)),
        ("PROOF_VALUE", arguments(claim, amount=claim.amount + 1)),
        ("RECIPIENT_INVALID", arguments(claim, recipient=0, amount=0)),
        ("AMOUNT_INVALID", arguments(claim, amount=0)),
    ):
        await world.refused(code, by, "withdraw", *changed)
    proof = claim.proof
    for bent in (
        replace(proof, classes_root=proof.classes_root ^ 1),
        replace(proof, class_hash=proof.class_hash ^ 1),
        replace(proof, nonce=proof.nonce ^ 1),
    ):
        code = refusal(with_proof(claim, bent))
        assert code in {"ROOT_DIFFERS", "PROOF_VALUE"}
        await world.refused(code, by, "withdraw", *arguments(with_proof(claim, bent)))
    assert await paid(world) == 0


async def test_what_is_not_owed_cannot_be_proven(world: World, owed: Owing) -> None:
    await settled(world, owed)
    by = world.stranger
    for absent in (owed.absent, owed.not_yet):
        await world.refused("PROOF_ABSENT", by, "withdraw", *arguments(absent))
    # The path of another withdrawal is none of this one's.
    other = with_proof(owed.claims[0], owed.claims[1].proof)
    assert refusal(other)
    await world.refused(refusal(other), by, "withdraw", *arguments(other))
    # Another contract's: truly proven by the node, and not at the exchange's address.
    foreign = owed.foreign.proof
    own = owed.claims[0].proof
    for mixed in (
        foreign,
        replace(own, contract_nodes=foreign.contract_nodes),
        replace(own, class_hash=foreign.class_hash, contract_nodes=foreign.contract_nodes),
        replace(own, storage_nodes=own.contract_nodes),
    ):
        claim = with_proof(owed.claims[0], mixed)
        assert refusal(claim)
        await world.refused(refusal(claim), by, "withdraw", *arguments(claim))
    assert await paid(world) == 0


def lengthened(nodes: Sequence[Node]) -> Sequence[Node]:
    return [*nodes, Binary(1, 2)]


LENGTHS: list[tuple[str, Callable[[Sequence[Node]], Sequence[Node]]]] = [
    ("PROOF_EMPTY", lambda nodes: []),
    ("PROOF_LENGTH", lambda nodes: nodes[:-1]),
    ("PROOF_LENGTH", lambda nodes: nodes[:1]),
    ("PROOF_LENGTH", lengthened),
    ("PROOF_NODE", lambda nodes: [Edge(1, 1, 0)]),
    ("PROOF_NODE", lambda nodes: [Edge(1, 1, 252)]),
    ("PROOF_NODE", lambda nodes: [Edge(1, 8, 3)]),
    ("PROOF_NODE", lambda nodes: [nodes[0], *reversed(nodes[1:])]),
]


async def test_paths_of_a_wrong_length_or_shape(world: World, owed: Owing) -> None:
    await settled(world, owed)
    claim, by = owed.claims[0], world.stranger
    for code, change in LENGTHS:
        for side in ("storage_nodes", "contract_nodes"):
            nodes = tuple(change(getattr(claim.proof, side)))
            bent = with_proof(claim, replace(claim.proof, **{side: nodes}))
            assert refusal(bent) == code, (side, code)
            await world.refused(code, by, "withdraw", *arguments(bent))
    assert await paid(world) == 0


async def test_one_changed_bit_is_refused(world: World, owed: Owing) -> None:
    await settled(world, owed)
    choose, by = random.Random(SEED), world.stranger
    codes = set()
    for place in range(BENT):
        claim = choose.choice(owed.claims)
        side = ("storage_nodes", "contract_nodes")[place % 2]
        nodes = list(getattr(claim.proof, side))
        # The first node names the root, and the last the leaf: both more often than the rest.
        chosen = choose.choice((0, -1, choose.randrange(len(nodes))))
        nodes[chosen] = flipped(nodes[chosen], choose)
        bent = with_proof(claim, replace(claim.proof, **{side: tuple(nodes)}))
        code = refusal(bent)
        assert code
        await world.refused(code, by, "withdraw", *arguments(bent))
        codes.add(code)
    assert "PROOF_NODE" in codes
    assert len(codes) > 1
    assert await paid(world) == 0


async def test_a_contract_without_the_money_pays_later(world: World, owed: Owing) -> None:
    await settled(world, owed)
    big = owed.claims[-1]
    for claim in owed.claims[:2]:
        await world.done(world.stranger, "withdraw", *arguments(claim))
    # Somebody else's contract of the same chain pays nothing that this one has paid from.
    poor = World(str(world.devnet.client.url), [world.owner, world.operator, world.stranger])
    await begun(poor, owed.late)
    await poor.refused("BALANCE_INSUFFICIENT", poor.stranger, "withdraw", *arguments(big))
    assert await poor.view("is_paid", big.withdrawal_id) == [0]
    await poor.token_done(poor.stranger, "mint", poor.contract, big.amount, 0)
    await poor.done(poor.stranger, "withdraw", *arguments(big))
    assert (await poor.balance(poor.contract), await paid(poor)) == (0, big.amount)


async def test_the_owner_pauses_withdrawals_for_a_while(world: World, owed: Owing) -> None:
    await settled(world, owed)
    owner, claim = world.owner, owed.claims[0]
    await world.refused("WITHDRAWALS_NOT_PAUSED", owner, "resume_withdrawals")
    for other in (world.operator, world.stranger):
        await world.refused("NOT_OWNER", other, "pause_withdrawals", DAY)
        await world.refused("NOT_OWNER", other, "resume_withdrawals")
    for seconds in (0, PAUSE_SECONDS_MAX + 1):
        await world.refused("PAUSE_INVALID", owner, "pause_withdrawals", seconds)
    ((name, until),) = await world.done(owner, "pause_withdrawals", PAUSE_SECONDS_MAX)
    assert [name] == event("LogWithdrawalsPaused")
    assert (await world.view("get_money"))[5] == until
    await world.refused("WITHDRAWALS_PAUSED", world.stranger, "withdraw", *arguments(claim))
    await world.refused(
        "WITHDRAWALS_PAUSED", world.stranger, "withdraw", *arguments(claim, height=1, amount=0)
    )
    await world.refused("PAUSE_TOO_SOON", owner, "pause_withdrawals", 1)
    resumed = await world.done(owner, "resume_withdrawals")
    assert resumed == [event("LogWithdrawalsResumed")]
    assert (await world.view("get_money"))[5] == 0
    await world.done(world.stranger, "withdraw", *arguments(claim))
    await world.refused("PAUSE_TOO_SOON", owner, "pause_withdrawals", DAY)
    await world.devnet.wait(DAY)
    await world.done(owner, "pause_withdrawals", DAY)
    await world.devnet.wait(DAY)
    # It has ended by itself, and nobody can pause again at once.
    await world.refused("WITHDRAWALS_NOT_PAUSED", owner, "resume_withdrawals")
    await world.refused("PAUSE_TOO_SOON", owner, "pause_withdrawals", DAY)
    await world.done(world.stranger, "withdraw", *arguments(owed.claims[1]))


async def test_a_contract_for_another_exchange_pays_nothing(world: World, owed: Owing) -> None:
    await begun(world, owed.late, exchange=EXCHANGE_ADDRESS ^ 1)
    await world.token_done(world.stranger, "mint", world.contract, sum(AMOUNTS), 0)
    claim = replace(owed.claims[0], exchange=EXCHANGE_ADDRESS ^ 1)
    assert refusal(claim)
    await world.refused(refusal(claim), world.stranger, "withdraw", *arguments(claim))
