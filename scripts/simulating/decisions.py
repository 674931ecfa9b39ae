"""Rollback and undo of a running node through the operator's desk, and what must be true at once.

Laws
- What is looked at before and after is read in the writer's own turn, so nothing comes in between.
- A plan that is stale undoes nothing and halts the chain; an undo restores the exact head.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from random import Random
from typing import Any

import msgspec

from scripts.simulating.cuts import Cuts
from scripts.simulating.node import Around
from scripts.simulating.people import Post
from sequencer.engine.desk import Desk
from sequencer.engine.engine import Engine
from sequencer.engine.plan import Plan
from sequencer.engine.reach import Reach
from sequencer.engine.rollback import Order, PlanStale
from sequencer.exchange.state import State
from sequencer.model.commands import OrderPolicy
from sequencer.model.events import Liquidated
from sequencer.model.records import Head, IncidentKind
from sequencer.model.refusals import Refused
from sequencer.model.rows import Mode, ModeCause
from sequencer.node import Node
from sequencer.ports import StoreError
from sequencer.starknet.names import selector

_LIQUIDATED = selector(Liquidated.__name__)

Failure = Refused | StoreError
Work = Callable[[], Awaitable[Any]]


class Moment:
    """The block that is open, and what is under way beside it, at one moment."""

    def __init__(self, post: Post, around: Around) -> None:
        engine, settler = post.node.engine, post.node.settler
        producer = engine.writer._parts.producer
        events = (
            event.keys[0]
            for _, receipt in producer._executed
            if receipt.revert_reason is None
            for event in receipt.events
        )
        self.number = producer.number
        self.commands = max(0, producer.transactions - 1)
        self.has_liquidation = _LIQUIDATED in events
        self.is_sealing = engine.gate.sealing_since is not None
        self.waiting = len(engine.writer.queue)
        self.modes = len(engine.writer._opener.modes)
        self.is_unverified = bool(engine.admission._unverified)
        self.is_tripped = _is_tripped(producer.state)
        self.is_posting = around.settlement.is_posting
        self.is_unknown = settler is not None and settler.sent_height > 0 and not self.is_posting
        self.is_telling = around.is_telling()
        self.is_stopping = around.is_stopping


def _is_tripped(state: State) -> bool:
    return state.system.mode is Mode.HALTED and state.system.cause is ModeCause.TRIPWIRE


class Decision:
    """One decision as it went: its moment, the head before and after it, None if not reached."""

    def __init__(self, asked: Moment) -> None:
        self.moment = asked
        self.before: Head | None = None
        self.after: Head | None = None
        self.failure: Failure | None = None

    @property
    def is_done(self) -> bool:
        """Say whether it was carried out."""
        return self.failure is None and self.after is not None

    @property
    def has_dropped(self) -> bool:
        """Say whether the block that was open then is in no chain."""
        return self.before is not None and self.before.height < self.moment.number


_current: ContextVar[Decision] = ContextVar("decision")


class _Watched:
    """The running node as the desk sees it, with every decision looked at from within."""

    def __init__(
        self,
        node: Node,
        look: Callable[[], Moment],
        watch: Callable[[Decision, Work], Awaitable[Any]],
    ) -> None:
        self._node = node
        self._look = look
        self._watch = watch

    @property
    def engine(self) -> Engine:
        """Return the engine of the moment; its writer tells of what it is told to decide."""
        engine, watch = self._node.engine, self._watch
        if "decide" not in vars(engine.writer):
            decide = engine.writer.decide

            async def watched(work: Work) -> Any:  # noqa: ANN401
                decision = _current.get()
                decision.moment = self._look()
                return await decide(lambda: watch(decision, work))

            vars(engine.writer)["decide"] = watched
        return engine

    async def following(self, engine: Engine) -> Engine:
        """Wait for the engine that comes after one that ended with a decision."""
        return await self._node.following(engine)


class Decider:
    """The operators' desk of one life of the node. `under_way` counts what is being decided."""

    def __init__(self, post: Post, around: Around, cuts: Cuts, random: Random) -> None:
        node = post.node
        self.under_way = 0
        self._post = post
        self._around = around
        self._cuts = cuts
        self._random = random
        self._records = post.records
        self._number = 0
        reach = Reach(
            store=node.store,
            view=node.views.at_head,
            advance=node.views.advance,
            change=partial(node.views.change, node.worker),
            worker=node.worker,
            reader=around.thread("read"),
            searcher=around.thread("search"),
            clock=node.clock,
            note=around.note,
            plans=around.plans,
            running=_Watched(node, self.moment, self._watch),
            settlement=around.settlement,
            settler=node.settler,
            collector=node.collector,
            verification=node.verification,
        )
        self._desk = Desk(reach)

    def moment(self) -> Moment:
        """Look at what is under way now."""
        return Moment(self._post, self._around)

    async def plan(self, depth: int) -> Plan | None:
        """Plan to go back so many blocks, None where that cannot be."""
        policy = self._random.choice(tuple(OrderPolicy))
        target = max(0, self._post.node.store.head.height - depth)
        try:
            return await self._desk.plan(str(target), policy, ())
        except (Refused, StoreError) as failure:
            self._records.say(f"no plan: {failure}")
            return None

    async def apply(self, plan: Plan) -> Head | Failure:
        """Carry a plan out; returns the head that it made, or why not."""
        self._records.say(f"apply {plan.plan_id.hex()[:8]} to {plan.target_height}")
        decision = Decision(self.moment())
        answer = await self._decided(decision, self._desk.apply(plan.plan_id.hex(), self._order()))
        if isinstance(answer, PlanStale):
            self._records.count("plan stale")
        self._count_overlaps(decision)
        if isinstance(answer, Head):
            self._require_at_target(plan, answer)
        return answer

    async def undo(self, reorg_id: int) -> Head | Failure:
        """Take a rollback back; returns the head, or why not."""
        self._records.say(f"undo {reorg_id}")
        decision = Decision(self.moment())
        answer = await self._decided(decision, self._desk.undo(reorg_id, self._order()))
        if isinstance(answer, Head):
            moment = decision.moment
            for holds, what in (
                (True, "undo"),
                (moment.is_stopping, "undo during shutdown"),
                (moment.is_telling, "undo during a delivery"),
                (moment.modes > 0, "undo before a change of mode that waited"),
                (moment.is_posting or moment.is_unknown, "undo while a post was in flight"),
            ):
                if holds:
                    self._records.count(what)
            self._require_restored(reorg_id, answer)
        return answer

    async def _watch(self, decision: Decision, work: Work) -> Any:  # noqa: ANN401
        """Do what was decided, and look at the store before and after, in the writer's turn."""
        store = self._post.node.store
        decision.before = store.head
        self._records.require(decision.has_dropped, "a decision has let an open block be made")
        self._cuts.begin(lambda: any(each.stage == "PREPARED" for each in store.view.journals()))
        sent = len(self._records.sendings)
        try:
            done = await work()
        except PlanStale:
            self._require_untouched(decision.before, store.head)
            raise
        finally:
            self._cuts.end()
        decision.after = store.head
        came = self._records.sendings[sent:]
        if came:
            self._records.count("commands came while a decision was carried out")
        refused = all(isinstance(each.answer, Refused) for each in came)
        self._records.require(refused, "a command was let in while a decision was carried out")
        return done

    async def _decided(self, decision: Decision, deciding: Awaitable[object]) -> Head | Failure:
        self.under_way += 1
        _current.set(decision)
        try:
            await deciding
        except (Refused, StoreError) as failure:
            decision.failure = failure
            self._records.say(f"not decided: {failure}")
            unsound = isinstance(failure, StoreError) and not self._cuts.is_failing
            self._records.require(not unsound, f"a decision met {failure}")
            return failure
        finally:
            self.under_way -= 1
        head = decision.after
        if head is None:
            raise RuntimeError("a decision was carried out that the writer knows nothing of")
        shown = self._post.node.views.view.head
        self._records.require(shown.epoch >= head.epoch, "readers still see the chain before")
        self._records.say(f"decided: head {head.height} {head.block_hash.hex()} epoch {head.epoch}")
        return head

    def _order(self) -> Order:
        self._number += 1
        return self._desk.order("olga", f"drill {self._number} of life {self._post.life}")

    def _count_overlaps(self, decision: Decision) -> None:
        done, count, moment = decision.is_done, self._records.count, decision.moment
        if done:
            count("rollback")
        elif moment.is_stopping:
            count("apply refused during shutdown")
        if not (done or isinstance(decision.failure, PlanStale)):
            return
        for holds, what in (
            (moment.is_sealing, "apply while a block was sealing"),
            (moment.commands > 0 and done, "rollback dropped an open block with commands"),
            (moment.has_liquidation, "apply dropped a block with liquidations"),
            (moment.is_unverified, "apply while signatures were checked"),
            (moment.is_telling and done, "rollback during a delivery"),
            (moment.is_stopping and done, "rollback during shutdown"),
            (moment.modes > 0, "apply before a change of mode that waited"),
            (moment.is_tripped, "apply while the tripwire halted"),
            (moment.is_posting and done, "rollback while a post was in flight"),
            (moment.is_unknown and done, "rollback while a post's outcome was unknown"),
        ):
            if holds:
                count(what)

    def _require_untouched(self, before: Head, after: Head) -> None:
        same = msgspec.structs.replace(after, latch=before.latch) == before
        self._records.require(same, "a stale plan has changed more than the latch")
        self._records.require(after.latch is not None, "a stale plan has not halted the chain")

    def _require_at_target(self, plan: Plan, head: Head) -> None:
        target = (plan.target_height, plan.target_hash, plan.target_root)
        numbers = (int.from_bytes(each, "big") for each in (head.block_hash, head.state_root))
        self._records.require((head.height, *numbers) == target, "a rollback is not at its target")
        latched = head.latch is not None and head.latch.reorg_id == head.epoch
        self._records.require(latched, "a rollback has left no latch")

    def _require_restored(self, reorg_id: int, head: Head) -> None:
        view = self._post.node.store.view
        made = next(
            each
            for each in view.incidents()
            if each.kind is IncidentKind.ROLLBACK and each.after.epoch == reorg_id
        )
        block = view.block_by_hash(made.before.block_hash)
        fields = ("height", "sequence", "block_hash", "state_root", "digest")
        restored = tuple(getattr(block, name) for name in fields)
        sequence = head.block_sequence
        found = (head.height, sequence, head.block_hash, head.state_root, head.digest)
        self._records.require(found == restored, "an undo restores another head")
