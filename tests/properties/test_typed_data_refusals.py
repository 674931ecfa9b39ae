"""What typed data is refused: values, types, whole messages, and any JSON."""

import math
import re
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError
from starknet_py.utils.typed_data import TypedData

from sequencer.model.limits import TYPED_DATA_DEPTH_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.names import selector
from sequencer.starknet.typed_data import encode_type, message_hash, type_hash

pytestmark = pytest.mark.filterwarnings("ignore:Serializing shortstrings:DeprecationWarning")

Json = dict[str, Any]
Path = tuple[Any, ...]

ACCOUNT = 0x1234
DROPPED = object()
DOMAIN = {"name": "Venue", "version": "1", "chainId": "SN_SEPOLIA", "revision": 1}
INNER = {"amount": {"low": 1, "high": "0x2"}}
LEG = {"size": "7", "text": "leg", "buy": "true"}
BASIC = ("felt", "bool", "string", "selector", "shortstring", "ContractAddress", "ClassHash")
RESERVED = (
    *BASIC,
    "u128",
    "i128",
    "timestamp",
    "u256",
    "TokenAmount",
    "NftId",
    "enum",
    "merkletree",
)
Reference: Any = TypedData


def struct(*fields: str) -> list[dict[str, str]]:
    """Write fields as `name:type`, or `name:type=contains`."""
    split = [re.split("[:=]", field) for field in fields]
    return [dict(zip(("name", "type", "contains"), parts, strict=False)) for parts in split]


EVERYTHING: Json = {
    "types": {
        "StarknetDomain": struct(*(f"{key}:shortstring" for key in DOMAIN)),
        "Main": struct(
            *("felt:felt", "bool:bool", "text:string", "call:selector", "u128:u128", "i128:i128"),
            *("time:timestamp", "address:ContractAddress", "class:ClassHash", "word:shortstring"),
            *(
                "list:felt*",
                "inner:Inner",
                "inners:Inner*",
                "root:merkletree=Inner",
                "one:enum=One",
            ),
        ),
        "Inner": struct("amount:u256"),
        "One": struct("nothing:()", "two:(felt,Inner)"),
    },
    "primaryType": "Main",
    "domain": DOMAIN,
    "message": {
        **{"felt": 1, "bool": True, "text": "long text", "call": "transfer", "u128": 2, "i128": -3},
        **{"time": 4, "address": 5, "class": "0x6", "word": "seven", "list": [8, "9"]},
        **{
            "inner": INNER,
            "inners": [INNER, INNER],
            "root": [INNER] * 3,
            "one": {"two": [1, INNER]},
        },
    },
}
OLD: Json = {
    "types": {
        "StarkNetDomain": struct("name:felt", "chainId:felt", "version:felt"),
        "Order": struct("price:felt", "legs:Leg*", "root:merkletree=Leg", "call:selector"),
        "Leg": struct("size:felt", "text:string", "buy:bool"),
    },
    "primaryType": "Order",
    "domain": {"name": "Venue", "chainId": "0x534e", "version": "1"},
    "message": {"price": "100", "legs": [LEG], "root": [LEG, LEG], "call": "trade"},
}


def changed(data: Json, path: Path, value: object) -> Json:
    """Return a copy with the value put at the path, or with the path's end dropped."""
    copy = deepcopy(data)
    inside: Any = copy
    for key in path[:-1]:
        inside = inside[key]
    if value is DROPPED:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return copy


def refuses(data: object, account: object = ACCOUNT) -> bool:
    unchecked: Any = message_hash
    try:
        unchecked(data, account)
    except Refused as refused:
        return refused.reason is Reason.TYPED_DATA_MALFORMED and len(str(refused)) < 300
    return False


def deep_list() -> object:
    value: object = 0
    for _level in range(50_000):
        value = [value]
    return value


