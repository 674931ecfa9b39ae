"""The operator's desk: every command of the operator about the chain, running or stopped.

Promises
- One class serves a node that runs and a folder whose node does not: the same checks, the same
  refusals, the same answers.
- What can be refused without touching anything is refused first: no block is dropped for it.
- Whatever takes long reads one snapshot in a thread of its own, and blocks go on meanwhile. A
  search has another thread than plans and lists, and ends once nobody waits for it.

Laws
- A running node's chain is changed in the writer's own turn alone, and one decision at a time.
- What the operator promised to decide by a time is kept in memory: no start remembers it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from sequencer.engine.deposit_facts import stored_deposits, unmade_halt
from sequencer.engine.desk_backup import Backups
from sequencer.engine.desk_checkpoints import (
    require_free,
    require_names,
    require_settler,
    settle,
)
from sequencer.engine.desk_commands import change_mode, do_harm, switch_guard
from sequencer.engine.desk_facts import (
    EQUAL,
    Facts,
    Undecided,
    checkpoint_lines,
    guard_facts,
    head_facts,
    inbox_status,
    journal_lines,
    reorg_lines,
    root_words,
    status_facts,
    undo_facts,
)
from sequencer.engine.desk_figures import Figures, figures_of
from sequencer.engine.desk_plugins import (
    listed_plugins,
    opinion_facts,
    opinions_on,
    park_plugin,
    plugin_facts,
    rebuild_plugin,
    require_override,
    standings_of,
    unpark_plugin,
    weigh,
)
from sequencer.engine.desk_prices import Prices
from sequencer.engine.desk_rollback import (
    keep_plan,
    require_settlement,
    require_undoable,
    roll_back,
    settled_at,
    take_back,
)
from sequencer.engine.engine import Engine
from sequencer.engine.plan import Plan, make_plan, read_plan, resolve_live, resolve_target
from sequencer.engine.reach import Reach
from sequencer.engine.recovery import latch_halt, recover
from sequencer.engine.rollback import (
    Order,
    require_reason,
    require_unapplied,
    resume,
    undo,
)
from sequencer.engine.suggest import Suggestion, suggest
from sequencer.model.commands import Fault, OrderPolicy, SetGuard, SetMode
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.plugins import PluginOpinion
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Mode
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import ChainView, StoreError, StoreFailed, StoreProblem, Worker

_T = TypeVar("_T")


class Desk:
    """The operator's commands; `engine/requests.py` gives each its name and its parameters."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._turn = asyncio.Lock()
        self._undecided: Undecided | None = None
        self._searches = False
        self._ends = False
        self.backups = Backups(reach)
        self.prices = Prices(reach)

    def order(self, who: str, reason: str) -> Order:
        """Date an order of somebody's."""
        return Order(who, reason, self._reach.clock.now_ms())

    async def status(self) -> Facts:
        """Say at once how things stand: nothing here is searched, hashed or asked elsewhere."""
        reach = self._reach
        engine = None if reach.running is None else reach.running.engine
        settled = None if reach.settler is None else reach.settler.status()
        verified = None if reach.verification is None else reach.verification.status
        with reach.view() as view:
            inbox = inbox_status(view, engine, reach.collector)
            stopped = [] if engine is not None else [*self._halts_of_stopped(view, inbox.unmade)]
            return status_facts(
                view=view,
                engine=engine,
                halts=stopped if engine is None else engine.gate.halts,
                settled=settled,
                verified=verified,
                undecided=self._undecided,
                inbox=inbox,
                plugins=plugin_facts(standings_of(reach, view)),
                now_ms=reach.clock.now_ms(),
            )

    async def suggest(self, since: str, gone: asyncio.Event | None = None) -> Suggestion:
        """Find where it went wrong, as long as whoever asked has not `gone`.

        Refusals: BUSY while another search is under way, and those of `engine/suggest.py`.
        """
        if self._searches:
            raise Refused(Reason.BUSY, "another search is under way; it ends with its command")
        reach, asked = self._reach, gone or asyncio.Event()

        def goes_on() -> bool:
            return not (self._ends or asked.is_set())

        self._searches = True
        try:
            with reach.view() as view:
                return await self._long(lambda: suggest(view, since, goes_on), reach.searcher)
        finally:
            self._searches = False

    async def plan(self, to: str, policy: OrderPolicy, deselected: Sequence[int]) -> Plan:
        """Make and keep a plan. Refusals: those of `engine/plan.py`."""
        with self._reach.view() as view:
            require_settlement(self._reach, view)
            target = await self._long(lambda: resolve_target(view, to))
        settled = await settled_at(self._reach, target.height)
        # A view of this moment knows every block that was posted before it was read there.
        with self._reach.view() as view:
            named = f"0x{target.block_hash.hex()}"
            plan = await self._long(lambda: make_plan(view, named, policy, deselected, settled))
            await self._long(lambda: keep_plan(self._reach, plan))
        return plan

    async def opinions(self, plan: Plan) -> Sequence[PluginOpinion] | None:
        """Ask plugins what speaks against a plan; None for plugins whose node does not run."""
        return await opinions_on(self._reach, plan)

    async def apply(self, plan_id: str, order: Order, override: str = "") -> Facts:
        """Carry a plan out, named by its id or by the first digits of it.

        `override` says why it shall be done although a plugin is against it.
        Refusals: PLAN_UNKNOWN, REORG_VETOED, those of `prepare_rollback` and `hold_finality`. From
        the third on nothing is undone, and the chain is halted.
        """
        require_reason(order)
        require_override(order, override)
        reach = self._reach
        # Not behind somebody's long look; who seals blocks is about to be held still anyway.
        plan = await reach.worker.run(lambda: read_plan(*reach.plans.find(plan_id)))
        with reach.view() as view:
            require_unapplied(view, plan)
            require_settlement(reach, view)
        # Before it is anybody's turn: no other decision waits for what plugins think of this one.
        said = await self.opinions(plan)
        order = weigh(plan, said, order, override)
        async with self._turn:
            head, microseconds = await self._decide(lambda: roll_back(reach, plan, order))
            halts = await self._require_sound()
            told = await take_back(reach, plan, head)
            facts = {**await self._arrived(halts), "commit_microseconds": microseconds}
            facts |= opinion_facts(said, order)
            return {**facts, "settlement": told} if told else facts

    async def undo(self, reorg_id: int, order: Order) -> Facts:
        """Take the newest rollback back. Refusals: REASON_MISSING, UNDO_IMPOSSIBLE."""
        require_reason(order)
        with self._reach.view() as view:
            require_undoable(view, reorg_id)
        store, worker = self._reach.store, self._reach.worker
        async with self._turn:
            await self._decide(lambda: worker.run(partial(undo, store, reorg_id, order)))
            return await self._arrived(await self._require_sound())

    async def resume(self) -> Facts:
        """Take interrupted rollbacks as far as they can go."""
        async with self._turn:
            still_open = await self._reach.change(lambda: resume(self._reach.store))
            return {**head_facts(self._reach.store.head), "open": journal_lines(still_open)}

    async def reorgs(self) -> Facts:
        """List every rollback and undo with its record, oldest first."""
        with self._reach.view() as view:
            return {"reorgs": await self._long(lambda: reorg_lines(view))}

    async def open_reorgs(self) -> Facts:
        """Show the head, what latches it, and rollbacks that still have something to do."""
        with self._reach.view() as view:
            still_open = [each for each in view.journals() if each.is_open]
            facts = {**head_facts(view.head), "open": journal_lines(still_open)}
            return {**facts, **undo_facts(view)}

    async def create_checkpoint(
        self,
        label: str,
        at: str,
        by: str,
        *,
        replace: bool,
        settled: bool,
        gone: asyncio.Event | None = None,
    ) -> Facts:
        """Name a live block; `settled`: and wait until the settlement chain has it.

        Nobody waits any more once whoever asked has `gone`: the checkpoint stands.

        Refusals: BLOCK_UNKNOWN, TARGET_ORPHANED, PARAMETER_INVALID, CHECKPOINT_EXISTS,
        SETTLEMENT_ABSENT, NODE_NOT_RUNNING, SETTLEMENT_UNREACHABLE after too long.
        """
        require_names(label, by)
        settler = require_settler(self._reach) if settled else None

        def create() -> int:
            store = self._reach.store
            block = resolve_live(store.view, at)
            if not replace:
                require_free(store.view, block.sequence, label)
            store.create_checkpoint(block.height, label, by)
            return block.height

        height = await self._reach.change(create)
        facts: Facts = {"label": label, "height": height}
        if settler is not None:
            facts["settled_height"] = await settle(settler, height, gone or asyncio.Event())
        return facts

    async def checkpoints(self) -> Facts:
        """List checkpoints, oldest first, those of undone blocks too."""
        with self._reach.view() as view:
            return {"checkpoints": checkpoint_lines(view)}

    async def drop_checkpoint(self, label: str) -> Facts:
        """Let go of every checkpoint with a name."""

        def drop() -> int:
            store = self._reach.store
            named = [each for each in store.view.checkpoints() if each.label == label]
            for each in named:
                store.drop_checkpoint(each.sequence)
            return len(named)

        return {"dropped": await self._reach.change(drop)}

    async def mode(self, mode: Mode, reason: str, accept: int, decide_ms: int) -> Facts:
        """Change the mode of a running node; returns the block that recorded it.

        `decide_ms` is how long an operator who halts may take to decide. Refusals: those of
        `engine/desk_commands.py`.
        """
        facts = await change_mode(self._reach, SetMode(mode, reason, accept))
        halted = mode is Mode.HALTED
        until_ms = self._reach.clock.now_ms() + decide_ms
        self._undecided = Undecided(reason, until_ms) if halted else None
        return facts

    async def guard(self, guard: Guard, reason: str, *, on: bool) -> Facts:
        """Switch a guard on a running node. Refusals: those of `engine/desk_commands.py`."""
        return await switch_guard(self._reach, SetGuard(guard, on), reason)

    def guards(self) -> Facts:
        """List the guards, and whether this chain is a drill."""
        with self._reach.view() as view:
            return guard_facts(view)

    async def fault(self, fault: Fault) -> Facts:
        """Do harm on a running node. Refusals: those of `engine/desk_commands.py`."""
        return await do_harm(self._reach, fault)

    def plugins(self) -> Facts:
        """List the plugins, how each stands, and whether there is a node that tells them."""
        return listed_plugins(self._reach)

    async def park(self, name: str, reason: str) -> Facts:
        """Tell a plugin nothing more. Refusals: those of `engine/desk_plugins.py`, as below."""
        return await park_plugin(self._reach, name, reason)

    async def unpark(self, name: str) -> Facts:
        """Tell a plugin again what comes next."""
        return await unpark_plugin(self._reach, name)

    async def rebuild(self, name: str) -> Facts:
        """Empty a plugin's bucket, and tell it everything from the first block on."""
        return await rebuild_plugin(self._reach, name)

    def figures(self) -> Figures | None:
        """Count what a monitor looks at, at once; None where the store cannot be read."""
        try:
            return figures_of(self._reach, self._undecided)
        except StoreError:
            return None

    async def watch_commits(self, seen: Callable[[float], None]) -> None:
        """Say of each block how many seconds it took to the disk, as long as the node runs."""
        running = self._reach.running
        while running is not None:
            engine = running.engine
            engine.writer.listen(partial(_see_commit, engine, seen))
            await running.following(engine)

    async def _long(self, read: Callable[[], _T], thread: Worker | None = None) -> _T:
        """Read for long in a thread; its snapshot may be let go only when it has ended."""
        worker = thread or self._reach.reader
        try:
            return await worker.run(read)
        except asyncio.CancelledError:
            self._ends = True
            await worker.run(lambda: None)
            raise

    async def _decide(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Change the chain: on a running node in the writer's turn, until the node is up again."""
        running = self._reach.running
        if running is None:
            return await work()
        engine = running.engine
        try:
            return await engine.writer.decide(work)
        finally:
            if engine.writer.decided:
                await running.following(engine)

    async def _require_sound(self) -> Sequence[Halt]:
        """Return what halts the chain after a decision, checked as at a start.

        Failure: HEAD_INCONSISTENT.
        """
        store, running = self._reach.store, self._reach.running
        if running is None:
            found = await self._reach.change(lambda: recover(store, full=True).halts)
        else:
            # The node has come up again from the store; a root that is owed keeps it from OPEN.
            found = running.engine.gate.halts
        for halt in found:
            if halt.is_final and halt.cause is not HaltCause.TICK_REFUSED:
                raise StoreFailed(StoreProblem.HEAD_INCONSISTENT, str(halt))
        return found

    async def _arrived(self, halts: Sequence[Halt]) -> Facts:
        """Say where the chain is after a decision, and what is still to be done for it."""
        running = self._reach.running
        still_open = await self._reach.change(lambda: resume(self._reach.store))
        return {
            **head_facts(self._reach.store.head),
            "root": EQUAL if running is None else root_words(running.engine),
            "halts": [str(halt) for halt in halts],
            "open": journal_lines(still_open),
        }

    def _halts_of_stopped(self, view: ChainView, unmade: Sequence[int]) -> Iterator[Halt]:
        """Yield what a start would be halted by, as far as that shows without one."""
        latch, note = view.head.latch, self._reach.note.read()
        if latch is not None:
            yield latch_halt(latch)
        if not self._reach.store.acknowledged:
            words = "no witness says that this store is the newest"
            yield Halt(HaltCause.WITNESS_UNACKNOWLEDGED, words)
        if unmade:
            yield unmade_halt(unmade, stored_deposits(view.state()), view)
        if note:
            yield Halt(HaltCause.NOTE, note)


def _see_commit(engine: Engine, seen: Callable[[float], None]) -> None:
    seen(engine.gate.lag_ms() / MS_PER_SECOND)
