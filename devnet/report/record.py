"""What is kept of a run beside its blocks: records of rollbacks, the contract's words, times."""

from collections import Counter
from collections.abc import Iterator, Sequence

from devnet.contract_log import Logged
from devnet.report.blocks import orphaned_branches
from devnet.report.facts import IncidentFact, LayerFact, StepFact, TimingFact
from devnet.run_folder import RunNotes
from devnet.timings import Timed
from sequencer.chain.block import Block
from sequencer.engine.impact import events_of
from sequencer.engine.lookup import read_block
from sequencer.engine.rollback import read_details
from sequencer.model.events import (
    Credited,
    Event,
    Fill,
    FundingPaid,
    LiquidationEnded,
    OrderClosed,
    OrderOpened,
    Withdrawn,
)
from sequencer.model.records import BlockRecord, Incident, IncidentKind
from sequencer.ports import ChainView
from sequencer.storage.rollback import incident_hash

_COUNTED: dict[type[Event], str] = {
    Fill: "fills",
    LiquidationEnded: "liquidations of accounts",
    OrderOpened: "orders opened",
    OrderClosed: "orders closed",
    FundingPaid: "funding payments",
    Credited: "deposits, which wait again",
    Withdrawn: "withdrawals",
}
_US_PER_MS = 1_000
_STEPS = (
    ("suggest", "suggest_us", "executing blocks again to find the first bad one"),
    ("plan", "plan_us", "counting what would be undone"),
    ("commit", "commit_microseconds", "the one batch that goes back, on the disk"),
    ("apply", "apply_us", "from the order to go back to the node's being up again"),
    ("settlement", "reverted_us", "from the order to the contract's being put back"),
    ("first order", "", "from the order to the first order that was accepted again"),
)


def incident_facts(view: ChainView) -> Iterator[IncidentFact]:
    """Read the record of every rollback and undo, oldest first."""
    branches = dict(orphaned_branches(view))
    for incident in view.incidents():
        is_rollback = incident.kind is IncidentKind.ROLLBACK
        branch = branches.get(incident.after.epoch, []) if is_rollback else []
        yield _incident(incident, _undone(view, branch))


def _incident(incident: Incident, undone: dict[str, int]) -> IncidentFact:
    details = read_details(incident)
    return IncidentFact(
        number=incident.number,
        kind=incident.kind.value,
        who=details.who,
        reason=details.reason,
        at_ms=details.at_ms,
        epoch_before=incident.before.epoch,
        epoch_after=incident.after.epoch,
        height_before=incident.height_before,
        height_after=incident.height_after,
        hash_before=int.from_bytes(incident.before.block_hash, "big"),
        hash_after=int.from_bytes(incident.after.block_hash, "big"),
        root_before=details.root_before,
        root_after=details.root_after,
        plan_id=incident.plan_id.hex(),
        policy=details.policy.value,
        record_hash=incident_hash(incident).hex(),
        undone=undone,
    )


def _undone(view: ChainView, branch: Sequence[BlockRecord]) -> dict[str, int]:
    if not branch:
        return {}
    blocks: list[Block] = [read_block(view, record) for record in branch]
    kinds = Counter(type(event) for block in blocks for event in events_of(block, (*_COUNTED,)))
    counts = {"blocks": len(blocks), "transactions": sum(len(each.transactions) for each in blocks)}
    return counts | {name: kinds[kind] for kind, name in _COUNTED.items()}


def layer_facts(view: ChainView, logged: Sequence[Logged]) -> Iterator[LayerFact]:
    """Lay what the contract said beside this chain's own roots.

    A post is compared with the block of its hash, whatever became of it since; a revert, which
    names no hash, with the live block of its height.
    """
    for each in logged:
        record = view.block_by_hash(each.block_hash.to_bytes(32, "big"))
        if not each.block_hash:
            record = view.block(each.height) if each.height >= 0 else None
        is_there = record is not None and record.height == each.height
        yield LayerFact(
            kind=each.kind,
            settlement_block=each.settlement_block,
            height=each.height,
            root=each.root,
            ours=int.from_bytes(record.state_root, "big") if record and is_there else 0,
            is_orphaned=record is not None and view.orphaned_by(record) != 0,
            from_height=each.from_height,
            plan=each.plan,
        )


def timing_facts(timed: Sequence[Timed]) -> Iterator[TimingFact]:
    """Sum measured times up; what was not measured is not there."""
    for name, field, meaning in (
        (
            "command answered",
            "answer_us",
            "from its sending to its answer, with its block on the disk",
        ),
        (
            "block closed",
            "closed_us",
            "from the call for it until all of its commands are executed",
        ),
        ("block sealed", "durable_us", "from there until it, and its witness, are on the disk"),
    ):
        times = sorted(us for each in timed if (us := getattr(each, field)))
        if times:
            p50_us, p90_us, p99_us = (percentile(times, percent) for percent in (50, 90, 99))
            yield TimingFact(name, meaning, len(times), p50_us, p90_us, p99_us, times[-1])


def percentile(rising: Sequence[int], percent: int) -> int:
    """Return the value of rising ones that a part of them is below."""
    return rising[min(len(rising) - 1, len(rising) * percent // 100)]


def step_facts(notes: RunNotes) -> Iterator[StepFact]:
    """Name the steps of the way back that were timed: what a kill cut off is not there."""
    for name, field, meaning in _STEPS:
        took_us = getattr(notes, field) if field else notes.total_ms * _US_PER_MS
        if took_us:
            yield StepFact(name, meaning, took_us)
