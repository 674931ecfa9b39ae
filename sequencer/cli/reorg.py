"""`perpchain reorg`: go back to a block, and take that back; on a node that runs or does not."""

from pathlib import Path
from shlex import quote
from time import monotonic
from typing import Annotated

import msgspec
import typer

from sequencer.chain.text import to_text
from sequencer.cli.completing import among, complete_label, complete_plan
from sequencer.cli.confirming import Question, Yes, command_words, confirm, option_words
from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.page import show_page
from sequencer.cli.plans import Around, describe
from sequencer.cli.settlement import SettlementPath
from sequencer.cli.stored import AsJson, Witness, fail, print_facts
from sequencer.engine.clock import SystemClock
from sequencer.engine.desk_facts import Facts
from sequencer.engine.plan import Plan, read_plan
from sequencer.engine.requests import (
    ApplyRequest,
    PlanRequest,
    ReorgListRequest,
    ReorgStatusRequest,
    ResumeRequest,
    SuggestRequest,
    UndoRequest,
)
from sequencer.model.commands import OrderPolicy
from sequencer.model.halts import ExitCode
from sequencer.model.plugins import PluginOpinion, PluginStanding
from sequencer.model.refusals import Refused
from sequencer.storage.plan_folder import PlanFolder

reorg = typer.Typer(
    name="reorg",
    help="Go back to a block, and take that back.",
    no_args_is_help=True,
)
PlanId = Annotated[
    str,
    typer.Argument(
        help="The plan's id, or 8 digits or more of its beginning.", autocompletion=complete_plan
    ),
]
Why = Annotated[str, typer.Option("--reason", help="Why; it stands in the record for ever.")]
Who = Annotated[str, typer.Option("--by", help="Who decides; it stands in the record.")]
_POLICIES = {policy.value.lower().replace("_", "-"): policy for policy in OrderPolicy}


