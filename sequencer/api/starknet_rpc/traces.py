"""Traces: what transactions did, call by call, as Starknet writes it.

Promises
- A trace is what the block did when it was executed again, compared with its stored receipts.
- Blocks have traces once they are on the disk: what is pre-confirmed answers 10 until then.

Laws
- Validation is a call of the account's, as other chains trace it; here it is a signature's check.
- Contracts call nobody: the calls of an account lie side by side.
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from sequencer.api.json_rpc import Method, Parameter, RpcError
from sequencer.api.starknet_rpc.errors import NO_TRACE, TRANSACTION_NOT_FOUND, starknet_error
from sequencer.api.starknet_rpc.resolve import resolve_sealed
from sequencer.api.starknet_rpc.values import (
    PRE_CONFIRMED,
    BlockId,
    read_block_id,
    read_felt,
    read_flags,
)
from sequencer.api.starknet_rpc.wire import (
    RECEIVED,
    Fields,
    encoded,
    invocation_fields,
    resource_fields,
    state_diff_fields,
    type_of,
)
from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.trace import Called, Traced
from sequencer.engine.lookup import find_place
from sequencer.engine.service import Service
from sequencer.engine.simulation import InitialReads
from sequencer.engine.state_reads import contract_at, slot_at
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Contract
from sequencer.ports import ChainView, StoreRefused
from sequencer.starknet.felt import Felt, encode_short_string, format_felt
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    L1Handler,
    Transaction,
)

RETURN_INITIAL_READS = "RETURN_INITIAL_READS"
"""The flag that asks for values from before the transactions."""

_EXECUTE, _CONSTRUCTOR = selector("__execute__"), selector("constructor")
_VALID = encode_short_string("VALID")
_KEY_DIGITS = frozenset("01234567")
# A state is loaded and a block executed again where nobody has asked for it lately.
_COST = 30


def trace_methods(service: Service) -> Sequence[Method]:
    """Return the methods that tell what transactions of the chain did."""
    hash_ = Parameter("transaction_hash", read_felt)
    block = Parameter("block_id", _read_sealed)
    flags = Parameter("trace_flags", read_flags(RETURN_INITIAL_READS), frozenset())
    one, many = partial(_trace_transaction, service), partial(_trace_block, service)
    return (
        Method("starknet_traceTransaction", (hash_,), one, cost=_COST),
        Method("starknet_traceBlockTransactions", (block, flags), many, cost=_COST),
    )


async def _trace_transaction(service: Service, _: object, transaction_hash: Felt) -> msgspec.Raw:
    with service.views.at_head() as view:
        place = find_place(view, transaction_hash)
        if place is None:
            raise _untraced(service, transaction_hash)
        try:
            traced = await service.traces(view, place.block)
        except StoreRefused:
            # The transaction is known; only what it was executed on is not kept any more.
            raise starknet_error(NO_TRACE) from None
    return await service.reader.run(lambda: encoded(trace_fields(traced[place.index])))


def _untraced(service: Service, transaction_hash: Felt) -> RpcError:
    pending = (receipt for closed in service.pending() for receipt in closed.receipts)
    waits = service.admission.find(transaction_hash) is not None
    if waits or any(receipt.transaction_hash == transaction_hash for receipt in pending):
        return starknet_error(NO_TRACE, {"status": RECEIVED})
    return starknet_error(TRANSACTION_NOT_FOUND)


async def _trace_block(
    service: Service, _: object, block_id: BlockId, trace_flags: frozenset[str]
) -> msgspec.Raw:
    with service.views.at_head() as view:
        record = resolve_sealed(service, view, block_id)
        traced = await service.traces(view, record)
        write = partial(_block_traces, view, record, traced)
        return await service.reader.run(partial(write, RETURN_INITIAL_READS in trace_flags))


def _block_traces(
    view: ChainView, record: BlockRecord, traced: Sequence[Traced], has_reads: bool
) -> msgspec.Raw:
    listed = [
        {
            "transaction_hash": format_felt(each.receipt.transaction_hash),
            "trace_root": trace_fields(each),
        }
        for each in traced
    ]
    if not has_reads:
        return encoded(listed)
    return encoded({"traces": listed, "initial_reads": reads_fields(_reads(view, record, traced))})


def _reads(view: ChainView, record: BlockRecord, traced: Sequence[Traced]) -> InitialReads:
    """Return what was there before a block, of all that it changed or called."""
    if record.height == 0:
        return InitialReads()
    parent = view.block_at(record.height - 1, record.parent_sequence)
    if parent is None:
        return InitialReads()
    state, keys = view.state_at(parent), dict[Felt, set[Felt]]()
    accounts, called = set[Felt](), set[Felt]()
    for each in traced:
        accounts.update(each.diff.nonces, each.diff.classes)
        called.update(call.contract for call in each.calls)
        for address, slots in each.diff.storage.items():
            keys.setdefault(address, set()).update(slots)
    contracts = {each: contract_at(state, each) or Contract(0) for each in accounts | called}
    return InitialReads(
        storage={
            address: {key: slot_at(state, address, key) for key in slots}
            for address, slots in keys.items()
        },
        nonces={each: contracts[each].nonce for each in accounts},
        classes={each: row.class_hash for each, row in contracts.items()},
        declared={class_hash: False for each in traced for class_hash in each.diff.declared},
    )


def _read_sealed(value: object) -> BlockId:
    block_id = read_block_id(value)
    if block_id.tag == PRE_CONFIRMED:
        raise Refused(Reason.PARAMETER_INVALID, "what is pre-confirmed has no traces yet")
    return block_id


def trace_fields(traced: Traced, *, validates: bool = True) -> Fields:
    """Write a trace; without the validation where it was skipped."""
    transaction, receipt = traced.transaction, traced.receipt
    fields: Fields = {
        "type": type_of(transaction),
        "execution_resources": resource_fields(receipt),
        "state_diff": state_diff_fields(traced.diff),
    }
    match transaction:
        case InvokeV3():
            fields["execute_invocation"] = _execution(transaction, traced)
        case DeployAccountV3():
            fields["constructor_invocation"] = _construction(transaction)
        case L1Handler():
            (handled,) = traced.calls
            fields["function_invocation"] = invocation_fields(handled, "L1_HANDLER")
    if validates and not isinstance(transaction, L1Handler):
        fields["validate_invocation"] = _validation(transaction)
    return fields


def reads_fields(reads: InitialReads) -> Fields:
    """Write values from before some transactions, sorted."""
    return {
        "storage": [
            {
                "contract_address": format_felt(address),
                "key": _key(key),
                "value": format_felt(slots[key]),
            }
            for address, slots in sorted(reads.storage.items())
            for key in sorted(slots)
        ],
        "nonces": [
            {"contract_address": format_felt(address), "nonce": format_felt(nonce)}
            for address, nonce in sorted(reads.nonces.items())
        ],
        "class_hashes": [
            {"contract_address": format_felt(address), "class_hash": format_felt(class_hash)}
            for address, class_hash in sorted(reads.classes.items())
        ],
        "declared_contracts": [
            {"class_hash": format_felt(class_hash), "is_declared": is_declared}
            for class_hash, is_declared in sorted(reads.declared.items())
        ],
    }


def _key(key: Felt) -> str:
    # Slots have 251 bits, which the specification writes as three bits before 62 digits.
    text = format_felt(key)
    return text if text[2] in _KEY_DIGITS else f"0x0{text[2:]}"


def _execution(transaction: InvokeV3, traced: Traced) -> Fields:
    if traced.receipt.revert_reason is not None:
        return {"revert_reason": traced.receipt.revert_reason}
    calls, order = [], 0
    result = [len(traced.calls)]
    for called in traced.calls:
        calls.append(invocation_fields(called, "EXTERNAL", order))
        order += len(called.events)
        result += (len(called.result), *called.result)
    outer = _of_account(transaction.sender, _EXECUTE, transaction.calldata, result)
    return invocation_fields(outer, "EXTERNAL") | {"calls": calls}


def _construction(transaction: DeployAccountV3) -> Fields:
    built = _of_account(transaction.address(), _CONSTRUCTOR, transaction.calldata, ())
    return invocation_fields(built, "CONSTRUCTOR")


def _validation(transaction: Transaction) -> Fields:
    match transaction:
        case InvokeV3(sender=account, calldata=calldata):
            name = "__validate__"
        case DeclareV3(sender=account, class_hash=class_hash):
            name, calldata = "__validate_declare__", (class_hash,)
        case DeployAccountV3(class_hash=class_hash, salt=salt):
            name, account = "__validate_deploy__", transaction.address()
            calldata = (class_hash, salt, *transaction.calldata)
        case _:
            raise TypeError("only what an account sends is validated")
    checked = _of_account(account, selector(name), calldata, (_VALID,))
    return invocation_fields(checked, "EXTERNAL")


def _of_account(
    account: Felt, entry_point: Felt, calldata: Sequence[Felt], result: Sequence[Felt]
) -> Called:
    return Called(account, entry_point, 0, ACCOUNT.class_hash, calldata, result, ())
