"""What a node with plugins reaches, in the process of the node, and the deaths of its plugins.

Names are `asks PLUGIN CALL` right before a plugin is told and `told PLUGIN CALL` when it has taken
that; `cursor PLUGIN: ...` around the batch that makes it durable. A block that an undo brings back
is `again`.

Promises
- A trap for a plugin's process kills it some microseconds after it was told, while it works.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from weakref import WeakKeyDictionary

from scripts.crashing.plugins_hits import CALL_TRAP, kill_plugin, note_started
from scripts.crashing.traps import Traps
from sequencer.engine.outbox import move_cursor
from sequencer.model.commits import BucketChange
from sequencer.model.plugins import READER_PREFIX
from sequencer.model.records import Cursor
from sequencer.plugins.host import host
from sequencer.plugins.host.messages import Begin, FromPlugin, Message, TellBlock
from sequencer.plugins.host.process import PluginProcess
from sequencer.ports import Store
from sequencer.storage import reached as reaching

_MICROSECONDS = 1_000_000


def wire_plugins(traps: Traps, folder: Path, calls_together: int) -> None:
    """Have a node's plugins reach names. So many calls at most become durable together."""
    trapped = _CallTraps(folder)
    names: WeakKeyDictionary[PluginProcess, str] = WeakKeyDictionary()
    ask = PluginProcess.ask

    async def asking(
        self: PluginProcess, message: Message, seconds_max: float, what: str
    ) -> FromPlugin:
        process = self._process.pid
        if isinstance(message, Begin):
            names[self] = message.name
            note_started(folder, process, message.name)
        is_again = isinstance(message, TellBlock) and message.reorg != b""
        call = f"{names[self]} {'again' if is_again else what.split(maxsplit=1)[0]}"
        traps.reached(f"asks {call}")
        trapped.asks(call, process)
        answer = await ask(self, message, seconds_max, what)
        traps.reached(f"told {call}")
        return answer

    def moving(
        store: Store, reader: str, cursor: Cursor, buckets: Iterable[BucketChange] = ()
    ) -> None:
        own = f"cursor {reader.removeprefix(READER_PREFIX)}"
        reached = reaching.on_reached
        reaching.on_reached = lambda point: traps.reached(f"{own}: {point}")
        try:
            traps.around(own, move_cursor)(store, reader, cursor, buckets)
        finally:
            reaching.on_reached = reached

    type.__setattr__(PluginProcess, "ask", asking)
    vars(host).update(move_cursor=moving, PLUGIN_CALLS_TOGETHER_MAX=calls_together)


class _CallTraps:
    """The trap for a plugin's process, in the process of its node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: Counter[tuple[int, str]] = Counter()

    def asks(self, call: str, process: int) -> None:
        try:
            with (self._folder / CALL_TRAP).open("rb") as file:
                number, microseconds, wanted = file.read().decode("ascii").split(" ", 2)
                trap = os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return
        self._asked[trap, call] += 1
        if call == wanted and self._asked[trap, call] == int(number):
            seconds = int(microseconds) / _MICROSECONDS
            loop = asyncio.get_running_loop()
            loop.call_later(seconds, kill_plugin, self._folder, process, wanted)
