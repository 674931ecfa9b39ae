"""What anybody may read of the exchange: entry points that answer and change nothing.

Promises
- A market, an order or a publisher that does not exist is refused by its code; what simply has not
  happened (an account, a position, a deposit, a withdrawal, a trade) is a row of zeros.
- Amounts of quote are in 1e-8 and rounded against the account: value down, what it needs up.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from sequencer.chain.calldata import CairoType, cairo_type, read_all, struct_type
from sequencer.chain.native import Answer, Call, EntryPoint
from sequencer.exchange.book import BookSide
from sequencer.exchange.closing import orders_of
from sequencer.exchange.losses import insurance_cash
from sequencer.exchange.margin import VALUE_PER_QUOTE, margin_of
from sequencer.exchange.state import State
from sequencer.model.limits import DEPTH_LEVELS_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.model.rows import (
    Account,
    DepositRow,
    LastTrade,
    Market,
    OrderRow,
    Position,
    System,
    Withdrawal,
)
from sequencer.model.units import ONE, divide_up
from sequencer.starknet.felt import Felt


class MarginView(msgspec.Struct, frozen=True, gc=False):
    """An account's figures in 1e-8 quote; `free` is value less initial margin, may be negative.

    `healthy` is exact: it is decided before anything is rounded.
    """

    value: int
    initial: int
    maintenance: int
    free: int
    healthy: bool


class PriceView(msgspec.Struct, frozen=True, gc=False):
    """A market's prices in 1e-8 (0: none yet), funding index in 1e-18, basis in 1e-9."""

    index: int
    index_at_ms: int
    mark: int
    funding_index: int
    basis: int


class Level(msgspec.Struct, frozen=True, gc=False):
    """A price of the book and the sum of what rests there, both in 1e-8; zeros for no level."""

    price: int = 0
    size: int = 0


class TopView(msgspec.Struct, frozen=True):
    """The best level of each side."""

    bid: Level
    ask: Level


class DepthView(msgspec.Struct, frozen=True):
    """The best levels of each side, best first."""

    bids: Sequence[Level]
    asks: Sequence[Level]


class MoneyView(msgspec.Struct, frozen=True, gc=False):
    """Money that is in no account, and that of insurance. All in 1e-8 quote, but `dust` in 1e-26.

    `genesis_deposited` is the part of `deposited` that genesis gave out.
    """

    deposited: int
    withdrawn: int
    bad_debt: int
    dust: int
    genesis_deposited: int
    insurance_cash: int


def _isolated(state: State, owner: Felt, market: str) -> Felt:
    require_market(state, market)
    return state.isolated.get((owner, market), 0)


def margin_figures(state: State, account: Felt) -> MarginView:
    """Return an account's figures in 1e-8: value and free rounded down, requirements up."""
    margin = margin_of(state, account)
    return MarginView(
        value=margin.value // VALUE_PER_QUOTE,
        initial=divide_up(margin.initial, VALUE_PER_QUOTE),
        maintenance=divide_up(margin.maintenance, VALUE_PER_QUOTE * ONE),
        free=(margin.value - margin.initial) // VALUE_PER_QUOTE,
        healthy=margin.is_healthy(),
    )


def _position(state: State, account: Felt, market: str) -> Position:
    require_market(state, market)
    return state.positions.get((account, market), Position(0, 0, 0))


def _position_markets(state: State, account: Felt) -> list[str]:
    return sorted(state.holding(account).positions)


def _order_ids(state: State, account: Felt, market: str) -> list[Felt]:
    if market:
        require_market(state, market)
    return [order_id for order_id, _ in orders_of(state, account, market)]


def require_order(state: State, order_id: Felt) -> OrderRow:
    """Return an order that rests or waits. Refusal: ORDER_UNKNOWN."""
    row = state.orders.get(order_id)
    if row is None:
        raise Refused(Reason.ORDER_UNKNOWN, f"no open order {order_id:#x}")
    return row


def _has_subkey(state: State, account: Felt, key: Felt) -> bool:
    return (account, key) in state.subkeys


def _ethereum_account(state: State, ethereum_address: Felt) -> Felt:
    row = state.ethereum_keys.get(ethereum_address)
    return 0 if row is None else row.account


def _ethereum_address(state: State, account: Felt) -> Felt:
    return state.ethereum_addresses.get(account, 0)


def _markets(state: State) -> list[str]:
    return sorted(state.markets)


def require_market(state: State, market: str) -> Market:
    """Return a market. Refusal: MARKET_UNKNOWN."""
    row = state.markets.get(market)
    if row is None:
        raise Refused(Reason.MARKET_UNKNOWN, f"no market {shown(market)}")
    return row


