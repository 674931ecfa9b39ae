"""Transactions as clients send them: read into ours, or refused with Starknet's own numbers.

Promises
- What is read is what was signed: no field is ignored, and none is made up.
- Work is bounded before it begins: felts are counted before they are read, and a class is hashed
  only if it may be one of ours.

Laws
- Versions are 3, and 3 + 2^128 for what is only estimated or simulated.
- Nobody here verifies proofs, so a transaction that relies on one is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from sequencer.api.json_rpc import RpcError
from sequencer.api.starknet_rpc.errors import (
    CLASS_TOO_LARGE,
    CLASS_VERSION_UNSUPPORTED,
    COMPILATION_FAILED,
    COMPILED_CLASS_MISMATCH,
    PROOF_INVALID,
    UNEXPECTED,
    VALIDATION_FAILURE,
    VERSION_UNSUPPORTED,
    execution_error,
    starknet_error,
)
from sequencer.api.starknet_rpc.values import (
    read_address,
    read_felt,
    read_felts,
    read_integer,
    read_list,
    read_object,
)
from sequencer.chain.shipped_class import SHIPPED
from sequencer.model.api_limits import (
    CLASS_ENTRY_POINTS_MAX,
    CLASS_PROGRAM_FELTS_MAX,
    CONSTRUCTOR_FELTS_MAX,
    SIMULATION_TRANSACTIONS_MAX,
)
from sequencer.model.limits import TRANSACTION_FELTS_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.names import SierraClass, sierra_class_hash
from sequencer.starknet.transactions import (
    QUERY_VERSION_OFFSET,
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    ResourceBound,
    Terms,
)

_T = TypeVar("_T")

OfAccount: TypeAlias = InvokeV3 | DeclareV3 | DeployAccountV3
"""What accounts send."""

_Given: TypeAlias = dict[str, Any]
_Builders: TypeAlias = Mapping[
    str, tuple[Sequence[str], Sequence[str], Callable[[_Given], OfAccount]]
]
"""By type: the fields that must be there, those that may, and what is made of them."""

_VERSION_3 = 3
_VERSIONS = {_VERSION_3: False, _VERSION_3 + QUERY_VERSION_OFFSET: True}
_CLASS_VERSION = "0.1.0"
_MODES = {"L1": 0, "L2": 1}
_RESOURCES = ("l1_gas", "l2_gas", "l1_data_gas")
_AMOUNT_BITS, _PRICE_BITS = 64, 128

_COMMON = (
    "type",
    "version",
    "signature",
    "nonce",
    "resource_bounds",
    "tip",
    "paymaster_data",
    "nonce_data_availability_mode",
    "fee_data_availability_mode",
)
_SENDER = (*_COMMON, "sender_address", "account_deployment_data")
_CONSTRUCTOR = ("contract_address_salt", "constructor_calldata", "class_hash")


class Broadcast(msgspec.Struct, frozen=True):
    """A transaction as it came; `is_query` where it may only be estimated or simulated."""

    transaction: OfAccount
    is_query: bool


def read_invoke(value: object) -> Broadcast:
    """Read a call by an account.

    Refusals: TRANSACTION_MALFORMED, PARAMETER_INVALID, those of a felt. Errors: 61 for another
    version, 63 for too many felts, 69 for a proof or its facts.
    """
    return _read_kind(value, "INVOKE")


def read_declare(value: object) -> Broadcast:
    """Read a declaration with its class.

    Refusals: as above. Errors: 61, 63; 56 for a class that this chain does not have, 57 for one
    that is too large, 60 for another compiled class than its own, 62 for another class version.
    """
    return _read_kind(value, "DECLARE")


def read_declaration(value: object, hash_of: Callable[[object], Felt]) -> Broadcast:
    """Read a declaration where other classes are known; `hash_of` reads and checks the class.

    Refusals: as above, and those of `hash_of`. Errors: 61, 63.
    """

    def build(given: _Given) -> DeclareV3:
        return _declaration(given, hash_of(given["contract_class"]))

    required, optional, _ = _BUILDERS["DECLARE"]
    return _read(value, {"DECLARE": (required, optional, build)})


def read_deploy_account(value: object) -> Broadcast:
    """Read the deployment of an account.

    Refusals: as above. Errors: 61, 63; 55 for far too many arguments of its constructor.
    """
    return _read_kind(value, "DEPLOY_ACCOUNT")


def read_broadcasts(value: object) -> Sequence[Broadcast]:
    """Read transactions of any type, SIMULATION_TRANSACTIONS_MAX at most.

    Refusals: as above, naming the transaction. Error: 41 for one of which the above say an error.
    """
    if isinstance(value, list) and len(value) > SIMULATION_TRANSACTIONS_MAX:
        words = f"{len(value)} transactions, {SIMULATION_TRANSACTIONS_MAX} allowed"
        raise Refused(Reason.PARAMETER_INVALID, words)
    return [_read_one(index, each) for index, each in enumerate(read_list(_anything)(value))]


def _anything(value: object) -> object:
    return value


def _read_one(index: int, value: object) -> Broadcast:
    try:
        return _read(value, _BUILDERS)
    except Refused as refused:
        raise Refused(refused.reason, f"transaction {index}: {refused.detail}") from None
    except RpcError as error:
        words = error.message if error.data is None else f"{error.message}: {error.data}"
        raise execution_error(index, words) from None


def _read_kind(value: object, kind: str) -> Broadcast:
    return _read(value, {kind: _BUILDERS[kind]})


def _read(value: object, builders: _Builders) -> Broadcast:
    if not isinstance(value, dict):
        raise Refused(Reason.TRANSACTION_MALFORMED, f"no object: {shown(value)}")
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in builders:
        words = f"type is {' or '.join(builders)}, not {shown(kind)}"
        raise Refused(Reason.TRANSACTION_MALFORMED, words)
    # Ahead of the fields: those of older versions are others.
    version = _field(value, "version", read_felt)
    if version not in _VERSIONS:
        raise starknet_error(VERSION_UNSUPPORTED, f"version {format_felt(version)}")
    required, optional, build = builders[kind]
    given = read_object(value, required, optional)
    felts = sum(len(each) for each in given.values() if isinstance(each, list))
    if felts > TRANSACTION_FELTS_MAX:
        words = f"{felts} felts, {TRANSACTION_FELTS_MAX} allowed"
        raise starknet_error(UNEXPECTED, f"{Reason.TRANSACTION_TOO_LARGE}: {words}")
    return Broadcast(build(given), _VERSIONS[version])


def _invoke(given: _Given) -> InvokeV3:
    if given.get("proof") or given.get("proof_facts"):
        raise starknet_error(PROOF_INVALID, "this chain verifies no proofs")
    return InvokeV3(
        sender=_field(given, "sender_address", read_address),
        calldata=_field(given, "calldata", read_felts),
        terms=_terms(given),
        account_deployment_data=_field(given, "account_deployment_data", read_felts),
        signature=_field(given, "signature", read_felts),
    )


def _declare(given: _Given) -> DeclareV3:
    class_hash = _class_hash(given["contract_class"])
    compiled_class_hash = _field(given, "compiled_class_hash", read_felt)
    expected = SHIPPED[class_hash].compiled_class_hash
    if compiled_class_hash != expected:
        words = f"{format_felt(compiled_class_hash)}, not {format_felt(expected)}"
        raise starknet_error(COMPILED_CLASS_MISMATCH, words)
    return _declaration(given, class_hash)


def _declaration(given: _Given, class_hash: Felt) -> DeclareV3:
    return DeclareV3(
        sender=_field(given, "sender_address", read_address),
        class_hash=class_hash,
        compiled_class_hash=_field(given, "compiled_class_hash", read_felt),
        terms=_terms(given),
        account_deployment_data=_field(given, "account_deployment_data", read_felts),
        signature=_field(given, "signature", read_felts),
    )


def _deploy_account(given: _Given) -> DeployAccountV3:
    calldata = _field(given, "constructor_calldata", read_felts)
    if len(calldata) > CONSTRUCTOR_FELTS_MAX:
        # The address is a hash of all of it, and the slowest that there is.
        words = f"{len(calldata)} arguments of a constructor, {CONSTRUCTOR_FELTS_MAX} allowed"
        raise starknet_error(VALIDATION_FAILURE, f"{Reason.TRANSACTION_TOO_LARGE}: {words}")
    return DeployAccountV3(
        class_hash=_field(given, "class_hash", read_felt),
        salt=_field(given, "contract_address_salt", read_felt),
        calldata=calldata,
        terms=_terms(given),
        signature=_field(given, "signature", read_felts),
    )


_BUILDERS: _Builders = {
    "INVOKE": ((*_SENDER, "calldata"), ("proof", "proof_facts"), _invoke),
    "DECLARE": ((*_SENDER, "compiled_class_hash", "contract_class"), (), _declare),
    "DEPLOY_ACCOUNT": ((*_COMMON, *_CONSTRUCTOR), (), _deploy_account),
}


def _terms(given: _Given) -> Terms:
    return Terms(
        nonce=_field(given, "nonce", read_felt),
        bounds=_field(given, "resource_bounds", _read_bounds),
        tip=_field(given, "tip", _bits(_AMOUNT_BITS)),
        paymaster_data=_field(given, "paymaster_data", read_felts),
        nonce_mode=_field(given, "nonce_data_availability_mode", _read_mode),
        fee_mode=_field(given, "fee_data_availability_mode", _read_mode),
    )


def _read_bounds(value: object) -> tuple[ResourceBound, ...]:
    given = read_object(value, _RESOURCES, ())
    return tuple(_field(given, name, _read_bound) for name in _RESOURCES)


def _read_bound(value: object) -> ResourceBound:
    given = read_object(value, ("max_amount", "max_price_per_unit"), ())
    return ResourceBound(
        amount_max=_field(given, "max_amount", _bits(_AMOUNT_BITS)),
        price_max=_field(given, "max_price_per_unit", _bits(_PRICE_BITS)),
    )


def _read_mode(value: object) -> int:
    mode = _MODES.get(value) if isinstance(value, str) else None
    if mode is None:
        raise Refused(Reason.TRANSACTION_MALFORMED, f"{shown(value)} is neither L1 nor L2")
    return mode


def _bits(count: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        number = read_felt(value)
        if number >> count:
            raise Refused(Reason.FELT_OUT_OF_RANGE, f"more than {count} bits: {shown(value)}")
        return number

    return read


def _class_hash(value: object) -> Felt:
    """Return the hash of a class that this chain ships, and refuse any other."""
    names = ("sierra_program", "contract_class_version", "entry_points_by_type", "abi")
    given = _field({"contract_class": value}, "contract_class", _object_of(*names))
    if given["contract_class_version"] != _CLASS_VERSION:
        words = f"{shown(given['contract_class_version'])}, not {_CLASS_VERSION}"
        raise starknet_error(CLASS_VERSION_UNSUPPORTED, words)
    program, abi = given["sierra_program"], given["abi"]
    if not isinstance(program, list) or not isinstance(abi, str):
        raise Refused(Reason.CLASS_MALFORMED, "a program is a list, and an ABI is text")
    if len(program) > CLASS_PROGRAM_FELTS_MAX:
        words = f"{len(program)} felts, {CLASS_PROGRAM_FELTS_MAX} allowed"
        raise starknet_error(CLASS_TOO_LARGE, words)
    ours = {(len(each.sierra.program), len(each.sierra.abi)) for each in SHIPPED.values()}
    if (len(program), len(abi)) not in ours:
        raise _foreign()
    class_hash = sierra_class_hash(_read_class(given))
    if class_hash not in SHIPPED:
        raise _foreign()
    return class_hash


def _read_class(given: _Given) -> SierraClass:
    kinds = ("CONSTRUCTOR", "EXTERNAL", "L1_HANDLER")
    points = _field(given, "entry_points_by_type", _object_of(*kinds))
    constructor, external, l1_handler = (_field(points, kind, _read_points) for kind in kinds)
    return SierraClass(
        version=given["contract_class_version"],
        program=_field(given, "sierra_program", read_felts),
        external=external,
        l1_handler=l1_handler,
        constructor=constructor,
        abi=given["abi"],
    )


def _read_points(value: object) -> tuple[tuple[Felt, int], ...]:
    if isinstance(value, list) and len(value) > CLASS_ENTRY_POINTS_MAX:
        raise Refused(Reason.CLASS_MALFORMED, f"more than {CLASS_ENTRY_POINTS_MAX} entry points")
    return read_list(_read_point)(value)


def _read_point(value: object) -> tuple[Felt, int]:
    given = read_object(value, ("selector", "function_idx"), ())
    index = _field(given, "function_idx", read_integer(0, CLASS_PROGRAM_FELTS_MAX))
    return _field(given, "selector", read_felt), index


def _object_of(*names: str) -> Callable[[object], _Given]:
    return lambda value: read_object(value, names, ())


def _field(given: _Given, name: str, read: Callable[[object], _T]) -> _T:
    try:
        return read(given.get(name))
    except Refused as refused:
        raise Refused(refused.reason, f"{name}: {refused.detail}") from None


def _foreign() -> RpcError:
    names = "only the classes that this chain ships are bound to native contracts"
    return starknet_error(COMPILATION_FAILED, f"{Reason.CLASS_UNKNOWN}: {names}")
