"""Orders, cancels, withdrawals and price reports of a devnet's players, as values and signed.

Promises
- Everything here follows from its arguments.
"""

from collections.abc import Mapping

import msgspec

from devnet.traders import Cast, Player
from sequencer.chain.calls import command_call, write_calls
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder, SignedReport
from sequencer.exchange.state import State
from sequencer.model.commands import PriceReport, Withdraw
from sequencer.model.exchange_limits import POST_ONLY_BAND
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.rows import OrderRow
from sequencer.model.units import BASIS_ONE, ONE
from sequencer.starknet.deposits import withdrawal_id_of
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.messages import cancel_hash, order_hash, price_report_hash
from sequencer.starknet.transactions import InvokeV3, ResourceBound, Terms, transaction_hash

_WINDOW_MS = 60_000
_REPORT_SCALE = 10**10
"""From 1e-8 to the 18 decimals of reports."""

NO_FEES = (ResourceBound(),) * 3
"""The bounds of a transaction: execution is free."""


def limit_order(
    account: Felt,
    market: str,
    side: Side,
    size: int,
    price: int,
    kind: Instruction,
    client_id: int,
    signed_at_ms: int,
) -> Order:
    """Return a plain limit order."""
    return Order(
        account=account,
        market=market,
        side=side,
        type=OrderType.LIMIT,
        size=size,
        price=price,
        trigger_price=0,
        instruction=kind,
        self_trade=SelfTrade.EXPIRE_TAKER,
        reduce_only=False,
        client_id=client_id,
        pair_id=0,
        replaces=0,
        signed_at_ms=signed_at_ms,
        receive_window_ms=_WINDOW_MS,
        expires_at_ms=0,
    )


def into_band(state: State, market: str, bid: int, ask: int) -> tuple[int, int]:
    """Bring quotes to where POST_ONLY takes them."""
    price = state.prices[market]
    increment = state.markets[market].parameters.price_increment
    fair, one = price.index * (BASIS_ONE + price.basis), BASIS_ONE * ONE * increment
    highest = fair * (ONE + POST_ONLY_BAND) // one * increment
    lowest = -(-fair * (ONE - POST_ONLY_BAND) // one) * increment
    return min(bid, highest), max(ask, lowest)


def resting_orders(state: State, account: Felt, market: str) -> Mapping[Felt, OrderRow]:
    """Return an account's orders in a book, by id."""
    exposure = state.holding(account).exposures.get(market)
    return {} if exposure is None else exposure.resting


def sign_order(order: Order, player: Player, chain_id: Felt) -> SignedOrder:
    """Sign an order of a player's own account."""
    signature = sign(player.key, order_hash(order, order.account, chain_id))
    return SignedOrder(order, order.account, 0, *signature)


def sign_cancel(player: Player, order_id: Felt, chain_id: Felt) -> SignedCancel:
    """Sign the cancellation of a player's own order."""
    fields = (player.address, order_id, player.address)
    return SignedCancel(*fields, 0, *sign(player.key, cancel_hash(*fields, chain_id)))


def sign_withdrawal(
    player: Player, recipient: Felt, amount: int, nonce: int, chain_id: Felt
) -> tuple[InvokeV3, Withdraw]:
    """Sign a withdrawal from a player's own account, in 1e-8 quote; returns what it will do, too.

    Its id follows from the transaction, which the account's next nonce is in.
    """
    wanted = Withdraw(player.address, recipient, amount, 0)
    calldata = write_calls((command_call(wanted),))
    unsigned = InvokeV3(player.address, calldata, Terms(nonce, NO_FEES))
    withdrawal_id = withdrawal_id_of(transaction_hash(unsigned, chain_id))
    will_do = msgspec.structs.replace(wanted, withdrawal_id=withdrawal_id)
    return sign_invoke(unsigned, player, chain_id), will_do


def sign_invoke(unsigned: InvokeV3, player: Player, chain_id: Felt) -> InvokeV3:
    """Sign a transaction of a player's own account."""
    hash_ = transaction_hash(unsigned, chain_id)
    return msgspec.structs.replace(unsigned, signature=sign(player.key, hash_))


def index_reports(cast: Cast, prices: Mapping[str, int], second: int) -> list[PriceReport]:
    """Have every publisher report index prices, by base in 1e-8, at a second.

    In the order in which a node takes them: by publisher, then by asset.
    """
    return [
        PriceReport(name, f"{base}USD", price * _REPORT_SCALE, second, who.public_key)
        for name, who in cast.publishers
        for base, price in sorted(prices.items())
    ]


def sign_report(report: PriceReport, player: Player) -> SignedReport:
    """Sign a publisher's report."""
    fields = (report.publisher, report.asset, report.price, report.signed_at)
    return SignedReport(*fields, *sign(player.key, price_report_hash(*fields)))
