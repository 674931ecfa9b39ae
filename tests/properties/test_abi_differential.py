"""The ABIs load in starknet-py: it encodes calls as this chain reads them, and reads its events."""

import json
from functools import cache
from typing import Any

import msgspec
import pytest
from starknet_py.abi.v2 import parser_transformer
from starknet_py.abi.v2.model import Abi
from starknet_py.abi.v2.parser import AbiParser
from starknet_py.abi.v2.schemas import ContractAbiEntrySchema
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.serialization.factory import serializer_for_event, serializer_for_function_v1

from sequencer.chain.calldata import CairoType, cairo_type, read_all, struct_type
from sequencer.chain.exchange_contract import EXCHANGE, SignedCancel, SignedOrder, announce
from sequencer.chain.exchange_views import VIEWS
from sequencer.chain.executor import call_view
from sequencer.chain.native import NativeContract
from sequencer.chain.shipped_class import NATIVES
from sequencer.model import events
from sequencer.model.commands import FaultKind, OrderPolicy, RevokeSubkey, SetGuard
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Guard, Mode, ModeCause
from sequencer.starknet.felt import FELT_PRIME, encode_short_string
from tests.strategies import refused
from tests.unit.chain.network import MARKET, Network, address_of, exchange_call


@cache
def parsed(name: str) -> Abi:
    """Parse the ABI of a native contract.

    starknet-py makes a parser of its grammar anew for each type: here it is made once.
    """
    (contract,) = (native for native in NATIVES if native.name == name)
    lark = vars(parser_transformer)["lark"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lark, "Lark", cache(lark.Lark))
        return AbiParser(json.loads(contract.sierra.abi)).parse()


def functions_of(name: str) -> dict[str, Any]:
    return dict(parsed(name).interfaces[f"perpchain::I{name}"].items)


@pytest.mark.parametrize("contract", NATIVES, ids=lambda contract: contract.name)
def test_every_abi_loads(contract: NativeContract) -> None:
    functions = functions_of(contract.name)
    assert set(functions) == {entry.name for entry in contract.entry_points.values()}


@pytest.mark.parametrize("contract", NATIVES, ids=lambda contract: contract.name)
def test_every_abi_has_the_shape_of_cairo_1(contract: NativeContract) -> None:
    schema: Any = ContractAbiEntrySchema()
    abi = json.loads(contract.sierra.abi)
    assert len(schema.load(abi, many=True)) == len(abi)


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
    serializer = serializer_for_function_v1(functions_of("Exchange")[name])
    assert serializer.serialize(**arguments) == ours


def test_an_order_is_encoded_alike() -> None:
    order = Network().order("alice", Side.SELL, 60_010, 7)
    ours = list(exchange_call("place_order", order=order)[2])
    serializer = serializer_for_function_v1(functions_of("Exchange")["place_order"])
    assert serializer.serialize(order=plain(order)) == ours
    signed = SignedOrder(order, address_of("alice"), 0, 1, 2)
    batch = [signed, SignedCancel(3, 4, 5, 6, 7, 8), signed]
    ours = list(exchange_call("execute_orders", items=batch)[2])
    serializer = serializer_for_function_v1(functions_of("Exchange")["execute_orders"])
    assert serializer.serialize(items=[{type(one).__name__: plain(one)} for one in batch]) == ours


@pytest.mark.parametrize("entry", EXCHANGE.entry_points.values(), ids=lambda entry: entry.name)
def test_calldata_is_read_strictly(entry: Any) -> None:  # noqa: ANN401
    nothing: tuple[Any, ...] = ((),) if entry.inputs else ()
    malformed: tuple[Any, ...] = (
        *((FELT_PRIME,), (2**250,) * 3, (-1,)),
        *((1,) * 200, ("x",), (True,)),
    )
    for wrong in nothing + malformed:
        with refused(Reason.CALLDATA_MALFORMED):
            read_all(entry.inputs, wrong)


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


EVENTS = events.Event.__subclasses__()
SAMPLES: dict[type, tuple[Any, ...]] = {int: (0, 7, 2**127 - 1), bool: (False, True)}


def samples(kind: type[msgspec.Struct]) -> list[Any]:
    """Return values of a struct of plain fields: all lowest, all in the middle, all highest."""
    made = []
    for place in range(3):
        values = []
        for field in msgspec.structs.fields(kind):
            if field.type is str:
                cairo = cairo_type(str, f"{kind.__name__}.{field.name}")
                choice: tuple[Any, ...] = ("", "BTC-USD-PERP", "x" * 31)
                choice = choice if cairo.name == "core::felt252" else ("", "why", "y" * 70)
            else:
                choice = SAMPLES.get(field.type) or tuple(field.type)
            values.append(choice[place % len(choice)])
        made.append(kind(*values))
    return made


def as_read(value: Any, kind: CairoType) -> Any:  # noqa: ANN401
    """Turn our value into what starknet-py reads: words as felts, structs as dictionaries."""
    if kind.name == "core::byte_array::ByteArray":
        return value
    if kind.kind == "struct":
        return {name: as_read(getattr(value, name), part) for name, part in kind.parts}
    if kind.kind == "array":
        return [as_read(item, kind.parts[0][1]) for item in value]
    return encode_short_string(value) if isinstance(value, str) else value


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_event_is_read_back_by_the_abi(kind: type[msgspec.Struct]) -> None:
    abi = parsed("Exchange")
    serializer = serializer_for_event(abi.events[f"perpchain::{kind.__name__}"])
    for event in samples(kind):
        announced = announce(event)
        assert announced.keys == (get_selector_from_name(kind.__name__),)
        found = serializer.deserialize(list(announced.data))
        assert found.as_dict() == as_read(event, struct_type(kind))


ASKED: dict[str, Any] = {"market": MARKET, "levels": 5, "name": "Alpha", "nonce": 1, "key": 1}


def test_the_answers_of_views_are_read_back_by_the_abi() -> None:
    network = Network()
    network.open()
    order = network.signed("alice", network.order("alice", Side.SELL, 60_010))
    network.build(network.invoke("op", exchange_call("execute_orders", items=[order])))
    asked = ASKED | {"account": address_of("alice"), "owner": 1, "withdrawal_id": 1}
    asked["order_id"] = next(iter(network.state.orders))
    asked["ethereum_address"] = 0xE7
    views = [entry for entry in EXCHANGE.entry_points.values() if entry.is_view]
    assert len(views) == len(VIEWS)
    for entry in views:
        address, chosen, data = exchange_call(entry.name, **asked)
        answer = call_view(network.state, address, chosen, data, network.chain.chain_id)
        serializer = serializer_for_function_v1(functions_of("Exchange")[entry.name])
        (found,), (output,) = serializer.deserialize(list(answer)), entry.outputs
        ours = read_all((("answer", output),), answer)["answer"]
        assert found == as_read(ours, output), entry.name


def test_the_enum_of_events_names_each_of_them() -> None:
    assert len(EVENTS) > 20
    variants = parsed("Exchange").events["perpchain::Exchange::Event"].types
    assert list(variants) == [kind.__name__ for kind in EVENTS]
    for name, variant in variants.items():
        assert variant == parsed("Exchange").events[f"perpchain::{name}"]
    negative = events.Fill("", 0, -(2**127), 0, 0, 0, 0, 0, 0)
    serializer = serializer_for_event(parsed("Exchange").events["perpchain::Fill"])
    assert serializer.deserialize(list(announce(negative).data)).as_dict()["size"] == -(2**127)
