"""The settlement chain of a run: the simulated contract, with faults that come and go.

Laws
- Each call takes virtual time. What is posted at a moment is known to whoever looks (`is_posting`).
- In the end the contract stands at the newest live block, and all that is final there is live here;
  no hold is left over.
- Of the deposits that a reorg removes some come again, as transactions there do.
"""

import asyncio
from random import Random

from scripts.simulating.cast import CHAIN_ID
from scripts.simulating.records import Records
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.engine.lookup import find_block
from sequencer.engine.settling import Place, place_of, plan_felt, post_of, reason_felt
from sequencer.model.records import IncidentKind
from sequencer.model.settlement import (
    Post,
    Sent,
    SettlementError,
    SettlementProblem,
    TimedPost,
)
from sequencer.ports import ChainView, Clock
from sequencer.settlement.contract_rules import (
    ContractCall,
    ContractState,
    Deposit,
    RevertState,
    UpdateState,
    is_held,
)
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement

_OWNER, _CALLER, _DEPOSITOR = 1, 2, 3
_LATE_MS_MAX = 60
_DELAYS_SECONDS = (3, 30, 3_600)
_FAULTS = ("receipts_lost", "calls_lost", "doubled", "reorg", "down", "late", "late", "late")


class _Contract(SimulatedChain):
    """The contract, looked at with each call that it accepts."""

    def __init__(self, state: ContractState, clock: Clock, records: Records) -> None:
        super().__init__(state, clock)
        self._records = records

    def carry_out(self, call: ContractCall, caller: int) -> int:
        """Carry a call out; what names an epoch names the one in which it is taken."""
        epoch = self.ledger.state.epoch
        place = super().carry_out(call, caller)
        if isinstance(call, UpdateState | RevertState):
            words = f"a call of epoch {call.epoch} is taken in epoch {epoch}"
            self._records.require(call.epoch == epoch, words)
        return place


class SettlementChain(SimulatedSettlement):
    """One chain and the node's way to it, over all lives of the node."""

    def __init__(self, seed: int, begun: ChainView, clock: Clock, records: Records) -> None:
        self._dice = Random(f"settlement {seed}")
        first = TimedPost(post_of(find_block(begun, "0")), clock.now_ms() // 1_000)
        delay = self._dice.choice(_DELAYS_SECONDS)
        state = ContractState(
            _OWNER, _CALLER, delay, (first,), exchange=EXCHANGE_ADDRESS, chain_id=CHAIN_ID
        )
        super().__init__(_Contract(state, clock, records), _CALLER, seed=seed)
        self.faults.late_ms_max = _LATE_MS_MAX
        self.is_posting = False
        self._late = False
        self._reorgs = 0
        self._records = records

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        """Post a block, and have it known meanwhile; one that is late arrives much later."""
        self.is_posting = True
        try:
            if self._late:
                self._late = False
                call = UpdateState(epoch, previous, new)
                seconds = self._dice.uniform(0.1, 2.5)
                asyncio.get_running_loop().call_later(seconds, self._arrive, call)
                raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, "no receipt in time")
            return await super().update_state(epoch, previous, new)
        finally:
            self.is_posting = False

    async def misbehave(self) -> None:
        """Go wrong now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._dice.uniform(0.3, 2.0))
            fault = self._dice.choice(_FAULTS)
            self._records.say(f"settlement {fault}")
            if fault == "reorg":
                count = self._dice.randrange(1, 4)
                if self._may_take_back(count):
                    self._reorg(count)
            elif fault == "down":
                self.faults.unreachable = True
                await asyncio.sleep(self._dice.uniform(0.1, 0.8))
                self.faults.unreachable = False
                self._records.count("settlement unreachable for a while")
            elif fault == "late":
                self._late = True
            else:
                setattr(self.faults, fault, 1)

    def take_deposit(self, account: int, amount: int) -> None:
        """Take a deposit of somebody's; `amount` in 1e-6 of the token."""
        self.chain.carry_out(Deposit(account, amount), _DEPOSITOR)
        self._records.count("deposit")

    def _reorg(self, count: int) -> None:
        ledger = self.chain.ledger
        removed = [ledger.log[place].call for place in ledger.live[-count:]]
        self.chain.reorg(count)
        self._reorgs += 1
        self._records.count("reorg of the settlement chain")
        deposits = [call for call in removed if isinstance(call, Deposit)]
        if deposits:
            self._records.count("deposits removed by a reorg over there")
        if self._dice.random() < 0.6:
            seconds = self._dice.uniform(0.05, 1.5)
            for call in deposits:
                asyncio.get_running_loop().call_later(seconds, self._again, call)

    def _again(self, call: Deposit) -> None:
        self.chain.carry_out(call, _DEPOSITOR)
        self._records.count("deposit sent again after a reorg over there")

    def heal(self) -> None:
        """Have nothing go wrong from here on."""
        faults = self.faults
        faults.unreachable = self._late = False
        faults.receipts_lost = faults.calls_lost = faults.doubled = 0

    def check(self, view: ChainView) -> None:
        """Hold the contract against the chain (L12)."""
        records, state = self._records, self.chain.ledger.state
        newest = state.posts[-1].post
        head = post_of(find_block(view, "latest"))
        records.require(
            newest == head, f"the contract stands at {newest.height}, not {head.height}"
        )
        for timed in state.posts:
            live = place_of(timed.post, view) is Place.LIVE
            records.require(live, f"post {timed.post.height} is not live here")
        held = is_held(state, self.chain.now())
        records.require(not held, f"the hold of plan {state.plan_hash:#x} is left over")
        self._check_calls(view)
        if state.final:
            records.count("block final on the settlement chain")

    def _check_calls(self, view: ChainView) -> None:
        """Every rollback was told, and nothing that it undid was posted after that."""
        records, told = self._records, set[int]()
        made = [each for each in view.incidents() if each.kind is IncidentKind.ROLLBACK]
        for done in self.chain.ledger.log:
            if isinstance(done.call, UpdateState):
                records.count("post")
                new = done.call.new
                block = view.block_by_hash(new.block_hash.to_bytes(32, "big"))
                if block is None or post_of(block) != new:
                    records.violate(f"post {new.height} is of no block here")
                    continue
                undone = reason_felt(view, view.orphaned_by(block)) in told
                records.require(not undone or self._reorgs > 0, f"block {new.height} came too late")
            elif isinstance(done.call, RevertState):
                records.count("revert on the settlement chain")
                told.add(done.call.reason_hash)
        for each in made:
            words = f"reorg {each.after.epoch} was not told to the contract"
            records.require(plan_felt(each.plan_id) in told, words)

    def _arrive(self, call: UpdateState) -> None:
        try:
            self.chain.carry_out(call, _CALLER)
        except SettlementError as error:
            self._records.count("late post refused")
            self._records.say(f"post {call.new.height} is refused: {error.code}")
        else:
            self._records.count("post arrived late")

    def _may_take_back(self, count: int) -> bool:
        """Say whether the last calls made nothing final: what is final over there stays."""
        ledger = self.chain.ledger
        return ledger.without_last(count).state.final == ledger.state.final
