"""A node of ours that owes withdrawals: its blocks, and its own proofs of them.

Promises
- Proofs are what the node answers to `starknet_getStorageProof` over HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from scripts.money.appchain import Appchain, begin, going_on, real_cast, refusal_of
from scripts.simulating.cast import CHAIN_ID, GAMBLERS
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.token_contract import TOKEN_ADDRESS
from sequencer.config import NodeConfig
from sequencer.engine.settling import post_of
from sequencer.model.commands import Withdraw
from sequencer.model.secret import Secret
from sequencer.model.settlement import Post
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.node import Given
from sequencer.serve import answered
from sequencer.settlement.claims import TextNode, nodes_of
from sequencer.settlement.connection import Connection, reader_of
from sequencer.settlement.proofs import Claim, WithdrawalProof, withdrawal_slot
from sequencer.starknet.deposits import withdrawal_id_of
from sequencer.starknet.felt import Felt, format_felt, parse_felt
from sequencer.starknet.transactions import transaction_hash
from sequencer.starknet.trie_node import Node

RECIPIENT = 0xB0B
AMOUNTS = (2_500_000, 1, 7_000_000)
"""What the withdrawals pay; the last comes a block later than the others."""

ABSENT_ID = 0xAB5E


class Owing(msgspec.Struct, frozen=True):
    """What a chain says of its withdrawals.

    `early` owes all but the last of `ids`, `late` owes all of them. `claims` are those of `late`,
    `early_claims` those of `early`. `absent` claims what nobody owes with the node's own proof of
    that, `foreign` proves a slot of another contract, `not_yet` the last at `early`.
    """

    genesis: Post
    early: Post
    late: Post
    ids: Sequence[Felt]
    claims: Sequence[Claim]
    early_claims: Sequence[Claim]
    absent: Claim
    not_yet: Claim
    foreign: Claim


class _Named(msgspec.Struct, frozen=True):
    node: TextNode


class _Leaf(msgspec.Struct, frozen=True):
    nonce: str
    class_hash: str


class _Contracts(msgspec.Struct, frozen=True):
    nodes: list[_Named]
    contract_leaves_data: list[_Leaf]


class _Roots(msgspec.Struct, frozen=True):
    classes_tree_root: str


class _Told(msgspec.Struct, frozen=True):
    contracts_proof: _Contracts
    contracts_storage_proofs: list[list[_Named]]
    global_roots: _Roots


class Prover:
    """Asks a node for proofs."""

    def __init__(self, url: str) -> None:
        self._connection = Connection(reader_of(url))

    async def claim(
        self, withdrawal_id: Felt, amount: int, post: Post, contract: Felt = EXCHANGE_ADDRESS
    ) -> Claim:
        """Claim something with whatever the node proves of its slot in a contract."""
        slot, address = withdrawal_slot(withdrawal_id), format_felt(contract)
        asked: dict[str, object] = {
            "block_id": {"block_number": post.height},
            "contract_addresses": [address],
            "contracts_storage_keys": [
                {"contract_address": address, "storage_keys": [format_felt(slot)]}
            ],
        }
        answer = await self._connection.read_json("getStorageProof", asked)
        told = msgspec.convert(answer, _Told)
        (leaf,), (storage,) = (
            told.contracts_proof.contract_leaves_data,
            told.contracts_storage_proofs,
        )
        return Claim(
            contract=0,
            exchange=EXCHANGE_ADDRESS,
            chain_id=CHAIN_ID,
            height=post.height,
            state_root=post.state_root,
            withdrawal_id=withdrawal_id,
            recipient=RECIPIENT,
            amount=amount,
            proof=WithdrawalProof(
                classes_root=parse_felt(told.global_roots.classes_tree_root),
                class_hash=parse_felt(leaf.class_hash),
                nonce=parse_felt(leaf.nonce),
                contract_nodes=_path(told.contracts_proof.nodes),
                storage_nodes=_path(storage),
            ),
        )

    async def close(self) -> None:
        await self._connection.close()


def owing(folder: Path) -> Owing:
    """Run a node on a folder, have it owe withdrawals, and ask it for its proofs."""
    return asyncio.run(_owing(folder))


async def _owing(folder: Path) -> Owing:
    cast = real_cast()
    await begin(cast, folder)
    async with going_on(cast, folder, None, api_port=0) as chain, _asked(chain, folder) as prover:
        early_ids = [await _withdrawn(chain, amount) for amount in AMOUNTS[:-1]]
        early = _post(chain, chain.height)
        late_id = await _withdrawn(chain, AMOUNTS[-1])
        late, ids = _post(chain, chain.height), [*early_ids, late_id]
        return Owing(
            genesis=_post(chain, 0),
            early=early,
            late=late,
            ids=ids,
            claims=[await prover.claim(*each, late) for each in zip(ids, AMOUNTS, strict=True)],
            early_claims=[
                await prover.claim(each, amount, early)
                for each, amount in zip(early_ids, AMOUNTS, strict=False)
            ],
            absent=await prover.claim(ABSENT_ID, AMOUNTS[0], late),
            not_yet=await prover.claim(late_id, AMOUNTS[-1], early),
            foreign=await prover.claim(ids[0], AMOUNTS[0], late, TOKEN_ADDRESS),
        )


@asynccontextmanager
async def _asked(chain: Appchain, folder: Path) -> AsyncIterator[Prover]:
    """Have a node's clients answered, and give one that asks for proofs."""
    config = NodeConfig(folder, Secret(chain.cast.operator_key), api_port=0)
    async with answered(config, chain.node, Given()) as (url, services):
        prover = Prover(url)
        async with asyncio.TaskGroup() as group:
            serving = [group.create_task(service) for service in services]
            yield prover
            for task in serving:
                task.cancel()
        await prover.close()


async def _withdrawn(chain: Appchain, amount: int) -> Felt:
    """Have a withdrawal in a block of its own; returns its id."""
    name = GAMBLERS[0]
    command = Withdraw(chain.cast.addresses[name], RECIPIENT, amount * QUOTE_PER_TOKEN, 0)
    signed, item = chain.invoke(name, command)
    await chain.block()
    assert not await refusal_of(item)
    await chain.stored()
    return withdrawal_id_of(transaction_hash(signed, CHAIN_ID))


def _post(chain: Appchain, height: int) -> Post:
    with chain.node.views.at_head() as view:
        block = view.block(height)
        assert block is not None
        return post_of(block)


def _path(named: Sequence[_Named]) -> tuple[Node, ...]:
    """Read the nodes of one key, which a node tells from the root down."""
    return nodes_of([each.node for each in named])
