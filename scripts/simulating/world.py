"""One run: a chain, everybody around it, some lives of its node, and the laws at the end.

Promises
- A run follows from its seed alone: the same seed gives the same trace.
- Each life ends with a planned stop or a power cut; the last one with a planned stop, and then
  everything is checked.
"""

import asyncio
import traceback
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeAlias

import msgspec

from scripts.simulating.cast import OPENED_MS, TRADERS, Beginning, Cast, copy_of, open_store
from scripts.simulating.chief import Chief
from scripts.simulating.cuts import Cuts
from scripts.simulating.decisions import Decider
from scripts.simulating.deposits import (
    check_deposits,
    credit_rest,
    pay_for_lost,
    send_deposits,
)
from scripts.simulating.laws import check_chain, check_readers, check_withdrawals
from scripts.simulating.loop import Deadlock, RunAway, SimulatedLoop, run_simulated
from scripts.simulating.node import Around, wait_for
from scripts.simulating.people import Market, Post, Trader, publish, steward
from scripts.simulating.readers import Follower, watch, watch_clients
from scripts.simulating.records import Records, Sending
from scripts.simulating.settlement import SettlementChain
from scripts.simulating.signatures import Signatures
from scripts.simulating.surroundings import LoopClock
from sequencer.engine.items import Applied
from sequencer.engine.lookup import find_block, rows_at
from sequencer.model.commands import SetMode
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.rows import Mode
from sequencer.node import Node
from sequencer.starknet.felt import as_bytes
from sequencer.storage.witness import decode_slots, newest_slot

REAL_EVERY = 25
"""One run of so many has real signatures, and is executed again from genesis with them."""

_STOP_SECONDS_MAX = 30.0
_SETTLE_SECONDS_MAX = 60.0
_LIFE_SECONDS = (2.0, 5.0)
_LAST_SECONDS = 1.5


class Outcome(msgspec.Struct, frozen=True):
    """What came of a run. `trace` is kept only where something was violated or asked for."""

    seed: int
    violations: tuple[str, ...]
    counts: dict[str, int]
    trace_hash: str
    steps: int
    trace: tuple[str, ...] = ()


_Task: TypeAlias = "asyncio.Future[Any]"

_begun: dict[bool, tuple[Cast, Beginning]] = {}


def _beginning(real: bool) -> tuple[Cast, Beginning]:
    """Return the cast and the chain that runs begin with, made once in a process."""
    if real not in _begun:
        cast = Cast(Signatures(real=real))
        cast.signatures.install()
        _begun[real] = cast, cast.begin()
    cast, begun = _begun[real]
    cast.signatures.install()
    return cast, begun


