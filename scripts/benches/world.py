"""The chains that benches run on: many accounts, two markets, positions in block 0, quiet blocks.

Promises
- Everything follows from a size: keys, balances, positions and blocks are the same everywhere.

Positions do not come from trades: a journal puts them into block 0 in pairs, so that all laws hold,
and with them the ids of orders of the minutes before.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from scripts.benches.cache import DATA, kept
from scripts.benches.measure import World
from sequencer.chain.block import close_block
from sequencer.chain.genesis import (
    Genesis,
    GenesisAccount,
    GenesisMarket,
    GenesisPublisher,
    open_genesis,
    read_genesis,
)
from sequencer.engine.recovery import mark_planned_stop, recover
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.exchange.state import ONLY, Journal, State, Table
from sequencer.model.exchange_limits import RECEIVE_WINDOW_MS_MAX
from sequencer.model.markets import MarketParameters, OracleParameters
from sequencer.model.rows import Position, UsedOrder
from sequencer.model.units import INDEX_ONE, ONE
from sequencer.ports import Store
from sequencer.starknet.felt import FELT_PRIME, Felt, encode_short_string
from sequencer.starknet.felt_hash import public_key
from sequencer.storage.folder import open_folder

SEED = 20_240_808
CHAIN_NAME = "PERPCHAIN_BENCH"
CHAIN_ID = encode_short_string(CHAIN_NAME)
START_MS = 1_723_161_600_000
"""Chain time of block 0."""

OPERATOR_KEY = 1_001
PUBLISHERS = {"one": 2_001, "two": 2_002, "three": 2_003}
_FIRST_KEY = 10_000_001
_BALANCE = "100000"
_MONEY_EVERY = 10


class MarketShape(NamedTuple):
    """A market of the benches: its name, asset, first price, grid, and what each holder has."""

    symbol: str
    asset: str
    price: int
    increment: int
    lot: int
    held: int


MARKETS = (
    MarketShape("BTC-USD-PERP", "BTC", 60_000 * ONE, ONE // 10, 1_000, ONE // 10),
    MarketShape("ETH-USD-PERP", "ETH", 2_500 * ONE, ONE // 100, 10_000, 2 * ONE),
)


def slots_of(world: World) -> int:
    """Count storage slots: a key and a balance of each account, two for each position."""
    return 2 * world.accounts + 2 * len(MARKETS) * world.holders


def account_key(index: int) -> int:
    """Return the private key of one of the accounts."""
    return _FIRST_KEY + index


def account_address(index: int) -> Felt:
    """Return the address of one of the accounts."""
    return _account(account_key(index)).address()


def kept_world(world: World) -> tuple[Path, float]:
    """Return the folder with a world's store, and the seconds that making it took."""
    name = "-".join(map(str, ("world", *world)))
    return kept(name, __file__, lambda folder: _make(folder / DATA, world))


def _make(data: Path, world: World) -> None:
    store = open_folder(data, create=True)
    try:
        sealer = Sealer(store, TrieCache(lambda: store.view))
        state = _begin(sealer, world)
        accounts = list(state.accounts)
        for number in range(1, world.blocks):
            append_quiet(sealer, state, number, accounts)
        mark_planned_stop(store)
    finally:
        store.close()


def _begin(sealer: Sealer, world: World) -> State:
    text = genesis_text(world.accounts)
    state, closed = open_genesis(read_genesis(text.encode()))
    journal = Journal(state)
    for place, row in _positions(list(state.accounts)[-world.accounts :], world.holders):
        journal.put(Table.POSITION, place, row)
    generator = random.Random(SEED)
    for _ in range(world.used_orders):
        used = UsedOrder(START_MS + RECEIVE_WINDOW_MS_MAX)
        journal.put(Table.USED_ORDER, generator.randrange(FELT_PRIME), used)
    held = close_block(state, 0, journal, ())
    sealer.seal(msgspec.structs.replace(closed, net=closed.net | held.net), Extras(), text)
    return state


def _positions(accounts: list[Felt], holders: int) -> Iterator[tuple[tuple[Felt, str], Position]]:
    """Yield the positions of the first accounts: one is long, the next one short."""
    for index, account in enumerate(accounts[: holders & ~1]):
        for market in MARKETS:
            size = -market.held if index & 1 else market.held
            position = Position(size, size * market.price // ONE, INDEX_ONE)
            yield (account, market.symbol), position


def append_quiet(sealer: Sealer, state: State, number: int, accounts: list[Felt]) -> None:
    """Append a block in which a second passes and, now and then, money moves."""
    journal, system = Journal(state), state.system
    moved = msgspec.structs.replace(system, time_ms=system.time_ms + 1_000, ticks=number)
    journal.put(Table.SYSTEM, ONLY, moved)
    if number % _MONEY_EVERY == 0:
        pair = (accounts[number % len(accounts)], accounts[(7 * number + 1) % len(accounts)])
        move_money(journal, *pair, number)
    sealer.seal(close_block(state, number, journal, ()), Extras())


def move_money(journal: Journal, payer: Felt, payee: Felt, amount: int) -> None:
    """Move cash from one account to another."""
    for account, change in ((payer, -amount), (payee, amount)):
        row = journal.state.accounts[account]
        after = msgspec.structs.replace(row, cash=row.cash + change)
        journal.put(Table.ACCOUNT, account, after)


def recovered_state(store: Store) -> State:
    """Recover a store that must be sound, and return its state."""
    recovered = recover(store)
    if recovered.halts or not recovered.was_planned:
        raise SystemExit(f"a bench's chain came up halted: {recovered.halts}")
    return recovered.state


def genesis_text(accounts: int) -> str:
    """Write the genesis file."""
    genesis = Genesis(
        chain_id=CHAIN_NAME,
        time_ms=START_MS,
        operator=_account(OPERATOR_KEY),
        insurance=_account(OPERATOR_KEY + 1, _BALANCE),
        fees=_account(OPERATOR_KEY + 2),
        accounts=[_account(account_key(index), _BALANCE) for index in range(accounts)],
        publishers=[GenesisPublisher(n, hex(public_key(key))) for n, key in PUBLISHERS.items()],
        markets=[GenesisMarket(_parameters(m), str(m.price // ONE)) for m in MARKETS],
    )
    return json.dumps(msgspec.to_builtins(genesis))


def _account(key: int, balance: str = "0") -> GenesisAccount:
    return GenesisAccount(hex(public_key(key)), balance)


def _parameters(market: MarketShape) -> MarketParameters:
    return MarketParameters(
        symbol=market.symbol,
        price_increment=market.increment,
        lot=market.lot,
        oracle=OracleParameters(asset=market.asset),
        orders_max=1_000,
        order_size_max=10**13,
        position_max=10**15,
        open_interest_max=10**16,
    )
