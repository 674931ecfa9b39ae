"""The tokens that pay fees on a Starknet chain, STRK and ETH, in Python.

Promises
- Balances, allowances and the supply are in the slots, events and refusals in the words, of the
  tokens that starknet-devnet begins with. Votes, roles and upgrades are left out.
- Only the minter that a chain begins with makes new tokens.
"""

from collections.abc import Mapping

from contracts.cairo_types import U8, U256, Address, Text
from contracts.entry_points import emit, named
from contracts.served import Served, served_twin
from contracts.storage import Map, Variable
from contracts.twin import Frame, Twin, require
from contracts.usdc import Approval, Transfer
from sequencer.starknet.felt import Felt, encode_short_string

STRK_CLASS_HASH = 0x2E77EE61D4DF3D988EE1F42EA5442E913862CC82C2584D212ECDA76666498FC
ETH_CLASS_HASH = 0xB45DBC3714180381C5680E41931172D67194D77D504413465390E0BEF194EC

DECIMALS = 18
BALANCES = Map[int]("ERC20_balances", U256)
TOTAL_SUPPLY = Variable[int]("ERC20_total_supply", U256)

_ALLOWANCES = Map[int]("ERC20_allowances", U256)
_DECIMALS = Variable[int]("ERC20_decimals", U8)
_MINTER = Variable[int]("permitted_minter", Address)
# Text is kept as its length, and its word where Poseidon's permutation of (the variable's own
# address, 0, "ByteArray") leads. Hashes of pairs don't give that, so those places stand here.
_NAME = Variable[int]("ERC20_name", Felt)
_NAME_WORD = 0x35B0C37F7F34BE47076C6CFBCF811AD0769DBC81F4C509EE9613E0B0C648CA9
_SYMBOL = Variable[int]("ERC20_symbol", Felt)
_SYMBOL_WORD = 0x1C789464AD40743BC8A10C1B00FB11A9C2A6FB9697600ED12F48DF50A9CC740
_UNBOUNDED = 2**256 - 1


def token_slots(
    name: str, symbol: str, minter: Felt, balances: Mapping[Felt, int]
) -> Mapping[Felt, Felt]:
    """Return what is stored of a token that a chain begins with; balances are below 2^128."""
    slots = {
        _NAME.slot: len(name),
        _NAME_WORD: encode_short_string(name),
        _SYMBOL.slot: len(symbol),
        _SYMBOL_WORD: encode_short_string(symbol),
        _DECIMALS.slot: DECIMALS,
        _MINTER.slot: minter,
        TOTAL_SUPPLY.slot: sum(balances.values()) % 2**128,
        TOTAL_SUPPLY.slot + 1: sum(balances.values()) // 2**128,
    }
    return slots | {BALANCES.slot(owner): balance for owner, balance in balances.items()}


def name(frame: Frame) -> Text:
    return _text(_NAME.read(frame), frame.read(_NAME_WORD))


def symbol(frame: Frame) -> Text:
    return _text(_SYMBOL.read(frame), frame.read(_SYMBOL_WORD))


def decimals(frame: Frame) -> U8:
    return _DECIMALS.read(frame)


def total_supply(frame: Frame) -> U256:
    return TOTAL_SUPPLY.read(frame)


def balance_of(frame: Frame, account: Address) -> U256:
    return BALANCES.read(frame, account)


def allowance(frame: Frame, owner: Address, spender: Address) -> U256:
    return _ALLOWANCES.read(frame, owner, spender)


def transfer(frame: Frame, recipient: Address, amount: U256) -> bool:
    _move(frame, frame.caller, recipient, amount)
    return True


def transfer_from(frame: Frame, sender: Address, recipient: Address, amount: U256) -> bool:
    allowed = _ALLOWANCES.read(frame, sender, frame.caller)
    if allowed != _UNBOUNDED:
        require(allowed >= amount, "ERC20: insufficient allowance")
        _approve(frame, sender, frame.caller, allowed - amount)
    _move(frame, sender, recipient, amount)
    return True


def approve(frame: Frame, spender: Address, amount: U256) -> bool:
    _approve(frame, frame.caller, spender, amount)
    return True


def increase_allowance(frame: Frame, spender: Address, added_value: U256) -> bool:
    allowed = _ALLOWANCES.read(frame, frame.caller, spender)
    _approve(frame, frame.caller, spender, _sum(allowed, added_value))
    return True


def decrease_allowance(frame: Frame, spender: Address, subtracted_value: U256) -> bool:
    allowed = _ALLOWANCES.read(frame, frame.caller, spender)
    require(allowed >= subtracted_value, "u256_sub Overflow")
    _approve(frame, frame.caller, spender, allowed - subtracted_value)
    return True


def permissioned_mint(frame: Frame, account: Address, amount: U256) -> None:
    require(frame.caller == _MINTER.read(frame), "ONLY_MINTER")
    require(account != 0, "ERC20: mint to 0")
    TOTAL_SUPPLY.write(frame, _sum(TOTAL_SUPPLY.read(frame), amount))
    BALANCES.write(frame, (account,), _sum(BALANCES.read(frame, account), amount))
    emit(frame, Transfer(0, account, amount))


def _token(label: str, class_hash: Felt) -> Twin:
    return served_twin(
        Served(
            name=label,
            class_hash=class_hash,
            functions={
                **named(transfer, transfer_from, approve, permissioned_mint),
                **named(increase_allowance, decrease_allowance),
                "transferFrom": transfer_from,
                "increaseAllowance": increase_allowance,
                "decreaseAllowance": decrease_allowance,
                "permissionedMint": permissioned_mint,
            },
            views={
                **named(name, symbol, decimals, total_supply, balance_of, allowance),
                "totalSupply": total_supply,
                "balanceOf": balance_of,
            },
            events=(Transfer, Approval),
        )
    )


STRK_TOKEN = _token("strk_token", STRK_CLASS_HASH)
ETH_TOKEN = _token("eth_token", ETH_CLASS_HASH)


def _move(frame: Frame, sender: int, recipient: int, amount: int) -> None:
    require(sender != 0, "ERC20: transfer from 0")
    require(recipient != 0, "ERC20: transfer to 0")
    require(BALANCES.read(frame, sender) >= amount, "ERC20: insufficient balance")
    BALANCES.write(frame, (sender,), BALANCES.read(frame, sender) - amount)
    BALANCES.write(frame, (recipient,), _sum(BALANCES.read(frame, recipient), amount))
    emit(frame, Transfer(sender, recipient, amount))


def _approve(frame: Frame, owner: int, spender: int, amount: int) -> None:
    require(owner != 0, "ERC20: approve from 0")
    require(spender != 0, "ERC20: approve to 0")
    _ALLOWANCES.write(frame, (owner, spender), amount)
    emit(frame, Approval(owner, spender, amount))


def _sum(left: int, right: int) -> int:
    require(left + right <= _UNBOUNDED, "u256_add Overflow")
    return left + right


def _text(length: int, word: Felt) -> str:
    return word.to_bytes(length, "big").decode("ascii")
