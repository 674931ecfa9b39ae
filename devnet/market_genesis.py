"""Block 0 of a replayed market: markets as the record has them, balances that fit its trades.

Promises
- Everything follows from the recording and the cast.
- It is a drill: guards can be switched off. It never reopens by itself.
- Who trades has the same balance either way: genesis gives it, or deposits that follow it.

Traders come in tiers, each balance a multiple of the smallest, which is an eightieth of the
record's median trade. Whoever takes with the least balance that carries a trade has it at 12 to 25
times leverage: a wrong price or funding index then liquidates many, the record's own moves nobody.
"""

import statistics
from collections.abc import Sequence

import msgspec

from devnet.traders import Cast, Player
from sequencer.chain.genesis import Genesis, GenesisAccount, GenesisMarket, GenesisPublisher
from sequencer.feeds.recorded import RecordedMarket, Recording, Trade
from sequencer.model.bridge_limits import DEPOSIT_MAX
from sequencer.model.markets import MarketParameters, OracleParameters
from sequencer.model.units import ONE, QUOTE_PER_TOKEN, notional
from sequencer.starknet.felt import Felt

TIER_TRADERS = (350, 85, 85, 85, 110, 95, 75, 50, 45, 15, 5)
"""Traders of each tier in a thousand, from the smallest balance to the largest."""

_TIER_BALANCES = (1, 2, 4, 8, 16, 32, 64, 128, 512, 4_096)
"""Balances of all tiers but the last, in the smallest. The last carries the whole record."""

_MEDIAN_PART = 80
_MAKER_BALANCE_MIN = 10**9 * ONE
_INSURANCE_BALANCE = 250_000 * ONE
_FUNDING_INDICES = {"BTC": "3001", "ETH": "151"}
_BEFORE_MS = 1_000


def symbol_of(base: str) -> str:
    """Return the symbol of a base's market."""
    return f"{base}-USD-PERP"


def tier_sizes(traders: int) -> tuple[int, ...]:
    """Return how many traders each tier has, one at least; the first has all that are left over."""
    if traders < len(TIER_TRADERS):
        raise ValueError(f"{traders} traders are fewer than tiers")
    others = [max(1, traders * share // sum(TIER_TRADERS)) for share in TIER_TRADERS[1:]]
    return traders - sum(others), *others


class PlannedDeposit(msgspec.Struct, frozen=True):
    """What somebody who trades is to be sent through the settlement chain, in 1e-6 of the token."""

    account: Felt
    amount: int


def make_genesis(
    recording: Recording, cast: Cast, chain_id: str, start_ms: int, *, funded: bool = False
) -> Genesis:
    """Make the genesis whose first tick is at `start_ms`.

    `funded`: whoever trades begins with nothing, and is sent `planned_deposits`.
    """
    accounts = [
        (player, 0 if funded else balance) for player, balance in _endowments(recording, cast)
    ]
    return Genesis(
        chain_id=chain_id,
        time_ms=start_ms - _BEFORE_MS,
        operator=_account(cast.operator),
        insurance=_account(cast.insurance, _INSURANCE_BALANCE),
        fees=_account(cast.fees),
        accounts=[_account(player, balance) for player, balance in accounts],
        publishers=[GenesisPublisher(name, hex(who.public_key)) for name, who in cast.publishers],
        markets=[_market(market) for market in recording.markets],
        drill=True,
    )


def planned_deposits(recording: Recording, cast: Cast) -> list[PlannedDeposit]:
    """List the deposits that give everybody who trades a balance, in the order of their nonces.

    One that is more than the contract takes at once is several.
    """
    planned: list[PlannedDeposit] = []
    for player, balance in _endowments(recording, cast):
        left = balance // QUOTE_PER_TOKEN
        while left:
            amount = min(left, DEPOSIT_MAX)
            planned.append(PlannedDeposit(player.address, amount))
            left -= amount
    return planned


def _endowments(recording: Recording, cast: Cast) -> list[tuple[Player, int]]:
    """List what everybody who trades begins with, in 1e-8 quote."""
    turnover = sum(_turnover(market) for market in recording.markets)
    maker = max(_MAKER_BALANCE_MIN, 4 * turnover)
    balances = _balances(recording, len(cast.traders), turnover)
    makers = [(cast.quoter, maker), (cast.liquidity, maker)]
    return [*makers, *zip(cast.traders, balances, strict=True)]


def _balances(recording: Recording, traders: int, turnover: int) -> list[int]:
    sizes = [notional(row.size, row.price) for row in recording.rows if isinstance(row, Trade)]
    unit = ONE * (1 + statistics.median_low(sizes) // _MEDIAN_PART // ONE)
    balances: Sequence[int] = [*(unit * multiple for multiple in _TIER_BALANCES), turnover]
    tiers = zip(balances, tier_sizes(traders), strict=True)
    return [balance for balance, size in tiers for _ in range(size)]


def _turnover(market: RecordedMarket) -> int:
    """Return what a market's trades and largest quotes come to at its first price, in 1e-8."""
    return notional(market.volume + 2 * market.size_max, market.first_index)


def _account(player: Player, balance: int = 0) -> GenesisAccount:
    return GenesisAccount(hex(player.public_key), _decimal(balance // QUOTE_PER_TOKEN, 6))


def _market(market: RecordedMarket) -> GenesisMarket:
    most = market.volume + market.size_max
    parameters = MarketParameters(
        symbol=symbol_of(market.base),
        price_increment=market.price_increment,
        lot=market.lot,
        oracle=OracleParameters(asset=f"{market.base}USD"),
        notional_min=0,
        order_size_max=most,
        position_max=2 * most,
        open_interest_max=4 * most,
    )
    funding_index = _FUNDING_INDICES.get(market.base, "1")
    return GenesisMarket(parameters, _decimal(market.first_index, 8), funding_index)


def _decimal(value: int, places: int) -> str:
    whole, fraction = divmod(value, 10**places)
    return f"{whole}.{fraction:0{places}}"
