"""The operator who goes back and takes it back, at the worst moments that there are.

A moment is waited for, and the plan is made while its head is still the head, so that both outcomes
come about: fresh plans and stale ones, which are applied again under their new id.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

from scripts.simulating.cuts import Cuts
from scripts.simulating.decisions import Decider, Failure, Moment
from scripts.simulating.node import wait_for
from scripts.simulating.people import Market, Post
from sequencer.engine.plan import Plan
from sequencer.engine.rollback import PlanStale
from sequencer.model.commands import SetMode
from sequencer.model.records import Head, Mark
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode

Answer = Head | Failure | None

_DEPTH_MAX = 9
_PATIENCE_SECONDS = 1.6
_PLANS_MAX = 5


class Chief:
    """Decides in one life of the node."""

    def __init__(
        self, post: Post, decider: Decider, cuts: Cuts, market: Market, random: Random
    ) -> None:
        self._post = post
        self.decider = decider
        self._cuts = cuts
        self._market = market
        self._random = random
        self._count = post.records.count

    async def run(self) -> None:
        """Decide again and again until cancelled."""
        acts = (self._go_back, self._go_back, self._go_back, self._twice, self._race, self._nest)
        while True:
            await asyncio.sleep(self._random.uniform(0.2, 1.4))
            await self._random.choice(acts)()

    async def on_stop(self) -> None:
        """Decide while the node ends."""
        head = self._post.node.store.head
        if head.latch is not None and head.latch.reorg_id and self._random.random() < 0.5:
            await self.decider.undo(head.latch.reorg_id)
            return
        plan = await self.decider.plan(self._random.randrange(1, _DEPTH_MAX))
        if plan is not None:
            await self.decider.apply(plan)

    async def _go_back(self) -> None:
        """Go back at a moment; what is stale is applied again; then perhaps take it back."""
        plan = await self._at_a_moment(self._random.choice(tuple(self._moments())))
        if plan is None:
            return
        self._perhaps_fail()
        answer = await self._apply_again(await self.decider.apply(plan))
        self._cuts.disarm()
        if not isinstance(answer, Head):
            return
        if self._random.random() < 0.15:
            again = await self.decider.apply(plan)
            if isinstance(again, Refused) and again.reason is Reason.PLAN_APPLIED:
                self._count("plan applied twice refused")
        if self._random.random() < 0.4:
            await asyncio.sleep(self._random.uniform(0, 0.2))
            self._perhaps_fail()
            await self.decider.undo(answer.epoch)
            self._cuts.disarm()

    async def _apply_again(self, answer: Answer) -> Answer:
        while isinstance(answer, PlanStale) and self._random.random() < 0.8:
            await asyncio.sleep(self._random.uniform(0, 0.1))
            answer = await self.decider.apply(answer.plan)
            if isinstance(answer, Head):
                self._count("stale plan applied again")
        return answer

    async def _twice(self) -> None:
        """Have two operators apply plans at once."""
        depths = (self._random.randrange(1, _DEPTH_MAX) for _ in range(2))
        plans = await asyncio.gather(*map(self.decider.plan, depths))
        made = [plan for plan in plans if plan is not None]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.decider.apply(plan)) for plan in made]
        if sum(isinstance(task.result(), Head) for task in tasks) == 1 < len(tasks):
            self._count("one of two plans at once applied")

    async def _race(self) -> None:
        """Have one operator undo while another one lets the chain go on."""
        plan = await self._at_a_moment(lambda _: True)
        answer = None if plan is None else await self._apply_again(await self.decider.apply(plan))
        if not isinstance(answer, Head):
            return
        self._count("undo against a change of mode")
        async with asyncio.TaskGroup() as group:
            undoing = group.create_task(self._after_a_while(answer.epoch))
            await asyncio.sleep(self._random.choice((0, 0, 0.005, 0.03)))
            self._post.operate(SetMode(Mode.CANCEL_ONLY, "go on"))
        outcome = undoing.result()
        if isinstance(outcome, Head):
            self._count("undo came before the change of mode")
        elif isinstance(outcome, Refused) and outcome.reason is Reason.UNDO_IMPOSSIBLE:
            self._count("change of mode came before the undo")

    async def _after_a_while(self, reorg_id: int) -> object:
        await asyncio.sleep(self._random.choice((0, 0.005, 0.05, 0.24, 0.3)))
        return await self.decider.undo(reorg_id)

    async def _nest(self) -> None:
        """Go back twice without a block in between, and take both back, newest first."""
        made: list[int] = []
        for _ in range(2):
            plan = await self.decider.plan(self._random.randrange(1, _DEPTH_MAX))
            first = None if plan is None else await self.decider.apply(plan)
            answer = await self._apply_again(first)
            if not isinstance(answer, Head):
                return
            made.append(answer.epoch)
        self._count("rollback of a rollback")
        for reorg_id in reversed(made):
            if not isinstance(await self.decider.undo(reorg_id), Head):
                return
        self._count("both undone, newest first")

    async def _at_a_moment(self, moment: Callable[[Moment], bool]) -> Plan | None:
        """Make plans until a moment comes while the last one is fresh; returns that."""
        plan: Plan | None = None
        for _ in range(_PLANS_MAX):
            plan = await self.decider.plan(self._random.randrange(1, _DEPTH_MAX))
            if plan is None:
                return None
            decides = partial(self._is_over, plan.planned, moment)
            await wait_for(decides, _PATIENCE_SECONDS, step=0.002)
            if moment(self.decider.moment()):
                break
        return plan

    def _is_over(self, planned: Mark, moment: Callable[[Moment], bool]) -> bool:
        moved = self._post.node.store.head.mark != planned
        return moved or moment(self.decider.moment())

    def _moments(self) -> tuple[Callable[[Moment], bool], ...]:
        def leaps(moment: Moment) -> bool:
            self._market.asked = self._market.asked or self._random.choice((-225, 225))
            return moment.has_liquidation

        def trips(moment: Moment) -> bool:
            self._market.asked = self._market.asked or self._random.choice((-175, 175))
            return moment.is_tripped

        return (
            lambda _: True,
            lambda moment: moment.commands > 0 and not moment.is_sealing,
            lambda moment: moment.is_sealing,
            lambda moment: moment.waiting > 0,
            lambda moment: moment.modes > 0,
            lambda moment: moment.is_telling,
            lambda moment: moment.is_posting,
            lambda moment: moment.is_unknown,
            leaps,
            leaps,
            trips,
        )

    def _perhaps_fail(self) -> None:
        chance = self._random.random()
        if chance < 0.24:
            self._cuts.arm()
        elif chance < 0.3:
            self._cuts.fail_write()
