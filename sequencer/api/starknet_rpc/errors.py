"""Starknet's errors: the numbers and words of its specification, and what refusals become.

Promises
- Whatever the chain refuses becomes one error, with the stable code of the refusal in its words.
- A number that the specification knows is answered only in its meaning. For all else there is
  63, an unexpected error, whose data names the refusal.

Laws
- Data is text, but where the specification says otherwise: 10, 40 and 41.
"""

from collections.abc import Mapping
from typing import Any

from sequencer.api.json_rpc import PARAMS_INVALID, RpcError
from sequencer.model.refusals import Reason, Refused

NO_TRACE = 10
CONTRACT_NOT_FOUND, ENTRY_POINT_NOT_FOUND = 20, 21
BLOCK_NOT_FOUND, INDEX_INVALID = 24, 27
CLASS_NOT_FOUND, TRANSACTION_NOT_FOUND = 28, 29
PAGE_TOO_BIG, NO_BLOCKS, TOKEN_INVALID, TOO_MANY_KEYS = 31, 32, 33, 34
CONTRACT_ERROR, EXECUTION_ERROR, PROOF_UNSUPPORTED = 40, 41, 42
CLASS_ALREADY_DECLARED, NONCE_INVALID, VALIDATION_FAILURE = 51, 52, 55
COMPILATION_FAILED, CLASS_TOO_LARGE, NOT_AN_ACCOUNT = 56, 57, 58
DUPLICATE_TRANSACTION, COMPILED_CLASS_MISMATCH = 59, 60
VERSION_UNSUPPORTED, CLASS_VERSION_UNSUPPORTED, UNEXPECTED = 61, 62, 63
SUBSCRIPTION_INVALID, TOO_MANY_ADDRESSES, TOO_MANY_BLOCKS_BACK = 66, 67, 68
PROOF_INVALID = 69

MESSAGES: Mapping[int, str] = {
    NO_TRACE: "No trace available for transaction",
    CONTRACT_NOT_FOUND: "Contract not found",
    ENTRY_POINT_NOT_FOUND: "Requested entry point does not exist in the contract",
    BLOCK_NOT_FOUND: "Block not found",
    INDEX_INVALID: "Invalid transaction index in a block",
    CLASS_NOT_FOUND: "Class hash not found",
    TRANSACTION_NOT_FOUND: "Transaction hash not found",
    PAGE_TOO_BIG: "Requested page size is too big",
    NO_BLOCKS: "There are no blocks",
    TOKEN_INVALID: "The supplied continuation token is invalid or unknown",
    TOO_MANY_KEYS: "Too many keys provided in a filter",
    CONTRACT_ERROR: "Contract error",
    EXECUTION_ERROR: "Transaction execution error",
    PROOF_UNSUPPORTED: (
        "the node doesn't support storage proofs for blocks that are too far in the past"
    ),
    CLASS_ALREADY_DECLARED: "Class already declared",
    NONCE_INVALID: "Invalid transaction nonce",
    VALIDATION_FAILURE: "Account validation failed",
    COMPILATION_FAILED: "Compilation failed",
    CLASS_TOO_LARGE: "Contract class size is too large",
    NOT_AN_ACCOUNT: "Sender address is not an account contract",
    DUPLICATE_TRANSACTION: "A transaction with the same hash already exists in the mempool",
    COMPILED_CLASS_MISMATCH: (
        "the compiled class hash did not match the one supplied in the transaction"
    ),
    VERSION_UNSUPPORTED: "the transaction version is not supported",
    CLASS_VERSION_UNSUPPORTED: "the contract class version is not supported",
    UNEXPECTED: "An unexpected error occurred",
    SUBSCRIPTION_INVALID: "Invalid subscription id",
    TOO_MANY_ADDRESSES: "Too many addresses in filter sender_address filter",
    TOO_MANY_BLOCKS_BACK: "Cannot go back more than 1024 blocks",
    PROOF_INVALID: "The proof field in the invoke v3 transaction is invalid",
}
"""The errors that this node answers with, in the words of the specification.

Those that it never has a reason for are left out; docs/rpc.md says why.
"""

_CODES: Mapping[Reason, int] = {
    Reason.FELT_MALFORMED: PARAMS_INVALID,
    Reason.FELT_OUT_OF_RANGE: PARAMS_INVALID,
    Reason.SHORT_STRING_MALFORMED: PARAMS_INVALID,
    Reason.TRANSACTION_MALFORMED: PARAMS_INVALID,
    Reason.CLASS_MALFORMED: PARAMS_INVALID,
    Reason.TRANSACTION_UNSUPPORTED: VERSION_UNSUPPORTED,
    Reason.CONTRACT_UNKNOWN: CONTRACT_NOT_FOUND,
    Reason.ENTRY_POINT_UNKNOWN: ENTRY_POINT_NOT_FOUND,
    Reason.BLOCK_UNKNOWN: BLOCK_NOT_FOUND,
    Reason.TRANSACTION_UNKNOWN: TRANSACTION_NOT_FOUND,
    Reason.CLASS_UNKNOWN: CLASS_NOT_FOUND,
    Reason.CLASS_DECLARED: CLASS_ALREADY_DECLARED,
    Reason.COMPILED_CLASS_MISMATCH: COMPILED_CLASS_MISMATCH,
    Reason.NONCE_INVALID: NONCE_INVALID,
    # An account that is there is at nonce 1 or above, and deploying it takes 0.
    Reason.ACCOUNT_EXISTS: NONCE_INVALID,
    Reason.SIGNATURE_INVALID: VALIDATION_FAILURE,
    Reason.DUPLICATE_COMMAND: DUPLICATE_TRANSACTION,
    Reason.ORPHANED_COMMAND: DUPLICATE_TRANSACTION,
}


def starknet_error(code: int, data: Any = None) -> RpcError:  # noqa: ANN401
    """Return an error of Starknet's by its number. `data` None is left out."""
    return RpcError(code, MESSAGES[code], data)


def execution_error(index: int, words: str) -> RpcError:
    """Return what is said of one of the transactions that are only tried out."""
    data = {"transaction_index": index, "execution_error": words}
    return starknet_error(EXECUTION_ERROR, data)


def from_refused(refused: Refused) -> RpcError:
    """Return what a refusal becomes for a client of Starknet's methods."""
    code = _CODES.get(refused.reason, UNEXPECTED)
    if code == PARAMS_INVALID:
        return RpcError(code, data=str(refused))
    return starknet_error(code, str(refused))
