"""A settlement chain on this machine: starknet-devnet, found; any devnet, started and stopped.

Promises
- Only the version that the contract is tested with is ever run.
- A devnet that is stopped is gone; a process that merely has its old number is left alone.
- Nothing is built or fetched here: `make devnet-real` does that.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from starknet_py.net.http_client import RpcHttpClient

from sequencer.config import cache_folder, read_limited
from sequencer.model.limits import RUN_FILE_BYTES_MAX
from sequencer.model.secret import Secret

VERSION = "0.8.1"
NAME = "starknet-devnet"
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 10

ACCOUNTS = 3
"""Accounts that a devnet begins with: the contract's owner, its operator, and one more."""

LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")
"""The words in which a devnet says where it answers."""

_ARGUMENTS = ("--accounts", f"{ACCOUNTS}", "--state-archive-capacity", "full")
_HOST = ("--host", "127.0.0.1")
_POLL_SECONDS = 0.05
_VERSION_SECONDS_MAX = 10
_ZOMBIE = "Z"

DEVNET_FILE = "devnet.json"
"""Where whoever started a devnet keeps which process it is, in a folder of its own."""


class RunningDevnet(msgspec.Struct, frozen=True):
    """A devnet by its address and its process; `started` tells it from a later one of that number.

    It can be written down, and stopped by another process.
    """

    url: str
    pid: int
    started: str


class DevnetAccount(msgspec.Struct, frozen=True):
    """An account that a devnet starts with: with the same seed, always the same."""

    address: int
    private_key: Secret


class DevnetFailed(Exception):
    """No devnet came up, or one does not go away; the message says why."""


def cached_binary() -> Path:
    """Return the place of the binary in the user's cache, whether it is there or not."""
    return cache_folder() / f"{NAME}-{VERSION}" / "bin" / NAME


def find_binary() -> Path | None:
    """Look on PATH, then in the user's cache, for a binary of the one version."""
    on_path = shutil.which(NAME)
    places = [Path(on_path)] if on_path is not None else []
    return next((path for path in [*places, cached_binary()] if is_right(path)), None)


def is_right(binary: Path) -> bool:
    """Ask a binary for its version; what cannot be run is not right either."""
    command = [str(binary), "--version"]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=_VERSION_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return str(asked.stdout).split() == [NAME, VERSION]


def start_devnet(
    binary: Path,
    log: Path,
    *,
    port: int = 0,
    seed: int = 1,
    note: Callable[[RunningDevnet], None] = lambda _: None,
) -> RunningDevnet:
    """Start a devnet in a process group of its own, and return once it answers.

    Port 0 is a free one. Its output goes to `log`, which is emptied first. `note` is told of the
    process at once, while its address is still "", and again at the end. Fails with DevnetFailed.
    """
    command = [str(binary), "--seed", str(seed), "--port", str(port), *_ARGUMENTS, *_HOST]
    # An environment of its own: every flag could be set from there, too.
    return start_process(command, log, LISTENING, f"no devnet on port {port}", note)


def start_process(
    command: list[str],
    log: Path,
    listening: re.Pattern[str],
    failure: str,
    note: Callable[[RunningDevnet], None] = lambda _: None,
    environment: Mapping[str, str] | None = None,
) -> RunningDevnet:
    """Start a program as `start_devnet` does; it answers where its output says so.

    The first group of `listening` is host and port. Fails with DevnetFailed, in the words of
    `failure` where it does not answer. Without an environment it has an empty one: a program's
    flags can often be set from there, too.
    """
    binary, actions = command[0], _output_to(log)
    try:
        pid = os.posix_spawn(binary, command, environment or {}, file_actions=actions, setpgroup=0)
    except OSError as error:
        raise DevnetFailed(f"{binary} does not start: {error.strerror}") from None
    _, started = _seen(pid)
    note(RunningDevnet("", pid, started))
    address = _address(pid, started, log, listening)
    if address is None:
        _stop(pid, started)
        raise DevnetFailed(f"{failure}: {_tail(log)}")
    devnet = RunningDevnet(f"http://{address}", pid, started)
    note(devnet)
    return devnet


def is_running(devnet: RunningDevnet) -> bool:
    """Whether the process is there, and still the one that was started."""
    return _is_alive(devnet.pid, devnet.started)


def stop_devnet(devnet: RunningDevnet) -> None:
    """End a devnet, politely first. Can be repeated. Fails with DevnetFailed."""
    _stop(devnet.pid, devnet.started)


def keep_devnet(file: Path, devnet: RunningDevnet) -> None:
    """Write down which process it is, for whoever goes on with it or tidies up. Error: OSError."""
    file.write_bytes(msgspec.json.encode(devnet))


def kept_devnet(file: Path) -> RunningDevnet | None:
    """Return the devnet that was written down, None for none or half a word about one.

    Refusal: FILE_UNREADABLE.
    """
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(read_limited(file, RUN_FILE_BYTES_MAX), type=RunningDevnet)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def stop_kept_devnet(file: Path) -> None:
    """Stop the devnet that was written down, if there is one, and forget it.

    Can be repeated. Refusal: FILE_UNREADABLE. Fails with DevnetFailed.
    """
    devnet = kept_devnet(file)
    if devnet is not None:
        stop_devnet(devnet)
    file.unlink(missing_ok=True)


async def predeployed_accounts(url: str) -> tuple[DevnetAccount, ...]:
    """Return the accounts that the devnet at an address started with."""
    rpc = RpcHttpClient(url, method_prefix="devnet")
    return tuple(
        DevnetAccount(int(found["address"], 16), Secret(int(found["private_key"], 16)))
        for found in await rpc.call("getPredeployedAccounts")
    )


def _output_to(log: Path) -> list[tuple[int, int, str, int, int] | tuple[int, int, int]]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    return [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]


def _address(pid: int, started: str, log: Path, listening: re.Pattern[str]) -> str | None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and _is_alive(pid, started):
        found = listening.search(log.read_text("utf-8", "replace")) if log.exists() else None
        if found is not None:
            return found.group(1)
        time.sleep(_POLL_SECONDS)
    return None


def _tail(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-2_000:].strip() if log.exists() else "no log"


def _stop(pid: int, started: str) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _is_alive(pid, started):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if _is_gone(pid, started):
            return
    raise DevnetFailed(f"process {pid} does not end")


def _is_gone(pid: int, started: str) -> bool:
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while _is_alive(pid, started):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _is_alive(pid: int, started: str) -> bool:
    state, found = _seen(pid)
    if started == "" or found != started:
        return False
    if state != _ZOMBIE:
        return True
    # It has ended, but keeps its number until its parent asks, which can be us or another.
    try:
        reaped, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return False
    return reaped == 0


def _seen(pid: int) -> tuple[str, str]:
    """Return a process's state and when it began, in the words of the system, "" for no process."""
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        state, _, started = found.strip().partition(" ")
        return state[:1], started.strip()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return "", ""
    # The name before the last bracket may hold anything; state and start are fields 3 and 22.
    state, *fields = stat.rpartition(")")[2].split()
    return state, fields[18]
