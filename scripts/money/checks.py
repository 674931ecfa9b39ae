"""What must be true of money once nothing is under way: the laws of both chains, to the last unit.

Laws
- Every deposit that stands over there is credited here exactly once in the live chain, and nothing
  else is.
- Every withdrawal is paid at most once, as it was asked for, and none that the live chain lacks.
- The contract has what genesis deposited and what its counters say; the money law misses nothing.
"""

from collections import Counter
from collections.abc import Sequence

from scripts.money.appchain import Appchain, Violated
from scripts.money.history import History
from scripts.money.settlement import SettlementChain
from sequencer.chain.exchange_contract import read_event
from sequencer.engine.lookup import live_blocks
from sequencer.engine.money_law import money_difference
from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.state import State
from sequencer.model.events import Credited, DepositUnmade
from sequencer.model.settlement import Money, SentDeposit
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.ports import ChainView


async def check_all(chain: Appchain, settlement: SettlementChain, history: History) -> None:
    """Hold both chains against each other. Error: Violated."""
    state = chain.state
    check_laws(state)
    recount(state)
    halts = [str(halt) for halt in chain.node.engine.gate.halts]
    require(not halts, f"halted in the end: {halts}")
    money = await settlement.node.money()
    sent = await settlement.node.deposits(0, money.deposits)
    require(len(sent) == money.deposits, "the contract does not list its deposits")
    require(sum(each.amount for each in sent) == money.deposited, "deposits are not their sum")
    with chain.node.views.at_head() as view:
        _check_credits(view, state, sent, history.counts)
    posts = [(epoch, number) for epoch, _, number, _ in await settlement.events("LogStateUpdate")]
    require(len(posts) == len({*posts}), f"a block was posted twice in an epoch: {posts}")
    await _check_payments(state, settlement, money, history)
    await _check_money(state, settlement, money)


def require(holds: bool, words: str) -> None:
    """Error: Violated, unless it holds."""
    if not holds:
        raise Violated(words)


def _check_credits(
    view: ChainView,
    state: State,
    sent: Sequence[SentDeposit],
    counts: Counter[str],
) -> None:
    there = {
        each.nonce: (each.account, each.amount * QUOTE_PER_TOKEN, each.message_hash)
        for each in sent
    }
    here = {
        nonce: (row.account, row.amount, row.message_hash) for nonce, row in state.deposits.items()
    }
    require(here == there, f"credited {sorted(here)}, over there {sorted(there)}")
    told = _credited_by_events(view)
    require(told == {*here}, f"credits told {sorted(told)}, kept {sorted(here)}")
    for each in sent:
        hash_ = each.message_hash.to_bytes(32, "big")
        require(view.transaction(hash_) is not None, f"no transaction of deposit {each.nonce}")
        counts["credited again after a rollback"] += view.orphaned_transaction(hash_) is not None


def _credited_by_events(view: ChainView) -> set[int]:
    """Go through the live chain in order; returns what stays credited."""
    credited: set[int] = set()
    for block in live_blocks(view, 1):
        for receipt in block.receipts:
            for event in map(read_event, receipt.events):
                if isinstance(event, Credited):
                    require(event.nonce not in credited, f"deposit {event.nonce} came twice")
                    credited.add(event.nonce)
                elif isinstance(event, DepositUnmade):
                    require(event.nonce in credited, f"deposit {event.nonce} was no credit")
                    credited.discard(event.nonce)
    return credited


async def _check_payments(
    state: State, settlement: SettlementChain, money: Money, history: History
) -> None:
    payments = [each[:3] for each in await settlement.events("LogWithdrawal")]
    ids = [withdrawal_id for withdrawal_id, _, _ in payments]
    require(len(ids) == len({*ids}), "a withdrawal was paid twice")
    require(sum(amount for _, _, amount in payments) == money.paid, "payments are not their sum")
    owed = {
        withdrawal_id: (row.recipient, row.payout // QUOTE_PER_TOKEN)
        for withdrawal_id, row in state.withdrawals.items()
    }
    paid = {withdrawal_id: (to, amount) for withdrawal_id, to, amount in payments}
    require(paid == owed, f"{len(paid)} withdrawals are paid, {len(owed)} are owed")
    received: Counter[int] = Counter()
    for to, amount in paid.values():
        received[to] += amount
    for to in {claim.recipient for claim in history.requested.values()}:
        balance = await settlement.claimant.balance(to)
        require(balance == received[to], f"{to:#x} has {balance}, not {received[to]}")
    for withdrawal_id in history.requested.keys() - owed.keys():
        is_paid = await settlement.claimant.is_paid(withdrawal_id)
        require(not is_paid, f"withdrawal {withdrawal_id:#x} is undone, and paid")


async def _check_money(state: State, settlement: SettlementChain, money: Money) -> None:
    given = state.totals.genesis_deposited // QUOTE_PER_TOKEN
    balance = await settlement.claimant.balance(settlement.contract)
    counted = given + money.deposited - money.paid
    require(balance == counted, f"the contract has {balance}, not {counted}")
    difference = money_difference(money, state.totals, state.withdrawals, state.withdrawals, ())
    require(difference == 0, f"the contract has {difference} of 1e-8 more than is owed")
