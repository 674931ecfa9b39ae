"""Refusals: the expected ways to say no, each with a code that never changes its meaning.

Promises
- A reason's value is part of the public interface: clients branch on it.
- `Refused` is only raised for input that somebody else gave us. A broken law is another matter.
"""

from enum import StrEnum

import msgspec

_SHOWN_BITS_MAX = 512
"""Longer integers are only described: Python refuses to print those of thousands of digits."""


class Reason(StrEnum):
    """Stable codes; the text beside a code may change, the code may not."""

    FELT_MALFORMED = "FELT_MALFORMED"
    FELT_OUT_OF_RANGE = "FELT_OUT_OF_RANGE"
    SHORT_STRING_MALFORMED = "SHORT_STRING_MALFORMED"
    PRIVATE_KEY_OUT_OF_RANGE = "PRIVATE_KEY_OUT_OF_RANGE"
    MESSAGE_HASH_OUT_OF_RANGE = "MESSAGE_HASH_OUT_OF_RANGE"
    TRIE_KEY_OUT_OF_RANGE = "TRIE_KEY_OUT_OF_RANGE"
    TRIE_HEIGHT_OUT_OF_RANGE = "TRIE_HEIGHT_OUT_OF_RANGE"
    PROOF_INVALID = "PROOF_INVALID"
    CLASS_MALFORMED = "CLASS_MALFORMED"
    TRANSACTION_MALFORMED = "TRANSACTION_MALFORMED"
    TRANSACTION_UNSUPPORTED = "TRANSACTION_UNSUPPORTED"
    BLOCK_VERSION_UNSUPPORTED = "BLOCK_VERSION_UNSUPPORTED"
    BLOCK_MALFORMED = "BLOCK_MALFORMED"
    TYPED_DATA_MALFORMED = "TYPED_DATA_MALFORMED"
    ORDER_FIELD_OUT_OF_RANGE = "ORDER_FIELD_OUT_OF_RANGE"
    FILE_UNREADABLE = "FILE_UNREADABLE"

    NOT_AUTHORIZED = "NOT_AUTHORIZED"
    NOT_OPERATOR = "NOT_OPERATOR"
    NOT_A_DRILL = "NOT_A_DRILL"
    MODE_FORBIDS = "MODE_FORBIDS"
    MODE_NOT_READY = "MODE_NOT_READY"
    MODE_ORDER = "MODE_ORDER"
    ACCOUNT_UNKNOWN = "ACCOUNT_UNKNOWN"
    ACCOUNT_EXISTS = "ACCOUNT_EXISTS"
    ACCOUNT_INVALID = "ACCOUNT_INVALID"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    CASH_INSUFFICIENT = "CASH_INSUFFICIENT"
    MARGIN_INSUFFICIENT = "MARGIN_INSUFFICIENT"
    MARKET_UNKNOWN = "MARKET_UNKNOWN"
    MARKET_EXISTS = "MARKET_EXISTS"
    MARKET_CLOSED = "MARKET_CLOSED"
    MARKET_IN_USE = "MARKET_IN_USE"
    MARKET_LIMIT = "MARKET_LIMIT"
    PARAMETER_INVALID = "PARAMETER_INVALID"
    PRICE_MISSING = "PRICE_MISSING"
    PRICE_STALE = "PRICE_STALE"
    PRICE_SEED_REFUSED = "PRICE_SEED_REFUSED"
    PUBLISHER_UNKNOWN = "PUBLISHER_UNKNOWN"
    PUBLISHER_INVALID = "PUBLISHER_INVALID"
    ORDER_ID_USED = "ORDER_ID_USED"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    ORDER_EXPIRED = "ORDER_EXPIRED"
    ORDER_FROM_FUTURE = "ORDER_FROM_FUTURE"
    ORDER_INSTRUCTION_INVALID = "ORDER_INSTRUCTION_INVALID"
    ORDER_RPI_UNSUPPORTED = "ORDER_RPI_UNSUPPORTED"
    ORDER_PRICE_INVALID = "ORDER_PRICE_INVALID"
    ORDER_SIZE_INVALID = "ORDER_SIZE_INVALID"
    ORDER_NOTIONAL_TOO_SMALL = "ORDER_NOTIONAL_TOO_SMALL"
    ORDER_LIMIT = "ORDER_LIMIT"
    ORDER_TRIGGER_INVALID = "ORDER_TRIGGER_INVALID"
    ORDER_PAIR_INVALID = "ORDER_PAIR_INVALID"
    ORDER_OUTSIDE_BAND = "ORDER_OUTSIDE_BAND"
    ORDER_REDUCE_ONLY = "ORDER_REDUCE_ONLY"
    ORDER_WOULD_CROSS = "ORDER_WOULD_CROSS"
    ORDER_SELF_TRADE = "ORDER_SELF_TRADE"
    POSITION_LIMIT = "POSITION_LIMIT"
    OPEN_INTEREST_LIMIT = "OPEN_INTEREST_LIMIT"
    SUBKEY_UNKNOWN = "SUBKEY_UNKNOWN"
    SUBKEY_LIMIT = "SUBKEY_LIMIT"
    DEPOSIT_CREDITED = "DEPOSIT_CREDITED"
    WITHDRAWAL_EXISTS = "WITHDRAWAL_EXISTS"
    WITHDRAWAL_WAITS = "WITHDRAWAL_WAITS"
    WITHDRAWAL_LIMIT = "WITHDRAWAL_LIMIT"
    TIME_NOT_INCREASING = "TIME_NOT_INCREASING"
    TIME_OUT_OF_RANGE = "TIME_OUT_OF_RANGE"
    HALTED_BY_TRIPWIRE = "HALTED_BY_TRIPWIRE"
    FAULT_INVALID = "FAULT_INVALID"
    GUARD_STOPPED = "GUARD_STOPPED"


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A refusal as a value: the stable code, and in plain words what was wrong."""

    reason: Reason
    detail: str


def shown(value: object) -> str:
    """Print a value of somebody else's for a refusal: at most 80 characters, whatever it is."""
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS_MAX:
        return f"an integer of {value.bit_length()} bits"
    return f"{value!r:.80}"


class Refused(Exception):
    """Carries a refusal up to whoever asked.

    `reason` is the stable code, `detail` says in plain words what was wrong with which value.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
