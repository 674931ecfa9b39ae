"""Commands: every intent that can change the exchange. One struct each, all frozen.

Promises
- A command carries whatever its rule needs; the exchange never asks the outside.
- Amounts of quote, prices and sizes are in 1e-8; token amounts in 1e-6; times in milliseconds.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias

import msgspec

from sequencer.model.markets import MarketParameters, MarketStatus
from sequencer.model.orders import Order
from sequencer.model.rows import Guard, Mode, ModeCause, Risk


class Command(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The family of commands."""


class PlaceOrder(Command, frozen=True, gc=False):
    """Place an order, or replace the one that it names. `order_id` is the hash that was signed."""

    order: Order
    order_id: int


class CancelOrder(Command, frozen=True, gc=False):
    """Cancel one order by its id."""

    account: int
    order_id: int


class CancelClientOrder(Command, frozen=True, gc=False):
    """Cancel the account's oldest order of a market with a client id."""

    account: int
    market: str
    client_id: int


class CancelAll(Command, frozen=True, gc=False):
    """Cancel all of an account's orders, of one market or ("") of every market."""

    account: int
    market: str = ""


class AddSubkey(Command, frozen=True, gc=False):
    """Let a key trade for an account."""

    account: int
    key: int


class RevokeSubkey(Command, frozen=True, gc=False):
    """Take that right away."""

    account: int
    key: int


class EthereumSignature(msgspec.Struct, frozen=True, gc=False):
    """A recoverable signature of secp256k1: r and s in halves of 128 bits, and whether y is odd."""

    r_low: int
    r_high: int
    s_low: int
    s_high: int
    y_parity: bool


class RegisterEthereumKey(Command, frozen=True, gc=False):
    """Bind an Ethereum address to an account, for ever; the address has signed it, too."""

    account: int
    ethereum_address: int
    signature: EthereumSignature


class OpenIsolated(Command, frozen=True, gc=False):
    """Open an isolated account of an owner in one market, under an address made for it."""

    owner: int
    account: int
    market: str


class Transfer(Command, frozen=True, gc=False):
    """Move cash between accounts."""

    sender: int
    receiver: int
    amount: int


class Deposit(Command, frozen=True, gc=False):
    """Credit a deposit of the settlement chain, once per nonce. Amount in 1e-6 of the token."""

    nonce: int
    message_hash: int
    account: int
    token_amount: int


class UnmakeDeposit(Command, frozen=True, gc=False):
    """Take a credited deposit back that the settlement chain has lost; insurance pays for it."""

    nonce: int


class Withdraw(Command, frozen=True, gc=False):
    """Withdraw cash to an address of the settlement chain. `withdrawal_id` names it for ever."""

    account: int
    recipient: int
    amount: int
    withdrawal_id: int


class CreateMarket(Command, frozen=True, gc=False):
    """Open a market. Genesis may give its first funding index (1e-18) and index price."""

    parameters: MarketParameters
    funding_index: int = 10**18
    index_price: int = 0


class UpdateMarket(Command, frozen=True, gc=False):
    """Replace a market's parameters as a whole."""

    parameters: MarketParameters


class SetMarketStatus(Command, frozen=True, gc=False):
    """Pause, resume or delist a market. Delisting settles every position at the mark price."""

    market: str
    status: MarketStatus


class SetRisk(Command, frozen=True, gc=False):
    """Replace the bounds of liquidations and withdrawals."""

    risk: Risk


class RegisterPublisher(Command, frozen=True, gc=False):
    """Register a price publisher, or give it another key."""

    name: str
    key: int


class RemovePublisher(Command, frozen=True, gc=False):
    """Remove a price publisher."""

    name: str


class SeedPrice(Command, frozen=True, gc=False):
    """Accept the median of the waiting candidates as a market's index price."""

    market: str
    price: int


class SetMode(Command, frozen=True, gc=False):
    """Change the mode. `accept` is how many triggers and liquidations may fire at once on OPEN.

    `cause` is TRIPWIRE where the tripwire halts the exchange, and OPERATOR everywhere else.
    """

    mode: Mode
    reason: str = ""
    accept: int = 0
    cause: ModeCause = ModeCause.OPERATOR


class OrderPolicy(StrEnum):
    """Which orders survive a rollback."""

    KEEP = "KEEP"
    CANCEL_ALL = "CANCEL_ALL"
    CANCEL_ALL_BUT_TPSL = "CANCEL_ALL_BUT_TPSL"


class Reopen(Command, frozen=True, gc=False):
    """Go on after a rollback: the first command of the first new block."""

    reorg_id: int
    policy: OrderPolicy
    security: Sequence["SecurityCommand"] = ()


class SetGuard(Command, frozen=True, gc=False):
    """Switch a guard on or (in drills only) off."""

    guard: Guard
    on: bool


class AllowTick(Command, frozen=True, gc=False):
    """Let one tick through the tripwire, named by its hash."""

    tick_hash: int


class SetOperator(Command, frozen=True, gc=False):
    """Hand the operator's rights to another account."""

    operator: int


class SetRulesVersion(Command, frozen=True, gc=False):
    """Go on by other rules from the next command on, if this build has them."""

    version: int


class FaultKind(StrEnum):
    """Harm that a drill does on purpose."""

    ZERO_PRICE = "ZERO_PRICE"
    WRONG_DECIMALS = "WRONG_DECIMALS"
    INDEX_RESET = "INDEX_RESET"
    LOST_POSITION = "LOST_POSITION"
    LOST_ORDER = "LOST_ORDER"
    CASH_MINTED = "CASH_MINTED"


class Fault(Command, frozen=True, gc=False):
    """Do harm, in drills only. `market`, `account` and `amount` say where, as the kind needs."""

    kind: FaultKind
    market: str = ""
    account: int = 0
    amount: int = 0


class PriceReport(msgspec.Struct, frozen=True, gc=False):
    """A publisher's signed price in its own units, signed at a time in seconds, with its key."""

    publisher: str
    asset: str
    price: int
    signed_at: int
    key: int


class Tick(Command, frozen=True, gc=False):
    """Open a block: chain time moves on, and the price reports since the last tick count."""

    time_ms: int
    reports: Sequence[PriceReport] = ()
    tick_hash: int = 0


SecurityCommand: TypeAlias = RevokeSubkey | RemovePublisher | SetOperator | SetGuard
"""Commands that a rollback must not silently undo."""
