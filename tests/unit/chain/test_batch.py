"""Cancellations in the operator's batch: who may sign one, and that each stands or falls alone."""

from collections.abc import Sequence

import pytest

from sequencer.chain.calldata import read_all, struct_type
from sequencer.chain.calls import batch_calldata, write_calls
from sequencer.chain.exchange_contract import Signed
from sequencer.model import events
from sequencer.model.events import CancelRefused, CloseReason, Event, OrderClosed
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason
from sequencer.model.units import ONE
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector
from tests.unit.chain.network import MARKET, PRIVATE, Network, address_of, exchange_call, key_of

KINDS = {selector(kind.__name__): kind for kind in events.Event.__subclasses__()}


def announced(receipt: Receipt) -> list[Event]:
    """Read the exchange's events back from what a client is given."""
    assert receipt.revert_reason is None
    return [
        read_all((("event", struct_type(KINDS[event.keys[0]])),), event.data)["event"]
        for event in receipt.events
    ]


def send(network: Network, *items: Signed) -> list[Event]:
    return announced(network.receipt("op", exchange_call("execute_orders", items=items)))


def with_orders(count: int) -> tuple[Network, Sequence[Felt]]:
    """Return an open exchange with bids of alice, and their ids."""
    network = Network()
    network.open()
    bids = [network.order("alice", Side.BUY, 59_000, client_id) for client_id in range(count)]
    send(network, *(network.signed("alice", bid) for bid in bids))
    return network, tuple(network.state.orders)


def closed(order_id: Felt) -> OrderClosed:
    return OrderClosed(order_id, address_of("alice"), MARKET, ONE // 10, CloseReason.USER)


def refused(order_id: Felt, name: str, reason: Reason) -> CancelRefused:
    return CancelRefused(order_id, address_of(name), reason.value)


def test_a_signed_cancellation_closes_its_order_once() -> None:
    network, (first, second) = with_orders(2)
    cancel = network.cancel("alice", first)
    again = refused(first, "alice", Reason.ORDER_UNKNOWN)
    assert send(network, cancel, cancel) == [closed(first), again]
    assert send(network, cancel) == [again]
    assert list(network.state.orders) == [second]


def test_each_item_stands_or_falls_alone_and_in_its_place() -> None:
    network, (first, second) = with_orders(2)
    order = network.signed("bob", network.order("bob", Side.BUY, 58_000))
    forged = network.cancel("alice", first, signer="bob")
    foreign = network.cancel("bob", first, account=address_of("alice"))
    stranger = network.cancel("bob", second)
    done = send(network, forged, network.cancel("alice", second), foreign, order, stranger)
    assert done[:3] == [
        refused(first, "alice", Reason.SIGNATURE_INVALID),
        closed(second),
        refused(first, "bob", Reason.NOT_AUTHORIZED),
    ]
    assert done[4:] == [refused(second, "bob", Reason.ORDER_UNKNOWN)]
    assert len(network.state.orders) == 2
    assert first in network.state.orders


def test_an_order_and_its_cancellation_go_in_one_batch() -> None:
    network, _ = with_orders(0)
    signed = network.signed("alice", network.order("alice", Side.BUY, 59_000))
    send(network, signed)
    (order_id,) = network.state.orders
    later = network.signed("alice", network.order("alice", Side.BUY, 59_000, 1))
    done = send(network, network.cancel("alice", order_id), later)
    assert done[0] == closed(order_id)
    assert len(network.state.orders) == 1
    # The id is used up: the cancellation that is still out there can never meet the order again.
    assert isinstance(send(network, signed)[0], events.OrderRefused)


def test_a_subkey_cancels_until_it_is_revoked() -> None:
    network, (first, second) = with_orders(2)
    alice, subkey = address_of("alice"), key_of(PRIVATE["bob"])

    def cancel(order_id: Felt) -> list[Event]:
        return send(network, network.cancel("alice", order_id, signer="bob", key=subkey))

    assert cancel(first) == [refused(first, "alice", Reason.NOT_AUTHORIZED)]
    network.receipt("alice", exchange_call("add_subkey", account=alice, key=subkey))
    assert cancel(first) == [closed(first)]
    network.receipt("alice", exchange_call("revoke_subkey", account=alice, key=subkey))
    assert cancel(second) == [refused(second, "alice", Reason.NOT_AUTHORIZED)]


def test_a_signature_for_one_order_or_chain_cancels_no_other() -> None:
    network, (first, second) = with_orders(2)
    for changes in ({"order_id": second}, {"signer": address_of("bob")}, {"account": 5}):
        cancel = network.cancel("alice", first)
        fields = {name: getattr(cancel, name) for name in cancel.__struct_fields__} | changes
        (event,) = send(network, type(cancel)(**fields))
        assert isinstance(event, CancelRefused)
        assert event.reason == Reason.SIGNATURE_INVALID.value


@pytest.mark.parametrize("signer", ["nobody", "exchange"])
def test_an_account_without_a_key_signs_nothing(signer: str) -> None:
    network, (first,) = with_orders(1)
    contract = {"nobody": 0x123, "exchange": exchange_call("get_markets")[0]}[signer]
    cancel = network.cancel("alice", first)
    fields = {name: getattr(cancel, name) for name in cancel.__struct_fields__}
    (event,) = send(network, type(cancel)(**fields | {"signer": contract}))
    assert event == CancelRefused(first, contract, Reason.SIGNATURE_INVALID.value)


def test_only_the_operator_carries_a_batch() -> None:
    network, (first,) = with_orders(1)
    call = exchange_call("execute_orders", items=[network.cancel("alice", first)])
    receipt = network.receipt("alice", call)
    assert str(receipt.revert_reason).startswith("NOT_OPERATOR")
    assert batch_calldata([network.cancel("alice", first)]) == write_calls([call])
