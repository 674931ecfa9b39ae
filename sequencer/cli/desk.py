"""How commands reach the operator's desk: that of the node that runs, else one beside its folder.

Promises
- The same words do the same either way; what a command prints and how it ends do not depend on it.
- Files that a killed node left behind are no node: then its folder is opened.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import nullcontext
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from sequencer.cli.settlement import settlement_of
from sequencer.cli.stored import fail, opened, plain
from sequencer.config import AdminPlace, find_admin
from sequencer.engine.clock import SystemClock
from sequencer.engine.desk import Desk
from sequencer.engine.desk_facts import Facts
from sequencer.engine.operator_log import OperatorLog
from sequencer.engine.reach import Reach
from sequencer.engine.requests import (
    AnyRequest,
    CheckpointListRequest,
    Denied,
    GuardListRequest,
    PluginListRequest,
    ReorgStatusRequest,
    StatusRequest,
    answer,
    method_of,
)
from sequencer.model.admin_limits import (
    ADMIN_ANSWER_SECONDS_MAX,
    ADMIN_QUICK_ANSWER_SECONDS_MAX,
    ADMIN_REQUEST_SECONDS_MAX,
)
from sequencer.model.halts import ExitCode
from sequencer.model.operator_log import NodeKind
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret
from sequencer.ports import Store, StoreProblem
from sequencer.storage.halt_note import HaltFile
from sequencer.storage.operator_log import OperatorLogFile
from sequencer.storage.plan_folder import PlanFolder

NodeDir = Annotated[Path, typer.Argument(help="The node's data folder, whether it runs or not.")]

_NEXT_STEPS: dict[str, str] = {
    Reason.BLOCK_UNKNOWN: "checkpoint list {}",
    Reason.BUSY: "status {}",
    Reason.CHECKPOINT_EXISTS: "checkpoint list {}",
    Reason.FINALITY_TOO_CLOSE: "status {}",
    Reason.GUARD_STOPPED: "guard list {}",
    Reason.HALTED: "status {}",
    Reason.MODE_NOT_READY: "status {}",
    Reason.NODE_NOT_RUNNING: "node {}",
    Reason.NOT_A_DRILL: "guard list {}",
    Reason.OPERATOR_LOG_FAILED: "inspect operator-log {}",
    Reason.OUTCOME_UNKNOWN: "status {}",
    Reason.PLAN_APPLIED: "reorg list {}",
    Reason.PLUGIN_UNKNOWN: "plugin list {}",
    Reason.ROLLBACK_OPEN: "reorg resume {}",
    Reason.ROOT_UNVERIFIED: "status {}",
    Reason.SETTLEMENT_DIFFERS: "status {}",
    Reason.SETTLEMENT_REFUSED: "status {}",
    Reason.SETTLEMENT_UNREACHABLE: "status {}",
    Reason.TARGET_ABOVE_HEAD: "status {}",
    Reason.TARGET_BELOW_FINALIZED: "status {}",
    Reason.TARGET_IS_HEAD: "status {}",
    Reason.TARGET_ORPHANED: "reorg list {}",
    Reason.TARGET_PRUNED: "checkpoint list {}",
    Reason.TARGET_ROOT_DIFFERS: "checkpoint list {}",
    Reason.UNDO_IMPOSSIBLE: "reorg list {}",
    StoreProblem.JOURNAL_ORDER: "reorg resume {}",
    StoreProblem.WITNESS_UNACKNOWLEDGED: "mode {} cancel-only, on the running node",
}

_QUICK = (
    StatusRequest,
    ReorgStatusRequest,
    CheckpointListRequest,
    GuardListRequest,
    PluginListRequest,
)
"""What a node answers at once, or not at all."""

_T = TypeVar("_T")
_UNAUTHORIZED = 401
_PLAN_ID = re.compile(r"[0-9a-f]{64}")


class Failure(msgspec.Struct, frozen=True):
    """The data of an error: the stable code, and how the command ends."""

    code: str
    exit_code: int


class RpcError(msgspec.Struct, frozen=True):
    """A JSON-RPC error."""

    message: str
    data: Failure


class Reply(msgspec.Struct, frozen=True):
    """A JSON-RPC answer."""

    result: Facts | None = None
    error: RpcError | None = None


class InPlace:
    """Does work at once: a stopped node has no other thread."""

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do a piece of work."""
        return work()


