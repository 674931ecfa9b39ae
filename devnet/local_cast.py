"""Who has a key on a local devnet, and its block 0.

Promises
- Everything follows from seed, number of accounts, balance and the recording: the same block 0 on
  every machine. Anybody can derive the keys, so they guard nothing.
- Whoever trades for the devnet itself is there in any case, so a chain goes on with or without.
- It is a drill, and it opens again by itself after a gap.
"""

import msgspec

from devnet.market_genesis import symbol_of
from devnet.traders import Cast, Player, cast_of, role_of
from sequencer.chain.genesis import Genesis, GenesisAccount, GenesisMarket, GenesisPublisher
from sequencer.feeds.recorded import RecordedMarket, Recording
from sequencer.model.markets import MarketParameters, OracleParameters

CHAIN_ID = "PERPCHAIN_DEVNET"

_TAKERS = 4
_MAKER_TOKENS = 10**9
_TAKER_TOKENS = 10**6
_INSURANCE_TOKENS = 10**6
_FAUCET_TOKENS = 10**11


class LocalCast(msgspec.Struct, frozen=True):
    """Everybody with a key. `roles` has the operator, the bots and the publishers.

    `roles.quoter` makes the market, `roles.traders` take from it. `accounts` are for whoever uses
    the devnet.
    """

    roles: Cast
    faucet: Player
    accounts: tuple[Player, ...]


def make_local_cast(seed: int, accounts: int) -> LocalCast:
    """Derive all keys of a seed."""
    roles = cast_of(seed, (role_of(seed, f"taker {n}") for n in range(_TAKERS)))
    everybody = tuple(role_of(seed, f"account {n}") for n in range(accounts))
    return LocalCast(roles, role_of(seed, "faucet"), everybody)


def make_local_genesis(recording: Recording, cast: LocalCast, balance: int) -> Genesis:
    """Make the genesis whose accounts have `balance` whole tokens each.

    Its time is that of the recording: block 0 is the same whenever a devnet is started.
    """
    roles = cast.roles
    funded = [(roles.quoter, _MAKER_TOKENS), (roles.liquidity, _MAKER_TOKENS)]
    funded += [(taker, _TAKER_TOKENS) for taker in roles.traders]
    funded += [(cast.faucet, _FAUCET_TOKENS), *((player, balance) for player in cast.accounts)]
    return Genesis(
        chain_id=CHAIN_ID,
        time_ms=recording.rows[0].time_ms,
        operator=_account(roles.operator),
        insurance=_account(roles.insurance, _INSURANCE_TOKENS),
        fees=_account(roles.fees),
        accounts=[_account(player, tokens) for player, tokens in funded],
        publishers=[GenesisPublisher(name, hex(who.public_key)) for name, who in roles.publishers],
        markets=[_market(market) for market in recording.markets],
        drill=True,
        reopen_automatic=True,
    )


def _account(player: Player, tokens: int = 0) -> GenesisAccount:
    return GenesisAccount(hex(player.public_key), str(tokens))


def _market(market: RecordedMarket) -> GenesisMarket:
    parameters = MarketParameters(
        symbol=symbol_of(market.base),
        price_increment=market.price_increment,
        lot=market.lot,
        oracle=OracleParameters(asset=f"{market.base}USD"),
    )
    whole, fraction = divmod(market.first_index, 10**8)
    return GenesisMarket(parameters, f"{whole}.{fraction:08}")
