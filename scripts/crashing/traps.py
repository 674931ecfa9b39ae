"""Traps inside a node: it dies of SIGKILL where it reaches a name for the n-th time.

A trap is a file in the folder of a run, so it can be set while the node runs. Every name that is
reached is noted beside it: a run without traps tells where they can be set.

Promises
- `sends CALL` is before a request to the settlement chain has left, `sent CALL` right after the
  system has taken it, `answered CALL` when the first of the answer has come.

Laws
- What is wired is wired in this process alone, by whoever runs a node in it.
"""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from sequencer import node
from sequencer.engine import desk, desk_rollback, engine
from sequencer.engine.rollback import resume, undo
from sequencer.engine.throttle import Throttle
from sequencer.engine.verification import check_owed_root
from sequencer.model.settlement import Sent
from sequencer.settlement.contract_rules import ContractCall
from sequencer.settlement.simulated import Faults, SimulatedSettlement
from sequencer.starknet.names import selector
from sequencer.storage import reached as reaching

_T = TypeVar("_T")

NOTES, TRAP, FAULTS = "reached", "trap", "faults"
"""The files, in the folder of a run: names that were reached, the trap, faults to switch on."""

_METHODS = b'"method":'
_CALLS = (
    *("hold", "release", "update_state", "revert_state_to", "finalize"),
    *("get_standing", "newest_post_up_to", "oldest_post_above"),
)
_SELECTORS = {f"{selector(name):x}".encode(): name for name in _CALLS}


class Trap(NamedTuple):
    """Where a process dies: the n-th time that it reaches a name from now on."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


def set_trap(folder: Path, trap: Trap | None) -> None:
    """Set a trap in the folder of a run in place of another one; None takes it away."""
    write_anew(folder / TRAP, None if trap is None else f"{trap.number} {trap.name}")


def set_faults(folder: Path, words: str) -> None:
    """Switch faults of a simulated settlement chain on, each once, by their names; "" for none."""
    write_anew(folder / FAULTS, words)


def write_anew(path: Path, words: str | None) -> None:
    """Put words in the place of a file, in one step for whoever reads it; None takes it away."""
    if words is None:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(words, "ascii")
    fresh.replace(path)


def reached_so_far(folder: Path) -> list[str]:
    """List the names that were reached in a run."""
    path = folder / NOTES
    return path.read_text("ascii").splitlines() if path.exists() else []


class Traps:
    """What a node reaches, in the process of the node."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TRAP
        self._notes = os.open(folder / NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._seen: tuple[int, str] = (0, "")
        self._left = 0

    def reached(self, name: str) -> None:
        """Note a name, and die if the trap is set here."""
        os.write(self._notes, f"{name}\n".encode())
        found = self._look()
        if found is None:
            return
        file, number, wanted = found
        if (file, wanted) != self._seen:
            self._seen, self._left = (file, wanted), number
        self._left -= name == wanted
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, work: Callable[..., _T]) -> Callable[..., _T]:
        """Return a function that reaches `NAME begins` before it works, `NAME ends` after."""

        def worked(*arguments: object, **named: object) -> _T:
            self.reached(f"{name} begins")
            done = work(*arguments, **named)
            self.reached(f"{name} ends")
            return done

        return worked

    def _look(self) -> tuple[int, int, str] | None:
        try:
            with self._path.open("rb") as file:
                number, _, name = file.read().decode("ascii").partition(" ")
                return os.fstat(file.fileno()).st_ino, int(number), name
        except FileNotFoundError:
            return None


def wire_engine(traps: Traps) -> None:
    """Have the store, what an operator decides, recovery and background checks reach names."""
    reaching.on_reached = traps.reached
    _use(desk_rollback, _timed=traps.around("rollback", desk_rollback._timed))
    _use(desk, undo=traps.around("undo", undo), resume=traps.around("resume", resume))
    _use(node, _recovered=traps.around("recovery", node._recovered))
    _use(engine, check_owed_root=traps.around("root", check_owed_root))
    pause = Throttle.pause

    def paused(self: Throttle) -> None:
        traps.reached("checking")
        pause(self)

    type.__setattr__(Throttle, "pause", paused)


def wire_sockets(traps: Traps, port: int) -> None:
    """Have every request to a port, and its answer, reach a name with the call that it makes."""
    calls: WeakKeyDictionary[socket.socket, str] = WeakKeyDictionary()
    send, receive = socket.socket.send, socket.socket.recv

    def sending(self: socket.socket, data: bytes | memoryview, *flags: int) -> int:
        call = _call_of(bytes(data)) if _goes_to(self, port) else ""
        if not call:
            return send(self, data, *flags)
        calls[self] = call
        traps.reached(f"sends {call}")
        count = send(self, data, *flags)
        traps.reached(f"sent {call}")
        return count

    def receiving(self: socket.socket, *arguments: int) -> bytes:
        received = receive(self, *arguments)
        if call := calls.pop(self, ""):
            traps.reached(f"answered {call}")
        return received

    type.__setattr__(socket.socket, "send", sending)
    type.__setattr__(socket.socket, "recv", receiving)


class Trapped(SimulatedSettlement):
    """A simulated contract whose calls reach names, and whose faults are switched on by a file."""

    def wire(self, traps: Traps, folder: Path) -> "Trapped":
        """Say where names go to, and where faults come from."""
        self._traps, self._faults = traps, folder / FAULTS
        return self

    async def _send(self, call: ContractCall) -> Sent:
        name = type(call).__name__
        self._traps.reached(f"sends {name}")
        sent = await super()._send(call)
        self._traps.reached(f"sent {name}")
        return sent

    async def _reach(self) -> None:
        if self._faults.exists():
            words = self._faults.read_text("ascii").split()
            self._faults.unlink()
            self.faults = msgspec.convert(dict.fromkeys(words, 1), Faults, strict=False)
        await super()._reach()


def _call_of(request: bytes) -> str:
    """Name the call that a request makes: the contract's function, or else the RPC method."""
    if _METHODS not in request:
        return ""
    named = (name for digits, name in _SELECTORS.items() if digits in request)
    method = request.partition(_METHODS)[2].split(b'"')[1].decode("ascii", "replace")
    return next(named, method)


def _goes_to(connection: socket.socket, port: int) -> bool:
    try:
        return connection.family == socket.AF_INET and connection.getpeername()[1] == port
    except OSError:
        return False


def _use(module: object, **values: object) -> None:
    """Put others in place, in this process alone."""
    vars(module).update(values)
