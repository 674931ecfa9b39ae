"""Compiled (CASM) contract classes and their hash, as Starknet makes it from 0.14.1 on.

Promises
- The hash is the published formula and nothing else; the formula stands in its docstring.
"""

import hashlib
import struct
from collections.abc import Sequence

import msgspec

from sequencer.starknet.felt import FELT_PRIME, Felt, encode_short_string, require_felt

_VERSION = encode_short_string("COMPILED_CLASS_V1")
_SMALL_BYTES = 8
_SMALL_BOUND = 1 << 63
_LARGE_BYTES = 32
_LARGE_MARK = 1 << 255


class CasmEntryPoint(msgspec.Struct, frozen=True):
    """An entry point: selector, place in the bytecode in felts, and builtins in their order."""

    selector: Felt
    offset: int
    builtins: Sequence[str] = ()


class CasmClass(msgspec.Struct, frozen=True):
    """A compiled class whose bytecode is one segment."""

    compiler_version: str
    bytecode: Sequence[Felt]
    external: Sequence[CasmEntryPoint]
    l1_handler: Sequence[CasmEntryPoint]
    constructor: Sequence[CasmEntryPoint]


def compiled_class_hash(compiled: CasmClass) -> Felt:
    """Return the hash of a compiled class.

    blake2s_array("COMPILED_CLASS_V1", external, l1_handler, constructor, blake2s_array(bytecode)),
    where each kind of entry points is blake2s_array over its flattened (selector, offset,
    blake2s_array(builtins)). Refusals: FELT_OUT_OF_RANGE, SHORT_STRING_MALFORMED.
    """
    return _blake2s_array(
        (
            _VERSION,
            _entry_points_hash(compiled.external),
            _entry_points_hash(compiled.l1_handler),
            _entry_points_hash(compiled.constructor),
            _blake2s_array(compiled.bytecode),
        )
    )


def _entry_points_hash(entry_points: Sequence[CasmEntryPoint]) -> Felt:
    felts: list[Felt] = []
    for entry_point in entry_points:
        builtins = [encode_short_string(builtin) for builtin in entry_point.builtins]
        felts += [entry_point.selector, entry_point.offset, _blake2s_array(builtins)]
    return _blake2s_array(felts)


def _blake2s_array(felts: Sequence[Felt]) -> Felt:
    data = b"".join(_words(require_felt(felt)) for felt in felts)
    return int.from_bytes(hashlib.blake2s(data).digest(), "little") % FELT_PRIME


def _words(felt: Felt) -> bytes:
    """Write a felt as 32-bit words: the highest word first, each word's lowest byte first."""
    if felt < _SMALL_BOUND:
        raw = felt.to_bytes(_SMALL_BYTES, "big")
    else:
        raw = (felt | _LARGE_MARK).to_bytes(_LARGE_BYTES, "big")
    count = len(raw) // 4
    return struct.pack(f"<{count}I", *struct.unpack(f">{count}I", raw))
