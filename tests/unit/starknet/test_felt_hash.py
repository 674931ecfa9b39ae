"""Hashes and keys against published values, other libraries and their written definitions."""

import hashlib
from collections.abc import Callable

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import example, given, settings
from hypothesis import strategies as st
from poseidon_py import poseidon_hash as poseidon_py  # type: ignore[import-untyped]
from starknet_py.hash import utils as starknet_py

from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import encode_short_string
from sequencer.starknet.felt_hash import (
    CURVE_ORDER,
    Blake2s,
    grind_key,
    keccak,
    pedersen,
    pedersen_array,
    pedersen_fold,
    poseidon,
    poseidon_array,
    public_key,
    sign,
    starknet_keccak,
    verify,
)
from sequencer.starknet.names import contract_address, selector
from tests.strategies import NOT_FELTS, Unchecked, felt_lists, felts, refused, signable_hashes

PARADEX_L1_KEY = 0xF8E4D1D772CDD44E5E77615AD11CC071C94E4C06DC21150D903F28E6AA6ABDFF
PARADEX_L2_KEY = 0x543B6CF6C91817A87174AAEA4FB370AC1C694E864D7740D728F8344D53E815
PARADEX_PUBLIC_KEY = 0x2C144D2F2D4FC61B6F8967F3BA0012A87D90140BCFE5A3E92E8DF83258C960F
PARADEX_ADDRESS = 0x129C135ED63DF9353885E292BE4426B8ED6122B13C6C0E1BB787288A1F5ADFA
PARADEX_PROXY_CLASS = 0x3530CC4759D78042F1B543BF797F5F3D647CDE0388C33734CF91B7F7B9314A9
PARADEX_ACCOUNT_CLASS = 0x41CB0280EBADAA75F996D8D92C6F265F6D040BB3BA442E5F86A554F1765244E
PARADEX_ORDER_HASH = 0x378D992FCD5D0937567174E9DA374046529415D34B02013CD87D6BCF9CCA3E8
PARADEX_SIGNATURE = (
    131585251743815754762571593473695798557031696837452445537653925878161737198,
    3486995643254063485414009020875738374083771151608202733755119956393523827597,
)
CONSTANT_MESSAGE = {
    "domain": {"name": "Paradex", "version": "1", "chainId": 11155111},
    "primaryType": "Constant",
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
        ],
        "Constant": [{"name": "action", "type": "string"}],
    },
    "message": {"action": "STARK Key"},
}

FOLDED = 0x5D9D62D4040B977C3F8D2389D494E4E89A96A8B45C44B1368F1CC6EC5418915
"""Pedersen over 1, 2 and 3 folded from the right, as other libraries document it."""


def test_published_values() -> None:
    assert pedersen(1, 2) == 0x5BB9440E27889A364BCB678B1F679ECD1347ACDEDCBF36E83494F857CC58026
    assert pedersen_array([]) == 0x49EE3EBA8C1600700EE1B87EB599F16716B0B1022947733551FDE4050CA6804
    assert poseidon(1, 2) == 0x5D44A3DECB2B2E0CC71071F7B802F45DD792D064F0FC7316C46514F70F9891A
    assert (
        poseidon_array([1, 2]) == 0x371CB6995EA5E7EFFCD2E174DE264B5B407027A75A231A70C2C8D196107F0E7
    )
    assert poseidon_array([]) == 0x2272BE0F580FD156823304800919530EAA97430E972D7213EE13F4FBF7A5DBC
    assert pedersen(1, pedersen(2, 3)) == FOLDED
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak(b"") == int(empty, 16)
    transfer = 0x83AFD3F4CAEDC6EEBF44246FE54E38C95E3179A5EC9EA81740ECA5B482D12E
    assert starknet_keccak(b"transfer") == transfer


@settings(derandomize=True, deadline=None)
@given(felts, felts)
def test_pairs_agree_with_other_libraries(left: int, right: int) -> None:
    assert pedersen(left, right) == starknet_py.pedersen_hash(left, right)
    assert poseidon(left, right) == poseidon_py.poseidon_hash(left, right)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(felt_lists)
