"""The test dollar in Python: the twin of src/usdc.cairo, an ERC-20 with a faucet for everybody.

Laws
- The sum of all balances is the supply, which stays below 2^128.
- The order of the checks is the contract's own: the first that fails names the refusal.
"""

from typing import Annotated

import msgspec

from contracts.artifacts import load_artifact
from contracts.cairo_types import U8, U256, Address, Key, Text
from contracts.entry_points import Function, emit, entry_points, named
from contracts.storage import Map, Variable
from contracts.twin import Frame, Twin, require

FAUCET_MAX = 10**15
SUPPLY_MAX = 2**128 - 1
ALLOWANCE_UNBOUNDED = 2**256 - 1

_TOTAL_SUPPLY = Variable[int]("total_supply", U256)
_BALANCES = Map[int]("balances", U256)
_ALLOWANCES = Map[int]("allowances", U256)


class Transfer(msgspec.Struct, frozen=True):
    """Tokens that moved; from 0 where they are new."""

    from_: Annotated[Address, Key()]
    to: Annotated[Address, Key()]
    value: U256


class Approval(msgspec.Struct, frozen=True):
    """What a spender may move from now on."""

    owner: Annotated[Address, Key()]
    spender: Annotated[Address, Key()]
    value: U256


def usdc() -> Twin:
    """Return the twin, as the class that is committed."""
    artifact = load_artifact("usdc")
    return Twin(
        name="usdc",
        class_hash=artifact.class_hash,
        compiled_class_hash=artifact.compiled_class_hash,
        sierra=artifact.sierra,
        external=entry_points(FUNCTIONS),
    )


def name(frame: Frame) -> Text:
    return "USD Coin"


def symbol(frame: Frame) -> Text:
    return "USDC"


def decimals(frame: Frame) -> U8:
    return 6


def total_supply(frame: Frame) -> U256:
    return _TOTAL_SUPPLY.read(frame)


def balance_of(frame: Frame, account: Address) -> U256:
    return _BALANCES.read(frame, account)


def allowance(frame: Frame, owner: Address, spender: Address) -> U256:
    return _ALLOWANCES.read(frame, owner, spender)


def transfer(frame: Frame, recipient: Address, amount: U256) -> bool:
    _move(frame, frame.caller, recipient, amount)
    return True


def transfer_from(frame: Frame, sender: Address, recipient: Address, amount: U256) -> bool:
    _require_movable(frame, sender, recipient, amount)
    allowed = _ALLOWANCES.read(frame, sender, frame.caller)
    require(allowed >= amount, "ALLOWANCE_INSUFFICIENT")
    if allowed != ALLOWANCE_UNBOUNDED:
        _ALLOWANCES.write(frame, (sender, frame.caller), allowed - amount)
    _move(frame, sender, recipient, amount)
    return True


def approve(frame: Frame, spender: Address, amount: U256) -> bool:
    require(frame.caller != 0 and spender != 0, "ADDRESS_ZERO")
    _ALLOWANCES.write(frame, (frame.caller, spender), amount)
    emit(frame, Approval(frame.caller, spender, amount))
    return True


def mint(frame: Frame, recipient: Address, amount: U256) -> None:
    require(recipient != 0, "ADDRESS_ZERO")
    require(amount <= FAUCET_MAX, "AMOUNT_TOO_LARGE")
    supply = _TOTAL_SUPPLY.read(frame) + amount
    require(supply <= SUPPLY_MAX, "SUPPLY_FULL")
    _TOTAL_SUPPLY.write(frame, supply)
    _BALANCES.write(frame, (recipient,), _BALANCES.read(frame, recipient) + amount)
    emit(frame, Transfer(0, recipient, amount))


FUNCTIONS: dict[str, Function] = {
    **named(name, symbol, decimals, total_supply, balance_of, allowance),
    **named(transfer, transfer_from, approve, mint),
    "totalSupply": total_supply,
    "balanceOf": balance_of,
    "transferFrom": transfer_from,
}
"""The entry points, by name."""


def _move(frame: Frame, sender: int, recipient: int, amount: int) -> None:
    _require_movable(frame, sender, recipient, amount)
    _BALANCES.write(frame, (sender,), _BALANCES.read(frame, sender) - amount)
    _BALANCES.write(frame, (recipient,), _BALANCES.read(frame, recipient) + amount)
    emit(frame, Transfer(sender, recipient, amount))


def _require_movable(frame: Frame, sender: int, recipient: int, amount: int) -> None:
    require(sender != 0 and recipient != 0, "ADDRESS_ZERO")
    require(_BALANCES.read(frame, sender) >= amount, "BALANCE_INSUFFICIENT")
