"""What the operator's desk answers: named facts of plain values, the same for people and programs.

Laws
- Everything comes from one view, and nothing here is searched, hashed or asked elsewhere.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from sequencer.chain.codec import encode_key
from sequencer.chain.stored import TABLES, decode_stored
from sequencer.engine.deposit_facts import DepositFacts, InboxStatus, stored_deposits
from sequencer.engine.deposits import Collector
from sequencer.engine.engine import Engine
from sequencer.engine.rollback import Override, read_details, unfollowed
from sequencer.engine.settler_status import SettlerStatus
from sequencer.engine.verification import NOWHERE, VerificationStatus
from sequencer.exchange.authority import rank
from sequencer.exchange.state import ONLY, Table
from sequencer.model.admin_limits import STATUS_CHECKPOINTS_MAX
from sequencer.model.bridge_limits import DEPOSITS_NAMED_MAX
from sequencer.model.halts import Halt
from sequencer.model.records import Head, RollbackJournal
from sequencer.model.rows import Guard, Mode, ModeCause, System
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import ChainView, StoreFailed, StoreProblem
from sequencer.starknet.felt import format_hash
from sequencer.starknet.native import HASHES

Facts: TypeAlias = dict[str, object]
"""Names with numbers, text, or lists of lines; of plugins and their opinions, lists of facts."""


EQUAL = "worked out again from the rows: equal"
"""The words for a state root that is proven."""


_MINUTE_WORDS_SECONDS = 180
"""A time that is at least this long is told in minutes."""

NO_REORG = "no reorg: nothing was undone"
"""What halts a chain that an order to go back left as it was: stale, or given up on the way."""


class Undecided(msgspec.Struct, frozen=True):
    """Why an operator halted the chain, and by when (milliseconds) they want to have decided."""

    reason: str
    until_ms: int


def head_facts(head: Head) -> Facts:
    """Name the head, and what latches it."""
    latch = head.latch
    return {
        "height": head.height,
        "block": format_hash(head.block_hash),
        "state_root": format_hash(head.state_root),
        "epoch": head.epoch,
        "halted_by_reorg": "not halted" if latch is None else latch.reorg_id or NO_REORG,
        "orders": "" if latch is None else latch.policy.value,
    }


def status_facts(
    view: ChainView,
    engine: Engine | None,
    halts: Sequence[Halt],
    settled: SettlerStatus | None,
    verified: VerificationStatus | None,
    undecided: Undecided | None,
    inbox: InboxStatus,
    plugins: Sequence[Facts],
    now_ms: int,
) -> Facts:
    """Say how things stand. `engine` is None for a node that does not run."""
    system = system_of(view)
    return {
        "node": "stopped" if engine is None else "running",
        **head_facts(view.head),
        "mode": system.mode.value,
        "cause": system.cause.value,
        "halts": [str(halt) for halt in halts],
        "undecided": _decision_words(system, undecided, now_ms),
        "open": journal_lines(each for each in view.journals() if each.is_open),
        **undo_facts(view),
        "root": root_words(engine),
        "hashes": HASHES,
        "queue": 0 if engine is None else len(engine.writer.queue),
        "last_block_seconds": (now_ms - system.time_ms) // MS_PER_SECOND,
        **_settlement_facts(settled, engine, now_ms),
        **_inbox_facts(inbox),
        "verified": _verified_words(verified),
        "plugins": plugins,
        "checkpoints": checkpoint_lines(view, verified)[-STATUS_CHECKPOINTS_MAX:],
    }


def undo_facts(view: ChainView) -> Facts:
    """Name the rollback that can be taken back, and the height of the head that then comes back."""
    undoable = next(unfollowed(view), None)
    if undoable is None:
        return {"undo": "nothing to undo"}
    return {"undo": f"reorg {undoable.after.epoch}", "undo_height": undoable.height_before}


def inbox_status(
    view: ChainView, engine: Engine | None, collector: Collector | None
) -> InboxStatus:
    """Say how deposits stand: against the open block, or at the head where no node runs."""
    if engine is None:
        return DepositFacts(lambda: view).status(stored_deposits(view.state()))
    problem = "" if collector is None else collector.problem
    return engine.writer.deposits.status(engine.writer.state.deposits, problem)


def mode_above(view: ChainView) -> Mode:
    """Return the mode that comes next on the way up."""
    if view.head.latch is not None:
        return Mode.CANCEL_ONLY
    ladder = sorted(Mode, key=rank)
    return ladder[min(rank(system_of(view).mode) + 1, len(ladder) - 1)]


def guard_facts(view: ChainView) -> Facts:
    """Say of each guard whether it is on, and whether guards may be switched off at all."""
    system = system_of(view)
    words = "a drill: guards may be off" if system.drill else "no drill: guards stay on"
    states = {guard.value: "off" if guard in system.guards_off else "on" for guard in Guard}
    return {"height": view.head.height, "chain": words, **states}


def journal_lines(journals: Iterable[RollbackJournal]) -> list[str]:
    """Say of each rollback how far it has come."""
    return [
        f"{journal.plan_id.hex()} {journal.stage.value} to block {journal.target_height}"
        for journal in journals
    ]


def reorg_lines(view: ChainView) -> list[str]:
    """Say of each rollback and undo who ordered it, when, why, and against whom; oldest first."""
    lines = []
    for incident in view.incidents():
        details = read_details(incident)
        heights = f"{incident.height_before} -> {incident.height_after}"
        words = f"reorg {incident.after.epoch} {incident.kind.value} {heights}"
        line = f"{words} at {details.at_ms} by {details.who}: {details.reason}"
        over = details.override
        lines.append(line if over is None else f"{line}; override: {override_words(over)}")
    return lines


def override_words(override: Override) -> str:
    """Say why an operator went back against plugins, and what those had said."""
    vetoes = ", ".join(f"{each.name} ({each.words})" for each in override.vetoes)
    return f"{override.reason}; over the veto of {vetoes or 'nobody'}"


def checkpoint_lines(view: ChainView, verified: VerificationStatus | None = None) -> list[str]:
    """Say of each checkpoint which block it names, whether that is live, and verified."""
    lines = []
    for each in view.checkpoints():
        reorg_id = view.undone_by(each.sequence)
        state = f"undone by reorg {reorg_id}" if reorg_id else "live"
        hash_ = format_hash(each.block_hash)
        words = f"{each.label} block {each.height} {hash_} {state}, by {each.pinned_by}"
        is_verified = not reorg_id and _is_verified(each.height, verified)
        lines.append(f"{words}, verified" if is_verified else words)
    return lines


def _is_verified(height: int, verified: VerificationStatus | None) -> bool:
    return verified is not None and verified.since_height <= height <= verified.verified_height


def _verified_words(verified: VerificationStatus | None) -> str:
    """Say which blocks this process has executed again."""
    if verified is None or verified.verified_height == NOWHERE:
        return "nothing by this process"
    if verified.differs:
        return verified.differs
    return f"blocks {verified.since_height + 1} to {verified.verified_height} executed again"


def system_of(view: ChainView) -> System:
    """Read the exchange's own row. Failure: STORE_CORRUPT."""
    number, key = TABLES[Table.SYSTEM].number, encode_key(ONLY)
    stored = view.state().row(number, key)
    row = None if stored is None else decode_stored(number, key, stored)[2]
    if not isinstance(row, System):
        raise StoreFailed(StoreProblem.STORE_CORRUPT, "the exchange's own row is not there")
    return row