HUGE = 10**5_000
NUMBERED: dict[Any, Any] = {1: []}
DIGITS = ("9" * 5_000, "0x" + "1" * 5_000)
WRONG: tuple[object, ...] = (None, 1.0, math.nan, math.inf, [], {}, NUMBERED, HUGE, -HUGE)
WRONG_FELTS = (
    *WRONG,
    *DIGITS,
    True,
    -1,
    FELT_PRIME,
    hex(FELT_PRIME),
    str(FELT_PRIME),
    "-1",
    "0x",
    "0xg",
)
WRONG_TEXTS = ("0X1", "0x-1", "0x1_0", "0x" + "0" * 65, "a" * 32, "\xe9", "\xb2", "\ud800")
NOT_NUMBERS = ("", "x", "1.5", "1e3", " 1", "+1", "1_0", "--1", True)
WRONG_VALUES: dict[str, tuple[object, ...]] = {
    **dict.fromkeys(("felt", "address", "class", "word"), (*WRONG_FELTS, *WRONG_TEXTS)),
    "bool": (*WRONG, *DIGITS, 2, -1, "", "2", "True", "yes", "0x2", "00"),
    "text": (*WRONG, 1, True, "\xe9", "\ud800"),
    "call": (*WRONG, 1, True, "\xe9", "0x", "0xg", "0X1", hex(FELT_PRIME)),
    **dict.fromkeys(("u128", "time"), (*WRONG_FELTS, *NOT_NUMBERS, 2**128, hex(2**128))),
    "i128": (
        *WRONG,
        *DIGITS,
        *NOT_NUMBERS,
        2**127,
        -(2**127) - 1,
        FELT_PRIME - 2**127 - 1,
        FELT_PRIME,
    ),
    "list": (None, {}, "", "12", 1, [None], [[1]], [1, "a" * 32], (1,)),
    "inner": (None, [], 1, "", {}, {"amount": 1}, {**INNER, "more": 1}, {**INNER, **NUMBERED}),
    "inners": (None, INNER, [None], [[INNER]], 1),
    "root": (None, [], INNER, [1], [INNER, {}]),
    "one": (
        *(None, [], "nothing", {}, {"none": []}, NUMBERED, {"two": [1, INNER], "nothing": []}),
        *({"nothing": None}, {"nothing": [1]}, {"two": [1]}, {"two": {"0": 1}}, {"two": [1, 1]}),
    ),
}


@pytest.mark.parametrize("name", EVERYTHING["message"])
def test_values_outside_their_type_are_refused(name: str) -> None:
    assert not refuses(EVERYTHING)
    assert refuses(changed(EVERYTHING, ("message", name), DROPPED))
    for value in (*WRONG_VALUES[name], deep_list(), object(), b"1"):
        assert refuses(changed(EVERYTHING, ("message", name), value)), str(type(value))


def at(path: Path, *values: object) -> list[tuple[Path, object]]:
    return [(path, value) for value in values]


WRONG_PARTS = [
    *(place for key in EVERYTHING for place in at((key,), DROPPED, "x", *WRONG)),
    *(place for key in DOMAIN for place in at(("domain", key), DROPPED, True, *WRONG)),
    *at(("domain", "revision"), -1, 2, "2", "", " 1", "01", "0x1", 0, "0"),
    *(((*path, key), 1) for path in ((), ("domain",), ("message",)) for key in ("x", 1, None)),
    *at(("primaryType",), "felt", "One", "Inner*", "main", "merkletree"),
    *at(("types", "Spare"), [], struct("a:felt"), *WRONG),
    *at(("types", "StarknetDomain"), struct(*(f"{key}:()" for key in DOMAIN))),
    *at(("types", "StarknetDomain"), struct("name:felt", "version:felt", "revision:felt")),
    *at(("types", "StarknetDomain"), struct("name:felt", "version:felt", "chainId:felt")),
    *at(("types", "StarknetDomain"), struct(*(f"{key}:felt" for key in (*DOMAIN, "more")))),
]
NO_TYPE_NAMES: tuple[Any, ...] = ("", "a*", "(a)", "()", "a,b", 'a"', "a\\", "a\n", "\xe9", 1)
WRONG_KINDS: tuple[object, ...] = (
    *(
        None,
        1,
        [],
        {},
        "",
        "*",
        "u64",
        "felt *",
        "Felt",
        "u256**",
        "One",
        "Free",
        "Free*",
        "enum*",
        "enum",
    ),
    *("felt" + "*" * 33, "felt" + "*" * 50_000, "(felt)", "()", "merkletree*", "merkletree"),
    *("Main", "Inner", "Inner*"),
)
NO_ENUMS: tuple[object, ...] = (None, 1, "", "felt", "Inner", "One*", "Main", "u256", "()")
NO_LEAVES: tuple[object, ...] = (None, 1, "", "One", "enum", "Main", "Inner", "u64", "merkletree")
NO_NAMES: tuple[object, ...] = (None, 1, [], "amount", '"', "\\", "\x00", "\xe9", "\ud800")
WRONG_FIELDS: list[object] = [
    *(None, [], 1, {}, {"name": "a"}, {"type": "felt"}, {"name": "a", "type": "felt", "more": 1}),
    *({"name": "a", "type": kind} for kind in WRONG_KINDS),
    *({"name": "a", "type": "enum", "contains": name} for name in NO_ENUMS),
    *({"name": "a", "type": "merkletree", "contains": name} for name in NO_LEAVES),
    *({"name": name, "type": "felt"} for name in NO_NAMES),
    {"name": "a", "type": "felt", "contains": "felt"},
    {"name": "amount", "type": "u256"},
]
WRONG_VARIANTS = [
    "(u64)",
    "(felt,)",
    "(,)",
    "(felt, felt)",
    "(One)",
    "(enum)",
    "(Main)",
    "((felt))",
]


