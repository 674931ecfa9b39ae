"""One transaction: checked as an account does it, executed, and what it comes to.

Promises
- A transaction that fails is reverted: its nonce is used up, and nothing else stays.
- What an account does not take is refused with Starknet's own numbers, and changes nothing.

Laws
- Nobody pays fees. An account's key is in the slot where OpenZeppelin's accounts keep it.
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec

from contracts.account import PUBLIC_KEY, SIGNATURE_INVALID, is_signed
from contracts.twin import Reverted, Twin
from devnet.embedded.machine import Entered, Failure, Surroundings, TransactionMachine
from devnet.embedded.reasons import panic_of, revert_reason
from devnet.embedded.state import CLASS, DECLARED, NONCE, STORAGE, Changes, Overlay, View
from sequencer.api.json_rpc import RpcError
from sequencer.api.starknet_rpc.errors import (
    CLASS_ALREADY_DECLARED,
    COMPILATION_FAILED,
    COMPILED_CLASS_MISMATCH,
    NONCE_INVALID,
    VALIDATION_FAILURE,
    VERSION_UNSUPPORTED,
    starknet_error,
)
from sequencer.starknet.block import Event, Receipt
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    L1Handler,
    LegacyTransaction,
    Terms,
    Transaction,
)

_EXECUTE, _VALIDATE = selector("__execute__"), selector("__validate__")


class Outcome(msgspec.Struct, frozen=True):
    """What a transaction changes, and its receipt."""

    changes: Changes
    receipt: Receipt


def execute(
    below: View,
    around: Surroundings,
    transaction: Transaction,
    hash_: Felt,
    *,
    validates: bool = True,
) -> Outcome:
    """Execute a transaction on a state, which stays as it is.

    `validates` False believes any signature. Errors: 51, 52, 55, 56, 60, 61.
    """
    run = _Execution(below, around, hash_, validates=validates)
    match transaction:
        case InvokeV3():
            run.invoke(transaction)
        case DeclareV3():
            run.declare(transaction)
        case DeployAccountV3():
            run.deploy_account(transaction)
        case L1Handler():
            run.handle(transaction)
        case LegacyTransaction():
            raise starknet_error(VERSION_UNSUPPORTED)
        case _ as unreachable:
            assert_never(unreachable)
    return run.outcome()


def require_known(class_hash: Felt, twins: Mapping[Felt, Twin]) -> Twin:
    """Return the twin of a class. Error: 56 for a class that none stands for, naming all."""
    twin = twins.get(class_hash)
    if twin is None:
        known = ", ".join(
            sorted(f"{each.name} {format_felt(hash_)}" for hash_, each in twins.items())
        )
        words = f"no Cairo is executed here; {format_felt(class_hash)} is none of {known}"
        raise starknet_error(COMPILATION_FAILED, words)
    return twin


class _Execution:
    """One transaction under way."""

    def __init__(self, below: View, around: Surroundings, hash_: Felt, *, validates: bool) -> None:
        self._overlay = Overlay(below)
        self._machine = TransactionMachine(self._overlay, around, hash_)
        self._around = around
        self._hash = hash_
        self._validates = validates
        self._reason: str | None = None

    def outcome(self) -> Outcome:
        """Say what it came to."""
        events: Sequence[Event] = tuple(self._machine.events)
        receipt = Receipt(self._hash, 0, events, revert_reason=self._reason)
        return Outcome(self._overlay.changes(), receipt)

    def invoke(self, transaction: InvokeV3) -> None:
        """Let an account make calls."""
        sender = transaction.sender
        self._take_nonce(sender, transaction.terms)
        self._validate(sender, transaction.signature)
        try:
            self._machine.call(0, sender, _EXECUTE, transaction.calldata)
        except Reverted:
            self._reason = self._failed()

    def declare(self, transaction: DeclareV3) -> None:
        """Bind a class to its twin."""
        class_hash, compiled = transaction.class_hash, transaction.compiled_class_hash
        self._take_nonce(transaction.sender, transaction.terms)
        if self._overlay.get((DECLARED, class_hash, 0)):
            raise starknet_error(CLASS_ALREADY_DECLARED)
        twin = require_known(class_hash, self._around.twins)
        if compiled != twin.compiled_class_hash:
            words = f"{format_felt(compiled)}, not {format_felt(twin.compiled_class_hash)}"
            raise starknet_error(COMPILED_CLASS_MISMATCH, words)
        self._validate(transaction.sender, transaction.signature)
        self._overlay.put((DECLARED, class_hash, 0), compiled)

    def deploy_account(self, transaction: DeployAccountV3) -> None:
        """Let an account deploy itself."""
        address = transaction.address()
        self._take_nonce(address, transaction.terms)
        try:
            arguments = (transaction.class_hash, transaction.salt, transaction.calldata)
            self._machine.deploy(0, *arguments)
        except Reverted:
            raise starknet_error(VALIDATION_FAILURE, self._failed()) from None
        self._validate(address, transaction.signature)

    def handle(self, transaction: L1Handler) -> None:
        """Hand a message over."""
        try:
            self._machine.handle(transaction.contract, transaction.selector, transaction.calldata)
        except Reverted:
            self._reason = self._failed()

    def _failed(self) -> str:
        failure = self._machine.failure
        return "" if failure is None else revert_reason(failure)

    def _take_nonce(self, sender: Felt, terms: Terms) -> None:
        nonce = self._overlay.get((NONCE, sender, 0))
        if terms.nonce != nonce:
            words = f"Invalid transaction nonce of contract at address {sender:#066x}."
            raise starknet_error(
                NONCE_INVALID, f"{words} Account nonce: {nonce}; got: {terms.nonce}."
            )
        self._overlay.put((NONCE, sender, 0), nonce + 1)

    def _validate(self, sender: Felt, signature: Sequence[Felt]) -> None:
        class_hash = self._overlay.get((CLASS, sender, 0))
        key = self._overlay.get((STORAGE, sender, PUBLIC_KEY.slot))
        if not class_hash or not key:
            words = f"Requested contract address {sender:#066x} is not deployed."
            raise starknet_error(VALIDATION_FAILURE, words)
        if self._validates and not is_signed(key, self._hash, signature):
            raise _signature_invalid(Entered(sender, class_hash, _VALIDATE))


def _signature_invalid(account: Entered) -> RpcError:
    failure = Failure(Reverted(SIGNATURE_INVALID), (account,))
    words = f"The `validate` entry point panicked with:\n{panic_of(failure)}"
    return starknet_error(VALIDATION_FAILURE, words)
