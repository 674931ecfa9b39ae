"""The rows of the exchange: all of its state, typed and frozen.

Laws
- A row is never changed; a change is a new row written through the journal.
- Nothing that rules depend on lives outside rows: books, sums and per-account lists are derived.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from sequencer.model.markets import MarketParameters, MarketStatus
from sequencer.model.orders import Order


class Mode(StrEnum):
    """What the exchange does, from nothing to everything."""

    HALTED = "HALTED"
    CANCEL_ONLY = "CANCEL_ONLY"
    POST_ONLY = "POST_ONLY"
    OPEN = "OPEN"


class ModeCause(StrEnum):
    """Why the mode was last lowered: only a gap may be reopened without the operator."""

    OPERATOR = "OPERATOR"
    GAP = "GAP"
    TRIPWIRE = "TRIPWIRE"
    ROLLBACK = "ROLLBACK"


class Guard(StrEnum):
    """Checks that a drill can switch off to see the harm that they prevent."""

    ZERO_PRICE = "ZERO_PRICE"
    STALE_PRICE = "STALE_PRICE"
    PRICE_STEP = "PRICE_STEP"
    PRICE_RANGE = "PRICE_RANGE"
    PRICE_SEED = "PRICE_SEED"
    QUORUM = "QUORUM"
    MARK_CLAMP = "MARK_CLAMP"
    FUNDING_STEP = "FUNDING_STEP"
    ORDER_BAND = "ORDER_BAND"
    LIQUIDATION_CAP = "LIQUIDATION_CAP"
    TRIPWIRE = "TRIPWIRE"
    WITHDRAWAL_WAIT = "WITHDRAWAL_WAIT"
    WITHDRAWAL_LIMIT = "WITHDRAWAL_LIMIT"
    OPEN_INTEREST = "OPEN_INTEREST"
    POSITION_LIMIT = "POSITION_LIMIT"
    HEALTH = "HEALTH"


class Contract(msgspec.Struct, frozen=True, gc=False):
    """A contract of the chain: its class, the next nonce, and (of an account) the public key."""

    class_hash: int
    nonce: int = 0
    public_key: int = 0


class DeclaredClass(msgspec.Struct, frozen=True, gc=False):
    """A class that was declared, with its compiled class hash."""

    compiled_class_hash: int


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account's collateral. Cash in 1e-8 quote, may be negative against open profit.

    An isolated account names its `owner` and the one `market` that it trades; both are empty (0 and
    "") for a cross account.
    """

    cash: int = 0
    owner: int = 0
    market: str = ""


class Position(msgspec.Struct, frozen=True, gc=False):
    """A position. Size in 1e-8 base, negative when short; cost = signed sum of fill notionals.

    `index` is the funding index up to which funding is settled. A closed position has no row.
    """

    size: int
    cost: int
    index: int


class Market(msgspec.Struct, frozen=True):
    """A market's parameters and status."""

    parameters: MarketParameters
    status: MarketStatus = MarketStatus.ACTIVE


class Extreme(msgspec.Struct, frozen=True, gc=False):
    """A price that was accepted at a chain time."""

    time_ms: int
    price: int


class Price(msgspec.Struct, frozen=True):
    """What a market's prices are. `index` and `mark` in 1e-8, 0 before the first accepted price.

    `index_at_ms` is the chain time of the last accepted price. `lows` and `highs` are the extremes
    of the last minute, oldest first. Averages and `basis` are rates of 1e-9; each average has the
    chain time of its last sample (0: none yet). `accepted_in_row` counts accepted prices at least a
    second apart since the last gap, `counted_at_ms` is the time of the last one counted.
    `candidates` are prices that wait for an operator to seed the market. `swept_mark` and
    `swept_index` are what accounts were last looked at with; a market whose figures differ has
    moved, whoever moved it.
    """

    index: int = 0
    index_at_ms: int = 0
    mark: int = 0
    funding_index: int = 10**18
    lows: tuple[Extreme, ...] = ()
    highs: tuple[Extreme, ...] = ()
    mid_average: int = 0
    mid_at_ms: int = 0
    trade_average: int = 0
    trade_at_ms: int = 0
    perpetual_average: int = 0
    perpetual_at_ms: int = 0
    basis: int = 0
    accepted_in_row: int = 0
    counted_at_ms: int = 0
    candidates: tuple[Extreme, ...] = ()
    swept_mark: int = 0
    swept_index: int = 0


class OrderRow(msgspec.Struct, frozen=True, gc=False):
    """An order that rests in the book, or waits for its trigger.

    `remaining` in 1e-8 base. `sequence` is its place in time. `signer` is the account that signed.
    `price` is where it rests in the book. `waiting` is True until the trigger fires.
    """

    order: Order
    remaining: int
    sequence: int
    signer: int
    price: int
    waiting: bool = False


