"""Execution outside the chain: calls, estimates, simulations.

Promises
- Everything is executed for real, on the state of the block that is named, and taken back.
- An estimate on pre-confirmed state waits a moment until what its account sent before has been
  executed: it is told what the transaction will meet.

Laws
- Fees and gas are zero, at the price of one that every header names.
- A law that breaks here is an answer. Only where the writer breaks one does the chain stop.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

import msgspec

from sequencer.api.json_rpc import Method, Parameter, RpcError
from sequencer.api.starknet_rpc.broadcast import Broadcast, read_broadcasts
from sequencer.api.starknet_rpc.errors import (
    CONTRACT_ERROR,
    CONTRACT_NOT_FOUND,
    execution_error,
    from_refused,
    starknet_error,
)
from sequencer.api.starknet_rpc.queued import Queued
from sequencer.api.starknet_rpc.resolve import resolve
from sequencer.api.starknet_rpc.signatures import first_forged
from sequencer.api.starknet_rpc.traces import RETURN_INITIAL_READS, reads_fields, trace_fields
from sequencer.api.starknet_rpc.values import (
    BLOCK_ID,
    PRE_CONFIRMED,
    SKIP_FEE_CHARGE,
    SKIP_VALIDATE,
    BlockId,
    read_address,
    read_felt,
    read_felts,
    read_flags,
    read_object,
)
from sequencer.api.starknet_rpc.wire import Fields, encoded, fee_fields, felts
from sequencer.chain.executor import call_view
from sequencer.engine.service import Service
from sequencer.engine.simulation import Simulated, SimulatedTransaction, SimulationFailed, simulate
from sequencer.model.laws import LawBroken
from sequencer.model.limits import TRANSACTION_FELTS_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import Felt
from sequencer.starknet.transactions import L1Handler

_T = TypeVar("_T")

_Call: TypeAlias = tuple[Felt, Felt, Sequence[Felt]]

_ETHEREUM_BITS = 160
_COST_CALL, _COST_MESSAGE, _COST_SIMULATION = 2, 20, 50


def execution_methods(service: Service) -> Sequence[Method]:
    """Return the methods that execute and leave nothing behind."""
    queued = Queued(service)
    call = (Parameter("request", _read_call), BLOCK_ID)
    message = (Parameter("message", _read_message), BLOCK_ID)
    flags = Parameter("simulation_flags", read_flags(SKIP_VALIDATE))
    estimated = (Parameter("request", read_broadcasts), flags, BLOCK_ID)
    run = partial(_estimate_fee, service, queued)
    return (
        Method("starknet_call", call, partial(_call, service), cost=_COST_CALL),
        Method("starknet_estimateFee", estimated, run, is_large=True, cost=_COST_SIMULATION),
        Method(
            "starknet_estimateMessageFee",
            message,
            partial(_estimate_message_fee, service),
            is_large=True,
            cost=_COST_MESSAGE,
        ),
        _simulation(service, queued),
    )


def _simulation(service: Service, queued: Queued) -> Method:
    allowed = read_flags(SKIP_VALIDATE, SKIP_FEE_CHARGE, RETURN_INITIAL_READS)
    parameters = (
        BLOCK_ID,
        Parameter("transactions", read_broadcasts),
        Parameter("simulation_flags", allowed),
        # Where other clients send the last of the flags.
        Parameter("trace_flags", read_flags(RETURN_INITIAL_READS), frozenset()),
    )
    run = partial(_simulate_transactions, service, queued)
    name = "starknet_simulateTransactions"
    return Method(name, parameters, run, is_large=True, cost=_COST_SIMULATION)


async def _call(service: Service, _: object, request: _Call, block_id: BlockId) -> list[str]:
    return await _on_state(service, block_id, partial(_called, request))


def _called(request: _Call, state: Any) -> list[str]:  # noqa: ANN401
    try:
        return felts(call_view(state, *request, state.system.chain_id))
    except LawBroken as broken:
        raise _contract_error(f"{Reason.GUARD_STOPPED}: {broken}") from None
    except Refused as refused:
        if refused.reason in (Reason.CONTRACT_UNKNOWN, Reason.ENTRY_POINT_UNKNOWN):
            raise from_refused(refused) from None
        raise _contract_error(str(refused)) from None


async def _estimate_fee(
    service: Service,
    queued: Queued,
    _: object,
    request: Sequence[Broadcast],
    simulation_flags: frozenset[str],
    block_id: BlockId,
) -> list[Fields]:
    try:
        done = await _simulated(service, queued, request, simulation_flags, block_id)
    except SimulationFailed as failed:
        if failed.reason is Reason.CONTRACT_UNKNOWN:
            raise starknet_error(CONTRACT_NOT_FOUND, str(failed)) from None
        raise execution_error(failed.index, f"{failed.reason}: {failed.detail}") from None
    for index, traced in enumerate(done.traced):
        if traced.receipt.revert_reason is not None:
            raise execution_error(index, traced.receipt.revert_reason)
    return [fee_fields("FRI") for _ in done.traced]


async def _estimate_message_fee(
    service: Service, _: object, message: L1Handler, block_id: BlockId
) -> Fields:
    simulated = await _hashed(service, [SimulatedTransaction(message)])
    now_ms = service.clock.now_ms
    try:
        await _on_state(service, block_id, lambda state: simulate(state, simulated, now_ms))
    except SimulationFailed as failed:
        if failed.reason is Reason.CONTRACT_UNKNOWN:
            raise starknet_error(CONTRACT_NOT_FOUND, failed.detail) from None
        raise _contract_error(f"{failed.reason}: {failed.detail}") from None
    return fee_fields("WEI")


async def _simulate_transactions(
    service: Service,
    queued: Queued,
    _: object,
    block_id: BlockId,
    transactions: Sequence[Broadcast],
    simulation_flags: frozenset[str],
    trace_flags: frozenset[str],
) -> msgspec.Raw:
    try:
        done = await _simulated(service, queued, transactions, simulation_flags, block_id)
    except SimulationFailed as failed:
        raise execution_error(failed.index, f"{failed.reason}: {failed.detail}") from None
    flags = simulation_flags | trace_flags
    return await service.reader.run(partial(_written, done, flags))


def _written(done: Simulated, flags: frozenset[str]) -> msgspec.Raw:
    """Write down what transactions did, in the reader's thread: it may be megabytes."""
    validates = SKIP_VALIDATE not in flags
    listed = [
        {
            "transaction_trace": trace_fields(traced, validates=validates),
            "fee_estimation": fee_fields("FRI"),
        }
        for traced in done.traced
    ]
    if RETURN_INITIAL_READS not in flags:
        return encoded(listed)
    return encoded({"simulated_transactions": listed, "initial_reads": reads_fields(done.reads)})


