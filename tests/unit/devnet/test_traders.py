"""Traders' keys are those that a wallet would derive, and the same every time."""

import hashlib

from eth_account import Account
from eth_account.messages import encode_typed_data

from devnet.traders import ETHEREUM_CHAIN_ID, make_cast, onboarding_message, trader_key
from sequencer.starknet.felt_hash import grind_key, public_key


def test_the_message_is_the_typed_data_of_onboarding() -> None:
    spelled = encode_typed_data(
        full_message={
            "domain": {"name": "perpchain", "version": "1", "chainId": ETHEREUM_CHAIN_ID},
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
    )
    assert onboarding_message(ETHEREUM_CHAIN_ID) == spelled


def test_a_key_is_ground_from_the_first_half_of_the_signature() -> None:
    message = onboarding_message(ETHEREUM_CHAIN_ID)
    wallet = hashlib.sha256(b"perpchain devnet 7 trader 3").digest()
    signature = Account.sign_message(message, wallet).signature
    assert trader_key(7, 3, message) == grind_key(int.from_bytes(signature[:32], "big"))


def test_a_cast_is_the_same_every_time_and_nobody_is_there_twice() -> None:
    cast = make_cast(1, 12)
    assert cast == make_cast(1, 12)
    assert len(cast.signers()) == 14
    players = [*cast.signers().values(), cast.operator, cast.insurance, cast.fees]
    players += [player for _, player in cast.publishers]
    assert len({player.key for player in players}) == len(players) == 20
    assert all(player.public_key == public_key(player.key) for player in players)
    assert [name for name, _ in cast.publishers] == ["Alpha", "Bravo", "Carol"]


def test_seed_and_chain_give_other_keys() -> None:
    casts = [make_cast(1, 2), make_cast(2, 2), make_cast(1, 2, ETHEREUM_CHAIN_ID + 1)]
    assert len({trader.key for cast in casts for trader in cast.traders}) == 6
    assert casts[0].operator != casts[1].operator
    assert make_cast(1, 3).traders[:2] == casts[0].traders
