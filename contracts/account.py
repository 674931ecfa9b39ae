"""The account that starknet-devnet gives everybody, in Python: OpenZeppelin's, one Stark key.

Promises
- What a client calls of it is here: calls in a row, its key, signatures, the interfaces it has.
  Taking another key or class, and calls signed for somebody else to send, are not.

Laws
- Whoever executes a transaction checks its nonce and its signature, by the key in
  `PUBLIC_KEY`; inside a call there is no signature, so `__validate__` refuses every call.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from contracts.cairo_types import Address, FeltSpan, Key
from contracts.entry_points import emit, named
from contracts.served import Served, served_twin
from contracts.storage import Map, Variable
from contracts.twin import Frame, Reverted, require
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.felt_hash import verify

ACCOUNT_CLASS_HASH = 0x5B4B537EAA2399E3AA99C4E2E0208EBD6C71BC1467938CD52C798C601E43564

PUBLIC_KEY = Variable[int]("Account_public_key", Felt)
"""The key that signs for an account."""

_INTERFACES = Map[bool]("SRC5_supported_interfaces", bool)
_INTROSPECTION_ID = 0x3F918D17E5EE77373B56385708F855659A07F75997F365CF87748628532A055
_ACCOUNT_ID = 0x2CECCEF7F994940B3962A6C67E0BA4FCD37DF7D131417C604F91E03CAECC1CD
_OUTSIDE_ID = 0x1D1144BB2138366FF28D8E9AB57456B1D332AC42196230C3A602003C89872
_VALID = encode_short_string("VALID")
_SIGNATURE_FELTS = 2

SIGNATURE_INVALID = "Account: invalid signature"
"""What an account says of a signature that its key did not make."""


class Call(msgspec.Struct, frozen=True):
    """One of the calls that an account is asked to make."""

    to: Address
    selector: Felt
    calldata: FeltSpan


class OwnerAdded(msgspec.Struct, frozen=True):
    """A key that signs from now on."""

    new_owner_guid: Annotated[Felt, Key()]


def account_slots(public_key: Felt) -> Mapping[Felt, Felt]:
    """Return what is stored of an account that a devnet begins with."""
    return {PUBLIC_KEY.slot: public_key, _INTERFACES.slot(_ACCOUNT_ID): 1}


def is_signed(public_key: Felt, hash_: Felt, signature: Sequence[Felt]) -> bool:
    """Say whether an account's key made a signature of a hash."""
    return len(signature) == _SIGNATURE_FELTS and verify(public_key, hash_, *signature)


def execute(frame: Frame, calls: tuple[Call, ...]) -> tuple[FeltSpan, ...]:
    require(frame.caller == 0, "Account: invalid caller")
    require(frame.machine.transaction_hash != 0, "Account: invalid tx version")
    call = frame.machine.call
    return tuple(
        tuple(call(frame.contract, each.to, each.selector, each.calldata)) for each in calls
    )


def validate(frame: Frame, calls: tuple[Call, ...]) -> Felt:
    raise Reverted(SIGNATURE_INVALID)


def validate_declare(frame: Frame, class_hash: Felt) -> Felt:
    raise Reverted(SIGNATURE_INVALID)


def validate_deploy(
    frame: Frame, class_hash: Felt, contract_address_salt: Felt, public_key: Felt
) -> Felt:
    raise Reverted(SIGNATURE_INVALID)


def is_valid_signature(frame: Frame, hash: Felt, signature: tuple[Felt, ...]) -> Felt:
    return _VALID if is_signed(PUBLIC_KEY.read(frame), hash, signature) else 0


def supports_interface(frame: Frame, interface_id: Felt) -> bool:
    return interface_id == _INTROSPECTION_ID or _INTERFACES.read(frame, interface_id)


def get_public_key(frame: Frame) -> Felt:
    return PUBLIC_KEY.read(frame)


def constructor(frame: Frame, public_key: Felt) -> None:
    _INTERFACES.write(frame, (_ACCOUNT_ID,), True)
    PUBLIC_KEY.write(frame, public_key)
    emit(frame, OwnerAdded(public_key))
    _INTERFACES.write(frame, (_OUTSIDE_ID,), True)


ACCOUNT = served_twin(
    Served(
        name="account",
        class_hash=ACCOUNT_CLASS_HASH,
        views={
            "__execute__": execute,
            "__validate__": validate,
            "__validate_declare__": validate_declare,
            "__validate_deploy__": validate_deploy,
            **named(is_valid_signature, supports_interface, get_public_key),
            "isValidSignature": is_valid_signature,
            "getPublicKey": get_public_key,
        },
        events=(OwnerAdded,),
        constructor=constructor,
    )
)
"""The class of accounts."""
