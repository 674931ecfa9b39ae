"""`perpchain reorg`: go back to a block, and take that back; on a node that runs or does not."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sequencer.cli.desk import NodeDir, ask
from sequencer.cli.plans import describe
from sequencer.cli.settlement import SettlementPath
from sequencer.cli.stored import AsJson, Witness, fail, plain, print_facts
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
from sequencer.model.plugins import PluginOpinion
from sequencer.model.refusals import Reason, Refused
from sequencer.storage.plan_folder import PlanFolder

reorg = typer.Typer(
    name="reorg",
    help="Go back to a block, and take that back.",
    no_args_is_help=True,
)
Why = Annotated[str, typer.Option("--reason", help="Why; it stands in the record for ever.")]
Who = Annotated[str, typer.Option("--by", help="Who decides; it stands in the record.")]
_POLICIES = {policy.value.lower().replace("_", "-"): policy for policy in OrderPolicy}


@reorg.command("suggest")
def suggest_block(
    data_dir: NodeDir,
    since: Annotated[str, typer.Option(help="Search from here on: a block or checkpoint.")] = "0",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Find the first block that does not stand up to being executed again, or that a guard missed.

    Example: perpchain reorg suggest /tmp/chain --since 100
    """
    facts = ask("reorg suggest", data_dir, witness, SuggestRequest(since))
    if facts["bad_height"]:
        facts["next"] = f"perpchain reorg plan {data_dir} --to {facts['good_height']}"
    print_facts(facts, as_json)


@reorg.command("plan")
def plan_rollback(
    data_dir: NodeDir,
    to: Annotated[str, typer.Option(help="The block that stays: height, hash, checkpoint label.")],
    policy: Annotated[
        str, typer.Option(help="Which orders survive: keep, cancel-all, cancel-all-but-tpsl.")
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
    told = ask("reorg plan", data_dir, witness, request, settlement)
    if as_json:
        print_facts(told, as_json)
        return
    plan = read_plan(str(told["plan_id"]), msgspec.json.encode(told["plan"]))
    _show_plan(plan, data_dir, msgspec.convert(told["opinions"], list[PluginOpinion] | None))


@reorg.command("show")
def show_plan(
    data_dir: NodeDir,
    plan_id: Annotated[str, typer.Argument(help="The plan's id, or the beginning of it.")],
) -> None:
    """Show a plan that was made before, as it was then.

    Example: perpchain reorg show /tmp/chain 3f2a9c01
    """
    _show_plan(_kept_plan("reorg show", data_dir, plan_id), data_dir)


@reorg.command("apply")
def apply_rollback(
    data_dir: NodeDir,
    plan_id: Annotated[str, typer.Argument(help="The plan's id, or the beginning of it.")],
    reason: Why = "",
    by: Who = "operator",
    override: Annotated[
        str, typer.Option(help="Why, although a plugin vetoes; it stands in the record for ever.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")] = False,
    settlement: SettlementPath = None,
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Carry a plan out: one batch, and the chain is halted at the block that stays.

    On a terminal the height of that block has to be typed. Refused as PLAN_STALE
    where the head has moved since the plan; the chain is then halted, too.
    Refused as REORG_VETOED, and nothing was touched, where a plugin is against it.
    Example: perpchain reorg apply CHAIN 3f2a9c01 --reason 'zero price in 121'
    """
    if sys.stdin is not None and sys.stdin.isatty() and not yes:
        _confirm(_kept_plan("reorg apply", data_dir, plan_id))
    request = ApplyRequest(plan_id, reason, by, override)
    facts = ask("reorg apply", data_dir, witness, request, settlement)
    _show_head(facts, f"perpchain reorg undo {data_dir} {facts['epoch']}", data_dir, as_json)


@reorg.command("undo")
def undo_rollback(
    data_dir: NodeDir,
    reorg_id: Annotated[int, typer.Argument(help="The rollback's id.")],
    reason: Why = "",
    by: Who = "operator",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Take the newest rollback back, while no block has followed it.

    Example: perpchain reorg undo /tmp/chain 1 --reason 'wrong block'
    """
    facts = ask("reorg undo", data_dir, witness, UndoRequest(reorg_id, reason, by))
    _show_head(facts, f"perpchain reorg plan {data_dir} --to HEIGHT", data_dir, as_json)


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


def _show_plan(plan: Plan, data_dir: Path, opinions: Sequence[PluginOpinion] | None = ()) -> None:
    for line in describe(plan, data_dir, opinions):
        typer.echo(plain(line))


def _kept_plan(command: str, data_dir: Path, plan_id: str) -> Plan:
    try:
        return read_plan(*PlanFolder(data_dir).find(plan_id))
    except Refused as refused:
        fail(command, str(refused), ExitCode.INPUT)


def _confirm(plan: Plan) -> None:
    """Have the height typed that stays; whoever types another has read another page."""
    undone = f"{plan.head_height - plan.target_height} blocks will be undone"
    typed: str = typer.prompt(f"{undone}. Type the height of the block that stays", err=True)
    if typed.strip() != str(plan.target_height):
        words = f"{Reason.PARAMETER_INVALID.value}: the plan's block is {plan.target_height}"
        fail("reorg apply", f"{words}; nothing was done", ExitCode.INPUT)


def _show_head(facts: Facts, back: str, data_dir: Path, as_json: bool) -> None:
    facts["take_back"] = back
    facts["go_on"] = f"perpchain mode {data_dir} cancel-only, on the running node"
    print_facts(facts, as_json)