def _decision_words(system: System, undecided: Undecided | None, now_ms: int) -> str:
    """Say whether an operator's halt waits for a decision, and whether that is overdue."""
    if system.mode is not Mode.HALTED or system.cause is not ModeCause.OPERATOR:
        return "no"
    if undecided is None:
        return "halted by the operator; until when, an earlier process knew"
    left_seconds = (undecided.until_ms - now_ms) // MS_PER_SECOND
    due = f"decide in {left_seconds} s" if left_seconds >= 0 else f"OVERDUE by {-left_seconds} s"
    return f"{due}: {undecided.reason}"


def root_words(engine: Engine | None) -> str:
    """Say whether the state root is known to be that of the rows."""
    if engine is None:
        return "perpchain verify --full works it out"
    if engine.root_proven:
        return EQUAL
    if engine.gate.owes_root:
        return "being worked out from the rows; OPEN waits for it"
    return "its root nodes agree; not worked out from the rows since the last planned stop"


def _settlement_facts(settled: SettlerStatus | None, engine: Engine | None, now_ms: int) -> Facts:
    if settled is None:
        words = "not asked: the node does not run" if engine is None else "posts nothing"
        return {"settlement": words}
    held = f"held by {settled.hold:#x} until second {settled.hold_until}"
    return {
        "settlement": settled.problem or ("at the head" if settled.is_idle else "at work"),
        "settled_height": settled.settled_height,
        "finalized_height": settled.finalized_height,
        "finality": held if settled.hold else "goes on",
        "final_next": _final_words(settled, now_ms),
        "lag_blocks": settled.lag_blocks,
    }


def _final_words(settled: SettlerStatus, now_ms: int) -> str:
    """Say which block becomes final next and when, by the settlement chain's clock."""
    timed = settled.final_next
    if settled.hold or timed is None or timed.post.height <= settled.finalized_height:
        return "none"
    due = timed.posted_at + settled.finality_delay
    left_seconds = max(0, due - now_ms // MS_PER_SECOND)
    is_long = left_seconds >= _MINUTE_WORDS_SECONDS
    left = f"{left_seconds // 60} min" if is_long else f"{left_seconds} s"
    at = f"block {timed.post.height} at {datetime.fromtimestamp(due, UTC):%H:%M:%S} UTC, in {left}"
    return f"{at}; each block {settled.finality_delay} s after its post"


def _inbox_facts(inbox: InboxStatus) -> Facts:
    """Say which deposit comes next, what waits, and what was credited and is lost."""
    lost = ", ".join(map(str, inbox.unmade[:DEPOSITS_NAMED_MAX]))
    more = len(inbox.unmade) - DEPOSITS_NAMED_MAX
    facts: Facts = {
        "deposits_next": inbox.next_nonce,
        "deposits_pending": inbox.pending,
        "deposits_unmade": (f"{lost} and {more} more" if more > 0 else lost) or "none",
    }
    return {**facts, "deposits": inbox.problem} if inbox.problem else facts
