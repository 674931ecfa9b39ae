"""The operator's commands by name, with their parameters: what a client sends, and what is done.

Promises
- The same request does the same on a node that runs and beside one that does not.
- Whatever is refused comes back as a stable code with the words and the exit code that belong to
  it. What nobody expected is not caught.
- What changes something is in the operator's log before it is done, and with its outcome after; it
  is not done where the log takes no entry. What only looks is logged once.

Laws
- Names and fields are part of the public interface: a field that is not known is refused.
"""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias, assert_never

import msgspec

from sequencer.chain.text import to_text
from sequencer.engine.desk import Desk
from sequencer.engine.desk_facts import Facts
from sequencer.engine.operator_log import OperatorLog
from sequencer.model.admin_limits import DECIDE_MINUTES, DECIDE_MINUTES_MAX
from sequencer.model.commands import Fault, FaultKind, OrderPolicy, SeedPrice
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Mode
from sequencer.ports import StoreError
from sequencer.starknet.felt import parse_felt

_OK = "ok"

_MINUTE_MS = 60_000


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The family of requests."""


class StatusRequest(Request, frozen=True):
    """How things stand."""


class ModeRequest(Request, frozen=True):
    """Change the mode; one who halts says by when they want to have decided."""

    mode: Mode
    reason: str = ""
    accept: int = 0
    decide_minutes: int = DECIDE_MINUTES


class SuggestRequest(Request, frozen=True):
    """Find where it went wrong, from the state after a block on."""

    since: str = "0"


class PlanRequest(Request, frozen=True):
    """Show what going back would do."""

    to: str
    policy: OrderPolicy = OrderPolicy.KEEP
    deselect: Sequence[int] = ()


class ApplyRequest(Request, frozen=True):
    """Carry a plan out; `override` says why, where a plugin is against it."""

    plan_id: str
    reason: str = ""
    by: str = "operator"
    override: str = ""


class UndoRequest(Request, frozen=True):
    """Take the newest rollback back."""

    reorg_id: int
    reason: str = ""
    by: str = "operator"


class ReorgStatusRequest(Request, frozen=True):
    """The head, what latches it, and what is open."""


class ResumeRequest(Request, frozen=True):
    """Take interrupted rollbacks as far as they can go."""


class ReorgListRequest(Request, frozen=True):
    """Every rollback and undo with its record."""


class CheckpointCreateRequest(Request, frozen=True):
    """Name a live block."""

    label: str
    at: str = "latest"
    by: str = "operator"
    settled: bool = False
    replace: bool = False


class CheckpointListRequest(Request, frozen=True):
    """Every checkpoint."""


class CheckpointDropRequest(Request, frozen=True):
    """Let go of every checkpoint with a name."""

    label: str


class GuardRequest(Request, frozen=True):
    """Switch a guard; off in drills only, and with a reason."""

    guard: Guard
    on: bool
    reason: str = ""


class GuardListRequest(Request, frozen=True):
    """Every guard, on or off."""


class PriceListRequest(Request, frozen=True):
    """Every market's price, and what may be named where it is lost."""


class PriceSeedRequest(Request, frozen=True):
    """Name a lost price, in 1e-8."""

    market: str
    price: int


class PluginListRequest(Request, frozen=True):
    """Every plugin, and how it stands."""


class PluginParkRequest(Request, frozen=True):
    """Tell a plugin nothing more."""

    name: str
    reason: str = ""


class PluginUnparkRequest(Request, frozen=True):
    """Tell a plugin again what comes next."""

    name: str


class PluginRebuildRequest(Request, frozen=True):
    """Empty a plugin's bucket, and tell it everything from the first block on."""

    name: str


class FaultRequest(Request, frozen=True):
    """Do harm, in drills only. `market`, `account` (0x...) and `amount` as the kind needs them."""

    kind: FaultKind
    market: str = ""
    account: str = "0x0"
    amount: int = 0


class BackupRequest(Request, frozen=True):
    """Copy the whole chain into a folder that is not there yet; ends with whoever asked."""

    directory: str


