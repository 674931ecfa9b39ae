"""Keys and block 0 of a local devnet: everything follows from its options."""

import msgspec
import pytest

from devnet.local_cast import make_local_cast, make_local_genesis
from sequencer.chain.genesis import read_genesis, start_chain
from sequencer.model.devnet_limits import DEVNET_SEED_MAX
from sequencer.model.rows import Mode
from sequencer.starknet.felt_hash import public_key
from tests.unit.devnet.local_node import recording


def genesis_hash(seed: int, accounts: int, balance: int) -> int:
    genesis = make_local_genesis(recording(), make_local_cast(seed, accounts), balance)
    return start_chain(read_genesis(msgspec.json.encode(genesis))).head.hash


def test_the_same_options_give_the_same_block_and_others_another() -> None:
    hashes = [
        genesis_hash(*options) for options in ((1, 2, 10), (2, 2, 10), (1, 3, 10), (1, 2, 11))
    ]
    assert len(set(hashes)) == len(hashes)
    assert genesis_hash(1, 2, 10) == hashes[0]


@pytest.mark.parametrize("seed", [0, 1, DEVNET_SEED_MAX])
def test_nobody_shares_a_key(seed: int) -> None:
    cast = make_local_cast(seed, 30)
    roles = cast.roles
    named = [roles.operator, roles.insurance, roles.fees, roles.quoter, roles.liquidity]
    everybody = [*named, *roles.traders, cast.faucet, *cast.accounts]
    everybody += [player for _, player in roles.publishers]
    assert len({player.key for player in everybody}) == len(everybody)
    assert all(public_key(player.key) == player.public_key for player in everybody)
    assert {player.key for player in make_local_cast(seed ^ 1, 30).accounts}.isdisjoint(
        player.key for player in everybody
    )


def test_accounts_are_there_with_their_money_and_markets_with_their_prices() -> None:
    cast = make_local_cast(3, 2)
    genesis = make_local_genesis(recording(), cast, 1_234)
    state = start_chain(genesis).state
    for player in cast.accounts:
        assert state.accounts[player.address].cash == 1_234 * 10**8
        assert state.contracts[player.address].public_key == player.public_key
    assert sorted(state.prices) == ["BTC-USD-PERP", "ETH-USD-PERP"]
    firsts = [market.first_index for market in recording().markets]
    assert [state.prices[market].index for market in sorted(state.prices)] == firsts
    assert state.system.drill
    assert state.system.reopen_automatic
    assert state.system.mode is Mode.CANCEL_ONLY
