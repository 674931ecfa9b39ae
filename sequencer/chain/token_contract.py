"""The collateral token: ERC-20 views and transfer over the exchange's accounts.

Laws
- A balance is the cash of a cross account in 1e-6, rounded down; the supply is what was deposited
  and not yet withdrawn. There is no second ledger.
- A transfer is the exchange's transfer, with its margin test and in its modes.
"""

from sequencer.chain.calldata import CairoType, Felts, cairo_type, malformed, read_all, take
from sequencer.chain.exchange_contract import run_command
from sequencer.chain.native import Answer, Call, EntryPoint, Interface, native_contract
from sequencer.exchange.step import Context
from sequencer.model.commands import Transfer
from sequencer.model.units import QUOTE_PER_TOKEN
from sequencer.starknet.felt import ADDRESS_BOUND, Felt, encode_short_string
from sequencer.starknet.felt_hash import starknet_keccak

TOKEN_ADDRESS = starknet_keccak(b"perpchain.collateral") % ADDRESS_BOUND
"""The address of the collateral token."""

_U128 = 2**128
_FELT = cairo_type(int, "Token.account")
_WORD = cairo_type(str)
_BOOL = cairo_type(bool)


def _write_u256(value: int, out: list[Felt]) -> None:
    out += [value % _U128, value // _U128]


def _read_u256(felts: Felts, at: int) -> tuple[int, int]:
    low, high = take(felts, at), take(felts, at + 1)
    if low >= _U128 or high >= _U128:
        raise malformed("no u256")
    return low + high * _U128, at + 2


_U256 = CairoType("core::integer::u256", _write_u256, _read_u256)
_U8 = CairoType("core::integer::u8", _FELT.write, _FELT.read)


_BALANCE = (("account", _FELT),)
_TRANSFER = (("recipient", _FELT), ("amount", _U256))


def _amount(value: int) -> Answer:
    return Answer((value % _U128, value // _U128))


def _balance_of(call: Call) -> Answer:
    account = read_all(_BALANCE, call.calldata)["account"]
    cash = call.state.account(account).cash
    return _amount(max(cash, 0) // QUOTE_PER_TOKEN)


def _total_supply(call: Call) -> Answer:
    read_all((), call.calldata)
    totals = call.state.totals
    return _amount((totals.deposited - totals.withdrawn) // QUOTE_PER_TOKEN)


def _transfer(call: Call) -> Answer:
    given = read_all(_TRANSFER, call.calldata)
    command = Transfer(call.caller, given["recipient"], given["amount"] * QUOTE_PER_TOKEN)
    answer = run_command(call, command, Context(call.caller))
    return Answer((1,), answer.events)


def _constant(name: str, kind: CairoType, felt: Felt) -> EntryPoint:
    def run(call: Call) -> Answer:
        read_all((), call.calldata)
        return Answer((felt,))

    return EntryPoint(name, (), run, (kind,), is_view=True)


TOKEN = native_contract(
    Interface(
        name="Collateral",
        entry_points=(
            _constant("name", _WORD, encode_short_string("USD Coin")),
            _constant("symbol", _WORD, encode_short_string("USDC")),
            _constant("decimals", _U8, 6),
            EntryPoint("total_supply", (), _total_supply, (_U256,), is_view=True),
            EntryPoint("balance_of", _BALANCE, _balance_of, (_U256,), is_view=True),
            EntryPoint("balanceOf", _BALANCE, _balance_of, (_U256,), is_view=True),
            EntryPoint("transfer", _TRANSFER, _transfer, (_BOOL,)),
        ),
    ),
    TOKEN_ADDRESS,
)
"""The collateral token's contract."""
