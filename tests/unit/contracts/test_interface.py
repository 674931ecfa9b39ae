"""The twins against the compiled classes that they stand for: every function, type and event."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from contracts import settlement_events, usdc
from contracts.artifacts import load_artifact
from contracts.cairo_types import Kind
from contracts.entry_points import Function, Signature, event_members, signature_of
from contracts.natives import NATIVES, SETTLEMENT, USDC
from contracts.settlement import constructor
from contracts.settlement_money import MONEY_FUNCTIONS, deposit_from_l1
from contracts.settlement_roots import ROOTS_FUNCTIONS
from contracts.twin import Twin
from sequencer.starknet.names import selector

FUNCTIONS: Mapping[str, Mapping[str, Function]] = {
    "settlement": {
        **ROOTS_FUNCTIONS,
        **MONEY_FUNCTIONS,
        "constructor": constructor,
        "deposit_from_l1": deposit_from_l1,
    },
    "usdc": usdc.FUNCTIONS,
}
EVENTS: Mapping[str, object] = {"settlement": settlement_events, "usdc": usdc}
KINDS = ("EXTERNAL", "L1_HANDLER", "CONSTRUCTOR")


def compiled(name: str) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(load_artifact(name).sierra)
    return decoded


def declared_functions(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        if entry["type"] == "interface":
            yield from entry["items"]
        if entry["type"] in {"constructor", "l1_handler"}:
            yield entry


def plain(kind: str) -> str:
    """Name a type by its own name, and a span as the array that it is in calldata."""
    bare = kind.replace("@", "").replace("array::Span", "array::Array")
    for separator in ("<", ">", "(", ")", ",", " "):
        bare = bare.replace(separator, f" {separator} ")
    words = [word.rstrip(":").rpartition("::")[2] for word in bare.split()]
    return "".join(words).replace("BinaryNode|EdgeNode", "ProofNode")


def described(signature: Signature) -> tuple[list[tuple[str, str]], str]:
    inputs = [(name, plain(kind.name)) for name, kind in signature.parameters]
    return inputs, plain(signature.result.name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_takes_and_gives_what_the_compiled_one_does(name: str) -> None:
    declared = {
        function["name"]: (
            [(each["name"], plain(each["type"])) for each in function["inputs"]],
            plain(function["outputs"][0]["type"]) if function.get("outputs") else "()",
        )
        for function in declared_functions(compiled(name)["abi"])
    }
    ours = {each: described(signature_of(run)) for each, run in FUNCTIONS[name].items()}
    assert ours == declared


@pytest.mark.parametrize("twin", [SETTLEMENT, USDC])
def test_entry_points_are_those_of_the_class(twin: Twin) -> None:
    points = compiled(twin.name)["entry_points_by_type"]
    selectors = {kind: {int(each["selector"], 16) for each in points[kind]} for kind in KINDS}
    built = selector("constructor")
    assert selectors["EXTERNAL"] == twin.external.keys()
    assert selectors["L1_HANDLER"] == twin.l1_handlers.keys()
    assert selectors["CONSTRUCTOR"] == ({built} if twin.constructor is not None else set())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_struct_has_the_fields_of_the_compiled_one(name: str) -> None:
    declared = {
        plain(entry["name"]): [(each["name"], plain(each["type"])) for each in entry["members"]]
        for entry in compiled(name)["abi"]
        if entry["type"] == "struct" and not entry["name"].startswith("core::array")
    }
    ours = dict(
        found
        for function in FUNCTIONS[name].values()
        for kind in (*dict(signature_of(function).parameters).values(), signature_of(function)[1])
        for found in structs_in(kind)
    )
    assert ours == declared


def structs_in(kind: Kind) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for inner in (*kind.inner, *(member for _, member in kind.members)):
        yield from structs_in(inner)
    if kind.members and plain(kind.name) not in {"BinaryNode", "EdgeNode"}:
        yield plain(kind.name), [(name, plain(member.name)) for name, member in kind.members]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_event_has_the_keys_and_data_of_the_compiled_one(name: str) -> None:
    declared = {
        plain(entry["name"]): [
            (each["name"], plain(each["type"]), each["kind"] == "key") for each in entry["members"]
        ]
        for entry in compiled(name)["abi"]
        if entry["type"] == "event" and entry["kind"] == "struct"
    }
    ours = {
        each: [
            (member.rstrip("_"), plain(kind.name), is_key)
            for member, kind, is_key in event_members(getattr(EVENTS[name], each))
        ]
        for each in declared
    }
    assert ours == declared


def test_nodes_of_a_proof_are_written_as_the_compiled_enum() -> None:
    entry = next(each for each in compiled("settlement")["abi"] if "ProofNode" in each["name"])
    assert [(each["name"], plain(each["type"])) for each in entry["variants"]] == [
        ("Binary", "(felt252,felt252)"),
        ("Edge", "(felt252,u8,felt252)"),
    ]


def test_twins_are_found_by_the_hash_of_their_class() -> None:
    assert NATIVES[load_artifact("settlement").class_hash] is SETTLEMENT
    assert all(twin.class_hash == class_hash for class_hash, twin in NATIVES.items())
    assert len({twin.name for twin in NATIVES.values()}) == len(NATIVES)
