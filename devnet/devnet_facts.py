"""What a local devnet tells of itself: once, what a client has to know; then how it stands.

Promises
- The facts are plain JSON, with every private key that the devnet has for its users in them.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any

import msgspec

from devnet.devnet_folder import DevnetOptions
from devnet.faucet import METHOD
from devnet.local_cast import CHAIN_ID, LocalCast
from devnet.traders import Player
from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.token_contract import TOKEN, TOKEN_ADDRESS
from sequencer.model.rows import Mode
from sequencer.node import Node
from sequencer.starknet.felt import encode_short_string, format_felt, format_hash

_RATE_SECONDS = 2.0


class MarketMoment(msgspec.Struct, frozen=True):
    """A market's prices and the best of its book, in 1e-8; 0 where there is none."""

    market: str
    index: int
    mark: int
    bid: int
    ask: int
    open_interest: int


class Moment(msgspec.Struct, frozen=True):
    """How the chain stands. `settled_height` -1: nothing is posted, or nowhere.

    `problem` is what keeps blocks from being posted, or the chain from making any.
    """

    height: int
    epoch: int
    mode: Mode
    blocks_per_second: float
    settled_height: int
    lag_blocks: int
    settlement: str
    problem: str
    markets: tuple[MarketMoment, ...]


class Watch:
    """Looks at a node that runs, and measures its blocks a second."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._seen: list[tuple[float, int]] = []

    def look(self) -> Moment:
        """Say how it stands now."""
        node = self._node
        engine, status, head = node.engine, node.settled(), node.views.view.head
        state = engine.writer.state
        halted = engine.gate.final()
        return Moment(
            height=head.height,
            epoch=head.epoch,
            mode=Mode.HALTED if engine.gate.is_halted(state) else state.system.mode,
            blocks_per_second=self._rate(monotonic(), head.height),
            settled_height=-1 if status is None else status.settled_height,
            lag_blocks=0 if status is None else status.lag_blocks,
            settlement="none" if status is None else status.backend,
            problem=str(halted or ("" if status is None else status.problem)),
            markets=tuple(
                MarketMoment(
                    market,
                    price.index,
                    price.mark,
                    state.books[market].bids.best_price() or 0,
                    state.books[market].asks.best_price() or 0,
                    state.market_sums[market].long,
                )
                for market, price in sorted(state.prices.items())
            ),
        )

    def _rate(self, now: float, height: int) -> float:
        """Return blocks a second over the last seconds."""
        self._seen = [seen for seen in self._seen if now - seen[0] <= _RATE_SECONDS]
        self._seen.append((now, height))
        began, first = self._seen[0]
        return max(0, height - first) / (now - began) if now > began else 0.0


def ready_facts(
    cast: LocalCast, options: DevnetOptions, node: Node, places: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a client has to know: addresses, class hashes, keys.

    `places` are the url of the API, the data folder, and which settlement chain was chosen.
    """
    state, first = node.engine.writer.state, node.store.view.block(0)
    return {
        **places,
        "ws": f"ws{places['http'].removeprefix('http')}/ws",
        "chain_id": CHAIN_ID,
        "chain_id_felt": format_felt(encode_short_string(CHAIN_ID)),
        "seed": options.seed,
        "genesis_hash": "" if first is None else format_hash(first.block_hash),
        "exchange": _contract(EXCHANGE_ADDRESS, EXCHANGE.class_hash),
        "token": _contract(TOKEN_ADDRESS, TOKEN.class_hash),
        "account_class_hash": format_felt(ACCOUNT.class_hash),
        "markets": sorted(state.prices),
        "faucet": {"method": METHOD, "address": format_felt(cast.faucet.address)},
        "operator": format_felt(cast.roles.operator.address),
        "accounts": [_account(player, options.balance) for player in cast.accounts],
    }


def _contract(address: int, class_hash: int) -> dict[str, str]:
    return {"address": format_felt(address), "class_hash": format_felt(class_hash)}


def _account(player: Player, balance: int) -> dict[str, str]:
    return {
        "address": format_felt(player.address),
        "private_key": format_felt(player.key),
        "public_key": format_felt(player.public_key),
        "balance": str(balance),
    }
