"""The end of a run's money: withdrawals claimed by proof, and the contract's money counted.

Promises
- A proof is made from the store alone, under the root of a block that is final over there.
- Each withdrawal is claimed twice: the first claim pays its recipient exactly its amount, and the
  second is refused, whoever of the two was sent by an earlier process.
- What does not fit is named.

Laws
- Amounts are in 1e-6 of the token.
- Anybody may give the contract money, also by a withdrawal to its own address: what it has more
  than it counts is a surplus and no failure. Less is one.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.stored import TABLES, decode_stored
from sequencer.engine.deposit_facts import Content, stored_deposits
from sequencer.engine.lookup import roots_at, trie_reader
from sequencer.engine.money_law import money_difference
from sequencer.engine.state_reads import contract_at, row_at
from sequencer.exchange.state import ONLY, Table
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import System, Totals, Withdrawal
from sequencer.model.settlement import SettlementError
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.ports import ChainView, StateReader
from sequencer.settlement.money import Purse
from sequencer.settlement.proofs import (
    Claim,
    WithdrawalProof,
    ordered_path,
    require_proof,
    withdrawal_slot,
)
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import pedersen
from sequencer.starknet.state import CONTRACTS_TRIE
from sequencer.starknet.trie_node import Node
from sequencer.starknet.trie_proof import prove

ALREADY_PAID = "ALREADY_PAID"


class Claimed(msgspec.Struct, frozen=True):
    """What was paid in 1e-6 of the token, whether the contract's money is all there, what it has
    more than it counts, and what does not fit."""

    amount: int = 0
    balance_matches: bool = False
    surplus: int = 0
    problems: Sequence[str] = ()


class Claimant:
    """Claims what a chain owes at a final block, and counts the contract's money."""

    def __init__(
        self, purse: Purse, settlement: StarknetSettlement, say: Callable[[str], None]
    ) -> None:
        self._purse = purse
        self._settlement = settlement
        self._say = say

    async def settle(self, view: ChainView) -> Claimed:
        """Claim every withdrawal of the final block's state, and count."""
        try:
            height = (await self._settlement.standing()).finalized.height
            amount, problems = await self._claim_all(view, height)
            surplus, problem = await self._miscounted(view)
        except (SettlementError, Refused) as error:
            return Claimed(problems=(str(error),))
        more = (problem,) if problem else ()
        return Claimed(amount, not problem, surplus, (*problems, *more))

    async def _claim_all(self, view: ChainView, height: int) -> tuple[int, list[str]]:
        block = view.block(height)
        if block is None:
            return 0, [f"block {height} is final over there and none of ours"]
        amount, problems, contract = 0, [], self._settlement.contract
        for withdrawal_id, row in _withdrawals(view.state_at(block)):
            problem = await self._claim(claim_of(view, block, contract, withdrawal_id, row))
            if problem:
                problems.append(f"withdrawal {withdrawal_id:#x}: {problem}")
            else:
                amount += row.payout // QUOTE_PER_TOKEN
        if not (amount or problems):
            problems.append(f"no withdrawal is owed at block {height}, which is final")
        return amount, problems

    async def _miscounted(self, view: ChainView) -> tuple[int, str]:
        """Compare the contract's money with its counters and the chain.

        Returns what it has more than it counts, and what differs.
        """
        contract, totals = self._settlement.contract, row_at(view.state(), Table.TOTALS, ONLY)
        if not isinstance(totals, Totals):
            return 0, "the chain has no totals"
        money = await self._settlement.money()
        balance = await self._purse.balance(contract)
        given = totals.genesis_deposited // QUOTE_PER_TOKEN
        surplus = balance - (given + money.deposited - money.paid)
        if surplus < 0:
            counted = f"{given} of genesis, {money.deposited} deposited, {money.paid} paid"
            return 0, f"the contract has {balance}, and counts {counted}"
        credited, owed = stored_deposits(view.state()), dict(_withdrawals(view.state()))
        sent = await self._settlement.deposits(0, money.deposits)
        waiting = [
            Content(contract, each.account, each.amount)
            for each in sent
            if each.nonce not in credited
        ]
        paid = [each for each in owed if await self._purse.is_paid(each)]
        difference = money_difference(money, totals, owed, paid, waiting)
        words = f"the contract has {difference} of 1e-8 more than is owed"
        return surplus, words if difference else ""

    async def _claim(self, claim: Claim) -> str:
        """Claim one twice; returns what does not fit."""
        purse, recipient = self._purse, claim.recipient
        require_proof(claim)
        was_paid, before = await purse.is_paid(claim.withdrawal_id), await purse.balance(recipient)
        if not was_paid:
            await purse.withdraw(claim)
        after = await purse.balance(recipient)
        paid = 0 if was_paid or recipient == claim.contract else claim.amount
        if after - before != paid or after < claim.amount:
            return f"its recipient has {after} after {before}, and {claim.amount} is owed"
        code = await self._refusal(claim)
        if code != ALREADY_PAID or await purse.balance(recipient) != after:
            return f"a second claim was answered {code or 'with money'}"
        self._say(
            f"settlement: withdrawal {claim.withdrawal_id:#x} paid by proof at block "
            f"{claim.height}; a second claim is refused: {code}"
        )
        return ""

    async def _refusal(self, claim: Claim) -> str:
        try:
            await self._purse.withdraw(claim)
        except SettlementError as error:
            if not error.code:
                raise
            return error.code
        return ""


def claim_of(
    view: ChainView, block: BlockRecord, contract: Felt, withdrawal_id: Felt, row: Withdrawal
) -> Claim:
    """Prove a withdrawal under the root of a block. Refusals: the store's, PROOF_ABSENT."""
    state, roots = view.state_at(block), roots_at(view, block)
    exchange, system = contract_at(state, EXCHANGE_ADDRESS), row_at(state, Table.SYSTEM, ONLY)
    if exchange is None or not isinstance(system, System):
        raise Refused(Reason.RUN_BROKEN, f"block {block.height} has no exchange")
    slot = withdrawal_slot(withdrawal_id)

    def path(trie: Felt, root: Felt, key: Felt) -> tuple[Node, ...]:
        nodes = prove(trie_reader(state, trie), (key,), TRIE_HEIGHT_MAX, pedersen)
        return ordered_path(root, key, nodes.values())

    return Claim(
        contract=contract,
        exchange=EXCHANGE_ADDRESS,
        chain_id=system.chain_id,
        height=block.height,
        state_root=int.from_bytes(block.state_root, "big"),
        withdrawal_id=withdrawal_id,
        recipient=row.recipient,
        amount=row.payout // QUOTE_PER_TOKEN,
        proof=WithdrawalProof(
            classes_root=roots.classes,
            class_hash=exchange.class_hash,
            nonce=exchange.nonce,
            contract_nodes=path(CONTRACTS_TRIE, roots.contracts, EXCHANGE_ADDRESS),
            storage_nodes=path(EXCHANGE_ADDRESS, roots.exchange_storage, slot),
        ),
    )


def _withdrawals(state: StateReader) -> Iterator[tuple[Felt, Withdrawal]]:
    for stored in state.rows(TABLES[Table.WITHDRAWAL].number):
        _, key, row = decode_stored(*stored)
        if isinstance(row, Withdrawal):
            yield key, row
