"""What traders and publishers of the benches send: signed beforehand, by a pool of processes.

Promises
- The stream follows from its numbers alone: as many orders as there are traders, so that the
  book has depth, and then 45 % place, 8 % take, 47 % cancel. A cancel names an order that was
  placed before it, and that has traded since only by chance.
- Prices go up and down by 5 bps, in whole seconds, as reports are signed.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec

from scripts.benches.cache import kept
from scripts.benches.measure import Trading
from scripts.benches.world import (
    CHAIN_ID,
    MARKETS,
    PUBLISHERS,
    START_MS,
    MarketShape,
    account_address,
    account_key,
)
from sequencer.chain.codec import decode_fields, encode_fields
from sequencer.chain.exchange_contract import Signed, SignedCancel, SignedOrder, SignedReport
from sequencer.model.exchange_limits import RECEIVE_WINDOW_MS_MAX
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.units import BASIS_POINT, MS_PER_SECOND, ONE
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.messages import cancel_hash, order_hash, price_report_hash

SEED = 20_240_808
PLACE, TAKE = 0.45, 0.08
_PROCESSES = 2
_SECONDS_MORE = 120
_TOGETHER = 500
_FILE = "messages"
_SWING_BASIS_POINTS = 5
_REPORT_UNIT = 10**18


class Script(msgspec.Struct, frozen=True):
    """All that is sent: orders and cancels in order, reports second by second."""

    messages: Sequence[Signed]
    reports: Sequence[SignedReport]

    def reports_at(self, second: int) -> Sequence[SignedReport]:
        """Return the reports of a second after the start; none when they are over."""
        each = len(PUBLISHERS) * len(MARKETS)
        return self.reports[each * second : each * (second + 1)]


_Step = Order | int
"""An order, or a cancel of one that was placed before it, by its place among the orders."""


def kept_script(trading: Trading) -> Script:
    """Return what is sent in a run, signed now unless that was done before."""
    name = f"script-{trading.traders}-{trading.messages}-{trading.seconds}"
    folder, _ = kept(name, __file__, lambda made: _write(made / _FILE, trading))
    return decode_fields((folder / _FILE).read_bytes(), 0, Script)


def _write(file: Path, trading: Trading) -> None:
    accounts = {account_address(index): account_key(index) for index in range(trading.traders)}
    steps = _steps(random.Random(SEED), trading.messages, list(accounts))
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        messages = _signed(pool, steps, accounts)
        reports = list(
            pool.map(_sign_report, *zip(*_reports(trading.seconds + _SECONDS_MORE), strict=True))
        )
    file.write_bytes(encode_fields(Script(messages, reports)))


def _signed(
    pool: ProcessPoolExecutor, steps: Sequence[_Step], accounts: Mapping[Felt, int]
) -> list[Signed]:
    orders = [step for step in steps if isinstance(step, Order)]
    keys = [accounts[order.account] for order in orders]
    placed = list(pool.map(_sign_order, orders, keys, chunksize=_TOGETHER))
    named = [placed[step] for step in steps if isinstance(step, int)]
    of_named = [accounts[signed.signer] for signed, _ in named]
    cancels = pool.map(_sign_cancel, named, of_named, chunksize=_TOGETHER)
    following = iter(placed)
    return [next(following)[0] if isinstance(step, Order) else next(cancels) for step in steps]


def _steps(generator: random.Random, count: int, accounts: Sequence[Felt]) -> list[_Step]:
    steps: list[_Step] = []
    live: list[int] = []
    orders = 0
    for client_id in range(1, count + 1):
        drawn = generator.random() if client_id > len(accounts) else 0
        if drawn >= PLACE + TAKE and live:
            steps.append(live.pop(generator.randrange(len(live))))
            continue
        takes = PLACE <= drawn < PLACE + TAKE
        if not takes:
            live.append(orders)
        steps.append(_order(generator, generator.choice(accounts), client_id, takes))
        orders += 1
    return steps


def _order(generator: random.Random, account: Felt, client_id: int, takes: bool) -> Order:
    """Make an order: one that rests 20 to 100 bps away, or a small one that crosses."""
    market, side = generator.choice(MARKETS), generator.choice((Side.BUY, Side.SELL))
    distance = 200 if takes else -generator.randrange(20, 100)
    return Order(
        account=account,
        market=market.symbol,
        side=side,
        type=OrderType.LIMIT,
        size=market.lot * generator.randrange(1_000, 2_000) * (1 if takes else 10),
        price=_price_at(market, distance if side is Side.BUY else -distance),
        trigger_price=0,
        instruction=Instruction.IOC if takes else Instruction.GTC,
        self_trade=SelfTrade.EXPIRE_TAKER,
        reduce_only=False,
        client_id=client_id,
        pair_id=0,
        replaces=0,
        signed_at_ms=START_MS,
        receive_window_ms=RECEIVE_WINDOW_MS_MAX,
        expires_at_ms=0,
    )


def _price_at(market: MarketShape, basis_points: int) -> int:
    price = market.price * (ONE + basis_points * BASIS_POINT) // ONE
    return price - price % market.increment


def _reports(seconds: int) -> Iterator[tuple[str, str, int, int]]:
    """Yield publisher, asset, price and time of each report."""
    period = 4 * _SWING_BASIS_POINTS
    for second in range(seconds):
        swing = abs(second % period - period // 2) - _SWING_BASIS_POINTS
        for publisher in PUBLISHERS:
            for market in MARKETS:
                price = _price_at(market, swing) * _REPORT_UNIT // ONE
                yield publisher, market.asset, price, START_MS // MS_PER_SECOND + second


def _sign_order(order: Order, key: int) -> tuple[SignedOrder, Felt]:
    order_id = order_hash(order, order.account, CHAIN_ID)
    return SignedOrder(order, order.account, 0, *sign(key, order_id)), order_id


def _sign_cancel(placed: tuple[SignedOrder, Felt], key: int) -> SignedCancel:
    account, order_id = placed[0].signer, placed[1]
    hash_ = cancel_hash(account, order_id, account, CHAIN_ID)
    return SignedCancel(account, order_id, account, 0, *sign(key, hash_))


def _sign_report(publisher: str, asset: str, price: int, signed_at: int) -> SignedReport:
    fields = (publisher, asset, price, signed_at)
    return SignedReport(*fields, *sign(PUBLISHERS[publisher], price_report_hash(*fields)))
