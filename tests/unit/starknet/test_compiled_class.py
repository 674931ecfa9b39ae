"""Compiled class hashes against starknet-py."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starknet_py.hash.casm_class_hash import compute_casm_class_hash
from starknet_py.net.client_models import CasmClassEntryPoint, CasmClassEntryPointsByType
from starknet_py.net.executable_models import CasmClass as TheirClass

from sequencer.model.refusals import Reason
from sequencer.starknet.compiled_class import CasmClass, CasmEntryPoint, compiled_class_hash
from sequencer.starknet.felt import FELT_PRIME
from tests.strategies import felts, refused

BUILTINS = ("pedersen", "range_check", "ec_op", "poseidon", "segment_arena", "range_check96")

# Felts below and above 2^63 are written differently.
edges = st.sampled_from((0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 2**251, FELT_PRIME - 1))
any_felts = st.one_of(felts, edges)
entry_points = st.lists(
    st.builds(
        CasmEntryPoint,
        any_felts,
        st.one_of(st.integers(0, 2**64), edges),
        st.lists(st.sampled_from(BUILTINS), max_size=3),
    ),
    max_size=3,
)


def theirs(compiled: CasmClass) -> int:
    """Return the hash that starknet-py gives a class."""
    external, l1_handler, constructor = (
        [CasmClassEntryPoint(each.selector, each.offset, list(each.builtins)) for each in kind]
        for kind in (compiled.external, compiled.l1_handler, compiled.constructor)
    )
    return compute_casm_class_hash(
        TheirClass(
            prime=FELT_PRIME,
            bytecode=list(compiled.bytecode),
            bytecode_segment_lengths=None,
            hints=[],
            compiler_version=compiled.compiler_version,
            entry_points_by_type=CasmClassEntryPointsByType(constructor, external, l1_handler),
        )
    )


@given(st.lists(any_felts, max_size=12), entry_points, entry_points, entry_points)
def test_compiled_class_hashes_agree(
    bytecode: list[int],
    external: list[CasmEntryPoint],
    l1_handler: list[CasmEntryPoint],
    constructor: list[CasmEntryPoint],
) -> None:
    compiled = CasmClass("2.11.4", bytecode, external, l1_handler, constructor)
    assert compiled_class_hash(compiled) == theirs(compiled) < FELT_PRIME


SAMPLE = CasmClass(
    compiler_version="2.11.4",
    bytecode=(1, 2),
    external=(CasmEntryPoint(7, 0, ("range_check",)),),
    l1_handler=(CasmEntryPoint(8, 1),),
    constructor=(CasmEntryPoint(9, 2),),
)


@pytest.mark.parametrize(
    "changed",
    [
        {"bytecode": (2, 1)},
        {"external": SAMPLE.l1_handler, "l1_handler": SAMPLE.external},
        {"external": (CasmEntryPoint(7, 0),)},
        {"external": (CasmEntryPoint(7, 1, ("range_check",)),)},
        {"constructor": ()},
    ],
)
def test_every_part_counts(changed: dict[str, object]) -> None:
    other = msgspec.structs.replace(SAMPLE, **changed)
    assert compiled_class_hash(other) != compiled_class_hash(SAMPLE)


def test_what_is_no_felt_is_refused() -> None:
    for felt in (-1, FELT_PRIME):
        with refused(Reason.FELT_OUT_OF_RANGE):
            compiled_class_hash(msgspec.structs.replace(SAMPLE, bytecode=(felt,)))
    for builtin in ("x" * 32, "é"):
        wrong = (CasmEntryPoint(1, 0, (builtin,)),)
        with refused(Reason.SHORT_STRING_MALFORMED):
            compiled_class_hash(msgspec.structs.replace(SAMPLE, external=wrong))
