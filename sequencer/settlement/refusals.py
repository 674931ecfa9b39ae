"""The settlement chain's no in words that stay: the contract's own codes, and the node's.

Promises
- `code` is never empty. It is what the contract said, or one of the names here.
"""

import re
from enum import IntEnum

from sequencer.model.settlement import SettlementError, SettlementProblem

REVERTED = "REVERTED"
"""The code of a call that failed without a word of the contract's: out of gas, for example."""

CLASS_DECLARED = "CLASS_DECLARED"
"""The code of a declaration that somebody else made first."""

ACCOUNT_ABSENT = "ACCOUNT_ABSENT"
"""The code of a transaction whose sender is no account there."""


class RpcCode(IntEnum):
    """The numbers of a Starknet node's errors, where one decides what is done next."""

    CONTRACT_NOT_FOUND = 20
    ENTRY_POINT_NOT_FOUND = 21
    BLOCK_NOT_FOUND = 24
    CLASS_NOT_FOUND = 28
    TRANSACTION_NOT_FOUND = 29
    CONTRACT_ERROR = 40
    PROOF_UNSUPPORTED = 42
    NONCE_INVALID = 52
    NONCE_WAITING = 64
    METHOD_NOT_FOUND = -32_601


_OF_NODE = {
    51: CLASS_DECLARED,
    53: "RESOURCES_INSUFFICIENT",
    54: "BALANCE_INSUFFICIENT",
    55: "VALIDATION_FAILED",
    56: "COMPILATION_FAILED",
    57: "CLASS_TOO_LARGE",
    58: "ACCOUNT_UNKNOWN",
    60: "COMPILED_CLASS_HASH_DIFFERS",
    61: "VERSION_UNSUPPORTED",
    62: "CLASS_VERSION_UNSUPPORTED",
    65: "FEE_TOO_LOW",
}
# A panic is printed as its felts, each followed by what it spells.
_SPELLED = re.compile(r"\('([A-Z][A-Z0-9_]*)'\)")
# What the system says: of an address without such a function, and as a panic passes through.
_NOT_OURS = "ENTRYPOINT_NOT_FOUND"
_REASON_CHARACTERS_SHOWN = 300
_ADDED = frozenset({"ENTRYPOINT_FAILED"})


def refusal_of_revert(reason: str) -> SettlementError:
    """Read the contract's code from what a receipt says about a reverted call.

    CONTRACT_ABSENT where something else stands at the address.
    """
    words = " ".join(reason.split())[-_REASON_CHARACTERS_SHOWN:]
    codes = [code for code in _SPELLED.findall(reason) if code not in _ADDED]
    if _NOT_OURS in codes:
        return SettlementError(SettlementProblem.CONTRACT_ABSENT, words)
    code = codes[0] if codes else REVERTED
    return SettlementError(SettlementProblem.REFUSED, f"{code}: {words}", code)


def refusal_before_sending(code: int, words: str) -> SettlementError:
    """Say what a node's refusal to read our account means; nothing was sent."""
    if code == RpcCode.CONTRACT_NOT_FOUND:
        words = f"{ACCOUNT_ABSENT}: {words}"
        return SettlementError(SettlementProblem.REFUSED, words, ACCOUNT_ABSENT)
    return SettlementError(SettlementProblem.UNREACHABLE, words)


def refusal_of_node(code: int, words: str) -> SettlementError:
    """Say what a node's refusal to take a transaction means.

    Only the errors that say that nothing was taken are REFUSED; the rest is OUTCOME_UNKNOWN.
    """
    name = _OF_NODE.get(code, "")
    if not name:
        return SettlementError(SettlementProblem.OUTCOME_UNKNOWN, words)
    return SettlementError(SettlementProblem.REFUSED, f"{name}: {words}", name)
