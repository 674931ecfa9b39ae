"""Who plays on a devnet: a thousand traders with keys as wallets derive them, and the other roles.

Promises
- Every key follows from a seed and a name or number: the same on every machine. Anybody can derive
  them, so they guard nothing.
- A trader's key comes from an Ethereum account as exchanges onboard wallets: the account signs the
  typed data Constant{action: "STARK Key"} under a domain with the name of the exchange, version 1
  and the id of the Ethereum chain; `grind_key` of the signature's r is the private key.

A trader costs about 6 ms, nearly all of it the Ethereum signature in pure Python.
"""

import hashlib
from collections.abc import Iterable

import msgspec
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data

from devnet.keys import devnet_key
from sequencer.chain.genesis import GenesisAccount
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import grind_key, public_key

ETHEREUM_CHAIN_ID = 31_337
"""The id that local Ethereum chains have."""

_ROLES = ("operator", "insurance", "fees", "quoter", "liquidity")
_PUBLISHERS = ("Alpha", "Bravo", "Carol")


class Player(msgspec.Struct, frozen=True):
    """A private key with its public key, and the address of the account that has it."""

    key: int
    public_key: Felt
    address: Felt


class Cast(msgspec.Struct, frozen=True):
    """Everybody who signs. `publishers` are named; their addresses are of no use."""

    operator: Player
    insurance: Player
    fees: Player
    quoter: Player
    liquidity: Player
    traders: tuple[Player, ...]
    publishers: tuple[tuple[str, Player], ...]

    def signers(self) -> dict[Felt, Player]:
        """Return those who sign orders, by address."""
        return {player.address: player for player in (self.quoter, self.liquidity, *self.traders)}


def make_cast(seed: int, traders: int, ethereum_chain_id: int = ETHEREUM_CHAIN_ID) -> Cast:
    """Derive all keys."""
    message = onboarding_message(ethereum_chain_id)
    return cast_of(seed, (_player(trader_key(seed, n, message)) for n in range(traders)))


def cast_of(seed: int, traders: Iterable[Player]) -> Cast:
    """Derive everybody else, for some traders."""
    roles = {name: role_of(seed, name) for name in _ROLES}
    publishers = tuple((name, role_of(seed, name)) for name in _PUBLISHERS)
    return Cast(**roles, traders=tuple(traders), publishers=publishers)


def role_of(seed: int, name: str) -> Player:
    """Derive who plays a role or is a publisher, by its name."""
    return _player(devnet_key(f"{seed} {name}"))


def onboarding_message(ethereum_chain_id: int) -> SignableMessage:
    """Return what a trader's Ethereum account signs so that a Stark key can be derived."""
    return encode_typed_data(
        {"name": "perpchain", "version": "1", "chainId": ethereum_chain_id},
        {"Constant": [{"name": "action", "type": "string"}]},
        {"action": "STARK Key"},
    )


def trader_key(seed: int, number: int, message: SignableMessage) -> int:
    """Derive a trader's private Stark key from the signature of its Ethereum account."""
    ethereum_key = hashlib.sha256(f"perpchain devnet {seed} trader {number}".encode()).digest()
    return grind_key(Account.sign_message(message, ethereum_key).r)


def _player(key: int) -> Player:
    public = public_key(key)
    return Player(key, public, GenesisAccount(hex(public)).address())
