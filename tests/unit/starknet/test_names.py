"""Selectors, storage and contract addresses and class hashes against starknet-py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starknet_py.hash import address as addresses
from starknet_py.hash import selector as selectors
from starknet_py.hash import sierra_class_hash as classes
from starknet_py.hash import storage
from starknet_py.net.client_models import (
    SierraContractClass,
    SierraEntryPoint,
    SierraEntryPointsByType,
)

from sequencer.model.refusals import Reason
from sequencer.starknet.felt import ADDRESS_BOUND, FELT_PRIME
from sequencer.starknet.names import (
    EntryPoint,
    SierraClass,
    contract_address,
    selector,
    sierra_class_hash,
    storage_address,
)
from tests.strategies import felt_lists, felts, refused

names = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=50)
entry_points = st.lists(st.tuples(felts, st.integers(0, 2**64)), max_size=3)
versions = st.sampled_from(("0.1.0", "", "12.34.56", "0.1.0-alpha.1"))


def test_published_selectors_and_addresses() -> None:
    assert selector("__execute__") == (
        0x15D40A3D6CA2AC30F4031E42BE28DA9B056FEF9BB7357AC5E85627EE876E5AD
    )
    assert selector("constructor") == (
        0x28FFE4FF0F226A9107253E17A904099AA4F63A02A5621DE0576E5AA71BC5194
    )
    assert selector("__default__") == selector("__l1_default__") == 0
    assert storage_address("ERC20_name") == (
        0x341C1BDFD89F69748AA00B5742B03ADBFFD79B8E80CAB5C50D91CD8C2A79BE1
    )
    assert storage_address("ERC20_symbol") == (
        0xB6CE5410FCA59D078EE9B2A4371A9D684C530D697C64FBEF0AE6D5E8F0AC72
    )


@settings(derandomize=True, deadline=None)
@given(names)
def test_selectors_agree(name: str) -> None:
    assert selector(name) == selectors.get_selector_from_name(name)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(names, felt_lists)
def test_storage_addresses_agree(name: str, keys: list[int]) -> None:
    address = storage_address(name, *keys)
    assert address == storage.get_storage_var_address(name, *keys) < ADDRESS_BOUND


@settings(derandomize=True, deadline=None, max_examples=60)
@given(felts, felts, felt_lists, felts)
def test_contract_addresses_agree(
    salt: int, class_hash: int, calldata: list[int], deployer: int
) -> None:
    theirs = addresses.compute_address(
        class_hash=class_hash,
        constructor_calldata=calldata,
        salt=salt,
        deployer_address=deployer,
    )
    assert contract_address(salt, class_hash, calldata, deployer) == theirs < ADDRESS_BOUND
    if deployer == 0:
        assert contract_address(salt, class_hash, calldata) == theirs


def theirs_of(points: list[EntryPoint]) -> list[SierraEntryPoint]:
    return [SierraEntryPoint(function_idx=index, selector=at) for at, index in points]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(versions, felt_lists, entry_points, entry_points, entry_points, st.text(max_size=40))
def test_sierra_class_hashes_agree(
    version: str,
    program: list[int],
    external: list[EntryPoint],
    l1_handler: list[EntryPoint],
    constructor: list[EntryPoint],
    abi: str,
) -> None:
    ours = SierraClass(version, program, external, l1_handler, constructor, abi)
    theirs = SierraContractClass(
        contract_class_version=version,
        sierra_program=program,
        entry_points_by_type=SierraEntryPointsByType(
            constructor=theirs_of(constructor),
            external=theirs_of(external),
            l1_handler=theirs_of(l1_handler),
        ),
        abi=abi,
    )
    if len(version) > 15:
        with refused(Reason.SHORT_STRING_MALFORMED):
            sierra_class_hash(ours)
        return
    assert sierra_class_hash(ours) == classes.compute_sierra_class_hash(theirs)


SAMPLE = SierraClass("0.1.0", [1, 2], [(3, 0)], [(4, 1)], [(5, 2)], "[]")


@pytest.mark.parametrize(
    "changed",
    [
        SierraClass("0.1.1", [1, 2], [(3, 0)], [(4, 1)], [(5, 2)], "[]"),
        SierraClass("0.1.0", [1, 2, 0], [(3, 0)], [(4, 1)], [(5, 2)], "[]"),
        SierraClass("0.1.0", [2, 1], [(3, 0)], [(4, 1)], [(5, 2)], "[]"),
        SierraClass("0.1.0", [1, 2], [(3, 1)], [(4, 1)], [(5, 2)], "[]"),
        SierraClass("0.1.0", [1, 2], [(4, 1)], [(3, 0)], [(5, 2)], "[]"),
        SierraClass("0.1.0", [1, 2], [(3, 0)], [(5, 2)], [(4, 1)], "[]"),
        SierraClass("0.1.0", [1, 2], [(3, 0)], [(4, 1)], [], "[]"),
        SierraClass("0.1.0", [1, 2], [(3, 0)], [(4, 1)], [(5, 2)], "[ ]"),
    ],
)
def test_every_part_of_a_class_enters_its_hash(changed: SierraClass) -> None:
    assert sierra_class_hash(changed) != sierra_class_hash(SAMPLE)


def test_other_input_is_refused() -> None:
    for name in ("\u00e9", "a\u0661"):
        with refused(Reason.SHORT_STRING_MALFORMED):
            selector(name)
        with refused(Reason.SHORT_STRING_MALFORMED):
            storage_address(name, 1)
    with refused(Reason.FELT_OUT_OF_RANGE):
        storage_address("balances", 1, FELT_PRIME)
    for arguments in (
        (FELT_PRIME, 1, [1]),
        (1, FELT_PRIME, [1]),
        (1, 1, [FELT_PRIME]),
        (1, -1, []),
    ):
        with refused(Reason.FELT_OUT_OF_RANGE):
            contract_address(*arguments)
    with refused(Reason.FELT_OUT_OF_RANGE):
        contract_address(1, 1, [], deployer=FELT_PRIME)
    with refused(Reason.FELT_OUT_OF_RANGE):
        sierra_class_hash(SierraClass("0.1.0", [FELT_PRIME], [], [], [], ""))
    with refused(Reason.FELT_OUT_OF_RANGE):
        sierra_class_hash(SierraClass("0.1.0", [], [(1, -1)], [], [], ""))
    for version in ("1" * 16, "\u0661"):
        with refused(Reason.SHORT_STRING_MALFORMED):
            sierra_class_hash(SierraClass(version, [], [], [], [], ""))
