"""A scripted block through a running node: everything in, then the block, then what came of it.

Promises
- A block holds exactly what the script put into it, whatever the machine is doing: everything waits
  in the writer's line before the block is called for, and the next comes after it is closed.

Laws
- The clock is the script's. Wall time is only measured: of answers, and of each block's way to the
  disk.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from devnet.script_block import ScriptedBlock
from devnet.timings import Stopwatch
from sequencer.chain.exchange_contract import Signed, SignedCancel, SignedReport
from sequencer.engine.admission import Admission
from sequencer.engine.engine import Engine
from sequencer.engine.items import Item
from sequencer.engine.writer import Writer
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.transactions import InvokeV3

_NS_PER_US = 1_000


class ScriptClock:
    """The time of the script, as the engine's port takes it."""

    def __init__(self) -> None:
        self.ms = 0

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return self.ms


class Feed:
    """Plays blocks; counts refusals by code, and how long answers took, in nanoseconds."""

    def __init__(
        self,
        engine: Callable[[], Engine],
        clock: ScriptClock,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._stopwatch = stopwatch
        self._listened: Writer | None = None
        self._closed: dict[int, tuple[int, int]] = {}
        self.refusals: Counter[str] = Counter()
        self.latencies_ns: list[int] = []
        self._waiting: set[Item] = set()

    async def play(self, block: ScriptedBlock) -> list[Item]:
        """Have one block made, and return the operator's commands of it with their answers to come.

        Refusal: RUN_BROKEN where the chain has halted.
        """
        engine = self._engine()
        self._clock.ms = block.time_ms
        for report in block.reports:
            self._report(engine.admission, report)
        commands = [engine.writer.operate(command) for command in (*block.modes, *block.operates)]
        for signed in (*block.transactions, *block.items):
            self._send(engine.admission, signed)
        await engine.admission.checked()
        await self._call(engine.writer)
        final = engine.gate.final()
        if final is not None:
            raise Refused(Reason.RUN_BROKEN, str(final))
        return commands

    async def drained(self) -> None:
        """Wait until everything that was sent has its answer."""
        while self._waiting:
            await asyncio.wait([item.answer for item in self._waiting])

    async def _call(self, writer: Writer) -> None:
        """Have a block made, and hear when it is on the disk; a rollback makes a new writer."""
        if writer is not self._listened:
            writer.listen(partial(self._durable, writer))
            self._listened = writer
            self._closed.clear()
        height, started = writer.made_height, time.perf_counter_ns()
        await writer.call()
        if writer.made_height == height + 1:
            closed = time.perf_counter_ns()
            self._closed[writer.made_height] = (closed - started, closed)

    def _durable(self, writer: Writer) -> None:
        height = writer.made_height - len(writer.pending()) + 1
        taken_ns, closed = self._closed.pop(height, (0, 0))
        if self._stopwatch is not None and closed:
            durable_ns = time.perf_counter_ns() - closed
            self._stopwatch.block(height, taken_ns // _NS_PER_US, durable_ns // _NS_PER_US)

    def _report(self, admission: Admission, report: SignedReport) -> None:
        try:
            admission.report(report)
        except Refused as refused:
            self.refusals[refused.reason.value] += 1

    def _send(self, admission: Admission, signed: Signed | InvokeV3) -> None:
        started = time.perf_counter_ns()
        try:
            match signed:
                case SignedCancel():
                    item = admission.cancel(signed)
                case InvokeV3():
                    item = admission.transaction(signed)
                case _:
                    item = admission.order(signed)
        except Refused as refused:
            self.refusals[refused.reason.value] += 1
            return
        self._waiting.add(item)
        item.answer.add_done_callback(lambda _: self._answered(item, started))

    def _answered(self, item: Item, started: int) -> None:
        self._waiting.discard(item)
        taken_ns = time.perf_counter_ns() - started
        self.latencies_ns.append(taken_ns)
        if self._stopwatch is not None:
            self._stopwatch.answer(taken_ns // _NS_PER_US)
        error = item.answer.exception()
        if isinstance(error, Refused):
            self.refusals[error.reason.value] += 1
        elif item.answer.result().refusal:
            self.refusals[item.answer.result().refusal] += 1


async def answered(commands: Sequence[Item]) -> list[str]:
    """Wait for the operator's commands: each one's refusal, "" for none."""
    return [(await command.answer).refusal for command in commands]
