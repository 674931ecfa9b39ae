"""All methods of Starknet's JSON-RPC that are answered over HTTP and WebSocket alike.

Laws
- Whatever a method refuses with, or the store cannot give, becomes an error here and nowhere else.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from sequencer.api.json_rpc import Method, limit_exceeded
from sequencer.api.starknet_rpc.blocks import block_methods
from sequencer.api.starknet_rpc.classes import class_methods
from sequencer.api.starknet_rpc.errors import (
    BLOCK_NOT_FOUND,
    UNEXPECTED,
    from_refused,
    starknet_error,
)
from sequencer.api.starknet_rpc.events import event_methods
from sequencer.api.starknet_rpc.execution import execution_methods
from sequencer.api.starknet_rpc.proofs import proof_methods
from sequencer.api.starknet_rpc.state import state_methods
from sequencer.api.starknet_rpc.traces import trace_methods
from sequencer.api.starknet_rpc.transactions import transaction_methods
from sequencer.api.starknet_rpc.writes import write_methods
from sequencer.engine.service import Service
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreError, StoreRefused

_FAMILIES = (
    block_methods,
    transaction_methods,
    state_methods,
    class_methods,
    event_methods,
    proof_methods,
    execution_methods,
    trace_methods,
    write_methods,
)


def starknet_methods(service: Service) -> dict[str, Method]:
    """Return the methods by name."""
    methods = [method for family in _FAMILIES for method in family(service)]
    return {method.name: _guarded(method) for method in methods}


def _guarded(method: Method) -> Method:
    return msgspec.structs.replace(method, run=_answering(method.run))


def _answering(run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def answer(caller: object, **values: object) -> object:
        try:
            return await run(caller, **values)
        except Refused as refused:
            if refused.reason is Reason.BUSY:
                raise limit_exceeded(refused.reason, refused.detail) from None
            raise from_refused(refused) from None
        except StoreRefused as refused:
            # A state that is pruned or collected: the block is there, its state is not.
            raise starknet_error(BLOCK_NOT_FOUND, str(refused)) from None
        except StoreError as error:
            raise starknet_error(UNEXPECTED, str(error)) from None

    return answer
