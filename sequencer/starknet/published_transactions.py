"""Transactions as feeder gateways and sequencers publish them in JSON.

Promises
- Two spellings are read: the feeder's flat objects with `type` and `version`, and the tagged ones
  of transaction lists, `{"Invoke": {"V3": {...}}}`.
- A kind or version that has no formula here is refused as unsupported, apart from a malformed one,
  so that a reader can report it as not checked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import Felt, parse_felt
from sequencer.starknet.names import contract_address, selector
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    L1Handler,
    LegacyTransaction,
    ResourceBound,
    Terms,
    Transaction,
)

Fields: TypeAlias = Mapping[str, Any]
"""One decoded JSON object."""

_KINDS = {
    "INVOKE_FUNCTION": "invoke",
    "INVOKE": "invoke",
    "DECLARE": "declare",
    "DEPLOY_ACCOUNT": "deploy_account",
    "DEPLOY": "deploy",
    "L1_HANDLER": "l1_handler",
    "Invoke": "invoke",
    "Declare": "declare",
    "DeployAccount": "deploy_account",
    "Deploy": "deploy",
    "L1Handler": "l1_handler",
}
_MODES = {0: 0, 1: 1, "L1": 0, "L2": 1}
_BOUNDS = ("L1_GAS", "L2_GAS", "L1_DATA_GAS")


def read_feeder_transaction(fields: Fields) -> Transaction:
    """Read one entry of a feeder block's `transactions`.

    Refusals: TRANSACTION_UNSUPPORTED for an unknown type or version, TRANSACTION_MALFORMED.
    """
    kind = _KINDS.get(_text(fields, "type"))
    if kind is None:
        raise _unsupported(f"type {_text(fields, 'type')}")
    return _build(kind, _felt(fields, "version") if "version" in fields else 0, fields)


def read_tagged_transaction(tagged: Fields) -> Transaction:
    """Read `{"Invoke": {"V3": {...}}}` or `{"L1Handler": {...}}`. Refusals as above."""
    if len(tagged) != 1:
        raise _malformed("a tagged transaction has one key")
    (name, fields), *_ = tagged.items()
    kind = _KINDS.get(name)
    if kind is None:
        raise _unsupported(f"kind {name}")
    if not isinstance(fields, Mapping):
        raise _malformed(f"{name} is no object")
    if kind in ("deploy", "l1_handler"):
        return _build(kind, _felt(fields, "version"), fields)
    if len(fields) != 1:
        raise _malformed(f"{name} has one version")
    (version, inner), *_ = fields.items()
    if version not in ("V0", "V1", "V2", "V3"):
        raise _unsupported(f"{name} {version}")
    return _build(kind, int(version[1:]), inner)


def read_signature(fields: Fields) -> Sequence[Felt]:
    """Read a transaction's signature, empty where its kind has none."""
    return _felts(fields, "signature") if "signature" in fields else ()


def _build(kind: str, version: int, fields: Fields) -> Transaction:
    if not isinstance(fields, Mapping):
        raise _malformed(f"{kind} is no object")
    match kind, version:
        case "invoke", 3:
            return _invoke_v3(fields)
        case "declare", 3:
            return _declare_v3(fields)
        case "deploy_account", 3:
            return _deploy_account_v3(fields)
        case "l1_handler", 0:
            return _l1_handler(fields)
        case "invoke", (0 | 1):
            return _legacy_invoke(version, fields)
        case "declare", (0 | 1 | 2):
            return _legacy_declare(version, fields)
        case ("deploy_account", 1) | ("deploy", (0 | 1)):
            return _legacy_deploy(kind, version, fields)
    raise _unsupported(f"{kind} version {version}")


def _invoke_v3(fields: Fields) -> InvokeV3:
    return InvokeV3(
        sender=_felt(fields, "sender_address"),
        calldata=_felts(fields, "calldata"),
        terms=_terms(fields),
        account_deployment_data=_felts(fields, "account_deployment_data"),
        proof_facts=_felts(fields, "proof_facts") if "proof_facts" in fields else (),
        signature=read_signature(fields),
    )


def _declare_v3(fields: Fields) -> DeclareV3:
    return DeclareV3(
        sender=_felt(fields, "sender_address"),
        class_hash=_felt(fields, "class_hash"),
        compiled_class_hash=_felt(fields, "compiled_class_hash"),
        terms=_terms(fields),
        account_deployment_data=_felts(fields, "account_deployment_data"),
        signature=read_signature(fields),
    )


