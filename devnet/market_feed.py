"""A scripted block through a running node: everything in, then the block, then what came of it.

Promises
- A block holds exactly what the script put into it, whatever the machine is doing: everything waits
  in the writer's line before the block is called for, and the next comes after it is closed.

Laws
- The clock is the script's. Wall time is only measured, for latencies.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

from devnet.script_block import ScriptedBlock
from sequencer.chain.exchange_contract import Signed, SignedCancel, SignedReport
from sequencer.engine.admission import Admission
from sequencer.engine.engine import Engine
from sequencer.engine.items import Item
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.transactions import InvokeV3


class ScriptClock:
    """The time of the script, as the engine's port takes it."""

    def __init__(self) -> None:
        self.ms = 0

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        return self.ms


class Feed:
    """Plays blocks; counts refusals by code, and how long answers took, in nanoseconds."""

    def __init__(self, engine: Callable[[], Engine], clock: ScriptClock) -> None:
        self._engine = engine
        self._clock = clock
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
        await engine.writer.call()
        final = engine.gate.final()
        if final is not None:
            raise Refused(Reason.RUN_BROKEN, str(final))
        return commands

    async def drained(self) -> None:
        """Wait until everything that was sent has its answer."""
        while self._waiting:
            await asyncio.wait([item.answer for item in self._waiting])

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
        self.latencies_ns.append(time.perf_counter_ns() - started)
        error = item.answer.exception()
        if isinstance(error, Refused):
            self.refusals[error.reason.value] += 1
        elif item.answer.result().refusal:
            self.refusals[item.answer.result().refusal] += 1


async def answered(commands: Sequence[Item]) -> list[str]:
    """Wait for the operator's commands: each one's refusal, "" for none."""
    return [(await command.answer).refusal for command in commands]
