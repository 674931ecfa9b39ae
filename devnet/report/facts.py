"""The facts of a run, as its report shows them: read once, drawn and written by others.

Laws
- Prices, sizes and quote are integers of 1e-8, times end in their unit: `_s` and `_ms` are
  of the chain's clock since 1970, `_us` are of this machine's.
- Nothing here is worked out from a picture: whoever draws gets the number that was read.
"""

from collections.abc import Mapping, Sequence

import msgspec


class MarketFact(msgspec.Struct, frozen=True):
    """A market after a block: its prices, the sum of its long positions, its funding index.

    The funding index is rounded down to 1e-8 quote for each base.
    """

    index: int
    mark: int
    open_interest: int
    funding_index: int = 0


class BlockFact(msgspec.Struct, frozen=True):
    """A block. `reorg` is the rollback that orphaned it, 0 for a live one.

    `markets` is empty where the state after it cannot be read any more; its `mode` is "" then.
    """

    height: int
    reorg: int
    time_s: int
    block_hash: int
    state_root: int
    mode: str = ""
    markets: Mapping[str, MarketFact] = {}
    transactions: int = 0
    fills: int = 0
    liquidations: int = 0


class Milestone(msgspec.Struct, frozen=True):
    """Something worth a mark, at a block of the live chain (`reorg` 0) or of an orphaned branch.

    `kind` is one of incident, halt, reorg, undo, mode, refused, checkpoint; `epoch` is that of
    the block, or the one that a reorg or its undo made.
    """

    height: int
    reorg: int
    epoch: int
    time_s: int
    kind: str
    words: str


class AccountFact(msgspec.Struct, frozen=True):
    """An account's value in quote: before the harm, at its worst, back, and at the head.

    `undone` and `live` are (height, value) of the blocks that were looked at.
    """

    account: int
    role: str
    before: int
    worst: int
    worst_height: int
    back: int
    back_height: int
    now: int
    undone: Sequence[tuple[int, int]] = ()
    live: Sequence[tuple[int, int]] = ()


class AccountsFact(msgspec.Struct, frozen=True):
    """The accounts that a rollback's branch hit most. `looked_at` blocks of `undone` were read."""

    good_height: int
    bad_height: int
    head_height: int
    undone: int
    looked_at: int
    lost: int
    accounts: Sequence[AccountFact] = ()


class LayerFact(msgspec.Struct, frozen=True):
    """What the contract said once, and the root that this chain has for the same block.

    `ours` is 0 where it has no such block; `is_orphaned` where that block is no longer live.
    """

    kind: str
    settlement_block: int
    height: int
    root: int
    ours: int
    is_orphaned: bool = False
    from_height: int = -1
    plan: int = 0


class IncidentFact(msgspec.Struct, frozen=True):
    """The record of a rollback or an undo. Fills and the like are of the blocks it undid."""

    number: int
    kind: str
    who: str
    reason: str
    at_ms: int
    epoch_before: int
    epoch_after: int
    height_before: int
    height_after: int
    hash_before: int
    hash_after: int
    root_before: int
    root_after: int
    plan_id: str
    policy: str
    record_hash: str
    undone: Mapping[str, int] = {}


class TimingFact(msgspec.Struct, frozen=True):
    """Something that was measured `count` times; rising percentiles in microseconds."""

    name: str
    meaning: str
    count: int
    p50_us: int
    p90_us: int
    p99_us: int
    most_us: int


class StepFact(msgspec.Struct, frozen=True):
    """A step of the way back that was timed once, in microseconds."""

    name: str
    meaning: str
    took_us: int


class ChainFact(msgspec.Struct, frozen=True):
    """What the store says of a run: every block, live ones first, and all that comes of them."""

    markets: Sequence[str] = ()
    blocks: Sequence[BlockFact] = ()
    milestones: Sequence[Milestone] = ()
    accounts: AccountsFact | None = None
    incidents: Sequence[IncidentFact] = ()


class CheckFact(msgspec.Struct, frozen=True):
    """A command that anybody can type, what it does, and what it says if all is well."""

    command: str
    meaning: str
    expected: str = ""


class ReportFact(msgspec.Struct, frozen=True):
    """A whole run.

    `summary` is the one that the run prints. `problems` are what the proof found, none where it
    holds; `gaps` are parts of this report that could not be read, each with its reason.
    """

    summary: Mapping[str, object]
    incident: str
    is_manual: bool
    problems: Sequence[str]
    gaps: Sequence[str] = ()
    chain: ChainFact = ChainFact()
    contract: str = ""
    layers: Sequence[LayerFact] = ()
    timings: Sequence[TimingFact] = ()
    steps: Sequence[StepFact] = ()
    checks: Sequence[CheckFact] = ()