def _deploy_account_v3(fields: Fields) -> DeployAccountV3:
    return DeployAccountV3(
        class_hash=_felt(fields, "class_hash"),
        salt=_felt(fields, "contract_address_salt"),
        calldata=_felts(fields, "constructor_calldata"),
        terms=_terms(fields),
        signature=read_signature(fields),
    )


def _l1_handler(fields: Fields) -> L1Handler:
    if "nonce" not in fields:
        raise _unsupported("an L1 handler without a nonce")
    return L1Handler(
        contract=_felt(fields, "contract_address"),
        selector=_felt(fields, "entry_point_selector"),
        calldata=_felts(fields, "calldata"),
        nonce=_felt(fields, "nonce"),
    )


def _legacy_invoke(version: int, fields: Fields) -> LegacyTransaction:
    sender = "sender_address" if "sender_address" in fields else "contract_address"
    return LegacyTransaction(
        kind="invoke",
        version=version,
        address=_felt(fields, sender),
        selector=_felt(fields, "entry_point_selector") if version == 0 else 0,
        calldata=_felts(fields, "calldata"),
        max_fee=_felt(fields, "max_fee"),
        tail=() if version == 0 else (_felt(fields, "nonce"),),
        signature=read_signature(fields),
    )


def _legacy_declare(version: int, fields: Fields) -> LegacyTransaction:
    class_hash = _felt(fields, "class_hash")
    tail = [class_hash] if version == 0 else [_felt(fields, "nonce")]
    if version == 2:
        tail.append(_felt(fields, "compiled_class_hash"))
    return LegacyTransaction(
        kind="declare",
        version=version,
        address=_felt(fields, "sender_address"),
        selector=0,
        calldata=() if version == 0 else (class_hash,),
        max_fee=_felt(fields, "max_fee"),
        tail=tail,
        signature=read_signature(fields),
    )


def _legacy_deploy(kind: str, version: int, fields: Fields) -> LegacyTransaction:
    class_hash, salt = _felt(fields, "class_hash"), _felt(fields, "contract_address_salt")
    calldata = _felts(fields, "constructor_calldata")
    of_account = kind == "deploy_account"
    return LegacyTransaction(
        kind=kind,
        version=version,
        address=contract_address(salt, class_hash, calldata),
        selector=0 if of_account else selector("constructor"),
        calldata=(class_hash, salt, *calldata) if of_account else calldata,
        max_fee=_felt(fields, "max_fee") if of_account else 0,
        tail=(_felt(fields, "nonce"),) if of_account else (),
        signature=read_signature(fields),
    )


def _terms(fields: Fields) -> Terms:
    stated = fields.get("resource_bounds")
    if not isinstance(stated, Mapping):
        raise _malformed("resource_bounds is no object")
    by_name = {name.upper(): bound for name, bound in stated.items()}
    names = [name for name in _BOUNDS if name in by_name]
    if not by_name.keys() <= set(_BOUNDS) or names[:2] != list(_BOUNDS[:2]):
        raise _malformed(f"resource_bounds names {sorted(by_name)}")
    return Terms(
        nonce=_felt(fields, "nonce"),
        bounds=tuple(_bound(by_name[name]) for name in names),
        tip=_felt(fields, "tip"),
        paymaster_data=_felts(fields, "paymaster_data"),
        nonce_mode=_mode(fields, "nonce_data_availability_mode"),
        fee_mode=_mode(fields, "fee_data_availability_mode"),
    )


def _bound(fields: Fields) -> ResourceBound:
    if not isinstance(fields, Mapping):
        raise _malformed("a resource bound is no object")
    return ResourceBound(_felt(fields, "max_amount"), _felt(fields, "max_price_per_unit"))


def _mode(fields: Fields, name: str) -> int:
    value = fields.get(name)
    if type(value) not in (int, str) or value not in _MODES:
        raise _malformed(f"{name} is {shown(value)}")
    return _MODES[value]


def _felt(fields: Fields, name: str) -> Felt:
    try:
        return parse_felt(fields.get(name))
    except Refused as refused:
        raise _malformed(f"{name}: {refused.detail}") from None


def _felts(fields: Fields, name: str) -> Sequence[Felt]:
    values = fields.get(name)
    if not isinstance(values, list):
        raise _malformed(f"{name} is no list")
    return tuple(_felt({name: value}, name) for value in values)


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _malformed(f"{name} is no text")
    return value


def _malformed(detail: str) -> Refused:
    return Refused(Reason.TRANSACTION_MALFORMED, detail)


def _unsupported(detail: str) -> Refused:
    return Refused(Reason.TRANSACTION_UNSUPPORTED, detail)
