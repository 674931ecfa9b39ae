"""Placing, modifying and cancelling orders: what a trader signed goes in, what became of it out."""

from collections.abc import Sequence

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.perp_rpc.family import write
from sequencer.api.perp_rpc.values import read_order, read_signature
from sequencer.api.perp_rpc.wire import Fields, outcome_fields
from sequencer.api.starknet_rpc.values import read_address, read_felt
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder
from sequencer.engine.items import Applied, Item
from sequencer.engine.outcomes import outcome_of
from sequencer.engine.service import Service
from sequencer.model.orders import Order
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import Felt, format_felt

_ORDER = Parameter("order", read_order)
_SIGNATURE = Parameter("signature", read_signature)
# 0 stands for the order's own account, and for the account's own key.
_SIGNER = Parameter("signer", read_address, 0)
_KEY = Parameter("key", read_felt, 0)
_SIGNED_ORDER = (_ORDER, _SIGNATURE, _SIGNER, _KEY)
_SIGNED_CANCEL = (
    Parameter("account", read_address),
    Parameter("order_id", read_felt),
    _SIGNATURE,
    _SIGNER,
    _KEY,
)


def trading_methods(service: Service) -> Sequence[Method]:
    """Return the methods that write."""

    def place(order: Order, signature: tuple[Felt, Felt], signer: Felt, key: Felt) -> Item:
        if order.replaces:
            words = f"an order that replaces {shown(order.replaces)} goes to perp_modifyOrder"
            raise Refused(Reason.PARAMETER_INVALID, words)
        return _send(service, order, signature, signer, key)

    def modify(order: Order, signature: tuple[Felt, Felt], signer: Felt, key: Felt) -> Item:
        if not order.replaces:
            words = "an order that replaces none goes to perp_placeOrder"
            raise Refused(Reason.PARAMETER_INVALID, words)
        return _send(service, order, signature, signer, key)

    def cancel(
        account: Felt, order_id: Felt, signature: tuple[Felt, Felt], signer: Felt, key: Felt
    ) -> Item:
        signed = SignedCancel(account, order_id, signer or account, key, *signature)
        return service.admission.cancel(signed)

    return (
        write(service, "placeOrder", _SIGNED_ORDER, place, _placed),
        write(service, "modifyOrder", _SIGNED_ORDER, modify, _placed),
        write(service, "cancelOrder", _SIGNED_CANCEL, cancel, _cancelled),
    )


def _send(
    service: Service, order: Order, signature: tuple[Felt, Felt], signer: Felt, key: Felt
) -> Item:
    return service.admission.order(SignedOrder(order, signer or order.account, key, *signature))


def _placed(item: Item, applied: Applied) -> Fields:
    outcome = outcome_of(applied.receipt, item.hash)
    return {"order_id": format_felt(item.hash), **outcome_fields(outcome)}


def _cancelled(item: Item, applied: Applied) -> Fields:
    if not isinstance(item.payload, SignedCancel):
        raise TypeError("a cancellation is answered for a cancellation")
    order_id = item.payload.order_id
    told = outcome_fields(outcome_of(applied.receipt, order_id))
    return {"order_id": format_felt(order_id), **told}
