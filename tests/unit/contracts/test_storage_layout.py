"""The storage of the Cairo sources against the twins': each variable, and each struct in it."""

import re
from collections.abc import Iterator
from types import ModuleType

import pytest

from contracts import settlement_types, usdc
from contracts.artifacts import FOLDER, load_manifest
from contracts.cairo_types import struct_kind
from contracts.storage import Map, Variable
from sequencer.starknet.names import storage_address

MODULES = {"settlement": settlement_types, "usdc": usdc}
BODY = r" \{\n(.*?)\n *\}"
FIELD = re.compile(r"^ *(?:pub )?(\w+): (.+),$", re.MULTILINE)
SUBSTORAGE = re.compile(r" *#\[substorage\(v0\)\]\n.*\n")


def source_of(name: str) -> str:
    return "".join(
        (FOLDER / part).read_text("utf-8") for part in load_manifest().contracts[name].sources
    )


def declared_variables(name: str) -> Iterator[tuple[str, bool]]:
    """Yield each variable's name, and whether it is a map; those of a component lie beside them."""
    for body in re.findall(r"struct Storage" + BODY, source_of(name), re.DOTALL):
        for variable, form in FIELD.findall(SUBSTORAGE.sub("", body + "\n")):
            yield variable, form.startswith("Map<")


def twin_slots(module: ModuleType) -> tuple[set[int], set[str]]:
    """Return the slots of the variables and the names of the maps."""
    kept = vars(module).values()
    slots = {each.slot for each in kept if isinstance(each, Variable)}
    return slots, {each.name for each in kept if isinstance(each, Map)}


@pytest.mark.parametrize("name", MODULES)
def test_every_variable_has_its_slot_in_the_twin(name: str) -> None:
    declared = list(declared_variables(name))
    slots = {storage_address(variable) for variable, is_map in declared if not is_map}
    maps = {variable for variable, is_map in declared if is_map}
    assert (slots, maps) == twin_slots(MODULES[name])
    assert len(slots) + len(maps) == len(declared), "no name twice"


def test_every_storage_is_read() -> None:
    counts = {name: len(list(declared_variables(name))) for name in MODULES}
    assert counts == {"settlement": 22, "usdc": 3}


def test_every_struct_that_is_stored_has_the_fields_of_the_twins() -> None:
    stored = re.compile(r"starknet::Store\)\]\n *(?:pub )?struct (\w+)" + BODY, re.DOTALL)
    declared = {
        struct: FIELD.findall(body) for struct, body in stored.findall(source_of("settlement"))
    }
    ours = {
        struct: [
            (field, kind.name.rpartition("::")[2])
            for field, kind in struct_kind(getattr(settlement_types, struct)).members
        ]
        for struct in declared
    }
    assert declared.keys() == {"Post", "Hold", "Deposit"}
    assert ours == declared