def refuses_types(types: Json, revision: int = 1) -> bool:
    try:
        encode_type(types, next(iter(types)), revision)
    except Refused as refused:
        return refused.reason is Reason.TYPED_DATA_MALFORMED
    return False


def test_malformed_types_are_refused() -> None:
    types = {name: EVERYTHING["types"][name] for name in ("Main", "Inner", "One")}
    types["Free"] = struct("a:()")
    assert not refuses_types(types)
    for name in (*NO_TYPE_NAMES, *RESERVED):
        assert refuses_types({**types, name: []}), name
    for field in WRONG_FIELDS:
        assert refuses_types({**types, "Inner": [*types["Inner"], field]}), field
    for kind in WRONG_VARIANTS:
        assert refuses_types(changed(types, ("One", 1, "type"), kind)), kind
    spares: list[object] = [None, {}, "", [None], [[]], ["a"], struct("a")]
    for definition in spares:
        assert refuses_types({**types, "Spare": definition}), definition
    for texts in ([], ["a:()", "a:(felt)"], ["a:()", "b:felt"], ["a:felt"]):
        assert refuses_types({**types, "One": struct(*texts)}), texts


def test_malformed_messages_are_refused() -> None:
    for path, value in WRONG_PARTS:
        assert refuses(changed(EVERYTHING, path, value)), (path, str(type(value)))
    for data in (None, [], "", 1, {}, deep_list()):
        assert refuses(data)
    for account in (None, -1, FELT_PRIME, HUGE, True, "0x1", 1.0):
        assert refuses(EVERYTHING, account)
    named = changed(EVERYTHING, ("types", "StarknetDomain", 0, "type"), "Inner")
    assert refuses(changed(named, ("domain", "name"), INNER))
    long_text = changed(EVERYTHING, ("types", "StarknetDomain", 3, "type"), "string")
    assert refuses(changed(long_text, ("domain", "revision"), "1"))


def test_revision_0_knows_less() -> None:
    assert not refuses(OLD)
    types = {name: OLD["types"][name] for name in ("Order", "Leg")}
    for kind in ("u128", "shortstring", "u256", "i128*", "()", "(felt)"):
        assert refuses_types(changed(types, ("Leg", 0, "type"), kind), 0)
    for contains in ("Leg", "One", "felt"):
        enum = {"name": "a", "type": "enum", "contains": contains}
        assert refuses_types({"Top": [enum], "Leg": [], "One": struct("a:()")}, 0)
    assert refuses_types({"Top": [], "One": struct("a:()")}, 0)
    for name in ("a(", "a)", "a:b", "a,b", "\xe9"):
        assert refuses_types(changed(types, ("Leg", 0, "name"), name), 0)
        assert refuses_types({**types, name: []}, 0)
    assert refuses(changed(OLD, ("types",), EVERYTHING["types"]))


