"""The shipped classes as clients get, check, parse and declare them."""

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7
from starknet_py.abi.v2.model import Abi
from starknet_py.common import create_casm_class, create_sierra_compiled_contract
from starknet_py.contract import Contract, PreparedFunctionCall
from starknet_py.hash.casm_class_hash import compute_casm_class_hash
from starknet_py.hash.sierra_class_hash import compute_sierra_class_hash
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.schemas.rpc.contract import CasmClassSchema, SierraContractClassSchema

from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.calldata import cairo_type
from sequencer.chain.executor import CLASSES
from sequencer.chain.native import Answer, EntryPoint, Interface, native_contract
from sequencer.chain.shipped_class import (
    NATIVES,
    SHIPPED,
    ShippedClass,
    casm_fields,
    class_fields,
)
from sequencer.chain.token_contract import TOKEN
from sequencer.starknet.felt import encode_short_string
from sequencer.starknet.names import selector
from tests.rpc_schemas import SPECIFICATION

every_class = pytest.mark.parametrize(
    "shipped", SHIPPED.values(), ids=[native.name for native in NATIVES]
)


@every_class
def test_both_hashes_are_those_that_starknet_py_computes(shipped: ShippedClass) -> None:
    served = SierraContractClassSchema().load(class_fields(shipped.sierra))
    assert compute_sierra_class_hash(served) == shipped.class_hash
    compiled = CasmClassSchema().load(casm_fields(shipped.casm))
    assert compute_casm_class_hash(compiled) == shipped.compiled_class_hash


@every_class
def test_a_class_saved_as_a_compiler_writes_it_is_the_same_class(shipped: ShippedClass) -> None:
    # A compiler's file holds the ABI as a list; whoever declares it writes that out again.
    fields = class_fields(shipped.sierra)
    text = json.dumps(fields | {"abi": json.loads(fields["abi"])})
    assert compute_sierra_class_hash(create_sierra_compiled_contract(text)) == shipped.class_hash
    compiled = create_casm_class(json.dumps(casm_fields(shipped.casm)))
    assert compute_casm_class_hash(compiled) == shipped.compiled_class_hash


def test_every_class_is_shipped_under_its_hash() -> None:
    assert SHIPPED.keys() == CLASSES.keys()
    for native in NATIVES:
        shipped = SHIPPED[native.class_hash]
        assert shipped.class_hash == native.class_hash
        assert shipped.sierra == native.sierra
        assert shipped.sierra.program[0] == encode_short_string(f"perpchain.{native.name}")


def test_the_classes_whose_hashes_clients_write_down_stay_as_they_are() -> None:
    # An account's address follows from its class hash: a change moves every account.
    assert ACCOUNT.class_hash == (0x1EEB867607DAA7088C34E0280D076393CE8D1FCF6B48040B0F625C135BF6EE9)
    assert TOKEN.class_hash == (0x73222323094D44778D46A13B257751FFF86B07ADE20266B106FFC2109F2E32)


@every_class
def test_entry_points_stand_in_the_order_of_selectors(shipped: ShippedClass) -> None:
    native = CLASSES[shipped.class_hash]
    sierra = shipped.sierra
    kinds = (sierra.external, sierra.l1_handler, sierra.constructor)
    assert [list(kind) for kind in kinds] == [sorted(kind) for kind in kinds]
    numbers = sorted(number for kind in kinds for _, number in kind)
    assert numbers == list(range(len(numbers)))
    assert {chosen for chosen, _ in sierra.external} == native.entry_points.keys()
    assert {chosen for chosen, _ in sierra.l1_handler} == native.l1_handlers.keys()


def contract_of(native: Any) -> Contract:  # noqa: ANN401
    """Return the contract as `Contract.from_address` makes it of the class that it gets."""
    abi = json.loads(class_fields(SHIPPED[native.class_hash].sierra)["abi"])
    client = FullNodeClient("http://127.0.0.1:1/rpc")
    return Contract(native.address or 1, abi, client, cairo_version=1)


