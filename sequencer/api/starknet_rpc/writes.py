"""Transactions into the chain: starknet_addInvokeTransaction and its sisters.

Promises
- The answer comes at admission: the signature is verified, the nonce is the next one, and the
  transaction waits for a block. It is not durable yet.
- What is refused has one of the specification's numbers, with the stable code in its data.

Laws
- Nobody waits for a block here.
"""

from collections.abc import Callable, Sequence

from sequencer.api.json_rpc import Method, Parameter, RpcError
from sequencer.api.starknet_rpc.broadcast import (
    Broadcast,
    OfAccount,
    read_declare,
    read_deploy_account,
    read_invoke,
)
from sequencer.api.starknet_rpc.errors import (
    NOT_AN_ACCOUNT,
    VALIDATION_FAILURE,
    VERSION_UNSUPPORTED,
    from_refused,
    starknet_error,
)
from sequencer.api.starknet_rpc.wire import Fields, sent_fields
from sequencer.chain.account_contract import ACCOUNT
from sequencer.engine.service import Service
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import format_felt
from sequencer.starknet.transactions import DeclareV3, DeployAccountV3

_KINDS: Sequence[tuple[str, str, Callable[[object], Broadcast]]] = (
    ("starknet_addInvokeTransaction", "invoke_transaction", read_invoke),
    ("starknet_addDeclareTransaction", "declare_transaction", read_declare),
    ("starknet_addDeployAccountTransaction", "deploy_account_transaction", read_deploy_account),
)
# A signature is a millisecond and more, valid or not.
_COST = 3


def write_methods(service: Service) -> Sequence[Method]:
    """Return the methods that send transactions."""
    return [_method(service, *kind) for kind in _KINDS]


def _method(
    service: Service, method: str, parameter: str, read: Callable[[object], Broadcast]
) -> Method:
    async def run(_: object, **given: Broadcast) -> Fields:
        return await _send(service, given[parameter])

    return Method(method, (Parameter(parameter, read),), run, is_large=True, cost=_COST)


async def _send(service: Service, broadcast: Broadcast) -> Fields:
    transaction = broadcast.transaction
    if broadcast.is_query:
        raise starknet_error(VERSION_UNSUPPORTED, "a query can only be estimated or simulated")
    try:
        _require_undeclared(service, transaction)
        admission = service.admission
        item = admission.transaction(transaction)
        await admission.accepted(item)
    except Refused as refused:
        raise _error(service, transaction, refused) from None
    return sent_fields(transaction, item.hash)


def _require_undeclared(service: Service, transaction: OfAccount) -> None:
    # The chain decides; but whoever sends it hears no more of it once it is admitted.
    if isinstance(transaction, DeclareV3) and transaction.class_hash in service.newest.classes:
        words = f"{format_felt(transaction.class_hash)} is declared"
        raise Refused(Reason.CLASS_DECLARED, words)


def _error(service: Service, transaction: OfAccount, refused: Refused) -> RpcError:
    match refused.reason, transaction:
        case Reason.CONTRACT_UNKNOWN, _:
            there = getattr(transaction, "sender", 0) in service.newest.contracts
            return starknet_error(NOT_AN_ACCOUNT if there else VALIDATION_FAILURE, str(refused))
        case Reason.CLASS_UNKNOWN, DeployAccountV3(class_hash=ACCOUNT.class_hash):
            # Its class is known: what does not fit are the arguments of its constructor.
            return starknet_error(VALIDATION_FAILURE, str(refused))
    return from_refused(refused)
