"""Transactions that are only tried out: estimates and simulations, executed and taken back.

Laws
- Fees and gas are 0, at the price of 1 that every header names.
"""

from collections.abc import Callable, Sequence
from functools import partial

from devnet.embedded.chain import Chain
from devnet.embedded.classes import Classes
from devnet.embedded.execution import Outcome, execute
from devnet.embedded.reading import state_of
from devnet.embedded.state import CLASS, Overlay, diff_of
from sequencer.api.json_rpc import Method, Parameter, RpcError
from sequencer.api.starknet_rpc.broadcast import Broadcast, OfAccount
from sequencer.api.starknet_rpc.errors import execution_error
from sequencer.api.starknet_rpc.values import (
    BLOCK_ID,
    SKIP_FEE_CHARGE,
    SKIP_VALIDATE,
    BlockId,
    read_flags,
    read_list,
)
from sequencer.api.starknet_rpc.wire import (
    Fields,
    fee_fields,
    invocation_fields,
    state_diff_fields,
    type_of,
)
from sequencer.chain.trace import Called
from sequencer.model.api_limits import SIMULATION_TRANSACTIONS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import DeployAccountV3, InvokeV3

_NO_GAS = {"l1_gas": 0, "l1_data_gas": 0, "l2_gas": 0}
_EXECUTE, _CONSTRUCTOR = selector("__execute__"), selector("constructor")


def trying_methods(chain: Chain, classes: Classes) -> Sequence[Method]:
    """Return the methods that leave nothing behind."""
    read = partial(_read_broadcasts, classes)
    flags = Parameter("simulation_flags", read_flags(SKIP_VALIDATE, SKIP_FEE_CHARGE), frozenset())
    estimate = (Parameter("request", read), flags, BLOCK_ID)
    simulate = (BLOCK_ID, Parameter("transactions", read), flags)
    estimated, simulated = partial(_estimate, chain), partial(_simulate, chain)
    return (
        Method("starknet_estimateFee", estimate, estimated, is_large=True),
        Method("starknet_simulateTransactions", simulate, simulated, is_large=True),
    )


def _read_broadcasts(classes: Classes, value: object) -> Sequence[Broadcast]:
    read = read_list(classes.read_broadcast)(value)
    if len(read) > SIMULATION_TRANSACTIONS_MAX:
        words = f"{len(read)} transactions, {SIMULATION_TRANSACTIONS_MAX} allowed"
        raise Refused(Reason.PARAMETER_INVALID, words)
    return read


async def _estimate(
    chain: Chain,
    _: object,
    request: Sequence[Broadcast],
    simulation_flags: frozenset[str],
    block_id: BlockId,
) -> list[Fields]:
    tried = _tried(chain, request, simulation_flags, block_id)
    for index, outcome in enumerate(tried):
        if outcome.receipt.revert_reason is not None:
            raise execution_error(index, outcome.receipt.revert_reason)
    return [fee_fields("FRI") for _ in tried]


async def _simulate(
    chain: Chain,
    _: object,
    block_id: BlockId,
    transactions: Sequence[Broadcast],
    simulation_flags: frozenset[str],
) -> list[Fields]:
    state = state_of(chain, block_id)
    tried = _tried(chain, transactions, simulation_flags, block_id)
    return [
        {
            "transaction_trace": _trace(
                broadcast.transaction, outcome, lambda place: state.get((CLASS, place, 0))
            ),
            "fee_estimation": fee_fields("FRI"),
        }
        for broadcast, outcome in zip(transactions, tried, strict=True)
    ]


def _tried(
    chain: Chain, sent: Sequence[Broadcast], flags: frozenset[str], block_id: BlockId
) -> Sequence[Outcome]:
    overlay = Overlay(state_of(chain, block_id))
    around = chain.around(chain.next_time())
    outcomes = []
    for index, each in enumerate(sent):
        try:
            hash_ = chain.hash_of(each.transaction, is_query=each.is_query)
            validates = SKIP_VALIDATE not in flags
            done = execute(overlay, around, each.transaction, hash_, validates=validates)
        except RpcError as error:
            raise execution_error(index, f"{error.message}: {error.data}") from None
        except Refused as refused:
            raise execution_error(index, str(refused)) from None
        for place, value in done.changes.items():
            overlay.put(place, value)
        outcomes.append(done)
    return outcomes


def _trace(transaction: OfAccount, outcome: Outcome, class_of: Callable[[Felt], Felt]) -> Fields:
    """Write what a transaction did, in one call: those within it are not told apart."""
    trace: Fields = {
        "type": type_of(transaction),
        "state_diff": state_diff_fields(diff_of(outcome.changes)),
        "execution_resources": _NO_GAS,
    }
    reason, events = outcome.receipt.revert_reason, outcome.receipt.events
    if isinstance(transaction, DeployAccountV3):
        place = (transaction.address(), _CONSTRUCTOR, 0, transaction.class_hash)
        called = Called(*place, transaction.calldata, (), events)
        trace["constructor_invocation"] = invocation_fields(called, "CONSTRUCTOR")
    elif isinstance(transaction, InvokeV3) and reason is not None:
        trace["execute_invocation"] = {"revert_reason": reason}
    elif isinstance(transaction, InvokeV3):
        place = (transaction.sender, _EXECUTE, 0, class_of(transaction.sender))
        called = Called(*place, transaction.calldata, (), events)
        trace["execute_invocation"] = invocation_fields(called, "EXTERNAL")
    return trace
