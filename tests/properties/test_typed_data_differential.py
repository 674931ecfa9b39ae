"""SNIP-12 hashes of drawn messages against those of starknet-py, in both revisions."""

import re
import string
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starknet_py.utils.typed_data import TypedData

from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.typed_data import message_hash, type_hash

pytestmark = pytest.mark.filterwarnings("ignore:Serializing shortstrings:DeprecationWarning")

Json = dict[str, Any]
Fields = list[dict[str, str]]

DOMAIN_TYPES = ("StarkNetDomain", "StarknetDomain")
Reference: Any = TypedData


def struct(*fields: str) -> Fields:
    """Write fields as `name:type`, or `name:type=contains`."""
    split = [re.split("[:=]", field) for field in fields]
    return [dict(zip(("name", "type", "contains"), parts, strict=False)) for parts in split]


PRESETS = {
    "u256": struct("low:u128", "high:u128"),
    "TokenAmount": struct("token_address:ContractAddress", "amount:u256"),
    "NftId": struct("collection_address:ContractAddress", "token_id:u256"),
}


def written(low: int, bound: int) -> st.SearchStrategy[Any]:
    numbers = st.integers(low, bound - 1)
    return numbers | numbers.map(str) | st.integers(max(low, 0), bound - 1).map(hex)


LETTERS = string.ascii_letters + string.digits + " _-+.'~"
WORDS = st.text(LETTERS, max_size=31).filter(lambda text: not re.match("0[xX]|-?[0-9]+$", text))
FELTS = written(0, FELT_PRIME) | WORDS
BOOLS = st.sampled_from([False, True, 0, 1, "0", "1", "0x0", "0x1", "false", "true"])
SELECTORS = st.from_regex("[g-z_][a-z_]{0,40}", fullmatch=True)
NEGATIVE = st.integers(FELT_PRIME - 2**127, FELT_PRIME - 1)
VALUES_0 = {
    "felt": FELTS,
    "string": FELTS,
    "bool": BOOLS,
    "selector": SELECTORS | st.integers(0, FELT_PRIME - 1).map(hex),
}
VALUES_1 = {
    **VALUES_0,
    **dict.fromkeys(("shortstring", "ContractAddress", "ClassHash"), FELTS),
    **dict.fromkeys(("u128", "timestamp"), written(0, 2**128)),
    "string": st.text(LETTERS, max_size=100),
    "i128": written(-(2**127), 2**127) | NEGATIVE | NEGATIVE.map(hex),
}
VALUES = (VALUES_0, VALUES_1)


