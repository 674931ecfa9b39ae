"""`perpchain reorg`: go back to a block on a stopped node, and take that back."""

from typing import Annotated

import msgspec
import typer

from sequencer.chain.text import to_text
from sequencer.cli.plans import describe, find_plan, save_plan
from sequencer.cli.stored import AsJson, DataDir, Witness, opened, print_facts
from sequencer.engine.clock import SystemClock
from sequencer.engine.plan import make_plan
from sequencer.engine.recovery import recover
from sequencer.engine.rollback import Order, PlanStale, apply_plan, read_details, resume, undo
from sequencer.engine.suggest import suggest
from sequencer.model.commands import OrderPolicy
from sequencer.model.records import Head
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.starknet.felt import format_hash
from sequencer.storage.chain_store import ChainStore

reorg = typer.Typer(
    name="reorg",
    help="Go back to a block on a node that is not running, and take that back.",
    no_args_is_help=True,
)
Why = Annotated[str, typer.Option("--reason", help="Why; it stands in the record for ever.")]
Who = Annotated[str, typer.Option("--by", help="Who decides; it stands in the record.")]
_POLICIES = {policy.value.lower().replace("_", "-"): policy for policy in OrderPolicy}


@reorg.command("suggest")
def suggest_block(
    data_dir: DataDir,
    since: Annotated[str, typer.Option(help="Search from this block on.")] = "0",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Find the first block that does not stand up to being executed again, or that a guard missed.

    Example: perpchain reorg suggest /tmp/chain --since 100
    """
    with opened("reorg suggest", data_dir, witness) as store:
        found = suggest(store.view, since)
        facts = msgspec.structs.asdict(found)
        if found.bad_height:
            facts["next"] = f"perpchain reorg plan {data_dir} --to {found.good_height}"
        print_facts(facts, as_json)


@reorg.command("plan")
def plan_rollback(
    data_dir: DataDir,
    to: Annotated[str, typer.Option(help="The block that stays: height, hash, checkpoint label.")],
    policy: Annotated[
        str, typer.Option(help="Which orders survive: keep, cancel-all, cancel-all-but-tpsl.")
    ] = "keep",
    deselect: Annotated[
        list[int] | None,
        typer.Option(help="A security command, by number, that shall not be done again."),
    ] = None,
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Show what going back to a block would do. Nothing of the chain is touched.

    Example: perpchain reorg plan /tmp/chain --to 120 --policy cancel-all-but-tpsl
    """
    if policy not in _POLICIES:
        raise typer.BadParameter(f"one of {', '.join(_POLICIES)}", param_hint="--policy")
    with opened("reorg plan", data_dir, witness) as store:
        plan = make_plan(store, to, _POLICIES[policy], deselect or ())
        save_plan(data_dir, plan)
    if as_json:
        told = {"plan_id": plan.plan_id.hex(), "plan": to_text(plan)}
        typer.echo(msgspec.json.encode(told).decode())
        return
    for line in describe(plan, data_dir):
        typer.echo(line)


@reorg.command("apply")
def apply_rollback(
    data_dir: DataDir,
    plan_id: Annotated[str, typer.Argument(help="The plan's id, or the beginning of it.")],
    reason: Why = "",
    by: Who = "operator",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Carry a plan out: one batch, and the chain is halted at the block that stays.

    Refused as PLAN_STALE where the head has moved since; the chain is then halted, too.
    Example: perpchain reorg apply /tmp/chain 3f2a9c01 --reason 'zero price in block 121'
    """
    with opened("reorg apply", data_dir, witness) as store:
        plan = find_plan(data_dir, plan_id)
        try:
            head = apply_plan(store, plan, Order(by, reason, SystemClock().now_ms()))
        except PlanStale as stale:
            save_plan(data_dir, stale.plan)
            raise
        _require_sound(store)
        _show_head(store, head, f"perpchain reorg undo {data_dir} {head.epoch}", as_json)


@reorg.command("undo")
def undo_rollback(
    data_dir: DataDir,
    reorg_id: Annotated[int, typer.Argument(help="The rollback's id.")],
    reason: Why = "",
    by: Who = "operator",
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Take the newest rollback back, while no block has followed it.

    Example: perpchain reorg undo /tmp/chain 1 --reason 'wrong block'
    """
    with opened("reorg undo", data_dir, witness) as store:
        head = undo(store, reorg_id, Order(by, reason, SystemClock().now_ms()))
        _require_sound(store)
        _show_head(store, head, f"perpchain reorg plan {data_dir} --to HEIGHT", as_json)


@reorg.command("status")
def show_status(data_dir: DataDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Show the head, what latches it, and rollbacks that still have something to do.

    Example: perpchain reorg status /tmp/chain
    """
    with opened("reorg status", data_dir, witness) as store:
        facts = _head_facts(store.head)
        facts["open"] = [
            f"{journal.plan_id.hex()} {journal.stage.value} to block {journal.target_height}"
            for journal in store.open_journals()
        ]
        print_facts(facts, as_json)


@reorg.command("resume")
def resume_rollbacks(data_dir: DataDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """Take interrupted rollbacks as far as they can go; one that was only prepared is aborted.

    Example: perpchain reorg resume /tmp/chain
    """
    with opened("reorg resume", data_dir, witness) as store:
        still_open = [f"{journal.plan_id.hex()} {journal.stage.value}" for journal in resume(store)]
        print_facts({**_head_facts(store.head), "open": still_open}, as_json)


@reorg.command("list")
def list_rollbacks(data_dir: DataDir, witness: Witness = None, as_json: AsJson = False) -> None:
    """List every rollback and undo with its record, oldest first.

    Example: perpchain reorg list /tmp/chain
    """
    with opened("reorg list", data_dir, witness) as store:
        records = []
        for incident in store.view.incidents():
            details = read_details(incident)
            heights = f"{incident.height_before} -> {incident.height_after}"
            words = f"reorg {incident.after.epoch} {incident.kind.value} {heights}"
            records.append(f"{words} at {details.at_ms} by {details.who}: {details.reason}")
        print_facts({"reorgs": records}, as_json)


def _require_sound(store: ChainStore) -> None:
    """Check the chain that was gone back to as a start does, its whole root included."""
    for halt in recover(store, full=True).halts:
        if halt.is_final:
            raise StoreFailed(StoreProblem.HEAD_INCONSISTENT, str(halt))


def _show_head(store: ChainStore, head: Head, back: str, as_json: bool) -> None:
    facts = _head_facts(head)
    facts["root"] = "worked out again from the rows: equal"
    facts["open"] = [journal.stage.value for journal in resume(store)]
    facts["take_back"] = back
    facts["go_on"] = 'start the node, then {"operate": {"type": "SetMode", "mode": "CANCEL_ONLY"}}'
    print_facts(facts, as_json)


def _head_facts(head: Head) -> dict[str, object]:
    latch = head.latch
    return {
        "height": head.height,
        "block": format_hash(head.block_hash),
        "state_root": format_hash(head.state_root),
        "epoch": head.epoch,
        "halted_by_reorg": "not halted" if latch is None else latch.reorg_id,
        "orders": "" if latch is None else latch.policy.value,
    }
