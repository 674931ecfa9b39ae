"""A bench of withdrawals: what one costs on a starknet-devnet, proof and payment included.

Promises
- What is proven is in the state of a chain of our own, whose root was posted and made final.
- Each recipient is paid for the first time, which is dearer than the next time.

The withdrawals do not come from commands: a journal puts them into block 1, with the money that
they take, so that all laws hold.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from devnet.appchain_facts import AppchainFacts, facts_of
from devnet.backends import DEVNET, FINALITY_DELAY_SECONDS
from devnet.claiming import claim_of
from scripts.benches.devnets import Settling, on_devnet
from scripts.benches.measure import Figure, Sizes
from scripts.benches.world import OPERATOR_KEY, SEED, account_address, genesis_text
from sequencer.chain.block import close_block
from sequencer.config import NodeConfig, read_settlement
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.settling import post_of
from sequencer.engine.trie_cache import TrieCache
from sequencer.exchange.state import ONLY, Journal, State, Table
from sequencer.model.rows import Withdrawal
from sequencer.model.secret import Secret
from sequencer.model.units import ONE
from sequencer.node import open_chain
from sequencer.settlement.connection import StarknetAccess
from sequencer.settlement.money import Purse
from sequencer.settlement.proofs import Claim
from sequencer.starknet.felt import ADDRESS_BOUND, FELT_PRIME, Felt
from sequencer.storage.folder import open_folder

ACCOUNTS = 3_000
"""Accounts of the chain that owes the withdrawals, whatever the sizes: its trie's depth counts."""

WITHDRAWALS = 5
_AMOUNT = 5 * ONE
_HEIGHT = 1


class Paid(NamedTuple):
    """A withdrawal that was paid: its gas, and the nodes of its proof's two paths."""

    l2_gas: int
    storage_nodes: int
    contract_nodes: int


def l2_gas_withdraw(_: Sizes) -> Figure:
    """Starknet's gas of computation of one withdrawal: signature, fee, proof, and payment."""
    paid = _paid()
    dearest, cheapest = max(paid), min(paid)
    note = (
        f"the dearest of {len(paid)}, each a transaction; the cheapest {cheapest.l2_gas:,}; "
        f"{ACCOUNTS} accounts: {dearest.storage_nodes} nodes of storage and "
        f"{dearest.contract_nodes} of contracts; recipients who had nothing"
    )
    return Figure(dearest.l2_gas, "l2 gas", note)


@cache
def _paid() -> Sequence[Paid]:
    owed = _owed(random.Random(SEED))
    return on_devnet(DEVNET, lambda data: _owing(data, owed), lambda world: _claimed(world, owed))


def _owed(choose: random.Random) -> dict[Felt, Withdrawal]:
    return {
        choose.randrange(1, FELT_PRIME): Withdrawal(
            account_address(index), choose.randrange(1, ADDRESS_BOUND), _AMOUNT, _AMOUNT
        )
        for index in range(WITHDRAWALS)
    }


def _owing(data: Path, owed: dict[Felt, Withdrawal]) -> AppchainFacts:
    """Begin a chain whose block 1 owes withdrawals, and return what a contract knows of it."""
    config = NodeConfig(data, Secret(OPERATOR_KEY), genesis=genesis_text(ACCOUNTS))
    store, recovered = open_chain(config)
    with closing(store):
        state = recovered.state
        journal = Journal(state)
        for withdrawal_id, row in owed.items():
            _put(journal, withdrawal_id, row)
        closed = close_block(state, _HEIGHT, journal, ())
        Sealer(store, TrieCache(lambda: store.view)).seal(closed, Extras())
        return facts_of(store.view, state)


def _put(journal: Journal, withdrawal_id: Felt, row: Withdrawal) -> None:
    state: State = journal.state
    account, totals = state.accounts[row.account], state.totals
    poorer = msgspec.structs.replace(account, cash=account.cash - row.payout)
    paid_out = msgspec.structs.replace(totals, withdrawn=totals.withdrawn + row.payout)
    journal.put(Table.ACCOUNT, row.account, poorer)
    journal.put(Table.TOTALS, ONLY, paid_out)
    journal.put(Table.WITHDRAWAL, withdrawal_id, row)


async def _claimed(world: Settling, owed: dict[Felt, Withdrawal]) -> Sequence[Paid]:
    contract, access = world.contract, read_settlement(world.folder, None)
    if access is None:
        raise SystemExit("a devnet on which nobody may post")
    claims = await _final_claims(world, owed)
    purse = Purse(StarknetAccess(access.url, access.account, access.key), contract.contract)
    try:
        return [_paid_of(claim, (await purse.withdraw(claim)).l2_gas) for claim in claims]
    finally:
        await purse.close()


async def _final_claims(world: Settling, owed: dict[Felt, Withdrawal]) -> Sequence[Claim]:
    """Post the block that owes, make it final, and prove what it owes."""
    contract = world.contract
    with closing(open_folder(world.data)) as store:
        block = store.view.block(_HEIGHT)
        if block is None:
            raise SystemExit("a chain that owes nothing")
        await contract.update_state(0, (await contract.standing()).newest, post_of(block))
        await contract.advance_time(FINALITY_DELAY_SECONDS)
        await contract.finalize(_HEIGHT)
        address = contract.contract
        return [claim_of(store.view, block, address, id_, row) for id_, row in owed.items()]


def _paid_of(claim: Claim, l2_gas: int) -> Paid:
    return Paid(l2_gas, len(claim.proof.storage_nodes), len(claim.proof.contract_nodes))


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (l2_gas_withdraw,)