@cache
def kinds(revision: int, structs: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Draw value types at any depth of arrays, structs at depth 0 and 1."""
    values = st.sampled_from(sorted(VALUES[revision]))
    deep = st.tuples(values, st.sampled_from(["", "", "*", "**"])).map("".join)
    known = [*structs, *sorted(PRESETS if revision == 1 else {})]
    if not known:
        return deep
    return deep | st.tuples(st.sampled_from(known), st.sampled_from(["", "*"])).map("".join)


@cache
def names(least: int, most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.text(LETTERS, max_size=8), min_size=least, max_size=most, unique=True)


@cache
def field_kinds(
    revision: int, structs: tuple[str, ...], enums: tuple[str, ...]
) -> st.SearchStrategy[dict[str, str]]:
    choices = [kinds(revision, structs).map(lambda kind: {"type": kind})]
    leaves = kinds(revision, structs).filter(lambda kind: not kind.endswith("*"))
    choices.append(leaves.map(lambda kind: {"type": "merkletree", "contains": kind}))
    if enums:
        chosen = st.sampled_from(enums)
        choices.append(chosen.map(lambda name: {"type": "enum", "contains": name}))
    return st.one_of(choices)


@cache
def variant_kinds(structs: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    # An array of a struct that stands nowhere else is a dangling type to starknet-py.
    plain = st.sampled_from(sorted(VALUES_1))
    sound = kinds(1, structs).filter(lambda kind: kind.removesuffix("*") not in structs)
    pairs = st.tuples(plain, plain).map(list)
    return pairs | st.lists(sound | st.sampled_from(structs) if structs else sound, max_size=3)


def fields(
    draw: st.DrawFn, revision: int, structs: tuple[str, ...], enums: tuple[str, ...]
) -> Fields:
    kind = field_kinds(revision, structs, enums)
    return [{"name": name, **draw(kind)} for name in draw(names(0, 5))]


def variants(draw: st.DrawFn, structs: tuple[str, ...]) -> Fields:
    several = variant_kinds(structs)
    return [{"name": name, "type": f"({','.join(draw(several))})"} for name in draw(names(1, 3))]


def needed(types: Json, name: str) -> set[str]:
    texts = [field.get("contains", field["type"]) for field in types[name]]
    below = {part.rstrip("*") for text in texts for part in re.split("[(),]", text)}
    return {name}.union(*(needed(types, part) for part in below & types.keys()))


def values(draw: st.DrawFn, types: Json, revision: int, kind: str, least: int = 0) -> object:
    """Draw a value of a kind; an array has `least` values or some more."""
    if kind.endswith("*"):
        count = draw(st.integers(least, 3 if least == 0 else 5))
        return [values(draw, types, revision, kind[:-1]) for _ in range(count)]
    if kind not in types:
        return draw(VALUES[revision][kind])
    message: dict[str, object] = {}
    for field in types[kind]:
        inner = field.get("contains", "")
        if field["type"] == "merkletree":
            message[field["name"]] = values(draw, types, revision, f"{inner}*", least=1)
        elif field["type"] == "enum":
            variant = draw(st.sampled_from(types[inner]))
            parts = [part for part in variant["type"][1:-1].split(",") if part]
            chosen = [values(draw, types, revision, part) for part in parts]
            message[field["name"]] = {variant["name"]: chosen}
        else:
            message[field["name"]] = values(draw, types, revision, field["type"])
    return message


@st.composite
def typed_data(draw: st.DrawFn, revision: int) -> Json:
    types: Json = {}
    enums: list[str] = []
    for name in draw(st.permutations(["Mu", "alpha 2", "Zeta", "beta"])):
        structs = tuple(known for known in types if known not in enums)
        if revision == 1 and len(types) < 3 and draw(st.booleans()):
            types[name] = variants(draw, structs)
            enums.append(name)
        else:
            types[name] = fields(draw, revision, structs, tuple(enums))
    primary = next(reversed(types))
    known = {**(PRESETS if revision == 1 else {}), **types}
    message = values(draw, known, revision, primary)
    domain: Json = {
        "name": draw(WORDS),
        "version": draw(FELTS.map(str)),
        "chainId": draw(FELTS.map(str)),
    }
    if revision == 1 or draw(st.booleans()):
        domain["revision"] = draw(st.sampled_from([revision, str(revision)]))
    declared = sorted({*domain, *(["revision"] if draw(st.booleans()) or revision == 1 else [])})
    word = st.sampled_from(["felt", ("string", "shortstring")[revision]])
    of_domain = [{"name": key, "type": draw(word)} for key in draw(st.permutations(declared))]
    used = {name: types[name] for name in needed(types, primary)}
    types = {DOMAIN_TYPES[revision]: of_domain, **used}
    return {"types": types, "primaryType": primary, "domain": domain, "message": message}


ARRAYS = (r"\w\*'", r"\w\*\*'", "'alpha 2'", r"'(Mu|Zeta|beta)\*'", "merkletree")
SHAPES = (
    (*VALUES_0, *ARRAYS),
    (*VALUES_1, *ARRAYS, *PRESETS, r"'u256\*'", "'enum'", r"'\(\)'", r"'\(\w+,\w+\)'"),
)


@pytest.mark.parametrize("revision", [0, 1])
def test_hashes_are_those_of_starknet_py(revision: int) -> None:
    seen: list[str] = []

    @settings(derandomize=True, max_examples=500)
    @given(data=typed_data(revision), account=st.integers(0, FELT_PRIME - 1))
    def compare(data: Json, account: int) -> None:
        reference = Reference.from_dict(deepcopy(data))
        assert message_hash(data, account) == reference.message_hash(account)
        for name, definition in data["types"].items():
            if not any(field["type"].startswith("(") for field in definition):
                assert type_hash(data["types"], name, revision) == reference.type_hash(name)
        seen.append(str(data["types"]))

    compare()
    everything = "".join(seen)
    assert not [shape for shape in SHAPES[revision] if re.search(shape, everything) is None]
