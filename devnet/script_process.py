"""The script in a process of its own, so that it and its signatures use another core.

Promises
- Its phases are those of `MarketScript` and give the same blocks.
- It is ahead by as many blocks as a pipe holds, and no more.
- It ends with `close`, or when whoever started it is gone.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import msgspec

from devnet.market_genesis import PlannedDeposit
from devnet.market_script import MarketScript
from devnet.script_block import ScriptedBlock
from devnet.shadow import MarketVolume
from devnet.traders import make_cast
from sequencer.chain.genesis import Genesis
from sequencer.feeds.recorded import read_recording
from sequencer.model.commands import FaultKind, Reopen
from sequencer.model.refusals import Reason, Refusal, Refused
from sequencer.model.settlement import SentDeposit

_CLOSING_SECONDS = 5
_GONE = "the script's process is gone"


class Standing(msgspec.Struct, frozen=True):
    """Where a script stands at the end of a phase: the block it has come to, and the volumes."""

    height: int
    volumes: Mapping[str, MarketVolume]


class Opening(msgspec.Struct, frozen=True):
    """What a script says first: genesis, the record's first and last moment, and notes on it.

    `deposits` are what has to be sent to it through the settlement chain.
    """

    genesis: Genesis
    first_ms: int
    last_ms: int
    notes: Sequence[str]
    deposits: Sequence[PlannedDeposit] = ()


Message: TypeAlias = Opening | Standing | ScriptedBlock | Refusal
"""What the process says."""


class ScriptProcess:
    """A script elsewhere, its keys derived there: that takes 7 s for a thousand traders.

    `opening` is what it begins with, `standing` where the last phase ended.

    Refused as `read_recording` and the phases refuse; it has ended then.
    """

    def __init__(
        self, folder: Path, seed: int, traders: int, chain_id: str, *, funded: bool = False
    ) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, folder, (seed, traders), chain_id, funded)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        try:
            opening = self._next()
            if not isinstance(opening, Opening):
                raise TypeError(f"a script begins with {type(opening).__name__}")
            self.opening = opening
            self.standing = self._standing(self._next())
        except BaseException:
            self.close()
            raise

    def sign(self, signs: bool) -> None:
        """Say whether the blocks from here on are signed."""
        self._run("sign", signs)

    def fund(self, sent: Sequence[SentDeposit]) -> Iterator[ScriptedBlock]:
        """See `MarketScript`, as for all phases."""
        return self._blocks("fund", sent)

    def warm_up(self) -> Iterator[ScriptedBlock]:
        """Open the market."""
        return self._blocks("warm_up")

    def withdraw(self) -> Iterator[ScriptedBlock]:
        """Have a trader withdraw."""
        return self._blocks("withdraw")

    def trade(self, until_ms: int | None = None) -> Iterator[ScriptedBlock]:
        """Replay up to a market time."""
        return self._blocks("trade", until_ms)

    def incident(self, kinds: Sequence[FaultKind]) -> Iterator[ScriptedBlock]:
        """Do harm."""
        return self._blocks("incident", kinds)

    def rolled_back(self, height: int) -> None:
        """Take note of a rollback."""
        self._run("rolled_back", height)

    def reopen(self, command: Reopen) -> Iterator[ScriptedBlock]:
        """Go on after it."""
        return self._blocks("reopen", command)

    def refused_faults(self) -> Iterator[ScriptedBlock]:
        """Try the harm again."""
        return self._blocks("refused_faults")

    def climb(self) -> Iterator[ScriptedBlock]:
        """Go up to OPEN."""
        return self._blocks("climb")

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(_CLOSING_SECONDS)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()
        self._process.close()

    def _blocks(self, phase: str, *arguments: object) -> Iterator[ScriptedBlock]:
        self._ask(phase, *arguments)
        while isinstance(message := self._next(), ScriptedBlock):
            yield message
        self.standing = self._standing(message)

    def _run(self, phase: str, *arguments: object) -> None:
        self._ask(phase, *arguments)
        self.standing = self._standing(self._next())

    def _ask(self, phase: str, *arguments: object) -> None:
        try:
            self._pipe.send((phase, arguments))
        except ConnectionError:
            raise Refused(Reason.RUN_BROKEN, _GONE) from None

    def _next(self) -> Message:
        try:
            message: Message = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise Refused(Reason.RUN_BROKEN, _GONE) from None
        if isinstance(message, Refusal):
            raise Refused(message.reason, message.detail)
        return message

    @staticmethod
    def _standing(message: Message) -> Standing:
        if not isinstance(message, Standing):
            raise TypeError(f"a phase ends with {type(message).__name__}")
        return message


def _serve(
    pipe: Connection, folder: Path, players: tuple[int, int], chain_id: str, funded: bool
) -> None:
    # A terminal interrupts both processes; the other one decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # First the record: what is wrong with it is said before a thousand keys are derived.
        recording = read_recording(folder)
        script = MarketScript(recording, make_cast(*players), chain_id, funded=funded)
        span = (script.first_ms, script.last_ms)
        pipe.send(Opening(script.genesis, *span, recording.notes, script.deposits))
        _play(pipe, script)
    except Refused as refused:
        pipe.send(Refusal(refused.reason, refused.detail))
    except (EOFError, ConnectionError):
        # Whoever asked is gone.
        return


def _play(pipe: Connection, script: MarketScript) -> None:
    while True:
        pipe.send(Standing(script.shadow.height, script.shadow.volumes))
        phase, arguments = pipe.recv()
        for block in getattr(script, phase)(*arguments) or ():
            pipe.send(block)
