"""Calls of the exchange as calldata: what an account signs, and what the operator's batch becomes.

Promises
- What is written here is what the executor and the exchange's contract read; both come from the
  same table of types.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from sequencer.chain.calldata import read_all
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import (
    COMPUTED,
    EXCHANGE,
    Signed,
    SignedReport,
    entry_point_of,
    snake_case,
)
from sequencer.chain.executor import read_calls
from sequencer.exchange.transition import HANDLERS
from sequencer.model.commands import Command, Deposit
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import InvokeV3

ContractCall: TypeAlias = tuple[Felt, Felt, Sequence[Felt]]
"""A contract's address, the selector of an entry point, and its calldata."""


COMMANDS: Mapping[str, type[Command]] = {
    kind.__name__: kind
    for kind in HANDLERS
    if kind is not Deposit and kind.__name__ not in COMPUTED
}
"""The commands by name whose fields are all in their calldata: nothing has to be computed."""


def write_calls(calls: Sequence[ContractCall]) -> tuple[Felt, ...]:
    """Write a multicall as Cairo 1 accounts encode it: count, then (to, selector, length, data)."""
    felts = [len(calls)]
    for address, entry_point, data in calls:
        felts += (address, entry_point, len(data), *data)
    return tuple(felts)


def exchange_call(entry_point: str, values: Mapping[str, Any]) -> ContractCall:
    """Return the call of one of the exchange's entry points with values by the names of inputs."""
    chosen = selector(entry_point)
    data: list[Felt] = []
    for name, kind in EXCHANGE.entry_points[chosen].inputs:
        kind.write(values[name], data)
    return EXCHANGE_ADDRESS, chosen, data


def exchange_calldata(transaction: InvokeV3, entry_point: Felt) -> Iterator[Sequence[Felt]]:
    """Yield the calldata of a transaction's calls of one of the exchange's entry points.

    There is none where the calls cannot be read: such a transaction is executed in vain.
    """
    if entry_point not in transaction.calldata:
        return
    try:
        calls = read_calls(transaction.calldata)
    except Refused:
        return
    for address, chosen, data in calls:
        if (address, chosen) == (EXCHANGE_ADDRESS, entry_point):
            yield data


def command_call(command: Command, reports: Sequence[SignedReport] = ()) -> ContractCall:
    """Return the call that sends a command, any but a deposit.

    `reports` are those of a tick, which are signed on their way to the chain.
    """
    kind = type(command)
    inputs = entry_point_of(kind).inputs
    values = {name: getattr(command, name) for name, _ in inputs if name != "reports"}
    return exchange_call(snake_case(kind.__name__), values | {"reports": reports})


def batch_calldata(items: Sequence[Signed]) -> tuple[Felt, ...]:
    """Return the calldata of the operator's account that carries signed orders and cancellations.

    At most CALLDATA_ITEMS_MAX of them: the contract refuses a longer batch.
    """
    return write_calls((exchange_call("execute_orders", {"items": items}),))


def require_exact(command: Command) -> None:
    """Refuse with CALLDATA_MALFORMED what would be another command once it is read back.

    Numbers outside their type wrap around the prime, and zeros in front of text are lost.
    """
    _, entry_point, data = command_call(command)
    values = read_all(EXCHANGE.entry_points[entry_point].inputs, data)
    for name, value in values.items():
        stated = getattr(command, name)
        if value != (tuple(stated) if isinstance(stated, list) else stated):
            raise Refused(Reason.CALLDATA_MALFORMED, f"{name} would become {shown(value)}")