def test_arrays_agree_with_other_libraries(values: list[int]) -> None:
    assert pedersen_array(values) == starknet_py.compute_hash_on_elements(values)
    assert pedersen_array(tuple(values)) == pedersen_array(values)
    assert pedersen_array(values) == pedersen(pedersen_fold(0, values), len(values))
    assert poseidon_array(values) == poseidon_py.poseidon_hash_many(values)
    assert poseidon_array(tuple(values)) == poseidon_array(values)


def test_one_length_is_not_another() -> None:
    hashes = [
        hash_([0] * count) for hash_ in (pedersen_array, poseidon_array) for count in range(9)
    ]
    assert len(set(hashes)) == len(hashes)


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=300))
@example(b"\xff" * 135)
@example(b"\xff" * 136)
def test_keccak_agrees(data: bytes) -> None:
    assert keccak(data) == starknet_py.keccak256(data)
    assert starknet_keccak(data) == keccak(data) % 2**250


PAIR_HASHES: tuple[Callable[[Unchecked, Unchecked], int], ...] = (
    pedersen,
    poseidon,
    Blake2s(b"test"),
)


@pytest.mark.parametrize("value", NOT_FELTS, ids=repr)
@pytest.mark.parametrize("hash_pair", PAIR_HASHES, ids=["pedersen", "poseidon", "blake2s"])
def test_no_pair_hash_takes_anything_but_felts(
    hash_pair: Callable[[Unchecked, Unchecked], int], value: Unchecked
) -> None:
    for left, right in ((value, 1), (1, value), (value, value)):
        with refused(Reason.FELT_OUT_OF_RANGE):
            hash_pair(left, right)


@pytest.mark.parametrize("value", NOT_FELTS, ids=repr)
def test_no_array_hash_takes_anything_but_felts(value: Unchecked) -> None:
    for values in ([value], [1, value], [value, 1], [1, 2, value]):
        for call in (pedersen_array, poseidon_array, lambda felts: pedersen_fold(0, felts)):
            with refused(Reason.FELT_OUT_OF_RANGE):
                call(values)
    with refused(Reason.FELT_OUT_OF_RANGE):
        pedersen_fold(value, [1])


@settings(derandomize=True, deadline=None)
@given(felts, felts, st.binary(max_size=8))
def test_blake2s_is_what_it_says(left: int, right: int, tag: bytes) -> None:
    digest = hashlib.blake2s(person=tag.ljust(8, b"\0"), digest_size=32)
    digest.update(left.to_bytes(32, "big"))
    digest.update(right.to_bytes(32, "big"))
    expected = int(digest.hexdigest()[:62], 16)
    assert Blake2s(tag)(left, right) == expected < 2**248


def test_blake2s_tags_keep_uses_apart() -> None:
    assert len({Blake2s(tag)(1, 2) for tag in (b"", b"a", b"b", b"ab", b"trie")}) == 5


def by_definition(seed: int) -> int:
    """Derive a key as the published text says: hex strings of even length, joined."""
    order_multiple = 2**256 - 2**256 % CURVE_ORDER
    for counter in range(1000):
        parts = [f"{number:x}" for number in (seed, counter)]
        text = "".join("0" * (len(part) % 2) + part for part in parts)
        digest = int(hashlib.sha256(bytes.fromhex(text)).hexdigest(), 16)
        if digest < order_multiple:
            return digest % CURVE_ORDER
    raise AssertionError("no key in a thousand attempts")


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.one_of(st.integers(0, 2**256 - 1), st.integers(0, 2**20)))
@example(0)
@example(2**256 - 1)
@example(0xA978531943AD2E2A8AF34E0E2A7D306DC99516D489BE16E4EA2EE74C90A9D88F)
def test_grinding_follows_its_definition(seed: int) -> None:
    assert grind_key(seed) == by_definition(seed)