def ask(
    command: str,
    data_dir: Path,
    witness: Path | None,
    request: AnyRequest,
    settlement: Path | None = None,
) -> Facts:
    """Have something done, and return what the desk says; a refusal ends the command.

    `settlement` is the file for a node that does not run; one that runs has its own.
    """
    told = _asked_node(command, data_dir, request)
    if told is None:
        with opened(command, data_dir, witness) as store:
            told = asyncio.run(_answered(store, data_dir, settlement, request))
    if isinstance(told, Denied):
        step = _next_step(told, data_dir)
        # Whoever got no answer gains nothing from being sent to the same command.
        is_another = step not in ("", f"{command} {data_dir}")
        words = f"{told}; next: perpchain {step}" if is_another else str(told)
        fail(command, words, ExitCode(told.exit_code))
    return told


async def _answered(
    store: Store, data_dir: Path, settlement: Path | None, request: AnyRequest
) -> Facts | Denied:
    """Do something beside a folder whose node does not run."""
    in_place, contract, clock = InPlace(), settlement_of(data_dir, settlement), SystemClock()
    reach = Reach(
        store=store,
        view=lambda: nullcontext(store.view),
        refresh=lambda: None,
        worker=in_place,
        reader=in_place,
        searcher=in_place,
        clock=clock,
        note=HaltFile(data_dir),
        plans=PlanFolder(data_dir),
        settlement=contract,
    )
    file = OperatorLogFile(data_dir, clock, NodeKind.STOPPED)
    if problem := file.open():
        typer.echo(plain(problem), err=True)
    log = OperatorLog(file, in_place)
    try:
        return await answer(Desk(reach), request, log)
    finally:
        await log.flush()
        if contract is not None:
            await contract.close()


def _asked_node(command: str, data_dir: Path, request: AnyRequest) -> Facts | Denied | None:
    """Ask the node that runs; None where none does."""
    try:
        found = find_admin(data_dir)
    except Refused as refused:
        fail(command, str(refused), ExitCode.INPUT)
    return None if found is None else _posted(*found, request)


def _posted(place: AdminPlace, token: Secret, request: AnyRequest) -> Facts | Denied | None:
    """Send a request; None where nobody listens, or somebody who is not that node."""
    # A node that is stopped by a signal takes connections, and answers nobody.
    is_quick = isinstance(request, _QUICK)
    seconds = ADMIN_QUICK_ANSWER_SECONDS_MAX if is_quick else ADMIN_ANSWER_SECONDS_MAX
    connection = HTTPConnection("127.0.0.1", place.port, timeout=ADMIN_REQUEST_SECONDS_MAX)
    try:
        connection.connect()
        connection.sock.settimeout(seconds)
    except OSError:
        return None
    called = {"jsonrpc": "2.0", "id": 1, "method": method_of(request)}
    body = msgspec.json.encode({**called, "params": msgspec.to_builtins(request)})
    headers = {"Authorization": f"Bearer {token.value:064x}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        if response.status == _UNAUTHORIZED:
            return None
        return _reply(response.read())
    except TimeoutError:
        words = f"process {place.pid} gave no answer in {seconds} s: whether it was done is unknown"
        return Denied(Reason.OUTCOME_UNKNOWN.value, words, ExitCode.INPUT)
    except (OSError, HTTPException, msgspec.MsgspecError) as error:
        words = f"no answer came, so nobody knows: {type(error).__name__} {error}"
        return Denied(Reason.OUTCOME_UNKNOWN.value, words, ExitCode.INPUT)
    finally:
        connection.close()


def _reply(content: bytes) -> Facts | Denied:
    reply = msgspec.json.decode(content, type=Reply)
    if reply.error is not None:
        data = reply.error.data
        return Denied(data.code, reply.error.message, data.exit_code)
    return reply.result or {}


def _next_step(denied: Denied, data_dir: Path) -> str:
    """Return what to do about a refusal, in the words of a command; "" where its own words say."""
    last_word = denied.detail.rpartition(" ")[2]
    if denied.code == Reason.PLAN_STALE:
        # The words end with the id of the new plan, if it could be kept.
        return f"reorg show {data_dir} {last_word}" if _PLAN_ID.fullmatch(last_word) else ""
    if denied.code == Reason.REORG_VETOED:
        # The words end with the id of the plan.
        return f"reorg apply {data_dir} {last_word} --reason '...' --override '...'"
    if denied.code == Reason.MODE_ORDER:
        # The words end with the mode that comes next.
        return f"mode {data_dir} {last_word.lower().replace('_', '-')}"
    return _NEXT_STEPS.get(denied.code, "").format(data_dir)