# That of the exchange takes starknet-py seconds: test_abi_differential.py reads it, once.
@pytest.mark.parametrize("native", [ACCOUNT, TOKEN], ids=lambda native: native.name)
def test_a_contract_of_starknet_py_has_every_function(native: Any) -> None:  # noqa: ANN401
    contract = contract_of(native)
    names = {entry.name for entry in native.entry_points.values()}
    assert set(contract.functions) == names


def test_an_account_is_called_as_any_account() -> None:
    functions = contract_of(ACCOUNT).functions

    def prepared(name: str, *arguments: Any) -> PreparedFunctionCall:  # noqa: ANN401
        call: PreparedFunctionCall = functions[name].prepare_call(*arguments)
        return call

    assert prepared("is_valid_signature", 5, [1, 2]).calldata == [5, 2, 1, 2]
    assert prepared("supports_interface", 7).calldata == [7]
    assert prepared("get_public_key").calldata == []
    call = {"to": 1, "selector": 2, "calldata": [3, 4]}
    assert prepared("__execute__", [call, call]).calldata == [2, *(1, 2, 2, 3, 4) * 2]
    abi = contract_of(ACCOUNT).data.parsed_abi
    assert isinstance(abi, Abi)
    assert abi.constructor is not None
    assert list(abi.constructor.inputs) == ["public_key"]


def validator(file: str, schema: str) -> Draft7Validator:
    """Return a judge of values by a schema of the protocol's own files."""
    if not SPECIFICATION.is_dir():
        pytest.skip("the protocol's specification files are not here")
    resources = [
        (uri, DRAFT7.create_resource(json.loads(path.read_text("utf-8"))))
        for path in SPECIFICATION.glob("*.json")
        for uri in (path.name, f"api/{path.name}")
    ]
    reference = {"$ref": f"{file}#/components/schemas/{schema}"}
    return Draft7Validator(reference, registry=Registry().with_resources(resources))


@every_class
def test_a_served_class_is_what_the_protocol_describes(shipped: ShippedClass) -> None:
    judge = validator("starknet_api_openrpc.json", "CONTRACT_CLASS")
    judge.validate(class_fields(shipped.sierra))
    assert not judge.is_valid(class_fields(shipped.sierra) | {"sierra_program": ["0x01"]})
    compiled = validator("starknet_executables.json", "CASM_COMPILED_CONTRACT_CLASS")
    compiled.validate(casm_fields(shipped.casm))
    assert not compiled.is_valid(casm_fields(shipped.casm) | {"bytecode": ["0x01"]})


FELT = cairo_type(int, "Account.key")


def entry(name: str, *inputs: str, is_view: bool = False) -> EntryPoint:
    return EntryPoint(name, [(each, FELT) for each in inputs], lambda _: Answer(), (), is_view)


INTERFACE = Interface("Some", (entry("go", "a"), entry("stop")), (entry("arrive"),))


@pytest.mark.parametrize(
    "other",
    [
        Interface("Other", INTERFACE.entry_points, INTERFACE.l1_handlers),
        Interface("Some", INTERFACE.entry_points),
        Interface("Some", (entry("go", "b"), entry("stop")), INTERFACE.l1_handlers),
        Interface("Some", (entry("go", "a", is_view=True), entry("stop")), INTERFACE.l1_handlers),
        Interface("Some", (entry("stop"), entry("go", "a")), INTERFACE.l1_handlers),
        Interface("Some", INTERFACE.entry_points, INTERFACE.l1_handlers, ()),
        Interface("Some", INTERFACE.entry_points, INTERFACE.l1_handlers, (("a", FELT),)),
    ],
)
def test_all_that_a_class_offers_is_in_its_hash(other: Interface) -> None:
    native = native_contract(INTERFACE)
    assert native_contract(INTERFACE).class_hash == native.class_hash
    assert native_contract(other).class_hash != native.class_hash
    assert native.entry_points.keys() == {selector("go"), selector("stop")}