async def _simulated(
    service: Service,
    queued: Queued,
    sent: Sequence[Broadcast],
    flags: frozenset[str],
    block_id: BlockId,
) -> Simulated:
    if block_id.tag == PRE_CONFIRMED:
        await queued.executed(sent)
    given = [SimulatedTransaction(each.transaction, each.is_query) for each in sent]
    hashed = await _hashed(service, given)
    forged = None if SKIP_VALIDATE in flags else await first_forged(service, hashed)
    # What is wrong with one ahead of it, or else with itself, counts for more than its signature.
    transactions = hashed if forged is None else hashed[: forged + 1]
    now_ms = service.clock.now_ms
    work = partial(simulate, transactions=transactions, now_ms=now_ms, validates=False)
    done = await _on_state(service, block_id, work)
    if forged is not None:
        words = "not signed by the account's key"
        raise SimulationFailed(forged, Refused(Reason.SIGNATURE_INVALID, words))
    return done


async def _hashed(
    service: Service, given: Sequence[SimulatedTransaction]
) -> Sequence[SimulatedTransaction]:
    # Away from the event loop: the hash of much calldata takes longer than all of its calls.
    chain_id = service.newest.system.chain_id
    return await service.reader.run(lambda: [each.with_hash(chain_id) for each in given])


async def _on_state(service: Service, block_id: BlockId, work: Callable[[Any], _T]) -> _T:
    # Nothing waits between finding the state and the end of the work: it is shared.
    with service.views.at_head() as view:
        record = resolve(service, view, block_id)
        return work(service.newest if record is None else await service.state_at(view, record))


def _contract_error(words: str) -> RpcError:
    return starknet_error(CONTRACT_ERROR, {"revert_error": words})


def _read_call(value: object) -> _Call:
    given = read_object(value, ("contract_address", "entry_point_selector", "calldata"), ())
    selector = read_felt(given["entry_point_selector"])
    return read_address(given["contract_address"]), selector, _read_few(given["calldata"])


def _read_message(value: object) -> L1Handler:
    names = ("from_address", "to_address", "entry_point_selector", "payload")
    given = read_object(value, names, ())
    sender = read_felt(given["from_address"])
    if sender >> _ETHEREUM_BITS:
        words = f"no Ethereum address: {shown(given['from_address'])}"
        raise Refused(Reason.FELT_OUT_OF_RANGE, words)
    return L1Handler(
        contract=read_address(given["to_address"]),
        selector=read_felt(given["entry_point_selector"]),
        calldata=(sender, *_read_few(given["payload"])),
        nonce=0,
    )


def _read_few(value: object) -> Sequence[Felt]:
    if isinstance(value, list) and len(value) > TRANSACTION_FELTS_MAX:
        words = f"{len(value)} felts, {TRANSACTION_FELTS_MAX} allowed"
        raise Refused(Reason.TRANSACTION_TOO_LARGE, words)
    return read_felts(value)
