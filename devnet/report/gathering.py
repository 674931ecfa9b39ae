"""A run's facts, gathered from where they lie: the store, the notes, the contract's words.

Promises
- A run that was killed and went on has a whole report: all but what was measured is in the store.
- What cannot be read, in a chain whose proof fails, is a gap with its reason; the rest is there.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from devnet.contract_log import ContractLog
from devnet.report.accounts import read_accounts
from devnet.report.blocks import (
    block_facts,
    kept_milestones,
    live_records,
    market_names,
    milestones,
    orphaned_branches,
)
from devnet.report.facts import BlockFact, ChainFact, CheckFact, Milestone, ReportFact
from devnet.report.record import incident_facts, layer_facts, step_facts, timing_facts
from devnet.run_folder import RunFolder, RunOptions
from devnet.timings import read_timings
from sequencer.model.laws import LawBroken
from sequencer.model.refusals import Refused
from sequencer.ports import ChainView, StoreError
from sequencer.starknet.felt import format_felt
from sequencer.storage.folder import open_folder

_T = TypeVar("_T")
_DAMAGED = (StoreError, Refused, LawBroken, KeyError, ValueError)


class Told(msgspec.Struct, frozen=True):
    """What a run says of itself: how it was asked for, its summary, and what differs."""

    options: RunOptions
    summary: Mapping[str, object]
    problems: Sequence[str]
    log: ContractLog = ContractLog()
    checks: Sequence[CheckFact] = ()


def gather(data_dir: Path, told: Told) -> ReportFact:
    """Gather the facts of a run that has ended. Failures: those of opening the store."""
    gaps: list[str] = []
    timed = read_timings(data_dir)
    store = open_folder(data_dir)
    try:
        view = store.view
        chain = _chain(view, gaps)
        logged = told.log.logged
        layers = _read(gaps, "roots on both layers", lambda: [*layer_facts(view, logged)])
    finally:
        store.close()
    if told.log.problem:
        gaps.append(f"the contract's events: {told.log.problem}")
    return ReportFact(
        summary=told.summary,
        incident=told.options.incident,
        is_manual=told.options.manual,
        problems=told.problems,
        gaps=gaps,
        chain=chain,
        contract=format_felt(told.log.contract) if told.log.contract else "",
        layers=layers,
        timings=[*timing_facts(timed)],
        steps=[*step_facts(RunFolder(data_dir).notes)],
        checks=told.checks,
    )


def _chain(view: ChainView, gaps: list[str]) -> ChainFact:
    markets = _read(gaps, "markets", lambda: market_names(view))
    return ChainFact(
        markets=markets,
        blocks=_read(gaps, "blocks", lambda: _blocks(view, markets)),
        milestones=_read(gaps, "what happened", lambda: _milestones(view)),
        accounts=next(iter(_read(gaps, "accounts", lambda: [read_accounts(view)])), None),
        incidents=_read(gaps, "incident records", lambda: [*incident_facts(view)]),
    )


def _blocks(view: ChainView, markets: Sequence[str]) -> list[BlockFact]:
    found = [*block_facts(view, live_records(view), 0, markets)]
    for reorg, branch in orphaned_branches(view):
        found += block_facts(view, branch, reorg, markets)
    return found


def _milestones(view: ChainView) -> list[Milestone]:
    found = [*milestones(view, live_records(view), 0), *kept_milestones(view)]
    for reorg, branch in orphaned_branches(view):
        found += milestones(view, branch, reorg)
    return found


def _read(gaps: list[str], name: str, read: Callable[[], Sequence[_T]]) -> Sequence[_T]:
    """Read a part, or note why it cannot be read."""
    try:
        return read()
    except _DAMAGED as error:
        gaps.append(f"{name}: {type(error).__name__}: {error!s:.200}")
        return ()