def _price(state: State, market: str) -> PriceView:
    require_market(state, market)
    row = state.prices[market]
    return PriceView(row.index, row.index_at_ms, row.mark, row.funding_index, row.basis)


def _last_trade(state: State, market: str) -> LastTrade:
    require_market(state, market)
    return state.trades.get(market, LastTrade(0, 0))


def _open_interest(state: State, market: str) -> int:
    require_market(state, market)
    return state.market_sums[market].long


def _top(state: State, market: str) -> TopView:
    require_market(state, market)
    book = state.books[market]
    return TopView(next(_levels(book.bids), Level()), next(_levels(book.asks), Level()))


def _depth(state: State, market: str, levels: int) -> DepthView:
    require_market(state, market)
    if not 0 < levels <= DEPTH_LEVELS_MAX:
        raise Refused(
            Reason.PARAMETER_INVALID, f"levels {levels} is not in 1 .. {DEPTH_LEVELS_MAX}"
        )
    book = state.books[market]
    return DepthView(*(tuple(islice(_levels(side), levels)) for side in (book.bids, book.asks)))


def _levels(side: BookSide) -> Iterator[Level]:
    return (Level(price, size) for price, size in side.prices())


def _money(state: State) -> MoneyView:
    totals = msgspec.structs.asdict(state.totals)
    return MoneyView(**totals, insurance_cash=insurance_cash(state))


def _publisher_key(state: State, name: str) -> Felt:
    row = state.publishers.get(name)
    if row is None:
        raise Refused(Reason.PUBLISHER_UNKNOWN, f"no publisher {shown(name)}")
    return row.key


def _deposit(state: State, nonce: int) -> DepositRow:
    return state.deposits.get(nonce, DepositRow(0, 0, 0))


def _withdrawal(state: State, withdrawal_id: Felt) -> Withdrawal:
    return state.withdrawals.get(withdrawal_id, Withdrawal(0, 0, 0, 0))


def _system(state: State) -> System:
    return state.system


def _view(
    name: str, read: Callable[..., Any], result: CairoType, *inputs: tuple[str, CairoType]
) -> EntryPoint:
    """Make an entry point from a function of the state and the inputs by their names."""

    def run(call: Call) -> Answer:
        felts: list[Felt] = []
        result.write(read(call.state, **read_all(inputs, call.calldata)), felts)
        return Answer(felts)

    return EntryPoint(name, inputs, run, (result,), is_view=True)


_NUMBER, _WORD = cairo_type(int), cairo_type(str)
_FELT, _FELTS = cairo_type(int, "order_id"), cairo_type(Sequence[int], "order_id")
_WORDS = cairo_type(Sequence[str])
_ACCOUNT, _MARKET = ("account", _FELT), ("market", _WORD)

VIEWS = (
    _view("get_account", State.account, struct_type(Account), _ACCOUNT),
    _view("get_isolated", _isolated, _FELT, ("owner", _FELT), _MARKET),
    _view("get_margin", margin_figures, struct_type(MarginView), _ACCOUNT),
    _view("get_position", _position, struct_type(Position), _ACCOUNT, _MARKET),
    _view("get_position_markets", _position_markets, _WORDS, _ACCOUNT),
    # The empty market is every market, as for `cancel_all`.
    _view("get_order_ids", _order_ids, _FELTS, _ACCOUNT, _MARKET),
    _view("get_order", require_order, struct_type(OrderRow), ("order_id", _FELT)),
    _view("has_subkey", _has_subkey, cairo_type(bool), _ACCOUNT, ("key", _FELT)),
    _view("get_ethereum_account", _ethereum_account, _FELT, ("ethereum_address", _FELT)),
    _view("get_ethereum_address", _ethereum_address, _FELT, _ACCOUNT),
    _view("get_markets", _markets, _WORDS),
    _view("get_market", require_market, struct_type(Market), _MARKET),
    _view("get_price", _price, struct_type(PriceView), _MARKET),
    _view("get_last_trade", _last_trade, struct_type(LastTrade), _MARKET),
    _view("get_open_interest", _open_interest, _NUMBER, _MARKET),
    _view("get_top", _top, struct_type(TopView), _MARKET),
    _view("get_depth", _depth, struct_type(DepthView), _MARKET, ("levels", _NUMBER)),
    _view("get_money", _money, struct_type(MoneyView)),
    _view("get_publisher_key", _publisher_key, _FELT, ("name", _WORD)),
    _view("get_deposit", _deposit, struct_type(DepositRow), ("nonce", _NUMBER)),
    _view("get_withdrawal", _withdrawal, struct_type(Withdrawal), ("withdrawal_id", _FELT)),
    _view("get_system", _system, struct_type(System)),
)
"""Everything that can be read. `get_system` has mode, cause, guards off, time, operator, rules."""
