"""The ABIs load in starknet-py, and it encodes calls as this chain reads them."""

from functools import cache
from typing import Any

import msgspec
import pytest
from starknet_py.abi.v2.parser import AbiParser
from starknet_py.serialization.factory import serializer_for_function_v1

from sequencer.chain.calldata import cairo_type, read_all, struct_type
from sequencer.chain.exchange_contract import EXCHANGE, SignedOrder
from sequencer.chain.executor import NATIVES
from sequencer.chain.native import NativeContract, make_abi
from sequencer.model import events
from sequencer.model.commands import FaultKind, OrderPolicy, RevokeSubkey, SetGuard
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Mode, ModeCause
from sequencer.starknet.felt import FELT_PRIME, encode_short_string
from tests.unit.chain.network import Network, address_of, exchange_call


@cache
def exchange_functions() -> dict[str, Any]:
    return functions_of(EXCHANGE)


def functions_of(contract: NativeContract) -> dict[str, Any]:
    interface = f"perpchain::I{contract.name}"
    parsed = AbiParser(make_abi(interface, contract)).parse()
    return dict(parsed.interfaces[interface].items)


@pytest.mark.parametrize("contract", NATIVES, ids=lambda contract: contract.name)
def test_every_abi_loads(contract: NativeContract) -> None:
    functions = functions_of(contract)
    assert set(functions) == {entry.name for entry in contract.entry_points.values()}


def plain(value: Any) -> Any:  # noqa: ANN401
    """Turn our values into what starknet-py takes: words as felts, structs as dictionaries."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return encode_short_string(value) if isinstance(value, str) else value


CALLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("cancel_all", {"account": 5, "market": "BTC-USD-PERP"}, {}),
    ("set_guard", {"guard": Guard.HEALTH, "on": True}, {}),
    (
        "set_mode",
        {"mode": Mode.OPEN, "reason": "r" * 70, "accept": 3, "cause": ModeCause.OPERATOR},
        {"reason": "r" * 70},
    ),
    ("fault", {"kind": FaultKind.CASH_MINTED, "market": "", "account": 1, "amount": -5}, {}),
    (
        "reopen",
        {
            "reorg_id": 1,
            "policy": OrderPolicy.KEEP,
            "security": (RevokeSubkey(1, 2), SetGuard(Guard.QUORUM, False)),
        },
        {
            "security": [
                {"RevokeSubkey": {"account": 1, "key": 2}},
                {"SetGuard": {"guard": encode_short_string("QUORUM"), "on": False}},
            ]
        },
    ),
]


# starknet-py warns of the way in which it writes a ByteArray itself.
@pytest.mark.filterwarnings("ignore:Serializing shortstrings")
@pytest.mark.parametrize(("name", "values", "theirs"), CALLS, ids=[call[0] for call in CALLS])
def test_calls_are_encoded_alike(name: str, values: dict[str, Any], theirs: dict[str, Any]) -> None:
    ours = list(exchange_call(name, **values)[2])
    arguments = {key: plain(value) for key, value in values.items() if key not in theirs} | theirs
    serializer = serializer_for_function_v1(exchange_functions()[name])
    assert serializer.serialize(**arguments) == ours


def test_an_order_is_encoded_alike() -> None:
    order = Network().order("alice", Side.SELL, 60_010, 7)
    ours = list(exchange_call("place_order", order=order)[2])
    serializer = serializer_for_function_v1(exchange_functions()["place_order"])
    assert serializer.serialize(order=plain(order)) == ours
    batch = [SignedOrder(order, address_of("alice"), 0, 1, 2)] * 2
    ours = list(exchange_call("execute_orders", orders=batch)[2])
    serializer = serializer_for_function_v1(exchange_functions()["execute_orders"])
    assert serializer.serialize(orders=plain(batch)) == ours


@pytest.mark.parametrize("entry", EXCHANGE.entry_points.values(), ids=lambda entry: entry.name)
def test_calldata_is_read_strictly(entry: Any) -> None:  # noqa: ANN401
    malformed: tuple[Any, ...] = (
        *((), (FELT_PRIME,), (2**250,) * 3, (-1,)),
        *((1,) * 200, ("x",), (True,)),
    )
    for wrong in malformed:
        reason = None
        try:
            read_all(entry.inputs, wrong)
        except Refused as refused:
            reason = refused.reason
        assert reason in (None, Reason.CALLDATA_MALFORMED)


def test_numbers_outside_their_type_are_refused() -> None:
    cases = [
        (cairo_type(int, "Order.size"), (2**128,)),
        (cairo_type(int, "Fault.amount"), (2**127,)),
        (cairo_type(bool), (2,)),
        (cairo_type(Side), (encode_short_string("UP"),)),
        (cairo_type(str, "SetMode.reason"), (0, 1, 31)),
        (cairo_type(str, "SetMode.reason"), (0, 2**40, 2)),
    ]
    for kind, felts in cases:
        with pytest.raises(Refused) as caught:
            read_all((("value", kind),), felts)
        assert caught.value.reason is Reason.CALLDATA_MALFORMED
    signed = cairo_type(int, "Fault.amount")
    assert read_all((("value", signed),), (FELT_PRIME - 7,)) == {"value": -7}


def test_every_event_can_be_announced() -> None:
    kinds = events.Event.__subclasses__()
    assert len(kinds) > 20
    for kind in kinds:
        assert struct_type(kind).kind == "struct"