PluginRequest: TypeAlias = (
    PluginListRequest | PluginParkRequest | PluginUnparkRequest | PluginRebuildRequest
)
"""What is about plugins."""

AnyRequest: TypeAlias = (
    StatusRequest
    | ModeRequest
    | SuggestRequest
    | PlanRequest
    | ApplyRequest
    | UndoRequest
    | ReorgStatusRequest
    | ResumeRequest
    | ReorgListRequest
    | CheckpointCreateRequest
    | CheckpointListRequest
    | CheckpointDropRequest
    | GuardRequest
    | GuardListRequest
    | FaultRequest
    | PriceListRequest
    | PriceSeedRequest
    | PluginRequest
    | BackupRequest
)

REQUESTS: dict[str, type[AnyRequest]] = {
    "admin_status": StatusRequest,
    "admin_mode": ModeRequest,
    "admin_reorgSuggest": SuggestRequest,
    "admin_reorgPlan": PlanRequest,
    "admin_reorgApply": ApplyRequest,
    "admin_reorgUndo": UndoRequest,
    "admin_reorgStatus": ReorgStatusRequest,
    "admin_reorgResume": ResumeRequest,
    "admin_reorgList": ReorgListRequest,
    "admin_checkpointCreate": CheckpointCreateRequest,
    "admin_checkpointList": CheckpointListRequest,
    "admin_checkpointDrop": CheckpointDropRequest,
    "admin_guard": GuardRequest,
    "admin_guardList": GuardListRequest,
    "admin_fault": FaultRequest,
    "admin_priceList": PriceListRequest,
    "admin_priceSeed": PriceSeedRequest,
    "admin_pluginList": PluginListRequest,
    "admin_pluginPark": PluginParkRequest,
    "admin_pluginUnpark": PluginUnparkRequest,
    "admin_pluginRebuild": PluginRebuildRequest,
    "admin_backup": BackupRequest,
}
"""Every request by its method's name."""

_METHODS = {kind: method for method, kind in REQUESTS.items()}
_LOOKS = (
    StatusRequest,
    SuggestRequest,
    PlanRequest,
    ReorgStatusRequest,
    ReorgListRequest,
    CheckpointListRequest,
    GuardListRequest,
    PriceListRequest,
    PluginListRequest,
)


class Denied(msgspec.Struct, frozen=True):
    """A no: the stable code, the words, and how a command that was told so ends."""

    code: str
    detail: str
    exit_code: int

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


def method_of(request: AnyRequest) -> str:
    """Return the name of a request's method."""
    return _METHODS[type(request)]


async def answer(
    desk: Desk, request: AnyRequest, log: OperatorLog, gone: asyncio.Event | None = None
) -> Facts | Denied:
    """Do what is asked, and log it. What is refused, and what the store cannot do, is `Denied`.

    `gone` is set once whoever asked waits no more: then what only looks or waits ends.
    """
    method, params = method_of(request), msgspec.json.encode(request)
    looks, intent = isinstance(request, _LOOKS), 0
    if not looks:
        try:
            intent = await log.begin(method, params)
        except Refused as refused:
            # Whoever sees money go must be able to stop it, and a full disk must not forbid it.
            if not _halts(request):
                return _denied(refused)
            log.unwritten += 1
    outcome = Reason.OUTCOME_UNKNOWN.value
    try:
        told = await _told(desk, request, gone)
        outcome = _outcome(told)
    finally:
        if looks:
            log.look(method, params, outcome)
        elif intent:
            await log.end(intent, method, outcome)
    return told


def _halts(request: AnyRequest) -> bool:
    return isinstance(request, ModeRequest) and request.mode is Mode.HALTED


def _outcome(told: Facts | Denied) -> str:
    return told.code if isinstance(told, Denied) else _OK


async def _told(desk: Desk, request: AnyRequest, gone: asyncio.Event | None) -> Facts | Denied:
    try:
        return await _done(desk, request, gone)
    except Refused as refused:
        return _denied(refused)
    except StoreError as error:
        return Denied(error.problem.value, error.detail, ExitCode.STORE_UNUSABLE)


