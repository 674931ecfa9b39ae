"""Names turned into felts: selectors, storage addresses, contract addresses, class hashes.

Promises
- Each function is the published formula and nothing else; the formula stands in its docstring.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import msgspec

from sequencer.model.cache_limits import WORDS_CACHED
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import ADDRESS_BOUND, Felt, encode_short_string
from sequencer.starknet.felt_hash import (
    pedersen_array,
    pedersen_fold,
    poseidon_array,
    starknet_keccak,
)

EntryPoint: TypeAlias = tuple[Felt, int]
"""Selector and function index of one entry point of a Sierra class."""

_CONTRACT_ADDRESS_PREFIX = encode_short_string("STARKNET_CONTRACT_ADDRESS")
_DEFAULT_ENTRY_POINTS = ("__default__", "__l1_default__")


class SierraClass(msgspec.Struct, frozen=True):
    """A Sierra contract class as declared: program felts, entry points, ABI text.

    `version` is the text of contract_class_version, for example "0.1.0".
    """

    version: str
    program: Sequence[Felt]
    external: Sequence[EntryPoint]
    l1_handler: Sequence[EntryPoint]
    constructor: Sequence[EntryPoint]
    abi: str


def selector(name: str) -> Felt:
    """Return starknet_keccak(name); the two default entry points have selector 0."""
    return 0 if name in _DEFAULT_ENTRY_POINTS else _name_hash(name)


def storage_address(name: str, *keys: Felt) -> Felt:
    """Return starknet_keccak(name) folded by Pedersen with each map key, mod 2^251 - 256.

    Refusal: FELT_OUT_OF_RANGE for a key that is no felt.
    """
    return pedersen_fold(_name_hash(name), keys) % ADDRESS_BOUND


@lru_cache(maxsize=WORDS_CACHED)
def _name_hash(name: str) -> Felt:
    return starknet_keccak(_ascii(name))


def contract_address(
    salt: Felt, class_hash: Felt, calldata: Sequence[Felt], deployer: Felt = 0
) -> Felt:
    """Return the address of a contract deployed with constructor calldata.

    pedersen_array(prefix, deployer, salt, class hash, pedersen_array(calldata)) mod 2^251 - 256;
    deployer 0 is a deploy_account transaction or a deployer that does not enter the address.
    Refusal: FELT_OUT_OF_RANGE.
    """
    parts = (_CONTRACT_ADDRESS_PREFIX, deployer, salt, class_hash, pedersen_array(calldata))
    return pedersen_array(parts) % ADDRESS_BOUND


def sierra_class_hash(declared: SierraClass) -> Felt:
    """Return the hash of a Sierra class.

    poseidon_array("CONTRACT_CLASS_V" + version, external, l1_handler, constructor,
    starknet_keccak(abi), poseidon_array(program)), where each kind of entry points is the sponge
    over its flattened (selector, index) pairs. Refusals: FELT_OUT_OF_RANGE, SHORT_STRING_MALFORMED.
    """
    return poseidon_array(
        (
            encode_short_string("CONTRACT_CLASS_V" + declared.version),
            _entry_points_hash(declared.external),
            _entry_points_hash(declared.l1_handler),
            _entry_points_hash(declared.constructor),
            starknet_keccak(declared.abi.encode()),
            poseidon_array(declared.program),
        )
    )


def _entry_points_hash(entry_points: Sequence[EntryPoint]) -> Felt:
    return poseidon_array([felt for entry_point in entry_points for felt in entry_point])


def _ascii(name: str) -> bytes:
    if not name.isascii():
        raise Refused(Reason.SHORT_STRING_MALFORMED, f"a name is ASCII text: {shown(name)}")
    return name.encode("ascii")
