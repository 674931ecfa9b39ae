"""The EIP-712 message against eth-account's own, and who signed it."""

from random import Random
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data

from sequencer.model.limits import FELT_MAX
from sequencer.model.refusals import Reason
from sequencer.starknet.ethereum_key import (
    format_ethereum_address,
    registration_hash,
    registration_message,
    signer_of,
)
from sequencer.starknet.felt import encode_short_string
from sequencer.starknet.felt_hash import keccak
from tests.strategies import refused

CHAIN_ID = encode_short_string("PERPCHAIN_TEST")
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
WALLET = Account.from_key(bytes(31) + b"\xe7")
ADDRESS = int(WALLET.address, 16)

Fields = tuple[int, int, int, int]


def random_fields(random: Random) -> Fields:
    text = "".join(random.choices("ABCXYZ_0189 -", k=random.randrange(1, 32)))
    felts = random.randrange(FELT_MAX), random.randrange(FELT_MAX)
    return encode_short_string(text), *felts, random.getrandbits(160)


def signable(fields: Fields) -> SignableMessage:
    message: dict[str, Any] = registration_message(*fields)
    return encode_typed_data(full_message=message)


def hash_of(message: SignableMessage) -> bytes:
    """Hash a message as EIP-191 says, in which eth-account keeps typed data."""
    return keccak(b"\x19" + message.version + message.header + message.body).to_bytes(32, "big")


@pytest.mark.parametrize("seed", range(60))
def test_a_message_hashes_as_eth_account_hashes_it(seed: int) -> None:
    fields = random_fields(Random(seed))
    assert registration_hash(*fields) == hash_of(signable(fields))


@pytest.mark.parametrize(
    "fields", [(CHAIN_ID, 0, 0, 0), (CHAIN_ID, FELT_MAX, FELT_MAX, 2**160 - 1), (0, 1, 2, 3)]
)
def test_the_ends_of_every_range_hash_as_eth_account_hashes_them(fields: Fields) -> None:
    assert registration_hash(*fields) == hash_of(signable(fields))


def test_a_message_and_its_signature_are_what_they_were() -> None:
    fields = (CHAIN_ID, 0x1234, 0x5678, ADDRESS)
    digest = "b59dd1c861747f8b49f7999282c76d6b8305349344d9b3fa4e13ef30caa0f9e2"
    assert registration_hash(*fields).hex() == digest
    r = 0xE8620F1D6A97A9F0463F49B7BCA71BF4E7830AE846AA8370532A0BD2C9C43606
    s = 0x668962021F6A7F5D785EFF2ACD79D039D7D715EF8179A4E4B10E7B8B02D16911
    signed = WALLET.sign_message(signable(fields))
    assert (signed.r, signed.s, signed.v) == (r, s, 28)
    assert signer_of(bytes.fromhex(digest), r, s, y_parity=True) == ADDRESS
    assert registration_message(*fields)["message"] == {
        "chain_id": "PERPCHAIN_TEST",
        "account": f"0x{0x1234:064x}",
        "stark_key": f"0x{0x5678:064x}",
        "ethereum_address": "0x4161220db043a7d682e0ad123a3f8fea165711aa",
    }


def test_a_chain_id_that_is_no_text_is_refused() -> None:
    with refused(Reason.SHORT_STRING_MALFORMED):
        registration_hash(FELT_MAX, 1, 2, 3)


@pytest.mark.parametrize("seed", range(12))
def test_whoever_signed_is_found_as_eth_account_finds_him(seed: int) -> None:
    random = Random(seed)
    account = Account.from_key(random.randrange(1, CURVE_ORDER).to_bytes(32, "big"))
    fields = (*random_fields(random)[:3], int(account.address, 16))
    message = signable(fields)
    signed = account.sign_message(message)
    found = signer_of(registration_hash(*fields), signed.r, signed.s, y_parity=signed.v == 28)
    assert found == int(account.address, 16)
    assert Account.recover_message(message, signature=signed.signature) == account.address


@pytest.mark.parametrize("seed", range(12))
def test_one_bit_changed_is_somebody_else_or_nobody(seed: int) -> None:
    random = Random(seed)
    hash_ = registration_hash(CHAIN_ID, 1, 2, ADDRESS)
    signed = WALLET.sign_message(signable((CHAIN_ID, 1, 2, ADDRESS)))
    r, s, odd, bit = signed.r, signed.s, signed.v == 28, 1 << random.randrange(255)
    changed = (int.from_bytes(hash_, "big") ^ bit).to_bytes(32, "big")
    assert signer_of(hash_, r, s, y_parity=odd) == ADDRESS
    assert signer_of(changed, r, s, y_parity=odd) != ADDRESS
    assert signer_of(hash_, r ^ bit, s, y_parity=odd) != ADDRESS
    assert signer_of(hash_, r, s ^ bit, y_parity=odd) != ADDRESS
    assert signer_of(hash_, r, s, y_parity=not odd) != ADDRESS


def test_the_other_signature_of_the_same_key_counts_for_nothing() -> None:
    message = signable((CHAIN_ID, 1, 2, ADDRESS))
    signed = WALLET.sign_message(message)
    r, s, odd = signed.r, CURVE_ORDER - signed.s, signed.v == 27
    high = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((27 + odd,))
    assert int(Account._recover_hash(hash_of(message), signature=high), 16) == ADDRESS
    assert signer_of(hash_of(message), r, s, y_parity=odd) is None


@pytest.mark.parametrize(
    ("r", "s"),
    [
        (0, 1),
        (1, 0),
        (0, 0),
        (CURVE_ORDER, 1),
        (CURVE_ORDER + 1, 1),
        (2**256 - 1, 1),
        (1, CURVE_ORDER // 2 + 1),
        (1, CURVE_ORDER),
        (1, 2**256 - 1),
        (5, 1),
    ],
)
@pytest.mark.parametrize("odd", [False, True])
def test_what_nobody_can_have_signed_has_no_signer(r: int, s: int, odd: bool) -> None:
    assert signer_of(bytes(31) + b"\x01", r, s, y_parity=odd) is None


def test_the_edges_of_the_curve_raise_nothing() -> None:
    random = Random(1)
    half, generator = CURVE_ORDER // 2, GENERATOR
    rs = [1, 2, 3, 4, 6, CURVE_ORDER - 1, generator, *(random.getrandbits(256) for _ in range(8))]
    hashes = [bytes(32), b"\xff" * 32, CURVE_ORDER.to_bytes(32, "big"), b"\x01" * 32]
    found = [
        signer_of(hash_, r, s, y_parity=odd)
        for r, hash_ in zip(rs, hashes * 4, strict=False)
        for s in (1, half)
        for odd in (False, True)
    ]
    assert len(found) == len(rs) * 4
    # r = x of the generator with s equal to the hash: the two points cancel out.
    opposite = [
        signer_of(s.to_bytes(32, "big"), generator, s, y_parity=odd)
        for s in (1, 77, half)
        for odd in (False, True)
    ]
    assert opposite.count(None) == len(opposite) // 2


def test_addresses_are_written_whole() -> None:
    assert format_ethereum_address(5) == "0x" + "5".zfill(40)


GENERATOR = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798
"""The x coordinate of the curve's generator."""