def test_types_nest_so_deep_and_no_deeper() -> None:
    chain: Json = {f"T{level}": struct(f"a:T{level + 1}", f"b:T{level + 1}") for level in range(99)}
    legal = {name: chain[name] for name in list(chain)[: TYPED_DATA_DEPTH_MAX - 1]}
    legal[f"T{TYPED_DATA_DEPTH_MAX - 1}"] = struct("a:felt")
    assert encode_type(legal, "T0", 1).count("(") == TYPED_DATA_DEPTH_MAX
    for types in ({**legal, "Top": struct("a:T0")}, {**chain, "T99": []}, {"T0": struct("a:T0*")}):
        with pytest.raises(Refused, match="TYPED_DATA_MALFORMED"):
            type_hash(types, "T0", 0)
    with pytest.raises(Refused, match="TYPED_DATA_MALFORMED"):
        encode_type({f"T{number}": [] for number in range(10_000)}, "T0", 1)


def test_where_starknet_py_leaves_the_snip() -> None:
    # It reads a selector made of hexadecimal digits as a number, starknet.js and the SNIP do not.
    by_name = message_hash(changed(OLD, ("message", "call"), "add"), ACCOUNT)
    assert by_name == message_hash(changed(OLD, ("message", "call"), hex(selector("add"))), ACCOUNT)
    numbers = changed(
        EVERYTHING, ("domain",), {"name": 1, "version": 1, "chainId": 1, "revision": 1}
    )
    texts = changed(EVERYTHING, ("domain",), dict.fromkeys(DOMAIN, "1"))
    assert message_hash(numbers, ACCOUNT) == message_hash(texts, ACCOUNT)


def test_a_negative_number_is_also_the_felt_it_becomes() -> None:
    for number in (-1, -(2**127)):
        signed = changed(EVERYTHING, ("message", "i128"), number)
        wrapped = changed(EVERYTHING, ("message", "i128"), hex(FELT_PRIME + number))
        assert message_hash(signed, ACCOUNT) == message_hash(wrapped, ACCOUNT)


def paths(inside: Json | list[Any], path: Path = ()) -> list[Path]:
    items: Iterable[tuple[Any, Any]] = (
        inside.items() if isinstance(inside, dict) else enumerate(inside)
    )
    below = [(value, (*path, key)) for key, value in items]
    deeper = [paths(value, place) for value, place in below if isinstance(value, dict | list)]
    return [place for _value, place in below] + [place for places in deeper for place in places]


GRAMMAR = ["felt", "felt*", "u128", "string", "()", "(felt)", "enum", "merkletree", "Main", "Leg*"]
TEXTS = st.sampled_from([*GRAMMAR, "One", "Inner", "contains", "type", "name", "0x1", "two"])
ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**4_000)
TEXTS |= st.text("xyz*(),\xe9\ud800\"'\\", max_size=40)
JSON = st.recursive(
    ATOMS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | ATOMS, inner, max_size=4),
)


@settings(derandomize=True, max_examples=300)
@given(data=JSON, account=JSON)
def test_any_json_is_refused(data: object, account: object) -> None:
    assert refuses(data, account)


# No hexadecimal digits alone: as a selector starknet-py reads them as a number.
LIKELY = st.sampled_from([0, 1, "0x8", "true", "word", True, "felt", "felt*", "u128", "Inner"])


def test_any_change_is_refused_or_hashed_as_by_starknet_py() -> None:
    agreed: list[Json] = []

    @settings(derandomize=True, max_examples=1_000)
    @given(data=st.sampled_from([EVERYTHING, OLD]), changes=st.data())
    def compare(data: Json, changes: st.DataObject) -> None:
        for _change in range(changes.draw(st.sampled_from([1, 1, 2, 3]))):
            places = paths(data) or [("types",)]
            values = [path for path in places if path[0] == "message" and len(path) > 1]
            path = changes.draw(st.sampled_from(values or places) | st.sampled_from(places))
            value = changes.draw(LIKELY | LIKELY | JSON | st.just(DROPPED))
            data = changed({"types": {}, **data}, path, value)
        if refuses(data):
            return
        try:
            expected = Reference.from_dict(deepcopy(data)).message_hash(ACCOUNT)
        except (KeyError, TypeError, ValueError, ValidationError):
            return
        assert message_hash(data, ACCOUNT) == expected
        agreed.append(data)

    compare()
    assert len(agreed) > 20
