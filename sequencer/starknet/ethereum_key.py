"""The message by which an Ethereum address joins an account: EIP-712, and who signed it.

Promises
- The hash is the one that wallets and eth-account sign for `registration_message`.
- Whoever signed is found without exception: a signature that nobody can have made has no signer,
  nor has one whose s is above half of the order. Each message has one signature that counts.

Laws
- The message names the appchain, the account, its Stark key and the address: a signature is worth
  nothing anywhere else. The appchain's id is a field, not the domain's chainId, because wallets
  sign only for the Ethereum network that they are on.
- The curve is computed in Python itself, whatever else is installed, in about ten milliseconds.
"""

from functools import lru_cache

from eth_keys.backends.native.main import NativeECCBackend
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature

from sequencer.model.bridge_limits import ETHEREUM_ADDRESS_MAX, ETHEREUM_SIGNERS_CACHED
from sequencer.starknet.felt import Felt, decode_short_string
from sequencer.starknet.felt_hash import keccak

ETHEREUM_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of the generator of secp256k1: private keys, r and s are below it."""

_DOMAIN = {"name": "perpchain", "version": "1"}
_DOMAIN_TYPE = "EIP712Domain"
_MESSAGE_TYPE = "RegisterEthereumKey"
_TYPES = {
    _DOMAIN_TYPE: (("name", "string"), ("version", "string")),
    _MESSAGE_TYPE: (
        ("chain_id", "string"),
        ("account", "bytes32"),
        ("stark_key", "bytes32"),
        ("ethereum_address", "address"),
    ),
}

_PREFIX = b"\x19\x01"
_WORD_BYTES = 32
_ADDRESS_DIGITS = 40
_BACKEND = NativeECCBackend()


def format_ethereum_address(address: int) -> str:
    """Write an address in lower case, with all of its 40 digits."""
    return f"0x{address:0{_ADDRESS_DIGITS}x}"


def registration_message(
    chain_id: Felt, account: Felt, stark_key: Felt, ethereum_address: int
) -> dict[str, object]:
    """Return the typed data that a wallet signs. Refusal: SHORT_STRING_MALFORMED."""
    types = {
        kind: [{"name": name, "type": word} for name, word in fields]
        for kind, fields in _TYPES.items()
    }
    message = {
        "chain_id": decode_short_string(chain_id),
        "account": f"0x{account:064x}",
        "stark_key": f"0x{stark_key:064x}",
        "ethereum_address": format_ethereum_address(ethereum_address),
    }
    domain = dict(_DOMAIN)
    return {"types": types, "primaryType": _MESSAGE_TYPE, "domain": domain, "message": message}


def registration_hash(
    chain_id: Felt, account: Felt, stark_key: Felt, ethereum_address: int
) -> bytes:
    """Return the 32 bytes that are signed for that message. Refusal: SHORT_STRING_MALFORMED."""
    fields = (account, stark_key, ethereum_address)
    words = [_text_hash(decode_short_string(chain_id)), *map(_word, fields)]
    return _hash(_PREFIX + _DOMAIN_HASH + _struct_hash(_MESSAGE_TYPE, *words))


def signer_of(message_hash: bytes, r: int, s: int, *, y_parity: bool) -> int | None:
    """Return the address that signed 32 bytes, None where nobody can have signed so."""
    if not 0 < r < ETHEREUM_CURVE_ORDER or not 0 < s <= ETHEREUM_CURVE_ORDER // 2:
        return None
    # Bytes, because integers can be made to collide in a dictionary by whoever chooses them.
    return _remembered_signer(message_hash, _word(r) + _word(s) + bytes((y_parity,)))


@lru_cache(maxsize=ETHEREUM_SIGNERS_CACHED)
def _remembered_signer(message_hash: bytes, signature: bytes) -> int | None:
    try:
        key = Signature(signature, backend=_BACKEND).recover_public_key_from_msg_hash(message_hash)
    except BadSignature:
        return None
    return keccak(key.to_bytes()) & ETHEREUM_ADDRESS_MAX


def _struct_hash(kind: str, *words: bytes) -> bytes:
    fields = ",".join(f"{word} {name}" for name, word in _TYPES[kind])
    return _hash(b"".join((_text_hash(f"{kind}({fields})"), *words)))


def _text_hash(text: str) -> bytes:
    return _hash(text.encode())


def _hash(data: bytes) -> bytes:
    return _word(keccak(data))


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD_BYTES, "big")


_DOMAIN_HASH = _struct_hash(_DOMAIN_TYPE, *map(_text_hash, _DOMAIN.values()))
