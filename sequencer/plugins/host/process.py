"""A plugin's process as the node sees it: started, asked one thing at a time, ended.

Promises
- Whatever becomes of the process, asking it ends in time: with an answer, or with `Parks`.
- An ended process is gone with all that it started in its own process group, and nothing waits for
  what it started elsewhere.
"""

import asyncio
import os
import signal
import sys
from asyncio import SubprocessTransport
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from sequencer.model.plugin_limits import (
    PLUGIN_ANSWER_BYTES_MAX,
    PLUGIN_CLOSING_SECONDS_MAX,
    PLUGIN_LINES_WAITING_MAX,
    PLUGIN_PIECE_BYTES,
)
from sequencer.model.plugins import ParkCause
from sequencer.plugins.calling import one_line
from sequencer.plugins.host.messages import (
    LENGTH_BYTES,
    End,
    Failed,
    FromPlugin,
    Message,
    Said,
    read_length,
    read_up,
    write_frame,
)

_LOOK_SECONDS, _LOOKS_MAX = 0.01, 300
_COMMAND = (sys.executable, "-P", "-m", "sequencer.plugins.host.child")


class Parks(Exception):
    """A plugin cannot be told any more: the cause, and the words for the operator."""

    def __init__(self, cause: ParkCause, words: str) -> None:
        super().__init__(f"{cause.value}: {words}")
        self.cause = cause


class PluginProcess:
    """A process that runs a plugin. `say` takes its lines."""

    def __init__(
        self, process: Process, transport: SubprocessTransport, say: Callable[[str], None]
    ) -> None:
        self._process = process
        self._transport = transport
        self._say = say
        self._lines = 0
        self._silent = asyncio.Event()
        self._hangs = False

    @classmethod
    async def start(
        cls, say: Callable[[str], None], environment: Mapping[str, str]
    ) -> "PluginProcess":
        """Start a process. Error: OSError."""
        loop = asyncio.get_running_loop()
        # In a group of its own: a Ctrl-C at the terminal is for the node, which ends it in order.
        transport, protocol = await loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(limit=PLUGIN_PIECE_BYTES, loop=loop),
            *_COMMAND,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
            env=environment,
        )
        return cls(Process(transport, protocol, loop), transport, say)

    async def ask(self, message: Message, seconds_max: float, what: str) -> FromPlugin:
        """Have a message answered. Error: Parks, naming `what` was asked."""
        self._count_anew()
        try:
            async with asyncio.timeout(seconds_max):
                answer = await self._exchange(message)
        except TimeoutError:
            self._hangs = True
            words = f"{what} took over {seconds_max} s"
            raise Parks(ParkCause.PLUGIN_HANGS, words) from None
        except (asyncio.IncompleteReadError, OSError):
            raise Parks(ParkCause.PLUGIN_DIED, f"{what}: {await self._how_it_ended()}") from None
        except ValueError as error:
            words = f"{what}: its answer cannot be read: {error}"
            raise Parks(ParkCause.PLUGIN_NONSENSE, one_line(words)) from None
        if isinstance(answer, Failed):
            causes = {cause.value: cause for cause in ParkCause}
            raise Parks(causes.get(answer.cause, ParkCause.PLUGIN_NONSENSE), one_line(answer.words))
        return answer

    async def listen(self) -> None:
        """Pass on what it prints, until it ends."""
        stream, rest = self._process.stderr, b""
        try:
            while stream is not None and (piece := await stream.read(PLUGIN_PIECE_BYTES)):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._hear(line.decode(errors="replace"))
                # What goes on for ever without an end of line is none.
                rest = rest[:PLUGIN_PIECE_BYTES]
            self._hear(rest.decode(errors="replace"))
        finally:
            self._silent.set()

    async def end(self, seconds_max: float = PLUGIN_CLOSING_SECONDS_MAX) -> None:
        """Have it shut down, unless it hangs anyway, and end it; can be repeated."""
        if self._process.stdin is not None and self._process.returncode is None:
            with suppress(OSError):
                self._process.stdin.write(write_frame(End()))
        try:
            await _within(0 if self._hangs else seconds_max, self._last_words())
            self._kill()
            await _within(PLUGIN_CLOSING_SECONDS_MAX, self._silent.wait())
        finally:
            self._kill()
            # Not `wait`, and then `close`: who left the group may hold the pipes for ever.
            for _ in range(_LOOKS_MAX):
                if self._process.returncode is not None:
                    break
                await asyncio.sleep(_LOOK_SECONDS)
            self._transport.close()
            self._count_anew()

    def _kill(self) -> None:
        # Also what it started: nothing of a plugin outlives it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _exchange(self, message: Message) -> FromPlugin:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise TypeError("a process without pipes")
        stdin.write(write_frame(message))
        await stdin.drain()
        while isinstance(answer := await _next_of(stdout), Said):
            self._hear(answer.words)
        return answer

    async def _last_words(self) -> None:
        """Wait for its end, and pass on what it says until then."""
        with suppress(asyncio.IncompleteReadError, OSError, ValueError):
            while self._process.stdout is not None:
                answer = await _next_of(self._process.stdout)
                if isinstance(answer, Said):
                    self._hear(answer.words)
        await self._process.wait()

    def _hear(self, line: str) -> None:
        if line.strip():
            self._lines += 1
            if self._lines <= PLUGIN_LINES_WAITING_MAX:
                self._say(one_line(line))

    def _count_anew(self) -> None:
        above, self._lines = self._lines - PLUGIN_LINES_WAITING_MAX, 0
        if above > 0:
            self._say(f"{above} more lines are not shown")

    async def _how_it_ended(self) -> str:
        await _within(PLUGIN_CLOSING_SECONDS_MAX, self._process.wait())
        code = self._process.returncode
        return "it closed its pipes" if code is None else f"its process ended with code {code}"


async def _next_of(stream: asyncio.StreamReader) -> FromPlugin:
    length = read_length(await stream.readexactly(LENGTH_BYTES), PLUGIN_ANSWER_BYTES_MAX)
    return read_up(await stream.readexactly(length))


async def _within(seconds_max: float, waiting: Awaitable[object]) -> None:
    """Wait for something for so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds_max):
            await waiting