def _denied(refused: Refused) -> Denied:
    return Denied(refused.reason.value, refused.detail, ExitCode.INPUT)


async def _done(desk: Desk, request: AnyRequest, gone: asyncio.Event | None) -> Facts:
    if isinstance(request, PluginRequest):
        return await _plugins(desk, request)
    match request:
        case StatusRequest():
            return await desk.status()
        case ModeRequest() | GuardRequest() | GuardListRequest() | FaultRequest():
            return await _exchange(desk, request)
        case PriceListRequest():
            return desk.prices.listed()
        case PriceSeedRequest(market=market, price=price):
            return await desk.prices.seed(SeedPrice(market, price))
        case CheckpointCreateRequest() | CheckpointListRequest() | CheckpointDropRequest():
            return await _checkpoints(desk, request, gone)
        case SuggestRequest(since=since):
            return msgspec.structs.asdict(await desk.suggest(since, gone))
        case PlanRequest(to=to, policy=policy, deselect=deselect):
            plan = await desk.plan(to, policy, deselect)
            said = msgspec.to_builtins(await desk.opinions(plan))
            facts = {"plan_id": plan.plan_id.hex(), "plan": to_text(plan), "opinions": said}
            return {**facts, "plugins": desk.plugins()["plugins"]}
        case ApplyRequest(plan_id=plan_id, reason=reason, by=by, override=override):
            return await desk.apply(plan_id, desk.order(by, reason), override)
        case UndoRequest(reorg_id=reorg_id, reason=reason, by=by):
            return await desk.undo(reorg_id, desk.order(by, reason))
        case ReorgStatusRequest() | ResumeRequest() | ReorgListRequest():
            return await _reorgs(desk, request)
        case BackupRequest(directory=directory):
            return await desk.backups.make(directory, gone)
    assert_never(request)


async def _reorgs(
    desk: Desk, request: ReorgStatusRequest | ResumeRequest | ReorgListRequest
) -> Facts:
    if isinstance(request, ReorgListRequest):
        return await desk.reorgs()
    return await (desk.resume() if isinstance(request, ResumeRequest) else desk.open_reorgs())


async def _exchange(
    desk: Desk, request: ModeRequest | GuardRequest | GuardListRequest | FaultRequest
) -> Facts:
    match request:
        case ModeRequest():
            return await _mode(desk, request)
        case GuardRequest(guard=guard, on=on, reason=reason):
            return await desk.guard(guard, reason, on=on)
        case GuardListRequest():
            return desk.guards()
        case FaultRequest(kind=kind, market=market, account=account, amount=amount):
            return await desk.fault(Fault(kind, market, parse_felt(account), amount))


async def _checkpoints(
    desk: Desk,
    request: CheckpointCreateRequest | CheckpointListRequest | CheckpointDropRequest,
    gone: asyncio.Event | None,
) -> Facts:
    match request:
        case CheckpointCreateRequest(label=label, at=at, by=by, settled=settled, replace=replace):
            return await desk.create_checkpoint(
                label, at, by, replace=replace, settled=settled, gone=gone
            )
        case CheckpointListRequest():
            return await desk.checkpoints()
        case CheckpointDropRequest(label=label):
            return await desk.drop_checkpoint(label)


async def _plugins(desk: Desk, request: PluginRequest) -> Facts:
    match request:
        case PluginListRequest():
            return desk.plugins()
        case PluginParkRequest(name=name, reason=reason):
            return await desk.park(name, reason)
        case PluginUnparkRequest(name=name):
            return await desk.unpark(name)
        case PluginRebuildRequest(name=name):
            return await desk.rebuild(name)


async def _mode(desk: Desk, request: ModeRequest) -> Facts:
    if not 0 <= request.decide_minutes <= DECIDE_MINUTES_MAX:
        words = f"0 to {DECIDE_MINUTES_MAX} minutes to decide, not {request.decide_minutes}"
        raise Refused(Reason.PARAMETER_INVALID, words)
    decide_ms = request.decide_minutes * _MINUTE_MS
    return await desk.mode(request.mode, request.reason, request.accept, decide_ms)
