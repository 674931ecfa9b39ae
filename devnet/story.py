"""The story of a run, phase by phase: a market, an incident, the way back, and the market again.

Promises
- Every block follows from the script: twice gives the same hashes, and a story that was interrupted
  at any block goes on to the same ones.
- The operator's part goes through the operator's desk: the same checks, plans and refusals that a
  person at another terminal meets.

Laws
- How far the story has come is read from the chain: its epoch, its height and its mode.
- Of settlement only deposits enter a block, and none is made before all of them wait in the
  node's inbox: how late they were never shows. For its posts the story waits before their lag would
  lower the mode.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from devnet.funding import Funding
from devnet.market_feed import Feed, ScriptClock, answered
from devnet.run_folder import RunFolder
from devnet.script_block import ScriptedBlock
from devnet.script_process import ScriptProcess
from devnet.timings import Stopwatch
from devnet.waiting import Interrupted, Waiting
from sequencer.engine.desk import Desk
from sequencer.engine.plan import Plan
from sequencer.engine.rollback import read_details
from sequencer.exchange.state import State
from sequencer.model.commands import FaultKind, OrderPolicy, Reopen, SetMode
from sequencer.model.records import Head
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.model.units import MS_PER_SECOND
from sequencer.node import Node

CHECKPOINT = "before-the-incident"
OPERATOR = "the run"

INCIDENTS: dict[str, tuple[FaultKind, ...]] = {
    "both": (FaultKind.INDEX_RESET, FaultKind.ZERO_PRICE),
    "funding-reset": (FaultKind.INDEX_RESET,),
    "zero-price": (FaultKind.ZERO_PRICE,),
    "none": (),
}
"""The faults of each incident, in the order in which they strike."""

_WHY = "a wrong funding index or price liquidated traders"
_NS_PER_US = 1_000
_US_PER_MS = 1_000
_NS_PER_MS = 1_000_000


class Times(msgspec.Struct, frozen=True):
    """Market times of the story in ms: the incident comes, and the slice ends."""

    incident_ms: int
    end_ms: int


class Moment(msgspec.Struct, frozen=True):
    """What there is to see at a block.

    `is_halted` also where the mode is another one, as after a rollback. `settled_height` is -1
    where nothing is posted.
    """

    height: int
    state: State
    commands: int
    is_halted: bool
    settled_height: int


def moment_of(node: Node, commands: int) -> Moment:
    """Return what there is to see of a node now. `commands` went into the last block."""
    writer, settler = node.engine.writer, node.settler
    return Moment(
        height=writer.made_height,
        state=writer.state,
        commands=commands,
        is_halted=writer.gate.is_halted(writer.state),
        settled_height=-1 if settler is None else settler.status().settled_height,
    )


class Narrator(Protocol):
    """Who tells the story while it happens."""

    def phase(self, words: str) -> None:
        """Begin a chapter."""

    def say(self, words: str) -> None:
        """Tell something worth a line."""

    def block(self, moment: Moment) -> None:
        """A block has been made."""


class Story:
    """Plays a run on a node that is on call.

    `funding` is where the traders' money comes from, None where genesis gives it.
    """

    def __init__(
        self,
        node: Node,
        desk: Desk,
        script: ScriptProcess,
        clock: ScriptClock,
        folder: RunFolder,
        narrator: Narrator,
        speed: float = 0,
        funding: Funding | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._node = node
        self._funding = funding
        self._speed = speed
        self._paced_from: tuple[int, float] | None = None
        self._desk = desk
        self._script = script
        self._folder = folder
        self._narrator = narrator
        self._place = 0
        self._branch = 0
        self._waiting = Waiting(node)
        self._ordered_ns = 0
        self.stopwatch = stopwatch
        self.feed = Feed(lambda: node.engine, clock, stopwatch)

    def interrupt(self) -> None:
        """Stop at the end of the block."""
        self._waiting.is_interrupted = True

    async def play(self, incident: str, times: Times) -> None:
        """Play everything, as far as it is not played yet.

        Refusals: RUN_BROKEN, RUN_DIFFERS, and those of the desk. Interrupted where it was asked to.
        """
        faults = INCIDENTS[incident]
        if self._head.epoch > (1 if faults else 0):
            words = "somebody has gone back by hand: a run goes on from its own rollback alone"
            raise Refused(Reason.RUN_DIFFERS, words)
        await self._open(times.incident_ms if faults else times.end_ms)
        if faults:
            good_height = self._place
            await self._suffer(faults)
            if self._head.epoch == 0:
                await self._halt(good_height)
            await self._go_back(good_height)
            await self._return()
            self._narrator.phase("the market goes on")
            await self._blocks(self._script.trade(times.end_ms))
        await self._kept()
        await self._waiting.until_settled(self._head.height)

    async def play_to_harm(self, incident: str, times: Times) -> None:
        """Play until the incident has done its harm, and leave the rest to somebody else."""
        await self._open(times.incident_ms)
        await self._suffer(INCIDENTS[incident])
        await self._kept()

    @property
    def is_interrupted(self) -> bool:
        """Say whether the story was asked to stop."""
        return self._waiting.is_interrupted

    @property
    def _head(self) -> Head:
        return self._node.store.head

    async def _open(self, until_ms: int) -> None:
        if self._funding is not None:
            await self._fund(self._funding)
        self._narrator.phase("the market opens")
        await self._blocks(self._script.warm_up())
        if self._funding is not None:
            await self._blocks(self._script.withdraw())
        await self._blocks(self._script.trade(until_ms))

    async def _fund(self, funding: Funding) -> None:
        """Have every deposit made and known to the node, and only then any of them credited."""
        self._narrator.phase("the money comes in")
        sent = await funding.complete(self._waiting.require_whole, self._narrator.say)
        await self._waiting.until_known(len(sent))
        self._narrator.say(f"{len(sent):,} deposits wait in the inbox, or were credited before")
        await self._blocks(self._script.fund(sent))

    async def _blocks(self, blocks: Iterator[ScriptedBlock]) -> None:
        loop = asyncio.get_running_loop()
        # The script is another process: to wait for it must not keep the loop from anything.
        while (block := await loop.run_in_executor(None, next, blocks, None)) is not None:
            if self._waiting.is_interrupted:
                await self.feed.drained()
                raise Interrupted
            self._place += 1
            is_made = self._place <= self._node.engine.writer.made_height
            if self._head.epoch == self._branch and not is_made:
                await self._play(block)

    async def _play(self, block: ScriptedBlock) -> None:
        await self._waiting.until_posted_enough()
        await self._keep_pace(block.time_ms)
        credited = len(self._node.engine.writer.state.deposits) + block.deposits
        commands = await self.feed.play(block)
        if block.modes or block.operates:
            refusals = set(await answered(commands))
            wanted = block.refusal.value if block.refusal else ""
            if refusals != {wanted}:
                raise Refused(Reason.RUN_BROKEN, f"block {self._place}: {sorted(refusals)}")
        writer = self._node.engine.writer
        if writer.made_height != self._place or writer.state.system.time_ms != block.time_ms:
            self._waiting.require_whole()
            words = f"the node has not made block {self._place}: begin again in another folder"
            raise Refused(Reason.RUN_BROKEN, words)
        if len(writer.state.deposits) != credited:
            words = f"block {self._place}: {len(writer.state.deposits)} deposits, not {credited}"
            raise Refused(Reason.RUN_BROKEN, words)
        if self.feed.refusals:
            raise Refused(Reason.RUN_BROKEN, f"the chain refused: {dict(self.feed.refusals)}")
        self._narrator.block(moment_of(self._node, len(block.items)))

    async def _keep_pace(self, time_ms: int) -> None:
        """Wait until a market time has come, at `speed` times the recording's; 0 waits never."""
        now = time.monotonic()
        start_ms, started = self._paced_from or (time_ms, now)
        self._paced_from = (start_ms, started)
        if self._speed:
            due = started + (time_ms - start_ms) / MS_PER_SECOND / self._speed
            await asyncio.sleep(max(0, due - now))

    async def _suffer(self, faults: Sequence[FaultKind]) -> None:
        """Checkpoint, and incident."""
        good_height = self._place
        await self._kept()
        if self._head.epoch == 0 and self._head.height == good_height:
            at, settled = str(good_height), self._node.settler is not None
            await self._desk.create_checkpoint(
                CHECKPOINT, at, OPERATOR, replace=True, settled=settled
            )
            words = ", and its root is posted" if settled else ""
            self._narrator.say(f"checkpoint {CHECKPOINT} at block {good_height}{words}")
        self._narrator.phase(f"the incident: {', '.join(fault.value for fault in faults)}")
        self._folder.note(good_height=good_height)
        await self._blocks(self._script.incident(faults))

    async def _halt(self, good_height: int) -> None:
        await self._kept()
        await self._waiting.until_settled(good_height + 1)
        writer = self._node.engine.writer
        if writer.state.system.mode is not Mode.HALTED:
            halting = writer.operate(SetMode(Mode.HALTED, "liquidations that no price explains"))
            await writer.call()
            await halting.answer
        self._narrator.say(f"the operator halts the chain at block {self._head.height}")

    async def _go_back(self, good_height: int) -> None:
        """Find the bad block, plan, apply."""
        if self._head.epoch == 0:
            self._narrator.phase("going back")
            started = time.perf_counter_ns()
            found = await self._desk.suggest(str(good_height))
            self._folder.note(suggest_us=_since_us(started))
            self._narrator.say(f"suggest: block {found.bad_height}: {found.what}")
            self._narrator.say(
                f"suggest: block {found.good_height} is the last good one, "
                f"checkpoint {found.checkpoint} at block {found.checkpoint_height} is below it"
            )
            if found.checkpoint_height != good_height:
                raise Refused(Reason.RUN_BROKEN, f"good is block {good_height}, not this one")
            started = time.perf_counter_ns()
            plan = await self._desk.plan(CHECKPOINT, OrderPolicy.CANCEL_ALL_BUT_TPSL, ())
            self._folder.note(plan_us=_since_us(started))
            await self._apply(plan)
        self._branch = 1
        self._place = good_height
        self._script.rolled_back(good_height)

    async def _apply(self, plan: Plan) -> None:
        impact, zone = plan.impact, plan.zone
        plan_id = plan.plan_id.hex()
        self._narrator.say(
            f"plan {plan_id[:16]}: back to block {plan.target_height}, {impact.blocks} blocks, "
            f"{impact.fills:,} fills, {impact.liquidations} liquidations, "
            f"{impact.accounts} accounts; {plan.orders_kept} orders stay"
        )
        self._narrator.say(f"settlement: {zone.action}")
        # Where the contract will be: a kill between its revert and the look at it forgets nothing.
        heights = {"good_height": plan.target_height, "bad_height": plan.head_height}
        self._folder.note(**heights, reverted_to=zone.post_height)
        self._ordered_ns = time.perf_counter_ns()
        facts = await self._desk.apply(plan_id, self._desk.order(OPERATOR, _WHY))
        took_us = _since_us(self._ordered_ns)
        microseconds = int(str(facts["commit_microseconds"]))
        self._folder.note(commit_microseconds=microseconds, apply_us=took_us)
        up_again = f"up again after {took_us // _US_PER_MS} ms"
        words = f"one batch of {microseconds:,} microseconds; {up_again}"
        self._narrator.say(f"applied: {words}")

    async def _return(self) -> None:
        """Reopen, try the harm again, climb to OPEN."""
        details = read_details(self._node.views.view.incidents()[0])
        self._narrator.phase("coming back")
        reverted_height = await self._waiting.until_reconciled()
        if reverted_height >= 0:
            self._folder.note(reverted_to=reverted_height)
            if self._ordered_ns:
                self._folder.note(reverted_us=_since_us(self._ordered_ns))
        await self._blocks(self._script.reopen(Reopen(1, details.policy, details.security)))
        await self._blocks(self._script.refused_faults())
        self._narrator.say("the same faults again, guards on: refused")
        await self._waiting.until_proven()
        await self._blocks(self._noting(self._script.climb()))
        await self._kept()
        self._narrator.say("OPEN again")

    async def _kept(self) -> None:
        """Wait until every order has its answer, and every block is in the store."""
        await self.feed.drained()
        await self._waiting.until_stored()

    def _noting(self, blocks: Iterator[ScriptedBlock]) -> Iterator[ScriptedBlock]:
        """Pass blocks on, and time the first one with orders: whoever takes the next asks late."""
        for block in blocks:
            yield block
            if block.items and self._ordered_ns:
                total_ms = (time.perf_counter_ns() - self._ordered_ns) // _NS_PER_MS
                self._folder.note(total_ms=total_ms)
                self._ordered_ns = 0


def _since_us(started_ns: int) -> int:
    return (time.perf_counter_ns() - started_ns) // _NS_PER_US
