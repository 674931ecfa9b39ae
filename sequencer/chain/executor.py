"""Executes transactions over native contracts. It knows accounts, nonces and calls, not perpetuals.

Promises
- A transaction that may not enter a block (unknown account, wrong nonce, bad signature) is refused
  and leaves no trace.
- One that enters and fails is reverted with its reason: nothing stays of it but the nonce.
- Fees are zero.

`signature_ok` is a function: the writer passes verdicts of admission, verification the real check.
Whether a key may do something is always looked up here or in the contracts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import msgspec

from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.native import Answer, Call, EntryPoint, NativeContract, SignatureCheck
from sequencer.chain.shipped_class import NATIVES, SHIPPED
from sequencer.exchange.state import Journal, State, Table
from sequencer.model.limits import CALLS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Contract, DeclaredClass
from sequencer.starknet.block import Event, Receipt
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import verify
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    L1Handler,
    LegacyTransaction,
    Transaction,
    transaction_hash,
)

CLASSES: Mapping[Felt, NativeContract] = {native.class_hash: native for native in NATIVES}
"""What each class hash is bound to."""

_SIGNATURE_FELTS = 2


def _unnoted(*_: object) -> None:
    return


class Environment(msgspec.Struct, frozen=True):
    """What a transaction is executed in, besides the state.

    `validates` is False for one that is only simulated without its signature, `exact_nonce` for one
    that may come later, behind others. `note` hears of each call: its selector, the call, and what
    it gave.
    """

    chain_id: Felt
    signature_ok: SignatureCheck
    validates: bool = True
    exact_nonce: bool = True
    note: Callable[[Felt, Call, Answer], None] = _unnoted


def execute(
    state: State,
    journal: Journal,
    transaction: Transaction,
    environment: Environment,
    known_hash: Felt | None = None,
) -> Receipt:
    """Execute one transaction. `known_hash` spares whoever has just worked out its hash another go.

    Refusals: CONTRACT_UNKNOWN, NONCE_INVALID, SIGNATURE_INVALID, CLASS_UNKNOWN, CLASS_DECLARED,
    COMPILED_CLASS_MISMATCH, ACCOUNT_EXISTS, TRANSACTION_UNSUPPORTED; for a message from the
    settlement chain, whatever its handler refuses with. The journal is then as it was.
    """
    hash_ = known_hash
    if hash_ is None:
        hash_ = transaction_hash(transaction, environment.chain_id)
    mark = journal.mark()
    try:
        match transaction:
            case InvokeV3():
                return _invoke(state, journal, transaction, hash_, environment)
            case DeployAccountV3():
                return _deploy(state, journal, transaction, hash_, environment)
            case DeclareV3():
                return _declare(state, journal, transaction, hash_, environment)
            case L1Handler():
                return _handle(state, journal, transaction, hash_, environment)
            case LegacyTransaction():
                words = f"{transaction.kind} of version {transaction.version}"
                raise Refused(Reason.TRANSACTION_UNSUPPORTED, words)
            case _ as unreachable:
                assert_never(unreachable)
    except Refused:
        journal.undo(mark)
        raise


def call_view(
    state: State, contract: Felt, selector: Felt, calldata: Sequence[Felt], chain_id: Felt
) -> Sequence[Felt]:
    """Run a call as nobody, and take back whatever it changed.

    Refusals: CONTRACT_UNKNOWN, ENTRY_POINT_UNKNOWN, and the entry point's own.
    """
    journal = Journal(state)
    call = Call(state, journal, contract, 0, calldata, 0, 0, chain_id, verify)
    try:
        return _entry_point(state, contract, selector).run(call).result
    finally:
        journal.undo()


def _invoke(
    state: State,
    journal: Journal,
    transaction: InvokeV3,
    hash_: Felt,
    environment: Environment,
) -> Receipt:
    sender = transaction.sender
    contract = _require_account(state, sender, transaction.terms.nonce, environment)
    _require_signature(contract.public_key, hash_, transaction.signature, environment)
    _use_nonce(journal, sender, contract, transaction.terms.nonce)
    mark = journal.mark()
    try:
        events: list[Event] = []
        for number, (address, selector, calldata) in enumerate(read_calls(transaction.calldata)):
            ok = environment.signature_ok
            data = (calldata, hash_, number, environment.chain_id, ok)
            call = Call(state, journal, address, sender, *data)
            answer = _entry_point(state, address, selector).run(call)
            environment.note(selector, call, answer)
            events += answer.events
    except Refused as refused:
        journal.undo(mark)
        return Receipt(hash_, 0, revert_reason=str(refused))
    return Receipt(hash_, 0, events)


def read_calls(calldata: Sequence[Felt]) -> list[tuple[Felt, Felt, Sequence[Felt]]]:
    """Read a multicall as Cairo 1 accounts encode it: count, then (to, selector, length, data).

    Refusal: CALLDATA_MALFORMED.
    """
    calls: list[tuple[Felt, Felt, Sequence[Felt]]] = []
    at = 1
    count = calldata[0] if calldata else 0
    for _ in range(min(count, CALLS_MAX)):
        if at + 3 > len(calldata) or at + 3 + calldata[at + 2] > len(calldata):
            raise Refused(Reason.CALLDATA_MALFORMED, "a call is cut short")
        end = at + 3 + calldata[at + 2]
        calls.append((calldata[at], calldata[at + 1], calldata[at + 3 : end]))
        at = end
    if not calldata or at != len(calldata) or count > CALLS_MAX:
        raise Refused(Reason.CALLDATA_MALFORMED, f"not 0 to {CALLS_MAX} calls")
    return calls


def _deploy(
    state: State,
    journal: Journal,
    transaction: DeployAccountV3,
    hash_: Felt,
    environment: Environment,
) -> Receipt:
    if transaction.class_hash != ACCOUNT.class_hash:
        raise Refused(Reason.CLASS_UNKNOWN, f"{transaction.class_hash:#x} is no account class")
    # Ahead of the address, which is a hash of all of it.
    fits = len(transaction.calldata) == 1
    address = transaction.address() if fits else 0
    if address in state.contracts:
        raise Refused(Reason.ACCOUNT_EXISTS, f"{address:#x} is deployed")
    if transaction.terms.nonce != 0 or not fits:
        raise Refused(Reason.NONCE_INVALID, "an account is deployed with nonce 0 and one key")
    public_key = transaction.calldata[0]
    _require_signature(public_key, hash_, transaction.signature, environment)
    journal.put(Table.CONTRACT, address, Contract(ACCOUNT.class_hash, 1, public_key))
    return Receipt(hash_, 0)


def _declare(
    state: State,
    journal: Journal,
    transaction: DeclareV3,
    hash_: Felt,
    environment: Environment,
) -> Receipt:
    contract = _require_account(state, transaction.sender, transaction.terms.nonce, environment)
    _require_signature(contract.public_key, hash_, transaction.signature, environment)
    shipped = SHIPPED.get(transaction.class_hash)
    if shipped is None:
        words = f"{transaction.class_hash:#x} is bound to no native contract"
        raise Refused(Reason.CLASS_UNKNOWN, words)
    if transaction.class_hash in state.classes:
        raise Refused(Reason.CLASS_DECLARED, f"{transaction.class_hash:#x} is declared")
    if transaction.compiled_class_hash != shipped.compiled_class_hash:
        words = f"compiled, that class has the hash {shipped.compiled_class_hash:#x}"
        raise Refused(Reason.COMPILED_CLASS_MISMATCH, words)
    _use_nonce(journal, transaction.sender, contract, transaction.terms.nonce)
    declared = DeclaredClass(transaction.compiled_class_hash)
    journal.put(Table.CLASS, transaction.class_hash, declared)
    return Receipt(hash_, 0)


def _handle(
    state: State,
    journal: Journal,
    message: L1Handler,
    hash_: Felt,
    environment: Environment,
) -> Receipt:
    native = _native(state, message.contract)
    handler = native.l1_handlers.get(message.selector)
    if handler is None:
        raise Refused(Reason.ENTRY_POINT_UNKNOWN, f"no L1 handler {message.selector:#x}")
    data = (message.calldata, hash_, 0, environment.chain_id, environment.signature_ok)
    call = Call(state, journal, message.contract, 0, *data)
    answer: Answer = handler.run(call)
    environment.note(message.selector, call, answer)
    return Receipt(hash_, 0, answer.events)


def _require_account(
    state: State, address: Felt, nonce: Felt, environment: Environment
) -> Contract:
    contract = state.contracts.get(address)
    if contract is None or contract.class_hash != ACCOUNT.class_hash:
        raise Refused(Reason.CONTRACT_UNKNOWN, f"{address:#x} is no account")
    fits = contract.nonce == nonce if environment.exact_nonce else contract.nonce <= nonce
    if not fits:
        words = f"{address:#x} is at nonce {contract.nonce}, not {nonce}"
        raise Refused(Reason.NONCE_INVALID, words)
    return contract


def _require_signature(
    public_key: Felt, hash_: Felt, signature: Sequence[Felt], environment: Environment
) -> None:
    if not environment.validates:
        return
    well_formed = len(signature) == _SIGNATURE_FELTS
    if not well_formed or not environment.signature_ok(public_key, hash_, *signature):
        raise Refused(Reason.SIGNATURE_INVALID, f"transaction {hash_:#x}")


def _use_nonce(journal: Journal, address: Felt, contract: Contract, nonce: Felt) -> None:
    used = Contract(contract.class_hash, nonce + 1, contract.public_key)
    journal.put(Table.CONTRACT, address, used)


def _native(state: State, address: Felt) -> NativeContract:
    contract = state.contracts.get(address)
    native = None if contract is None else CLASSES.get(contract.class_hash)
    if native is None:
        raise Refused(Reason.CONTRACT_UNKNOWN, f"no contract at {address:#x}")
    return native


def _entry_point(state: State, address: Felt, selector: Felt) -> EntryPoint:
    entry_point = _native(state, address).entry_points.get(selector)
    if entry_point is None:
        raise Refused(Reason.ENTRY_POINT_UNKNOWN, f"{address:#x} has no {selector:#x}")
    return entry_point
