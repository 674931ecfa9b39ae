"""From an id to a claim: what a node may say, what is missing, and how long it takes."""

import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.refusals import Reason
from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.appchain import Appchain
from sequencer.settlement.claiming import Chains, Found, Unfinalized, find_claim, make_final
from sequencer.settlement.connection import reader_of
from sequencer.settlement.money import Purse
from sequencer.settlement.proofs import withdrawal_slot
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.names import selector
from sequencer.starknet.trie_node import Binary, Node
from tests.contracts.settlement_world import CHAIN_ID
from tests.contracts.withdrawals import OwingState, Withdrawn
from tests.strategies import refused
from tests.unit.settlement.broken_node import PATIENT, BrokenNode, RpcError

OWED = Withdrawn(0x1D, 0x5E5E, 4_000_000)
CONTRACT, BLOCK_HASH, DELAY, NOW = 0xC0, 0xB5, 3_600, 50_000


class World:
    """A node that answers for both chains.

    `made` is the block of the withdrawal, `posts` are heights and the seconds at which they came.
    """

    def __init__(self, node: BrokenNode) -> None:
        self.node = node
        self.state = OwingState(random.Random(7), [OWED], height=20)
        self.made, self.head, self.amount = 12, 90, OWED.amount
        self.posts: list[tuple[int, int]] = [(20, 10_000)]
        self.paid, self.hold_until, self.chain_id = 0, 0, CHAIN_ID
        self.looks = 0
        views: dict[str, Callable[..., list[int]]] = {
            "get_bridge": lambda: [0x70, EXCHANGE_ADDRESS, self.chain_id, 0],
            "is_paid": lambda _: [self.paid],
            "get_standing": self._standing,
            "oldest_post_above": self._post_above,
        }
        self._views = {selector(name): view for name, view in views.items()}
        node.on("starknet_call", self._call)
        node.on("starknet_chainId", lambda _: hex(CHAIN_ID))
        node.on("starknet_blockNumber", lambda _: self.head)
        node.on("starknet_getStorageProof", lambda _: self.proof())

    def proof(self) -> dict[str, Any]:
        """Answer as a node of ours does."""
        slot, state = withdrawal_slot(OWED.withdrawal_id), self.state
        leaf = {"nonce": hex(state.leaf.nonce), "class_hash": hex(state.leaf.class_hash)}
        contracts = [node_fields(node) for node in state.contracts.path(EXCHANGE_ADDRESS)]
        return {
            "classes_proof": [],
            "contracts_proof": {
                "nodes": contracts,
                "contract_leaves_data": [{**leaf, "storage_root": hex(state.storage.root)}],
            },
            "contracts_storage_proofs": [[node_fields(each) for each in state.storage.path(slot)]],
            "global_roots": {
                "contracts_tree_root": hex(state.contracts.root),
                "classes_tree_root": hex(state.classes_root),
                "block_hash": hex(BLOCK_HASH),
            },
        }

    def _call(self, asked: Any) -> list[str]:  # noqa: ANN401
        request, block = asked["request"], asked["block_id"]
        name, felts = int(request["entry_point_selector"], 16), request["calldata"]
        if name == selector("get_withdrawal"):
            self.looks += 1
            height = self.head if block == "latest" else block["block_number"]
            row = [0x470A, OWED.recipient, self.amount * 100, self.amount * 100]
            row = row if height >= self.made else [0] * 4
            return [hex(felt) for felt in row]
        return [hex(felt) for felt in self._views[name](*(int(felt, 16) for felt in felts))]

    def _standing(self) -> list[int]:
        final = [20, self.state.root, BLOCK_HASH, 10_000]
        newest = [self.posts[-1][0], 1, 2, self.posts[-1][1]]
        return [0, *newest, *final, int(self.hold_until > 0), self.hold_until, DELAY, NOW]

    def _post_above(self, height: int) -> list[int]:
        above = [post for post in self.posts if post[0] > height]
        return [0, above[0][0], 1, 2, above[0][1]] if above else [1]


def node_fields(node: Node) -> dict[str, Any]:
    """Write a trie node; the hash beside it is a lie, which nobody should believe."""
    if isinstance(node, Binary):
        return {"node_hash": "0x5", "node": {"left": hex(node.left), "right": hex(node.right)}}
    edge = {"path": hex(node.path), "length": node.length, "child": hex(node.child)}
    return {"node_hash": "0x5", "node": edge}


@pytest.fixture
def world(node: BrokenNode) -> World:
    return World(node)


@pytest.fixture
async def chains(world: World) -> AsyncIterator[Chains]:
    access = reader_of(world.node.url)
    made = Chains(
        Appchain(access, EXCHANGE_ADDRESS, PATIENT),
        StarknetSettlement(access, CONTRACT, PATIENT),
        Purse(access, CONTRACT, PATIENT),
    )
    yield made
    for each in (made.appchain, made.settlement, made.purse):
        await each.close()


async def found(chains: Chains) -> Found:
    return await find_claim(chains, OWED.withdrawal_id)


async def test_a_claim_is_found_and_proven(world: World, chains: Chains) -> None:
    assert await found(chains) == world.state.claim(OWED, CONTRACT)