def test_grinding_gives_the_published_key() -> None:
    seed = 0x86F3E7293141F20A8BAFF320E8EE4ACCB9D4A4BF2B4D295E8CEE784DB46E0519
    assert grind_key(seed) == 0x5C8C8683596C732541A59E03007B2D30DBBBB873556FE65B5FB63C16688F941


@pytest.mark.parametrize("seed", [-1, 2**256, True, None, "0x1", 1.0, b"\1"])
def test_other_seeds_are_refused(seed: Unchecked) -> None:
    with refused(Reason.PRIVATE_KEY_OUT_OF_RANGE):
        grind_key(seed)


def test_a_paradex_account_follows_from_its_ethereum_key() -> None:
    message = encode_typed_data(full_message=CONSTANT_MESSAGE)
    signature = Account.sign_message(message, PARADEX_L1_KEY.to_bytes(32, "big"))
    private_key = grind_key(signature.r)
    assert private_key == PARADEX_L2_KEY
    assert public_key(private_key) == PARADEX_PUBLIC_KEY
    constructor = [PARADEX_ACCOUNT_CLASS, selector("initialize"), 2, PARADEX_PUBLIC_KEY, 0]
    address = contract_address(PARADEX_PUBLIC_KEY, PARADEX_PROXY_CLASS, constructor)
    assert address == PARADEX_ADDRESS


def test_a_paradex_signature_verifies() -> None:
    assert verify(PARADEX_PUBLIC_KEY, PARADEX_ORDER_HASH, *PARADEX_SIGNATURE)
    theirs = starknet_py.message_signature(PARADEX_ORDER_HASH, PARADEX_L2_KEY, seed=32)
    assert tuple(theirs) == PARADEX_SIGNATURE
    assert verify(PARADEX_PUBLIC_KEY, PARADEX_ORDER_HASH, *sign(PARADEX_L2_KEY, PARADEX_ORDER_HASH))


private_keys = st.one_of(
    st.sampled_from((1, 2, CURVE_ORDER - 1, CURVE_ORDER - 2)), st.integers(1, CURVE_ORDER - 1)
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(private_keys, signable_hashes)
def test_every_signature_verifies_and_is_repeatable(private_key: int, message_hash: int) -> None:
    signature = sign(private_key, message_hash)
    assert signature == sign(private_key, message_hash)
    assert verify(public_key(private_key), message_hash, *signature)


@settings(derandomize=True, deadline=None, max_examples=12)
@given(private_keys, signable_hashes)
def test_signing_is_rfc_6979_without_extra_entropy(private_key: int, message_hash: int) -> None:
    theirs = starknet_py.message_signature(message_hash, private_key, seed=None)
    assert sign(private_key, message_hash) == tuple(theirs)
    assert public_key(private_key) == starknet_py.private_to_stark_key(private_key)


@pytest.mark.parametrize("key", [0, -1, CURVE_ORDER, 2**256, True, None, "0x1", 1.0])
def test_other_private_keys_are_refused(key: Unchecked) -> None:
    with refused(Reason.PRIVATE_KEY_OUT_OF_RANGE):
        public_key(key)
    with refused(Reason.PRIVATE_KEY_OUT_OF_RANGE):
        sign(key, 1)


@pytest.mark.parametrize("message_hash", [0, -1, 2**251, 2**256, True, None, "0x1", 1.0])
def test_other_message_hashes_are_refused(message_hash: Unchecked) -> None:
    with refused(Reason.MESSAGE_HASH_OUT_OF_RANGE):
        sign(1, message_hash)


def test_a_refused_private_key_is_not_repeated_in_the_refusal() -> None:
    secret = CURVE_ORDER + 987654321
    with pytest.raises(Refused, match="PRIVATE_KEY_OUT_OF_RANGE") as caught:
        sign(secret, encode_short_string("hello"))
    assert str(secret) not in str(caught.value)
    assert hex(secret)[2:] not in str(caught.value)
