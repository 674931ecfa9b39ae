"""A small chain that is settled on a simulated settlement chain, with time in the test's hands.

`World` has a store, a settler, its outbox and what goes wrong over there. Time passes as soon as
somebody sleeps. `Unreliable` keeps calls back that arrive later, and checks each that is sent.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import msgspec

from sequencer.chain.text import to_text
from sequencer.engine.outbox import Outbox
from sequencer.engine.rollback import Notice, resume
from sequencer.engine.settler import SettlePace, Settler, Surroundings
from sequencer.engine.settling import (
    Place,
    hold_finality,
    pending_rollback,
    place_of,
    plan_felt,
    post_of,
)
from sequencer.engine.views import Views
from sequencer.model.commits import RollbackOrder
from sequencer.model.halts import Halt
from sequencer.model.records import Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import (
    Post,
    Sent,
    SettlementError,
    SettlementProblem,
    Standing,
    TimedPost,
)
from sequencer.ports import ChainView
from sequencer.settlement.contract_rules import (
    ContractCall,
    ContractState,
    Finalize,
    HoldFinality,
    ReleaseFinality,
    RevertState,
    UpdateState,
)
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.engine.builders import InlineWorker, ManualClock
from tests.unit.storage.builders import grown, hash_of, rollback, simulated, undo

OWNER, OPERATOR = 1, 2
DELAY_SECONDS = 3_600
LOOKS_MAX = 3_000
PLAN_ID = hash_of("a plan")
LONG = SettlePace(blocks=1_000, seconds=100_000)
"""Nothing is posted after the first block."""


class Unreliable(SimulatedSettlement):
    """Keeps the next `kept_back` calls for later; nobody knows then what became of them.

    One that is `stubborn` confirms reverts and does none.
    """

    def __init__(self, chain: SimulatedChain, sleep: Callable[[float], Awaitable[None]]) -> None:
        super().__init__(chain, OPERATOR, sleep)
        self.kept_back = 0
        self.stubborn = False
        self.late: list[ContractCall] = []
        self.sent: list[ContractCall] = []
        self.watch: Callable[[ContractCall], None] = lambda call: None

    def arrive(self) -> list[ContractCall]:
        """Let what was kept back arrive now; returns what the contract took of it."""
        late, self.late, taken = self.late, [], []
        for call in late:
            with suppress(SettlementError):
                self.chain.carry_out(call, OPERATOR)
                taken.append(call)
        return taken

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        call = UpdateState(epoch, previous, new)
        return await self._through(call, super().update_state(epoch, previous, new))

    async def revert_state_to(self, epoch: int, post: Post, reason_hash: int) -> Sent:
        call = RevertState(epoch, post, reason_hash)
        if self.stubborn:
            self.sent.append(call)
            return Sent(1, 1)
        return await self._through(call, super().revert_state_to(epoch, post, reason_hash))

    async def finalize(self, height: int) -> Sent:
        return await self._through(Finalize(height), super().finalize(height))

    async def hold(self, plan_hash: int) -> Sent:
        return await self._through(HoldFinality(plan_hash), super().hold(plan_hash))

    async def release(self) -> Sent:
        return await self._through(ReleaseFinality(), super().release())

    async def _through(self, call: ContractCall, way: Coroutine[None, None, Sent]) -> Sent:
        self.watch(call)
        self.sent.append(call)
        if not self.kept_back:
            return await way
        way.close()
        self.kept_back -= 1
        self.late.append(call)
        raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, "kept back")


class World:
    """One chain, one contract, and a settler between them that can be started again."""

    def __init__(self, pace: SettlePace | None = None, blocks: int = 3) -> None:
        self.disk = SimulatedDisk()
        self.store = simulated(self.disk)
        grown(self.store, 1)
        genesis = self.store.view.block(0)
        assert genesis is not None
        state = ContractState(OWNER, OPERATOR, DELAY_SECONDS, (TimedPost(post_of(genesis), 1_000),))
        self.clock = ManualClock(1_000_000)
        self.chain = SimulatedChain(state, self.clock)
        self.settlement = Unreliable(self.chain, self.sleep)
        self.settlement.watch = self.watch
        self.pace = pace or SettlePace(blocks=2, seconds=10)
        self.said: list[str] = []
        self.halts: list[Halt] = []
        self.lowered: list[str] = []
        self.acknowledged = True
        grown(self.store, blocks)
        self.load()

    def load(self) -> None:
        """Begin anew, as a process does: only the disk is remembered."""
        self.store = simulated(self.disk)
        resume(self.store)
        self.views = Views(self.store)
        around = Surroundings(
            settlement=self.settlement,
            views=self.views,
            is_acknowledged=lambda: self.acknowledged,
            say=self.said.append,
            halt=self.halts.append,
            lower=self.lowered.append,
            now=lambda: self.clock.ms / 1_000,
            sleep=self.sleep,
        )
        self.settler = Settler(around, self.pace)
        self.outbox = Outbox(self.store, InlineWorker(), self.views, self.settler)
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, group: asyncio.TaskGroup) -> None:
        """Run settler and outbox."""
        runs = (self.settler.run(), self.outbox.run())
        self.tasks = [group.create_task(run) for run in runs]

    async def stop(self) -> None:
        """End them wherever they are."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def restart(self, group: asyncio.TaskGroup) -> None:
        await self.stop()
        self.load()
        self.start(group)

    async def sleep(self, seconds: float) -> None:
        self.clock.ms += max(1, int(seconds * 1_000))
        await asyncio.sleep(0)

    @property
    def view(self) -> ChainView:
        return self.store.view

    @property
    def standing(self) -> Standing:
        return self.chain.ledger.state.standing(self.chain.now())

    @property
    def posted(self) -> list[int]:
        return [each.post.height for each in self.chain.ledger.state.posts]

    def post(self, height: int) -> Post:
        block = self.view.block(height)
        assert block is not None
        return post_of(block)

    def grow(self, blocks: int = 1) -> None:
        grown(self.store, blocks)
        self.told()

    def told(self) -> None:
        """Let readers see what was committed."""
        self.views.advance()
        self.outbox.wake()

    def order(self, height: int) -> RollbackOrder:
        """Order a rollback whose notice the settler can read."""
        order = rollback(self.store, height)
        head_hash = int.from_bytes(self.store.head.block_hash, "big")
        target_hash = int.from_bytes(order.target_hash, "big")
        notice = Notice(height + 1, self.store.head.height, target_hash, head_hash, "why")
        effect = msgspec.json.encode(to_text(notice))
        return msgspec.structs.replace(order, effect=effect)

    def back(self, height: int) -> RollbackOrder:
        """Go back, without asking over there."""
        order = self.order(height)
        self.store.prepare(order)
        self.store.roll_back(order)
        self.told()
        return order

    async def roll_back(self, height: int, *, crash: bool = False) -> Refused | None:
        """Go back as a node does; returns why not. `crash` leaves it prepared and held."""
        async with self.settler.stopped():
            order = self.order(height)
            self.store.prepare(order)
            try:
                await hold_finality(
                    self.settlement, self.view, order.plan_id, height, self.settler.sent_height
                )
            except Refused as refused:
                self.store.advance(order.plan_id, Stage.ABORTED)
                self.told()
                return refused
            if crash:
                return None
            self.store.roll_back(order)
            self.told()
        return None

    def undo(self, reorg_id: int) -> None:
        undo(self.store, reorg_id)
        self.told()

    async def idle(self) -> None:
        """Wait until nothing is to be done."""
        await self.until(lambda: self.settler.status().is_idle)

    async def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(LOOKS_MAX):
            if holds():
                return
            await asyncio.sleep(0)
        raise AssertionError(f"it never came to hold: {self.settler.status()}, {self.said[-5:]}")

    def watch(self, call: ContractCall) -> None:
        """Fail where the settler sends what it must never send."""
        match call:
            case UpdateState(previous=previous, new=new):
                assert place_of(previous, self.view) is Place.LIVE
                assert place_of(new, self.view) is Place.LIVE
                assert not pending_rollback(self.view, self.settler._delivered)
            case RevertState(post=post):
                assert place_of(post, self.view) is Place.LIVE
                assert post.height >= self.standing.finalized.height
            case Finalize(height=height):
                posts = self.chain.ledger.state.posts
                ours = [each.post for each in posts if each.post.height <= height]
                assert all(place_of(each, self.view) is Place.LIVE for each in ours)

    def require_settled(self) -> None:
        """Fail unless the contract stands at the head, on live blocks alone, and is not held."""
        state = self.chain.ledger.state
        head = self.view.head
        assert self.standing.newest == self.post(head.height)
        assert all(place_of(each.post, self.view) is Place.LIVE for each in state.posts)
        assert self.standing.hold == 0
        assert not self.halts