@reorg.command("suggest")
def suggest_block(
    data_dir: NodeDir,
    since: Annotated[
        str,
        typer.Option(
            help="Search from here on: a block or checkpoint.", autocompletion=complete_label
        ),
    ] = "0",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Find the first block that does not stand up to being executed again, or that a guard missed.

    Example: perpchain reorg suggest /tmp/chain --since 100
    """
    facts = ask("reorg suggest", data_dir, witness, SuggestRequest(since))
    if facts["bad_height"]:
        facts["next"] = f"{command_words('reorg plan', data_dir)} --to {facts['good_height']}"
    else:
        facts["next"] = "what is wrong came in with a transaction: docs/operate.md, step 3"
    print_facts(facts, as_json)


@reorg.command("plan")
def plan_rollback(
    data_dir: NodeDir,
    to: Annotated[
        str,
        typer.Option(
            help="The block that stays: height, hash, checkpoint label.",
            autocompletion=complete_label,
        ),
    ],
    policy: Annotated[
        str,
        typer.Option(
            help="Which orders survive: keep, cancel-all, cancel-all-but-tpsl.",
            autocompletion=among(_POLICIES),
        ),
    ] = "keep",
    deselect: Annotated[
        list[int] | None,
        typer.Option(help="A security command, by number, that shall not be done again."),
    ] = None,
    settlement: SettlementPath = None,
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Show what going back to a block would do. Nothing of the chain is touched.

    Example: perpchain reorg plan CHAIN --to 120 --policy cancel-all-but-tpsl
    """
    if policy not in _POLICIES:
        raise typer.BadParameter(f"one of {', '.join(_POLICIES)}", param_hint="--policy")
    request = PlanRequest(to, _POLICIES[policy], deselect or ())
    begun = monotonic()
    told = ask("reorg plan", data_dir, witness, request, settlement)
    seconds = round(monotonic() - begun)
    if as_json:
        print_facts(told, as_json)
        return
    plan = read_plan(str(told["plan_id"]), msgspec.json.encode(told["plan"]))
    opinions = msgspec.convert(told["opinions"], list[PluginOpinion] | None)
    around = Around(
        now_ms=SystemClock().now_ms(),
        options=option_words(settlement=settlement, witness=witness),
        plugins=msgspec.convert(told["plugins"], list[PluginStanding]),
        planning_seconds=seconds,
    )
    show_page(describe(plan, data_dir, opinions, around))


@reorg.command("show")
def show_plan(
    data_dir: NodeDir,
    plan_id: PlanId,
    as_json: AsJson = False,
) -> None:
    """Show a plan that was made before, as it was then.

    Example: perpchain reorg show /tmp/chain 3f2a9c01
    """
    plan = _kept_plan("reorg show", data_dir, plan_id)
    if as_json:
        print_facts({"plan_id": plan.plan_id.hex(), "plan": to_text(plan)}, as_json)
        return
    show_page(describe(plan, data_dir, around=Around(now_ms=SystemClock().now_ms())))


@reorg.command("apply")
def apply_rollback(
    data_dir: NodeDir,
    plan_id: PlanId,
    reason: Why = "",
    by: Who = "operator",
    override: Annotated[
        str, typer.Option(help="Why, although a plugin vetoes; it stands in the record for ever.")
    ] = "",
    yes: Yes = False,
    settlement: SettlementPath = None,
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Carry a plan out: one batch, and the chain is halted at the block that stays.

    The height of that block has to be typed, or --yes given. Refused as PLAN_STALE
    where the head has moved since the plan; the chain is then halted, too.
    Refused as REORG_VETOED, and nothing was touched, where a plugin is against it.
    Example: perpchain reorg apply CHAIN 3f2a9c01 --reason 'zero price in 121'
    """
    if not yes:
        options = option_words(
            reason=reason or "...", by=by, override=override, settlement=settlement, witness=witness
        )
        again = f"{command_words('reorg apply', data_dir, plan_id)}{options}"
        confirm("reorg apply", again, lambda: _what_stays(data_dir, plan_id))
    request = ApplyRequest(plan_id, reason, by, override)
    facts = ask("reorg apply", data_dir, witness, request, settlement)
    back = f"{command_words('reorg undo', data_dir, facts['epoch'])} --reason '...'"
    _show_head(facts, back, data_dir, as_json)


@reorg.command("undo")
def undo_rollback(
    data_dir: NodeDir,
    reorg_id: Annotated[int, typer.Argument(help="The rollback's id.")],
    reason: Why = "",
    by: Who = "operator",
    yes: Yes = False,
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Take the newest rollback back, while no block has followed it.

    The height of the head that comes back has to be typed, or --yes given.
    Example: perpchain reorg undo /tmp/chain 1 --reason 'wrong block'
    """
    if not yes:
        options = option_words(reason=reason or "...", by=by, witness=witness)
        again = f"{command_words('reorg undo', data_dir, reorg_id)}{options}"
        confirm("reorg undo", again, lambda: _what_returns(data_dir, witness, reorg_id))
    facts = ask("reorg undo", data_dir, witness, UndoRequest(reorg_id, reason, by))
    _show_head(facts, f"{command_words('reorg plan', data_dir)} --to HEIGHT", data_dir, as_json)


@reorg.command("status")
def show_status(data_dir: NodeDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Show the head, what latches it, and rollbacks that still have something to do.

    Example: perpchain reorg status /tmp/chain
    """
    print_facts(ask("reorg status", data_dir, witness, ReorgStatusRequest()), as_json)


@reorg.command("resume")
def resume_rollbacks(data_dir: NodeDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Take interrupted rollbacks as far as they can go; one that was only prepared is aborted.

    Example: perpchain reorg resume /tmp/chain
    """
    print_facts(ask("reorg resume", data_dir, witness, ResumeRequest()), as_json)


@reorg.command("list")
def list_rollbacks(data_dir: NodeDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """List every rollback and undo with its record, oldest first.

    Example: perpchain reorg list /tmp/chain
    """
    print_facts(ask("reorg list", data_dir, witness, ReorgListRequest()), as_json)


def _kept_plan(command: str, data_dir: Path, plan_id: str) -> Plan:
    try:
        return read_plan(*PlanFolder(data_dir).find(plan_id))
    except Refused as refused:
        step = command_words("reorg plan", data_dir, "--to", "HEIGHT")
        fail(command, str(refused), ExitCode.INPUT, step)


def _what_stays(data_dir: Path, plan_id: str) -> Question:
    """Ask for the height that stays; whoever types another has read another page."""
    plan = _kept_plan("reorg apply", data_dir, plan_id)
    undone = f"{plan.head_height - plan.target_height} blocks will be undone"
    words = f"{undone}. Type the height of the block that stays"
    look = command_words("reorg show", data_dir, plan.plan_id.hex())
    return Question(words, plan.target_height, look)


def _what_returns(data_dir: Path, witness: Path | None, reorg_id: int) -> Question | None:
    """Ask for the height that comes back; not where the desk will refuse."""
    status = ask("reorg undo", data_dir, witness, ReorgStatusRequest())
    if status.get("undo") != f"reorg {reorg_id}":
        return None
    height = msgspec.convert(status["undo_height"], int)
    back = f"{height - msgspec.convert(status['height'], int)} blocks will be back"
    words = f"{back}. Type the height of the head that comes back"
    return Question(words, height, command_words("reorg status", data_dir))


def _show_head(facts: Facts, back: str, data_dir: Path, as_json: bool) -> None:
    facts["take_back"] = back
    facts["go_on"] = f"perpchain mode {quote(str(data_dir))} cancel-only, on the running node"
    print_facts(facts, as_json)
