"""Refusals: the expected ways to say no, each with a code that never changes its meaning.

Promises
- A reason's value is part of the public interface: clients branch on it.
- `Refused` is only raised for input that somebody else gave us. A broken law is another matter.
"""

from enum import StrEnum

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
