"""Deposits of a run: who sends them, who pays for those that get lost, and what must be true then.

Laws
- In the live chain each deposit is credited at most once, and again only after it was unmade; the
  lowest nonce that is free comes next.
- In the end the inbox is what the contract says, and all of it is credited, unless a credited one
  is lost: then the money law misses exactly what that one was credited.
"""

import asyncio
from random import Random

from scripts.simulating.cast import GAMBLERS, MAKER, Cast
from scripts.simulating.node import wait_for
from scripts.simulating.people import Post
from scripts.simulating.records import Records
from scripts.simulating.settlement import SettlementChain
from sequencer.engine.deposit_facts import DepositFacts, content_of
from sequencer.engine.impact import events_of
from sequencer.engine.lookup import find_block, live_blocks, state_at
from sequencer.engine.money_law import money_difference
from sequencer.model.commands import SetMode, UnmakeDeposit
from sequencer.model.events import Credited, DepositUnmade
from sequencer.model.rows import Mode
from sequencer.ports import ChainView
from sequencer.starknet.felt import as_bytes

_STRANGERS = (0xCAFE, 0xF00D)
_INSURANCE = "insurance"
_CREDIT_SECONDS_MAX = 30.0


async def send_deposits(settlement: SettlementChain, cast: Cast, random: Random) -> None:
    """Deposit now and then, until cancelled."""
    accounts = (*(cast.addresses[name] for name in (MAKER, *GAMBLERS)), *_STRANGERS)
    while True:
        await asyncio.sleep(random.uniform(0.4, 2.0))
        for _ in range(random.choice((1, 1, 1, 3))):
            settlement.take_deposit(random.choice(accounts), random.randrange(1, 20 * 10**6))


async def pay_for_lost(post: Post, cast: Cast, random: Random) -> None:
    """Unmake what is lost with insurance's money, after a while, until cancelled."""
    address = cast.addresses[_INSURANCE]
    while True:
        await asyncio.sleep(random.uniform(0.2, 1.5))
        state = post.state
        unmade = post.node.deposits.unmade(state.deposits)
        if unmade and state.system.mode is not Mode.HALTED:
            nonce = state.contracts[address].nonce
            wrong = random.random() < 0.1
            command = UnmakeDeposit(unmade[-1] - wrong)
            post.send(_INSURANCE, cast.invoke(_INSURANCE, command, nonce))


async def credit_rest(post: Post, settlement: SettlementChain) -> None:
    """Have everything credited that waits, if the chain makes blocks, and nothing is lost."""

    def is_quiet() -> bool:
        facts, deposits = post.node.deposits, post.state.deposits
        money = settlement.chain.ledger.state.money()
        if (facts.count, facts.chain_hash) != (money.deposits, money.chain_hash):
            return False
        return not (facts.is_doubted or facts.waits(deposits))

    def look() -> bool:
        if post.node.engine.gate.is_halted(post.state):
            post.operate(SetMode(Mode.CANCEL_ONLY, "deposits wait"))
        return is_quiet()

    quiet = await wait_for(look, _CREDIT_SECONDS_MAX, step=0.25)
    post.records.require(quiet, "deposits wait, and nobody credits them")


def check_deposits(view: ChainView, settlement: SettlementChain, records: Records) -> None:
    """Hold the inbox, the exchange and the contract against each other."""
    facts, state = DepositFacts(lambda: view), state_at(view, find_block(view, "latest"))
    deposits, made = state.deposits, settlement.chain.ledger.state.deposits
    live = facts.live(0, len(made) + 1)
    known = [(each.nonce, each.message_hash) for each in live]
    there = [(each.nonce, as_bytes(each.message_hash)) for each in made]
    records.require(known == there, f"{len(known)} live facts, {len(there)} deposits over there")
    records.require(_counted(view, records) == {*deposits}, "credits told are not those kept")
    for nonce, row in deposits.items():
        is_live = (nonce, as_bytes(row.message_hash)) in known
        lost = facts.is_retracted(nonce, row.message_hash)
        records.require(is_live != lost, f"credit {nonce} is of no deposit")
        if view.orphaned_transaction(as_bytes(row.message_hash)) is not None:
            records.count("deposit credited again after a rollback")
    unmade = facts.unmade(deposits)
    if unmade:
        records.count("ends with a lost deposit")
    else:
        records.require([*sorted(deposits)] == [*range(len(made))], "a deposit is not credited")
    credited = {as_bytes(row.message_hash) for row in deposits.values()}
    rest = [content_of(each) for each in live if each.message_hash not in credited]
    money = settlement.chain.ledger.state.money()
    more = money_difference(money, state.totals, state.withdrawals, (), rest)
    less = sum(deposits[each].amount for each in unmade)
    records.require(more == -less, f"the contract has {more} more, {less} is lost")


def _counted(view: ChainView, records: Records) -> set[int]:
    """Go through the live chain's credits, in order; returns what stays credited."""
    credited: set[int] = set()
    kinds = (Credited, DepositUnmade)
    for event in (each for block in live_blocks(view, 1) for each in events_of(block, kinds)):
        match event:
            case Credited(nonce=nonce):
                free = next(each for each in range(len(credited) + 1) if each not in credited)
                records.require(nonce == free, f"deposit {nonce} is credited before {free}")
                credited.add(nonce)
                records.count("deposit credited")
            case DepositUnmade(nonce=nonce):
                records.require(nonce in credited, f"deposit {nonce} is unmade before its credit")
                credited.discard(nonce)
                records.count("lost deposit unmade")
            case _:
                pass
    return credited
