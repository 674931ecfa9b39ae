"""The classes that come with the node, as clients get, check and declare them.

Promises
- What is served hashes to the class hash and the compiled class hash that the chain knows.

Laws
- Neither form holds code: both name the Python that runs instead. No other class can be declared.
- Block 0 declares none of them, so that an account can: a class is bound whether declared or not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.native import NativeContract
from sequencer.chain.token_contract import TOKEN
from sequencer.starknet.compiled_class import CasmClass, CasmEntryPoint, compiled_class_hash
from sequencer.starknet.felt import FELT_PRIME, Felt, format_felt
from sequencer.starknet.names import EntryPoint, SierraClass

NATIVES = (ACCOUNT, EXCHANGE, TOKEN)
"""Every contract class that this chain runs."""

# The form asks for one; no compiler made this.
_COMPILER_VERSION = "1.0.0"


class ShippedClass(msgspec.Struct, frozen=True):
    """A class in its two forms, each with its hash."""

    sierra: SierraClass
    class_hash: Felt
    casm: CasmClass
    compiled_class_hash: Felt


def class_fields(sierra: SierraClass) -> dict[str, Any]:
    """Return a Sierra class in the shape of the protocol's CONTRACT_CLASS."""
    return {
        "sierra_program": [format_felt(felt) for felt in sierra.program],
        "contract_class_version": sierra.version,
        "entry_points_by_type": {
            "CONSTRUCTOR": _entry_points(sierra.constructor),
            "EXTERNAL": _entry_points(sierra.external),
            "L1_HANDLER": _entry_points(sierra.l1_handler),
        },
        "abi": sierra.abi,
    }


def casm_fields(casm: CasmClass) -> dict[str, Any]:
    """Return a compiled class in the shape of the protocol's CASM_COMPILED_CONTRACT_CLASS."""
    return {
        "prime": hex(FELT_PRIME),
        "compiler_version": casm.compiler_version,
        "bytecode": [format_felt(felt) for felt in casm.bytecode],
        "hints": [],
        "entry_points_by_type": {
            "CONSTRUCTOR": _casm_entry_points(casm.constructor),
            "EXTERNAL": _casm_entry_points(casm.external),
            "L1_HANDLER": _casm_entry_points(casm.l1_handler),
        },
    }


def _entry_points(entry_points: Sequence[EntryPoint]) -> list[dict[str, Any]]:
    return [{"selector": format_felt(chosen), "function_idx": at} for chosen, at in entry_points]


def _casm_entry_points(entry_points: Sequence[CasmEntryPoint]) -> list[dict[str, Any]]:
    return [
        {
            "selector": format_felt(entry_point.selector),
            "offset": entry_point.offset,
            "builtins": list(entry_point.builtins),
        }
        for entry_point in entry_points
    ]


def _ship(native: NativeContract) -> ShippedClass:
    sierra = native.sierra
    kinds = (sierra.external, sierra.l1_handler, sierra.constructor)
    external, l1_handler, constructor = (
        [CasmEntryPoint(chosen, 0) for chosen, _ in kind] for kind in kinds
    )
    casm = CasmClass(_COMPILER_VERSION, sierra.program, external, l1_handler, constructor)
    return ShippedClass(sierra, native.class_hash, casm, compiled_class_hash(casm))


SHIPPED: Mapping[Felt, ShippedClass] = {native.class_hash: _ship(native) for native in NATIVES}
"""Every class that comes with the node, by class hash."""