async def test_what_is_paid_needs_no_claim(world: World, chains: Chains) -> None:
    world.paid = 1
    with refused(Reason.ALREADY_PAID):
        await found(chains)


async def test_another_appchain_is_not_paid_from_here(world: World, chains: Chains) -> None:
    world.chain_id = CHAIN_ID + 1
    with refused(Reason.CLAIM_OF_ANOTHER):
        await found(chains)


async def test_what_no_block_holds_is_unknown(world: World, chains: Chains) -> None:
    world.made = world.head + 1
    with refused(Reason.WITHDRAWAL_UNKNOWN):
        await found(chains)


async def test_a_node_below_finality_has_to_catch_up(world: World, chains: Chains) -> None:
    world.head = 19
    with refused(Reason.NODE_UNREACHABLE):
        await found(chains)


@pytest.mark.parametrize("made", [21, 22, 55, 89, 90])
async def test_its_block_is_found_by_halves(world: World, chains: Chains, made: int) -> None:
    world.made = made
    missing = await found(chains)
    assert isinstance(missing, Unfinalized)
    assert (missing.height, missing.post, missing.seconds) == (made, None, DELAY)
    assert f"block {made}, which is not posted yet" in missing.words()
    assert world.looks < 12


async def test_how_long_it_takes_is_said(world: World, chains: Chains) -> None:
    world.made, world.posts = 30, [(20, 10_000), (40, NOW - 600), (60, NOW - 10)]
    missing = await found(chains)
    assert isinstance(missing, Unfinalized)
    assert missing.post is not None
    assert (missing.post.post.height, missing.seconds) == (40, 3_000)
    assert missing.words().endswith("in block 30, posted with block 40; final in 3000 s")
    world.hold_until = NOW + 9
    held = await found(chains)
    assert isinstance(held, Unfinalized)
    assert held.words().endswith(f"; finality is held until {NOW + 9}")
    world.posts[1], world.hold_until = (40, NOW - DELAY - 5), 0
    due = await found(chains)
    assert isinstance(due, Unfinalized)
    assert due.seconds == 0
    assert due.words().endswith("which anybody may finalize now")


async def test_time_passes_only_on_a_devnet(world: World, chains: Chains) -> None:
    world.made = 30
    missing = await found(chains)
    assert isinstance(missing, Unfinalized)
    await make_final(chains.settlement, missing)
    assert "devnet_increaseTime" not in world.node.asked
    world.posts.append((40, NOW))
    missing = await found(chains)
    assert isinstance(missing, Unfinalized)
    with pytest.raises(SettlementError) as caught:
        await make_final(chains.settlement, missing)
    assert (caught.value.problem, caught.value.code) == (
        SettlementProblem.REFUSED,
        "NOT_A_DEVNET",
    )


async def test_a_node_that_says_another_amount_proves_nothing(world: World, chains: Chains) -> None:
    world.amount += 1
    with refused(Reason.PROOF_VALUE):
        await found(chains)


def without_a_node(told: dict[str, Any]) -> None:
    told["contracts_storage_proofs"][0].pop()


def of_another_root(told: dict[str, Any]) -> None:
    told["global_roots"]["classes_tree_root"] = "0x77"


def of_nothing(told: dict[str, Any]) -> None:
    told["contracts_proof"]["contract_leaves_data"][0]["storage_root"] = "0x0"


def of_two_contracts(told: dict[str, Any]) -> None:
    told["contracts_storage_proofs"].append([])


def without_roots(told: dict[str, Any]) -> None:
    del told["global_roots"]


def with_decimals(told: dict[str, Any]) -> None:
    told["contracts_proof"]["contract_leaves_data"][0]["nonce"] = "0"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without_a_node, Reason.PROOF_NODE),
        (of_another_root, Reason.ROOT_DIFFERS),
        (of_nothing, Reason.PROOF_EMPTY),
        (of_two_contracts, Reason.PROOF_NODE),
        (without_roots, Reason.PROOF_NODE),
        (with_decimals, Reason.PROOF_NODE),
    ],
)
async def test_a_spoiled_proof_is_refused_by_name(
    world: World, chains: Chains, spoil: Callable[[dict[str, Any]], None], reason: Reason
) -> None:
    told = world.proof()
    spoil(told)
    world.node.on("starknet_getStorageProof", lambda _: told)
    with refused(reason):
        await found(chains)


@pytest.mark.parametrize("code", [24, 42])
async def test_a_node_that_forgot_the_block_says_so(
    world: World, chains: Chains, code: int
) -> None:
    world.node.fail("starknet_getStorageProof", RpcError(code))
    with refused(Reason.BLOCK_UNKNOWN):
        await found(chains)


async def test_a_node_of_another_kind_is_none(world: World, chains: Chains) -> None:
    world.node.on("starknet_blockNumber", lambda _: "0x5")
    with refused(Reason.NODE_UNREACHABLE):
        await found(chains)
    world.node.fail("starknet_getStorageProof", RpcError(-32601))
    with refused(Reason.NODE_UNREACHABLE):
        await chains.appchain.proof(OWED.withdrawal_id, 20)
