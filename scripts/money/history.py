"""A random history of money: what happens to it on both chains, one act after the other.

Promises
- What is done follows from the seed; how the two chains interleave does not, for both are real.

Laws
- Whatever is refused in between may be; what must hold is held in `checks.py`, once nothing is
  under way any more.
- A withdrawal that is not in the live chain is never paid, whenever its proof is sent.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from devnet.backends import FINALITY_DELAY_SECONDS
from devnet.claiming import ALREADY_PAID, claim_of
from scripts.money.appchain import INSURANCE, Appchain, Violated, refusal_of, until
from scripts.money.settlement import SettlementChain
from scripts.simulating.cast import CHAIN_ID, GAMBLERS, MAKER, PRICE, TRADERS
from scripts.simulating.node import wait_for
from sequencer.model.commands import OrderPolicy, UnmakeDeposit, Withdraw
from sequencer.model.orders import Instruction, Side
from sequencer.model.refusals import Refused
from sequencer.model.rows import Mode
from sequencer.model.settlement import SettlementError, Standing
from sequencer.model.units import ONE, QUOTE_PER_TOKEN
from sequencer.settlement.money import Payment
from sequencer.settlement.proofs import Claim
from sequencer.starknet.deposits import withdrawal_id_of
from sequencer.starknet.felt import Felt
from sequencer.starknet.transactions import transaction_hash

_STRANGERS = (0xCAFE, 0xF00D)
_TOKEN = 10**6
_BEGINNING = 4
_REORG_DEPTH_MAX = 9
_SETTLE_TRIES_MAX = 25
_LOTS = ONE // 100
_FINAL_TRIES_MAX = 12
_FINAL_SECONDS = 2.5

Act = Callable[[], Awaitable[None]]


class History:
    """One history. `requested` holds every withdrawal ever made, proven under its own block."""

    def __init__(self, seed: int, settlement: SettlementChain) -> None:
        self.counts: Counter[str] = Counter()
        self.requested: dict[Felt, Claim] = {}
        self.log: list[str] = []
        self._random = Random(f"money {seed}")
        self._settlement = settlement
        self._recipients = self._random.randrange(2**40, 2**60)

    def attach(self, chain: Appchain) -> None:
        """Go on with a node."""
        self._chain = chain

    async def act(self) -> None:
        """Do the next thing."""
        acts: list[tuple[int, Act]] = [
            (5, self._deposit),
            (4, self._trade),
            (5, self._withdraw),
            (2, self._idle),
            (3, self._finalize),
            (3, self._claim),
            (3, self._roll_back),
            (3, self._lose_blocks),
            (2, self._go_wrong),
        ]
        weights = [weight for weight, _ in acts]
        ((_, act),) = self._random.choices(acts, weights)
        if self._chain.unmade or self._chain.is_halted:
            await self._mend()
        await act()

    async def come_to_rest(self) -> None:
        """Let nothing go wrong any more, and everything that waits come to its end."""
        await self._settlement.heal()
        for _ in range(_SETTLE_TRIES_MAX):
            await self._collected()
            chain = self._chain
            if chain.unmade or chain.is_halted:
                await self._mend()
            elif chain.state.system.mode is not Mode.OPEN:
                await chain.climb()
            elif chain.node.deposits.waits(chain.state.deposits):
                await chain.block()
            else:
                await self._make_final()
                await self._claim_all()
                return
        raise Violated("it does not come to rest")

    async def refuse_orphans(self) -> None:
        """Send the proof of every withdrawal that is not in the live chain: none may be paid."""
        live = self._chain.state.withdrawals
        for withdrawal_id, claim in self.requested.items():
            if withdrawal_id in live:
                continue
            refusal = await self._settlement.claim(claim)
            self._count(f"undone withdrawal refused: {refusal}")
            self.counts["undone withdrawal refused"] += 1
            if not refusal or refusal == ALREADY_PAID:
                raise Violated(f"withdrawal {withdrawal_id:#x} is undone, and was paid: {refusal}")

    async def _deposit(self) -> None:
        names = [self._chain.cast.addresses[name] for name in TRADERS]
        payments = [
            Payment(
                self._random.choice((*names, *_STRANGERS)), self._random.randrange(1, 40 * _TOKEN)
            )
            for _ in range(self._random.choice((1, 1, 2, 3)))
        ]
        if self._random.random() < 0.2:
            await self._settlement.message(payments[0].account, payments[0].amount)
            self._count("deposit from Ethereum")
        else:
            await self._settlement.deposit(payments)
            self.counts["deposit"] += len(payments)
            self._say(f"deposit of {len(payments)}")
        if self._random.random() < 0.5:
            await self._collected()

    async def _trade(self) -> None:
        """Have a gambler trade with the maker."""
        chain, side = self._chain, self._random.choice(tuple(Side))
        name = self._random.choice(GAMBLERS)
        size = self._random.randrange(1, 4) * _LOTS
        other = Side.SELL if side is Side.BUY else Side.BUY
        orders = ((MAKER, other, Instruction.GTC), (name, side, Instruction.IOC))
        try:
            for who, way, instruction in orders:
                signed = chain.cast.order(
                    who,
                    way,
                    size,
                    PRICE * ONE,
                    chain.now_ms(),
                    instruction=instruction,
                    client_id=self._random.randrange(1_000_000),
                )
                chain.order(signed)
        except Refused as refused:
            self._count(f"trade refused: {refused.reason.value}")
        before = dict(chain.state.holding(chain.cast.addresses[name]).positions)
        await chain.block()
        if chain.state.holding(chain.cast.addresses[name]).positions != before:
            self._count("trade")

    async def _withdraw(self) -> None:
        chain, name = self._chain, self._random.choice(TRADERS)
        amount = self._random.randrange(1, 30 * _TOKEN) * QUOTE_PER_TOKEN
        recipient = self._recipients + self._random.randrange(4)
        command = Withdraw(chain.cast.addresses[name], recipient, amount, 0)
        try:
            signed, item = chain.invoke(name, command)
        except Refused as refused:
            self._count(f"withdrawal refused: {refused.reason.value}")
            return
        await chain.block()
        refusal = await refusal_of(item)
        if refusal:
            self._count(f"withdrawal refused: {refusal}")
            return
        await chain.stored()
        self._note_withdrawal(withdrawal_id_of(transaction_hash(signed, CHAIN_ID)))

    def _note_withdrawal(self, withdrawal_id: Felt) -> None:
        (self.requested[withdrawal_id],) = self._claims(self._chain.height, [withdrawal_id])
        self._count("withdrawal")

    async def _idle(self) -> None:
        for _ in range(self._random.choice((1, 1, 2))):
            await self._chain.block()

    async def _finalize(self) -> None:
        if self._random.random() < 0.3:
            await self._settlement.pass_time(self._random.choice((1, FINALITY_DELAY_SECONDS // 2)))
        await self._make_final()

    async def _claim(self) -> None:
        """Claim one that is owed at the final block, twice."""
        height = (await self._standing()).finalized.height
        owed = self._owed_at(height)
        if owed:
            await self._pay(self._random.choice(owed))

    async def _claim_all(self) -> None:
        for claim in self._owed_at((await self._standing()).finalized.height):
            await self._pay(claim)

    async def _pay(self, claim: Claim) -> None:
        was_paid = await self._settlement.claimant.is_paid(claim.withdrawal_id)
        first = await self._settlement.claim(claim)
        self._count("claim paid" if not first else f"claim: {first}")
        # Its receipt may have gone astray the first time.
        if first not in {"", ALREADY_PAID} or (was_paid and not first):
            raise Violated(f"withdrawal {claim.withdrawal_id:#x}: {first}, paid before: {was_paid}")
        if self._random.random() < 0.3:
            second = await self._settlement.claim(claim)
            self._count("second claim refused")
            if second != ALREADY_PAID:
                raise Violated(f"withdrawal {claim.withdrawal_id:#x} was claimed twice: {second}")

    async def _roll_back(self) -> None:
        chain = self._chain
        await chain.stored()
        low = max(_BEGINNING, (await self._standing()).finalized.height)
        if chain.height <= low:
            return
        target = self._random.randrange(low, chain.height)
        if not await self._go_back(target):
            return
        if self._random.random() < 0.5:
            await self.refuse_orphans()
        if self._random.random() < 0.35:
            await self._undo()
        await self._reopen()

    async def _go_back(self, target: int) -> bool:
        chain = self._chain
        withdrawals, deposits = set(chain.state.withdrawals), set(chain.state.deposits)
        try:
            plan = await chain.desk.plan(str(target), OrderPolicy.KEEP, ())
            await chain.desk.apply(plan.plan_id.hex(), chain.desk.order("olga", "a drill"))
        except Refused as refused:
            self._count(f"rollback refused: {refused.reason.value}")
            return False
        self._count("rollback")
        self._say(f"back to {target}")
        self.counts["withdrawal undone"] += len(withdrawals - set(chain.state.withdrawals))
        self.counts["credit undone"] += len(deposits - set(chain.state.deposits))
        return True

    async def _undo(self) -> None:
        chain = self._chain
        reorg_id = chain.node.store.head.epoch
        before = set(chain.state.withdrawals)
        try:
            await chain.desk.undo(reorg_id, chain.desk.order("olga", "a drill"))
        except Refused as refused:
            self._count(f"undo refused: {refused.reason.value}")
            return
        self._count("undo")
        self.counts["withdrawal restored"] += len(set(chain.state.withdrawals) - before)

    async def _reopen(self) -> None:
        before = set(self._chain.state.deposits)
        await self._chain.climb()
        self.counts["credit made again"] += len(set(self._chain.state.deposits) - before)

    async def _lose_blocks(self) -> None:
        """Have the settlement chain lose its newest blocks."""
        chain, settlement = self._chain, self._settlement
        first, made = await settlement.deposits(), chain.state.deposits
        gone = await settlement.node.deposits(0, first)
        removed = await settlement.reorg(self._random.randrange(1, _REORG_DEPTH_MAX))
        left = await settlement.deposits()
        lost = [each for each in gone if each.nonce >= left]
        consumed = sum(each.nonce in made for each in lost)
        self._count("settlement reorg")
        self._say(f"{removed} blocks lost, {len(lost)} deposits, {consumed} of them credited")
        self.counts["deposit lost before its credit"] += len(lost) - consumed
        self.counts["deposit lost after its credit"] += consumed
        if lost and self._random.random() < 0.5:
            again = [Payment(each.account, each.amount) for each in lost]
            if self._random.random() < 0.5:
                self._random.shuffle(again)
            await settlement.deposit(again)
            self._count("lost deposits sent again")
        if self._random.random() < 0.7:
            await self._collected()

    async def _go_wrong(self) -> None:
        node = self._settlement.node
        fault = self._random.choice(("lose", "drop", "doubled", "lost", "slow"))
        self._count(f"fault {fault}")
        match fault:
            case "doubled":
                node.doubled = 1
            case "lost":
                node.lost = 1
            case "slow":
                await self._settlement.fault(slow_ms=self._random.choice((0, 5, 20)))
            case _:
                await self._settlement.fault(**{fault: 1})
                if self._random.random() < 0.7:
                    await self._deposit()

    async def _mend(self) -> None:
        """Bring the chain back to where it trades, whatever has halted it."""
        chain = self._chain
        halts = {halt.cause.value for halt in chain.node.engine.gate.halts}
        self._say(f"halted by {sorted(halts)}")
        for cause in halts:
            self._count(f"halted: {cause}")
        if chain.unmade:
            if self._random.random() < 0.5 and await self._go_below_lost():
                self._count("lost credit rolled back")
            else:
                await self._unmake()
        await self._reopen()

    async def _go_below_lost(self) -> bool:
        """Go back below the first lost credit, if that is not final."""
        chain = self._chain
        await chain.stored()
        row = chain.state.deposits[chain.unmade[0]]
        with chain.node.views.at_head() as view:
            place = view.transaction(row.message_hash.to_bytes(32, "big"))
        if place is None:
            raise Violated(f"deposit {chain.unmade[0]} is credited by no transaction")
        low = max(_BEGINNING, (await self._standing()).finalized.height)
        return place.height > low and await self._go_back(place.height - 1)

    async def _unmake(self) -> None:
        """Have insurance pay for what is lost, the newest first."""
        chain = self._chain
        await chain.climb(Mode.POST_ONLY)
        while chain.unmade:
            try:
                _, item = chain.invoke(INSURANCE, UnmakeDeposit(chain.unmade[-1]))
            except Refused as refused:
                self._count(f"unmaking refused: {refused.reason.value}")
                return
            await chain.block()
            refusal = await refusal_of(item)
            self._count("lost credit unmade" if not refusal else f"unmaking refused: {refusal}")
            if refusal:
                return

    async def _collected(self) -> None:
        """Wait until the inbox is what the contract says, and known to be."""
        money = await self._money_or_none()
        facts = self._chain.node.deposits
        if money is not None:
            await until(
                lambda: not facts.is_doubted and (facts.count, facts.chain_hash) == money,
                "the inbox is complete",
            )

    async def _money_or_none(self) -> tuple[int, int] | None:
        try:
            money = await self._settlement.node.money()
        except SettlementError:
            return None
        return money.deposits, money.chain_hash

    async def _make_final(self) -> None:
        """Have the head posted, let the delay pass, and wait until it is final.

        A reorg over there may take a post back before the node misses it: its delay begins again.
        """
        chain, settler = self._chain, self._chain.node.settler
        if settler is None:
            raise TypeError("no settler")
        await chain.stored()
        height = chain.height
        for _ in range(_FINAL_TRIES_MAX):
            settler.request(height)
            words = f"block {height} is posted: {settler.status()}"
            await until(lambda: settler.status().settled_height >= height, words)
            await self._settlement.pass_time(FINALITY_DELAY_SECONDS + 1)
            seen = await wait_for(lambda: settler.finalized_height >= height, _FINAL_SECONDS)
            # A reorg may have taken what the node has seen.
            if seen and (await self._standing()).finalized.height >= height:
                self._count("made final")
                return
        raise Violated(f"block {height} does not become final: {settler.status()}")

    async def _standing(self) -> Standing:
        await self._settlement.deposits()
        return await self._settlement.node.standing()

    def _owed_at(self, height: int) -> list[Claim]:
        """Return a claim for all that the final block's state owes."""
        live, claims = self._chain.state.withdrawals, self.requested
        return self._claims(height, [each for each in live if claims[each].height <= height])

    def _claims(self, height: int, ids: Sequence[Felt]) -> list[Claim]:
        """Prove withdrawals of the live chain under the root of a block."""
        contract, rows = self._settlement.contract, self._chain.state.withdrawals
        with self._chain.node.views.at_head() as view:
            block = view.block(height)
            if block is None:
                raise Violated(f"block {height} is not in the chain")
            return [claim_of(view, block, contract, each, rows[each]) for each in ids]

    def _count(self, what: str) -> None:
        self.counts[what] += 1
        self._say(what)

    def _say(self, words: str) -> None:
        self.log.append(f"block {self._chain.height}: {words}")
