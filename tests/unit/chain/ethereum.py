"""Ethereum keys, and registrations that eth-account signs, for tests of several rooms."""

from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from sequencer.model.commands import EthereumSignature, RegisterEthereumKey
from sequencer.starknet.ethereum_key import registration_message
from sequencer.starknet.felt import Felt, encode_short_string
from tests.unit.chain.network import PRIVATE, address_of, key_of

CHAIN_ID = encode_short_string("PERPCHAIN_TEST")
ETHEREUM = {"alice": 0xA11CE, "bob": 0xB0B, "carol": 0xCA401}
"""Private keys of Ethereum."""

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF = 2**128


def wallet(name: str) -> LocalAccount:
    made: LocalAccount = Account.from_key(ETHEREUM[name].to_bytes(32, "big"))
    return made


def ethereum_address(name: str) -> int:
    return int(wallet(name).address, 16)


def sign_message(message: dict[str, Any], name: str) -> tuple[int, int, bool]:
    """Sign typed data as a wallet does: r, s, and whether y is odd."""
    signed = wallet(name).sign_message(encode_typed_data(full_message=message))
    return signed.r, signed.s, signed.v == 28


def as_signature(r: int, s: int, odd: bool) -> EthereumSignature:
    return EthereumSignature(r % _HALF, r // _HALF, s % _HALF, s // _HALF, odd)


def registration(
    name: str,
    *,
    account: Felt | None = None,
    stark_key: Felt | None = None,
    chain_id: Felt = CHAIN_ID,
    address: int | None = None,
    signer: str = "",
) -> RegisterEthereumKey:
    """Bind the address of `name` to the account of `name`; what is given is signed instead."""
    given = ethereum_address(name) if address is None else address
    message = registration_message(
        chain_id,
        address_of(name) if account is None else account,
        key_of(PRIVATE[name]) if stark_key is None else stark_key,
        given,
    )
    signature = as_signature(*sign_message(message, signer or name))
    return RegisterEthereumKey(address_of(name), ethereum_address(name), signature)
