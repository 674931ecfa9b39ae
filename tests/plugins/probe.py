"""A plugin that notes each call outside and in its bucket, and misbehaves where it is told to.

Options: `in` names the method and `at` the key of the call, `do` what is done there, and `once`
that it is done in the first process alone.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from sequencer.chain.block import Block
from sequencer.engine.plan import Plan
from sequencer.plugins.protocol import BlockAndStateUpdate, Classes, Context, Opinion, Plugin, Reorg
from sequencer.starknet.published import StateUpdate
from sequencer.starknet.state import StateDiff

# As everywhere in tests; but hypothesis is nothing that each process of a plugin should import.
Unchecked: TypeAlias = Any

CALLS, PIDS, ONCE = "calls", "pids", "once"
_LOCK = threading.Lock()
_SLOW_SECONDS = 0.2


def _hang() -> None:
    time.sleep(1_000)


def _spin() -> None:
    while True:
        pass


def _lock() -> None:
    _LOCK.acquire()
    _LOCK.acquire()


def _hold_interpreter() -> None:
    # Called this way, Python's own lock is not let go meanwhile.
    ctypes.PyDLL(None).sleep(1_000)


def _raise() -> None:
    raise ValueError("a\nsecond\x1b[31m line " + "x" * 1_000)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _memory() -> None:
    raise MemoryError


def _recur() -> None:
    _recur()


def _close_files() -> None:
    os.closerange(0, 256)


def _change_process() -> None:
    os.chdir("/")
    os.environ.clear()
    sys.path.clear()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _print() -> None:
    sys.stdout.write("out " * 1_000_000 + "\n")
    for number in range(100_000):
        sys.stderr.write(f"line {number}\n")


def _fork() -> None:
    # It has everything open that its parent has, and keeps it.
    if os.fork() == 0:
        time.sleep(1_000)


def _own_answer() -> None:
    # Wherever its answers go: what is read there is none.
    for number in range(3, 32):
        try:
            os.write(number, b"\x00" * 7 + b"\x05hello")
        except OSError:
            continue


_HARMS: dict[str, Callable[[], object]] = {
    "answer": _own_answer,
    "change": _change_process,
    "close": _close_files,
    "exit": lambda: os._exit(3),
    "fork": _fork,
    "hang": _hang,
    "hold": _hold_interpreter,
    "interrupt": _interrupt,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "leave": lambda: sys.exit("goodbye"),
    "lock": _lock,
    "memory": _memory,
    "print": _print,
    "raise": _raise,
    "recur": _recur,
    "segfault": lambda: ctypes.string_at(0),
    "slow": lambda: time.sleep(_SLOW_SECONDS),
    "spin": _spin,
}


class Probe(Plugin):
    """Notes what it is told."""

    def init(self, context: Context) -> None:
        self.context = context
        self._do("init", "-")

    def shutdown(self) -> None:
        self._do("shutdown", "-")

    def new_block(self, block: Block, state_update: StateUpdate, new_classes: Classes) -> Unchecked:
        return self._called("new_block", block.header.number)

    def revert_block(
        self,
        from_block: BlockAndStateUpdate,
        to_block: BlockAndStateUpdate | None,
        reverse_state_diff: StateDiff,
    ) -> Unchecked:
        return self._called("revert_block", from_block.block.header.number)

    def reorg_done(self, reorg: Reorg) -> Unchecked:
        return self._called("reorg_done", reorg.head_height)

    def may_reorg(self, plan: Plan) -> Unchecked:
        self._do("may_reorg", "-")
        said: dict[str, object] = {
            "veto": Opinion(f"not below {plan.target_height + 1}", veto=True),
            "warning": Opinion("two\nlines"),
            "nonsense": "no",
            "odd": Opinion(5),  # type: ignore[arg-type]
        }
        if self.context.options.get("say") == "write":
            self.context.bucket.put(b"between", b"calls")
        return said.get(self.context.options.get("say", ""))

    def _called(self, method: str, height: int) -> object:
        key, bucket = str(self.context.key), self.context.bucket
        self._note(CALLS, f"{key} {method} {height}")
        count = int(bucket.get(b"count") or b"0") + 1
        bucket.put(b"count", str(count).encode())
        bucket.put(b"at %d" % height, f"{key} {method}".encode())
        return self._do(method, key)

    def _do(self, method: str, key: str) -> object:
        options, folder = self.context.options, self.context.folder
        if method == "init":
            self._note(CALLS, f"{self.context.done} init -1")
        harm, at = options.get("do", ""), options.get("at", key)
        if method != options.get("in") or at != key:
            return None
        if "once" in options:
            if (folder / ONCE).exists():
                return None
            (folder / ONCE).touch()
        return self._harm(harm)

    def _harm(self, harm: str) -> object:
        bucket: Unchecked = self.context.bucket
        match harm:
            case "return":
                return {"x" * 1_000: _Rude()}
            case "fill":
                bucket.put(b"large", bytes(2**24))
            case "types":
                bucket.put("text", b"")
            case "changing":
                bucket.put(b"changing", bytearray(b"1"))
            case "long":
                bucket.put(b"x" * 256, b"")
            case "thread":
                writing = threading.Thread(target=bucket.put, args=(b"thread", b"1"))
                writing.start()
                writing.join()
            case "say":
                for number in range(100_000):
                    self.context.say(f"line {number}")
            case "children":
                threading.Thread(target=_spin).start()
                child = subprocess.Popen(["sleep", "1000"])
                self._note(PIDS, str(child.pid))
            case "fork away":
                if os.fork() == 0:
                    # Out of reach, and with everything open that its parent had.
                    os.setsid()
                    self._note(PIDS, str(os.getpid()))
                    time.sleep(1_000)
                os._exit(4)
            case _:
                _HARMS[harm]()
        return None

    def _note(self, name: str, line: str) -> None:
        with Path(self.context.folder / name).open("a") as file:
            file.write(line + "\n")


class _Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Late(Probe):
    """Has methods that are no methods of a plugin."""

    async def new_block(  # type: ignore[override]
        self, block: Block, state_update: StateUpdate, new_classes: Classes
    ) -> None:
        pass


class Unmade(Probe):
    """Cannot be made."""

    def __init__(self) -> None:
        raise OSError("no way")


class Endless(Probe):
    """Is never made."""

    def __init__(self) -> None:
        _spin()
