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
from shlex import quote
from typing import Annotated, TypeVar

import msgspec
import typer

from sequencer.cli.settlement import settlement_of
from sequencer.cli.stored import fail, opened, plain, store_step
from sequencer.config import SETTLEMENT_FILE, ServerPlace, find_admin
from sequencer.engine.clock import SystemClock
from sequencer.engine.desk import Desk
from sequencer.engine.desk_facts import Facts
from sequencer.engine.operator_log import OperatorLog
from sequencer.engine.reach import Reach
from sequencer.engine.requests import (
    AnyRequest,
    ApplyRequest,
    BackupRequest,
    CheckpointListRequest,
    Denied,
    GuardListRequest,
    PlanRequest,
    PluginListRequest,
    PriceListRequest,
    ReorgStatusRequest,
    ResumeRequest,
    StatusRequest,
    UndoRequest,
    answer,
    method_of,
)
from sequencer.model.admin_limits import (
    ADMIN_ANSWER_SECONDS_MAX,
    ADMIN_QUICK_ANSWER_SECONDS_MAX,
    ADMIN_REQUEST_SECONDS_MAX,
    COMPLETING_SECONDS_MAX,
)
from sequencer.model.halts import ExitCode
from sequencer.model.operator_log import NodeKind
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret
from sequencer.model.transfer_limits import BACKUP_ANSWER_SECONDS_MAX
from sequencer.ports import Store, StoreProblem
from sequencer.storage.copying import StoreCopies
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
    Reason.MODE_NOT_READY: "price list {}",
    Reason.NODE_NOT_RUNNING: "node {}",
    Reason.NOT_A_DRILL: "guard list {}",
    Reason.OPERATOR_LOG_FAILED: "inspect operator-log {}",
    Reason.OUTCOME_UNKNOWN: "status {}",
    Reason.PLAN_APPLIED: "reorg list {}",
    Reason.PLAN_UNKNOWN: "reorg plan {} --to HEIGHT",
    Reason.PLUGIN_UNKNOWN: "plugin list {}",
    Reason.PRICE_SEED_REFUSED: "price list {}",
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
    PriceListRequest,
)
"""What a node answers at once, or not at all."""

_SETTLING = (PlanRequest, ApplyRequest, UndoRequest, ResumeRequest)
"""What asks the settlement chain. The rest needs no key, as beside a backup, which has none."""

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
        fail(command, str(told), ExitCode(told.exit_code), _next_step(command, told, data_dir))
    return told


async def _answered(
    store: Store, data_dir: Path, settlement: Path | None, request: AnyRequest
) -> Facts | Denied:
    """Do something beside a folder whose node does not run."""
    contract = settlement_of(data_dir, settlement) if isinstance(request, _SETTLING) else None
    in_place, clock = InPlace(), SystemClock()
    reach = Reach(
        store=store,
        view=lambda: nullcontext(store.view),
        advance=lambda: None,
        change=in_place.run,
        worker=in_place,
        reader=in_place,
        searcher=in_place,
        clock=clock,
        note=HaltFile(data_dir),
        plans=PlanFolder(data_dir),
        settlement=contract,
        copies=StoreCopies(store, data_dir, (SETTLEMENT_FILE,)),
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


def ask_running(data_dir: Path, request: AnyRequest) -> Facts | None:
    """Ask the node that runs, without patience; None where none does, or it does not answer."""
    try:
        found = find_admin(data_dir)
    except (Refused, OSError):
        return None
    told = None if found is None else _posted(*found, request, COMPLETING_SECONDS_MAX)
    return None if isinstance(told, Denied) else told


def _asked_node(command: str, data_dir: Path, request: AnyRequest) -> Facts | Denied | None:
    """Ask the node that runs; None where none does."""
    try:
        found = find_admin(data_dir)
    except Refused as refused:
        fail(command, str(refused), ExitCode.INPUT)
    return None if found is None else _posted(*found, request, _patience_seconds(request))


def _patience_seconds(request: AnyRequest) -> int:
    if isinstance(request, BackupRequest):
        return BACKUP_ANSWER_SECONDS_MAX
    is_quick = isinstance(request, _QUICK)
    return ADMIN_QUICK_ANSWER_SECONDS_MAX if is_quick else ADMIN_ANSWER_SECONDS_MAX


def _posted(
    place: ServerPlace, token: Secret, request: AnyRequest, seconds: int
) -> Facts | Denied | None:
    """Send a request; None where nobody listens, or somebody who is not that node."""
    # A node that is stopped by a signal takes connections, and answers nobody.
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


def _next_step(command: str, denied: Denied, data_dir: Path) -> str | None:
    """Return what to type about a refusal; "" where its own words say, None where nothing does."""
    folder, last_word = quote(str(data_dir)), denied.detail.rpartition(" ")[2]
    if denied.code == Reason.PLAN_STALE:
        # The words end with the id of the new plan, if it could be kept.
        step = f"perpchain reorg show {folder} {last_word}"
        return step if _PLAN_ID.fullmatch(last_word) else ""
    if denied.code == Reason.REORG_VETOED:
        # The words end with the id of the plan.
        return f"perpchain reorg apply {folder} {last_word} --reason '...' --override '...'"
    if denied.code == Reason.MODE_ORDER:
        # The words end with the mode that comes next.
        return f"perpchain mode {folder} {last_word.lower().replace('_', '-')}"
    if denied.code not in _NEXT_STEPS:
        is_stores = denied.exit_code == ExitCode.STORE_UNUSABLE
        return store_step(denied.code, data_dir) if is_stores else None
    step = f"perpchain {_NEXT_STEPS[denied.code].format(folder)}"
    # Whoever got no answer gains nothing from being sent to the same command.
    if step != f"perpchain {command} {folder}":
        return step
    is_hung = denied.code == Reason.OUTCOME_UNKNOWN
    return f"end that process, then perpchain node {folder}" if is_hung else ""