class UsedOrder(msgspec.Struct, frozen=True, gc=False):
    """An order id that may not be used again; forgotten when its receive window has passed."""

    until_ms: int


class LastTrade(msgspec.Struct, frozen=True, gc=False):
    """A market's last trade: price in 1e-8, chain time."""

    price: int
    time_ms: int


class Subkey(msgspec.Struct, frozen=True, gc=False):
    """A key that may trade for an account, never withdraw or manage."""

    added_at_ms: int


class EthereumKey(msgspec.Struct, frozen=True, gc=False):
    """The account that an Ethereum address is bound to; kept for ever."""

    account: int


class Publisher(msgspec.Struct, frozen=True, gc=False):
    """A registered price publisher and the key that it signs with."""

    key: int


class ReportTime(msgspec.Struct, frozen=True, gc=False):
    """The newest signed time taken from one publisher for one asset, in seconds."""

    signed_at: int


class DepositRow(msgspec.Struct, frozen=True, gc=False):
    """A deposit that was credited; its presence makes it once only. Amount in 1e-8 quote."""

    account: int
    amount: int
    message_hash: int


class Withdrawal(msgspec.Struct, frozen=True, gc=False):
    """A withdrawal to be paid on the settlement chain. Amounts in 1e-8 quote; kept for ever."""

    account: int
    recipient: int
    requested: int
    payout: int


class Risk(msgspec.Struct, frozen=True, gc=False):
    """How liquidations and withdrawals are bounded; rates in 1e-8.

    `liquidation_fee` is a part of maintenance margin; positions shrink by the smallest multiple of
    `share_step` that brings maintenance / value below `ratio_target`.
    """

    liquidation_fee: int = 70_000_000
    share_step: int = 20_000_000
    ratio_target: int = 90_000_000
    hour_rate: int = 1_000_000
    hour_min: int = 100_000_000_000_000
    day_rate: int = 10_000_000
    day_min: int = 1_000_000_000_000_000


class Unhealthy(msgspec.Struct, frozen=True, gc=False):
    """An account that the tripwire watches: unhealthy, or until lately.

    `notional` of its positions in 1e-8 quote when it became unhealthy. `counted` is False where
    that is no alarm: it was so when OPEN was entered, an index explains it, or it was let through.
    `over` says that the account has recovered since.
    """

    since_ms: int
    notional: int
    counted: bool
    over: bool = False


class System(msgspec.Struct, frozen=True):
    """The exchange's own row.

    `chain_id` tells chains apart that begin alike. `ticks` counts tick commands, one a block.
    `guards_off` is sorted. Withdrawals wait for `wait_until_ticks` and `wait_until_ms`; a negative
    time is a length that the next tick turns into a time. `tick_allowed` is the hash of the one
    tick that the operator lets through, 0 for none. `rules_version` says by which rules the chain
    goes on from here; a build executes those of `exchange/rules.py` alone.
    """

    operator: int
    insurance: int
    fees: int
    risk: Risk = Risk()
    mode: Mode = Mode.CANCEL_ONLY
    cause: ModeCause = ModeCause.OPERATOR
    time_ms: int = 0
    ticks: int = 0
    guards_off: tuple[Guard, ...] = ()
    drill: bool = False
    reopen_automatic: bool = False
    wait_until_ticks: int = 0
    wait_until_ms: int = 0
    tick_allowed: int = 0
    chain_id: int = 0
    rules_version: int = 1


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """The place in time that the next order gets."""

    following: int = 0


class Totals(msgspec.Struct, frozen=True, gc=False):
    """Money that is in no account. All in 1e-8 quote, but `dust` in 1e-26.

    `genesis_deposited` is the part of `deposited` that genesis gave out.
    """

    deposited: int = 0
    withdrawn: int = 0
    bad_debt: int = 0
    dust: int = 0
    genesis_deposited: int = 0


class Limiter(msgspec.Struct, frozen=True, gc=False):
    """What may still be withdrawn in the running hour and day, in 1e-8 quote, and as of when."""

    hour_capacity: int = 0
    day_capacity: int = 0
    updated_at_ms: int = 0


Row: TypeAlias = (
    Contract
    | DeclaredClass
    | Account
    | Position
    | Market
    | Price
    | OrderRow
    | UsedOrder
    | LastTrade
    | Subkey
    | Publisher
    | ReportTime
    | DepositRow
    | Withdrawal
    | Unhealthy
    | System
    | Arrival
    | Totals
    | Limiter
    | EthereumKey
)
"""Any row."""