class World:
    """One run under way."""

    def __init__(self, seed: int, loop: SimulatedLoop) -> None:
        self.random = Random(f"world {seed}")
        self.records = Records(loop.time)
        self.cast, self.begun = _beginning(seed % REAL_EVERY == 0)
        self.disk = copy_of(self.begun.opened, seed)
        clock = LoopClock(OPENED_MS + 1_000, loop.time)
        begun = open_store(copy_of(self.begun.opened)).view
        self.settlement = SettlementChain(seed, begun, clock, self.records)
        self.around = Around(seed, self.cast, self.disk, clock, self.settlement)
        self.market = Market(Random(f"market {seed}"))
        self._looks = Random(f"looks {seed}")
        self.cuts = Cuts(self.disk, Random(f"cuts {seed}"), self.records.count)
        self.cuts.install()
        self.readers = [
            Follower("steady", self.records, Random(f"steady {seed}"), fails=False),
            Follower("weak", self.records, Random(f"weak {seed}"), fails=True),
        ]
        self.around.is_telling = lambda: any(reader.is_taking for reader in self.readers)
        self.cut = asyncio.Event()
        self.life = 0
        self._failures = 0

    async def run(self) -> None:
        """Live, die, and be checked."""
        for _ in range(self.random.randrange(1, 3)):
            await self._live(self.random.uniform(*_LIFE_SECONDS), is_last=False)
        self.settlement.heal()
        await self._live(_LAST_SECONDS, is_last=True)
        store = open_store(self.disk)
        check_chain(store, self.cast, self.records, self.begun)
        check_readers(store.view, self.readers, self.records)
        check_withdrawals(store.view, self.records)
        check_deposits(store.view, self.settlement, self.records)
        self.settlement.check(store.view)
        self.records.say(f"ends at {store.head}")

    async def _live(self, seconds: float, *, is_last: bool) -> None:
        """Start a node, let everybody act, and end it."""
        self.life += 1
        self.around.is_stopping = False
        self.cut.clear()
        self._failures = self.disk.failures
        node = self.around.start(self.cut.set)
        self.records.say(f"life {self.life} at {node.store.head.height}")
        node.listen(self._note_halt)
        post = Post(node, self.life, self.records)
        for reader in self.readers:
            reader.begin_life()
        running = asyncio.ensure_future(node.run(self.readers))
        decider = Decider(post, self.around, self.cuts, self._dice("decider"))
        chief = Chief(post, decider, self.cuts, self.market, self._dice("chief"))
        people: list[_Task] = [asyncio.ensure_future(each) for each in self._people(post)]
        if not is_last:
            people.append(asyncio.ensure_future(chief.run()))
            people.append(asyncio.ensure_future(self.settlement.misbehave()))
        await self._wait_for_end(node, running, seconds)
        if self.cut.is_set() or (not is_last and self.random.random() < 0.25):
            await self._pull_plug(node, running, people)
            return
        if is_last:
            await self._settle(post, people)
        elif self.random.random() < 0.5:
            await wait_for(lambda: decider.under_way > 0, 1.0)
        await self._stop(node, running, people, chief)

    async def _settle(self, post: Post, people: list[_Task]) -> None:
        """Credit what waits, halt the chain, and wait until the contract stands where it does."""
        await _cancelled(*people)
        self._check_people(people)
        people.clear()
        # What insurance has sent lets deposits be credited that wait behind a lost one.
        await wait_for(lambda: not self._unanswered(), _STOP_SECONDS_MAX, step=0.05)
        await credit_rest(post, self.settlement)
        settler = post.node.settler
        if settler is None:
            raise TypeError("no settler")
        await wait_for(lambda: not post.node.engine.gate.owes_root, _STOP_SECONDS_MAX, step=0.05)
        halting = post.operate(SetMode(Mode.HALTED, "the day is over"))

        def is_at_rest() -> bool:
            # A deposit that was lost just now refuses the change of mode, and a block may be open.
            *unsealed, opened = post.node.engine.writer.pending()
            return not (unsealed or opened.receipts) and settler.status().is_idle

        rests = await wait_for(
            lambda: halting.answer is not None and is_at_rest(), _SETTLE_SECONDS_MAX, step=0.05
        )
        self.records.require(rests, f"not settled: {settler.status()}")

    def _people(self, post: Post) -> list[Coroutine[Any, Any, None]]:
        cast, market = self.cast, self.market
        traders = [Trader(post, cast, market, name, self._dice(name)).run() for name in TRADERS]
        others = [
            publish(post, cast, market),
            steward(post, self._dice("steward"), self.random.choice((0.3, 1.0))),
            watch(post.node, self.records, self._dice("watcher")),
            watch_clients(post.node, self.records, self._looks),
            send_deposits(self.settlement, cast, self._dice("depositors")),
            pay_for_lost(post, cast, self._dice("insurer")),
        ]
        return [*traders, *others]

    def _note_halt(self, halt: Halt) -> None:
        if halt.cause is HaltCause.DEPOSIT_UNMADE:
            self.records.count("credited deposit lost")

    def _dice(self, name: str) -> Random:
        return Random(f"{name} {self.random.random()}")

    async def _wait_for_end(self, node: Node, running: _Task, seconds: float) -> None:
        """Wait until the time is over, the power is cut, or the node halted for good."""
        await wait_for(
            lambda: self.cut.is_set() or running.done() or node.engine.gate.final() is not None,
            seconds,
            step=0.004,
        )
        if running.done():
            self.records.violate("the node ended by itself")

    async def _pull_plug(self, node: Node, running: _Task, people: list[_Task]) -> None:
        """End everything at once, and lose what the disk had not synced."""
        self.records.count("power cut")
        for sending in self._unanswered():
            sending.was_cut = True
        self._check_witness(node)
        self.around.kill()
        await _cancelled(running, *people)
        self.cuts.disarm()
        self.disk.power_cut()

    async def _stop(
        self,
        node: Node,
        running: _Task,
        people: list[_Task],
        chief: Chief,
    ) -> None:
        """Stop as planned, while everybody goes on, and some decide."""
        halt = node.engine.gate.final()
        self.around.is_stopping = True
        late: list[_Task] = []
        if halt is None and len(people) > len(TRADERS) + 3 and self.random.random() < 0.6:
            late.append(asyncio.ensure_future(chief.on_stop()))
            await asyncio.sleep(self.random.choice((0.0, 0.0, 0.01, 0.04)))
        self.records.say("stop")
        node.stop()
        done, _ = await asyncio.wait(
            (running, asyncio.ensure_future(self.cut.wait())),
            timeout=_STOP_SECONDS_MAX,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self.cut.is_set() and not running.done():
            await self._pull_plug(node, running, [*people, *late])
            return
        if not done:
            self.records.violate(f"the node does not stop within {_STOP_SECONDS_MAX} s")
        answered = await wait_for(lambda: chief.decider.under_way == 0, 1.0)
        self.records.require(answered, "a decision is left without an answer")
        await _cancelled(*people)
        if late and not late[0].done():
            await asyncio.wait(late, timeout=1.0)
        self._check_people(people + late)
        await _cancelled(*late)
        self._check_stopped(node, running)
        node.close()
        self.cuts.disarm()
        if halt is not None:
            self.disk.power_cut()

    def _check_witness(self, node: Node) -> None:
        """What was answered in this life is in a block that the witness knows, or an older one."""
        witness = newest_slot(decode_slots(self.disk.witness_bytes))
        known = (0, 0) if witness is None else (witness.epoch, witness.sequence)
        for sending in self.records.sendings:
            if sending.life != self.life or not isinstance(sending.answer, Applied):
                continue
            block = node.store.view.block_by_hash(as_bytes(sending.answer.block_hash))
            seen = block is not None and (block.epoch, block.sequence) <= known
            words = f"{sending.name} was told of block {sending.answer.height}, the witness was not"
            self.records.require(seen, words)

    def _unanswered(self) -> list[Sending]:
        sent = (each for each in self.records.sendings if each.life == self.life)
        return [each for each in sent if each.answer is None]

    def _check_people(self, people: list[_Task]) -> None:
        for task in people:
            if not task.done():
                self.records.violate("a decision is left without an answer")
            elif not task.cancelled() and (error := task.exception()) is not None:
                self.records.violate(f"somebody met {_traced(error)}")

    def _check_stopped(self, node: Node, running: _Task) -> None:
        """Look at a node that has ended: all is answered, and memory is what the store holds."""
        records = self.records
        if running.done() and not running.cancelled() and (error := running.exception()):
            records.violate(f"the node failed: {_traced(error)}")
            return
        for sending in self._unanswered():
            records.violate(f"{sending.name} {type(sending.payload).__name__} is not answered")
        final = node.engine.gate.final()
        self._check_witness(node)
        if final is not None:
            records.count(f"halted for good by {final.cause.value}")
            expected = final.cause is HaltCause.WRITE_FAILED and self.disk.failures > self._failures
            records.require(expected, f"halted for good although no write has failed: {final}")
            return
        view, last = node.store.view, node.store.head.next_effect - 1
        same = node.engine.writer.state.rows == rows_at(view, find_block(view, "latest"))
        records.require(same, "state in memory is not that of the store")
        if all(each.parked or each.effect == last for each in view.cursors().values()):
            left_open = [each.stage for each in view.journals() if each.is_open]
            records.require(not left_open, f"told to everybody, and left open: {left_open}")
        records.count("planned stop")


async def _cancelled(*tasks: _Task) -> None:
    """Cancel tasks and wait for them; what they raise is of no interest."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)


def _traced(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def run_seed(seed: int, *, keep_trace: bool = False) -> Outcome:
    """Run one seed in this process."""
    loop = SimulatedLoop(seed)
    asyncio.set_event_loop(loop)
    world: World | None = None
    try:
        world = World(seed, loop)
        run_simulated(loop, world.run())
        violations = [*world.records.violations, *loop.failures]
    except (Deadlock, RunAway) as error:
        known = [] if world is None else world.records.violations
        violations = [*known, f"{error!r}", *loop.left]
    except Exception as error:  # Whatever it is, it is this seed's.
        known = [] if world is None else world.records.violations
        violations = [*known, _traced(error)]
    finally:
        asyncio.set_event_loop(None)
    if world is None:
        return Outcome(seed, tuple(violations), {}, "", loop.steps)
    records = world.records
    trace = tuple(records.lines) if keep_trace or violations else ()
    counts = dict(records.counts)
    return Outcome(seed, tuple(violations), counts, records.trace_hash, loop.steps, trace)