def plan_hash(order: RollbackOrder) -> int:
    return plan_felt(order.plan_id)


def posted(world: World, *heights: int) -> None:
    """Post blocks, as a settler of long ago did."""
    for height in heights:
        standing = world.standing
        call = UpdateState(standing.epoch, standing.newest, world.post(height))
        world.chain.carry_out(call, OPERATOR)


def posted_world() -> World:
    """Return a chain at block 9, with blocks 2, 4, 6 and 8 posted."""
    world = World(blocks=9)
    posted(world, 2, 4, 6, 8)
    return world


async def hold(world: World, target: int, plan_id: bytes = PLAN_ID, sent: int = 0) -> Reason | None:
    """Hold finality for a plan; returns why not."""
    try:
        await hold_finality(world.settlement, world.view, plan_id, target, sent)
    except Refused as refused:
        return refused.reason
    return None


def sent_names(world: World) -> list[str]:
    return [type(call).__name__ for call in world.settlement.sent]


@asynccontextmanager
async def settling(world: World) -> AsyncIterator[asyncio.TaskGroup]:
    async with asyncio.TaskGroup() as group:
        world.start(group)
        yield group
        await world.stop()


def sent(world: World, kind: type[ContractCall]) -> list[ContractCall]:
    return [call for call in world.settlement.sent if isinstance(call, kind)]


async def looked(world: World) -> None:
    """Let it look at the settlement chain a few times."""
    before = world.clock.ms
    await world.until(lambda: world.clock.ms > before + 3_000 * world.pace.seconds)
