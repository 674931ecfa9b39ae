"""Classes: those that come with the node, as clients get them.

Promises
- Every class that a contract of this chain has is served, in both forms, at every block: genesis
  deploys one contract of each.
"""

from collections.abc import Sequence
from functools import partial

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.starknet_rpc.errors import CLASS_NOT_FOUND, starknet_error
from sequencer.api.starknet_rpc.resolve import resolve
from sequencer.api.starknet_rpc.state import CONTRACT_ADDRESS, require_contract
from sequencer.api.starknet_rpc.values import BLOCK_ID, BlockId, read_felt
from sequencer.api.starknet_rpc.wire import Fields
from sequencer.chain.shipped_class import SHIPPED, ShippedClass, casm_fields, class_fields
from sequencer.engine.service import Service
from sequencer.starknet.felt import Felt

_CLASS_HASH = Parameter("class_hash", read_felt)


def class_methods(service: Service) -> Sequence[Method]:
    """Return the methods about classes."""
    at = (BLOCK_ID, CONTRACT_ADDRESS)
    return [
        Method("starknet_getClass", (BLOCK_ID, _CLASS_HASH), partial(_class, service)),
        Method("starknet_getClassAt", at, partial(_class_at, service)),
        Method("starknet_getCompiledCasm", (_CLASS_HASH,), _compiled_casm),
    ]


async def _class(service: Service, _: object, block_id: BlockId, class_hash: Felt) -> Fields:
    resolve(service, service.views.view, block_id)
    return class_fields(_require_shipped(class_hash).sierra)


async def _class_at(
    service: Service, _: object, block_id: BlockId, contract_address: Felt
) -> Fields:
    contract = require_contract(service, block_id, contract_address)
    return class_fields(_require_shipped(contract.class_hash).sierra)


async def _compiled_casm(_: object, class_hash: Felt) -> Fields:
    return casm_fields(_require_shipped(class_hash).casm)


def _require_shipped(class_hash: Felt) -> ShippedClass:
    shipped = SHIPPED.get(class_hash)
    if shipped is None:
        raise starknet_error(CLASS_NOT_FOUND)
    return shipped
