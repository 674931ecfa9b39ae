"""Events: what a command did, in the order in which it happened.

Prices, sizes and quote in 1e-8, funding indices in 1e-18. Signed sizes are negative for sales.
"""

from enum import StrEnum

import msgspec

from sequencer.model.markets import MarketStatus
from sequencer.model.rows import Guard, Mode, ModeCause


class Event(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The family of events."""


class CloseReason(StrEnum):
    """Why an order is gone. FILLED is the only one that is no cancellation."""

    FILLED = "FILLED"
    USER = "USER"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    IOC_REMAINDER = "IOC_REMAINDER"
    POST_ONLY_WOULD_CROSS = "POST_ONLY_WOULD_CROSS"
    SELF_TRADE = "SELF_TRADE"
    MARGIN = "MARGIN"
    REDUCE_ONLY = "REDUCE_ONLY"
    PAIR = "PAIR"
    SLIPPAGE = "SLIPPAGE"
    BAND = "BAND"
    POSITION_LIMIT = "POSITION_LIMIT"
    OPEN_INTEREST = "OPEN_INTEREST"
    FILL_LIMIT = "FILL_LIMIT"
    LIQUIDATION = "LIQUIDATION"
    MARKET_CLOSED = "MARKET_CLOSED"
    ROLLBACK = "ROLLBACK"
    NOT_ACCEPTED = "NOT_ACCEPTED"


class OrderOpened(Event, frozen=True, gc=False):
    """An order rests in the book, or (waiting) watches the mark price."""

    order_id: int
    account: int
    market: str
    remaining: int
    waiting: bool


class OrderRefused(Event, frozen=True, gc=False):
    """An order in the operator's batch was refused, with the stable code."""

    order_id: int
    account: int
    reason: str


class CancelRefused(Event, frozen=True, gc=False):
    """A cancellation in the operator's batch was refused, with the stable code.

    `account` is the one that is said to have signed it, as in `OrderRefused`.
    """

    order_id: int
    account: int
    reason: str


class OrderTriggered(Event, frozen=True, gc=False):
    """The mark price reached an order's trigger."""

    order_id: int
    account: int
    market: str
    mark: int


class OrderClosed(Event, frozen=True, gc=False):
    """An order is gone, with what was left of it."""

    order_id: int
    account: int
    market: str
    remaining: int
    reason: CloseReason


class Fill(Event, frozen=True, gc=False):
    """Two orders traded. `size` is signed from the taker's side; fees in quote."""

    market: str
    price: int
    size: int
    taker: int
    maker: int
    taker_order: int
    maker_order: int
    taker_fee: int
    maker_fee: int


class FundingPaid(Event, frozen=True, gc=False):
    """Funding was settled into an account's cash; negative where it paid."""

    account: int
    market: str
    amount: int


class PriceAccepted(Event, frozen=True, gc=False):
    """A market has a new index and mark price."""

    market: str
    index: int
    mark: int


class PriceRefused(Event, frozen=True, gc=False):
    """A median or a report was not taken, and the guard or reason that stopped it."""

    market: str
    price: int
    reason: str


class FundingIndexMoved(Event, frozen=True, gc=False):
    """A market's funding index after a tick."""

    market: str
    index: int


class Liquidated(Event, frozen=True, gc=False):
    """A part of one position went to insurance. `size` is signed as the account held it."""

    account: int
    market: str
    size: int
    price: int


class LiquidationEnded(Event, frozen=True, gc=False):
    """An account's liquidation: the share of its positions, and the penalty that it paid."""

    account: int
    share: int
    penalty: int


class Covered(Event, frozen=True, gc=False):
    """A deficit was paid by insurance, and what insurance could not pay became bad debt."""

    account: int
    insurance: int
    bad_debt: int


class Credited(Event, frozen=True, gc=False):
    """A deposit reached an account."""

    nonce: int
    account: int
    amount: int


class DepositUnmade(Event, frozen=True, gc=False):
    """A deposit counts no more, and insurance has paid what its account was credited."""

    nonce: int
    account: int
    amount: int


class Withdrawn(Event, frozen=True, gc=False):
    """A withdrawal left an account; `payout` is less than `requested` while there is bad debt."""

    withdrawal_id: int
    account: int
    recipient: int
    requested: int
    payout: int


class Transferred(Event, frozen=True, gc=False):
    """Cash moved between accounts."""

    sender: int
    receiver: int
    amount: int


class SubkeyChanged(Event, frozen=True, gc=False):
    """A subkey was added or revoked."""

    account: int
    key: int
    active: bool


class EthereumKeyRegistered(Event, frozen=True, gc=False):
    """An Ethereum address is bound to an account."""

    ethereum_address: int
    account: int


class IsolatedOpened(Event, frozen=True, gc=False):
    """An isolated account exists."""

    owner: int
    account: int
    market: str


class Settled(Event, frozen=True, gc=False):
    """A position of a delisted market was closed. `size` is signed as the account held it."""

    account: int
    market: str
    size: int
    price: int


class MarketChanged(Event, frozen=True, gc=False):
    """A market was created, updated, paused, resumed or delisted."""

    market: str
    status: MarketStatus


class PublisherChanged(Event, frozen=True, gc=False):
    """A publisher was registered (with its key) or removed (key 0)."""

    name: str
    key: int


class ModeChanged(Event, frozen=True, gc=False):
    """The mode changed, and why."""

    mode: Mode
    cause: ModeCause
    reason: str


class GuardChanged(Event, frozen=True, gc=False):
    """A guard was switched."""

    guard: Guard
    on: bool


class GuardViolated(Event, frozen=True, gc=False):
    """Something that a guard would have stopped went through because it is off."""

    guard: Guard
    detail: str


class Reopened(Event, frozen=True, gc=False):
    """The exchange goes on after a rollback."""

    reorg_id: int


class SettingChanged(Event, frozen=True, gc=False):
    """An operator setting changed: the operator, the risk bounds, the rules, a tick let through."""

    name: str


class FaultDone(Event, frozen=True, gc=False):
    """A drill did harm on purpose."""

    kind: str
    market: str
    account: int
    amount: int
