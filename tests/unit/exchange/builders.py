"""Small states of the exchange, and commands run through `transition` with their laws checked."""

from collections.abc import Hashable, Iterable
from itertools import count
from typing import Any, TypeVar

import msgspec

from sequencer.exchange.book import BookSide
from sequencer.exchange.state import ONLY, Journal, State, Table
from sequencer.exchange.step import Context
from sequencer.exchange.transition import transition
from sequencer.model.commands import Command, EthereumSignature, PlaceOrder
from sequencer.model.events import Event
from sequencer.model.markets import MarketParameters, MarketStatus, OracleParameters
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.refusals import Reason, Refusal
from sequencer.model.rows import (
    Account,
    Arrival,
    DepositRow,
    Guard,
    Market,
    Mode,
    OrderRow,
    Position,
    Price,
    Row,
    Subkey,
    System,
)
from sequencer.model.units import DUST_PER_QUOTE, ONE

OPERATOR, INSURANCE, FEES = 0x901, 0x902, 0x903
ALICE, BOB, CAROL, STRANGER = 0xA11CE, 0xB0B, 0xCA401, 0x57A
NOW_MS = 1_700_000_000_000
BTC = "BTC-USD-PERP"
ETH = "ETH-USD-PERP"
USD = ONE
KEY, ISOLATED = 0x5EC, 0x150
"""A subkey, and an isolated account of ALICE."""
SIGNED = EthereumSignature(1, 2, 3, 4, y_parity=True)
"""A signature of nobody's."""

_E = TypeVar("_E", bound=Event)


def make_parameters(symbol: str = BTC, **changes: object) -> MarketParameters:
    """Increment 0.01, lot 0.0001, initial margin 2 %, fee 3 bps unless told otherwise."""
    plain = MarketParameters(symbol, 10**6, 10**4, OracleParameters(symbol.partition("-")[0]))
    return msgspec.structs.replace(plain, **changes)


def make_state(**changes: object) -> State:
    """Return an open exchange without markets and money; `changes` go to its system row."""
    plain = System(OPERATOR, INSURANCE, FEES, mode=Mode.OPEN, time_ms=NOW_MS, ticks=1_000)
    state = State(msgspec.structs.replace(plain, **changes))
    for account in (INSURANCE, FEES):
        put(state, Table.ACCOUNT, account, Account())
    return state


def put(state: State, table: Table, key: Hashable, row: Row | None) -> None:
    """Write a row as a journal does."""
    Journal(state).put(table, key, row)


def change_system(state: State, **changes: object) -> None:
    put(state, Table.SYSTEM, ONLY, msgspec.structs.replace(state.system, **changes))


def guards_off(state: State) -> tuple[Guard, ...]:
    return state.system.guards_off


def change_price(state: State, market: str, **changes: object) -> None:
    put(state, Table.PRICE, market, msgspec.structs.replace(state.prices[market], **changes))


def add_market(
    state: State,
    symbol: str = BTC,
    price: int = 100 * ONE,
    status: MarketStatus = MarketStatus.ACTIVE,
    **changes: object,
) -> None:
    """Add a market whose index and mark are fresh and equal (1e-8)."""
    put(state, Table.MARKET, symbol, Market(make_parameters(symbol, **changes), status))
    fresh = Price(index=price, index_at_ms=state.system.time_ms, mark=price, accepted_in_row=3)
    put(state, Table.PRICE, symbol, fresh)


def fund(state: State, account: int, cash: int, owner: int = 0, market: str = "") -> None:
    """Give an account cash (1e-8 quote) that counts as deposited."""
    before = state.accounts.get(account, Account(0, owner, market))
    row = Account(before.cash + cash, before.owner, before.market)
    put(state, Table.ACCOUNT, account, row)
    deposited = state.totals.deposited + cash
    put(state, Table.TOTALS, ONLY, msgspec.structs.replace(state.totals, deposited=deposited))


def add_people(state: State) -> None:
    """Give ALICE, BOB and the operator 1,000 USD and a subkey each, and ALICE an isolated account.

    Deposit 0 was hers, and insurance has what it takes to unmake it.
    """
    for account in (ALICE, BOB, OPERATOR):
        fund(state, account, 1_000 * USD)
        put(state, Table.SUBKEY, (account, KEY), Subkey(0))
    fund(state, ISOLATED, 50 * USD, owner=ALICE, market=BTC)
    fund(state, INSURANCE, USD)
    put(state, Table.DEPOSIT, 0, DepositRow(ALICE, USD, 1))


def hold(state: State, account: int, other: int, size: int, price: int, market: str = BTC) -> None:
    """Give one account a position and another the opposite one, both entered at a price."""
    index = state.prices[market].funding_index
    cost = size * price // ONE
    put(state, Table.POSITION, (account, market), Position(size, cost, index))
    put(state, Table.POSITION, (other, market), Position(-size, -cost, index))


def make_order(account: int, side: Side, size: int, price: int, **changes: object) -> Order:
    """Return a good-till-cancelled limit order for BTC signed now; size and price in 1e-8."""
    plain = Order(
        account=account,
        market=BTC,
        side=side,
        type=OrderType.LIMIT,
        size=size,
        price=price,
        trigger_price=0,
        instruction=Instruction.GTC,
        self_trade=SelfTrade.EXPIRE_TAKER,
        reduce_only=False,
        client_id=0,
        pair_id=0,
        replaces=0,
        signed_at_ms=NOW_MS,
        receive_window_ms=300_000,
        expires_at_ms=0,
    )
    return msgspec.structs.replace(plain, **changes)


_ORDER_IDS = count(0x1000)


def rest(state: State, order: Order, waiting: bool = False) -> int:
    """Put an order into the book (or let it wait) without any check; returns its id."""
    order_id, sequence = next(_ORDER_IDS), state.arrival.following
    row = OrderRow(order, order.size, sequence, order.account, order.price, waiting)
    put(state, Table.ARRIVAL, ONLY, Arrival(sequence + 1))
    put(state, Table.ORDER, order_id, row)
    return order_id


def place(order: Order) -> PlaceOrder:
    """Return the command that places an order under a new id."""
    return PlaceOrder(order, next(_ORDER_IDS))


def attempt(
    state: State, command: Command, signer: int, key: int = 0
) -> tuple[list[Event] | Refusal, Journal]:
    """Run a command, check that derived parts match the rows; returns its answer and journal."""
    journal = Journal(state)
    answer = transition(state, command, Context(signer, key), journal)
    assert snapshot(state) == snapshot(State.rebuilt(state.rows))
    return answer, journal


def run(state: State, command: Command, signer: int, key: int = 0) -> list[Event]:
    """Run a command that is allowed; it can be undone to exactly what was before."""
    before = snapshot(state)
    answer, journal = attempt(state, command, signer, key)
    assert not isinstance(answer, Refusal), answer
    after, changes = snapshot(state), list(journal.changes)
    journal.undo()
    assert snapshot(state) == before
    for table, row_key, _, row in changes:
        journal.put(table, row_key, row)
    assert snapshot(state) == after
    return answer


def refused(state: State, command: Command, signer: int, key: int = 0) -> Reason:
    """Run a command that is refused, check that it left no trace, and return why."""
    before = snapshot(state)
    answer, journal = attempt(state, command, signer, key)
    assert isinstance(answer, Refusal), answer
    assert journal.changes == []
    assert snapshot(state) == before
    return answer.reason


def snapshot(state: State) -> dict[str, Any]:
    """Return all rows and derived parts as plain values that compare."""
    rows: dict[str, Any] = {table.value: dict(of) for table, of in state.rows.items()}
    return rows | {
        "books": {name: (_side(book.bids), _side(book.asks)) for name, book in state.books.items()},
        "holdings": {
            account: (
                dict(holding.positions),
                {
                    market: (
                        dict(exposure.resting),
                        dict(exposure.waiting),
                        (exposure.buy_size, exposure.sell_size, exposure.reduce_only_count),
                    )
                    for market, exposure in holding.exposures.items()
                },
            )
            for account, holding in state.holdings.items()
        },
        "holders": {market: set(accounts) for market, accounts in state.holders.items()},
        "expiring": dict(state.expiring),
        "forgetting": {until: set(ids) for until, ids in state.forgetting.items()},
        "waiting": {market: orders.entries() for market, orders in state.waiting.items()},
        "isolated": dict(state.isolated),
        "subkey_counts": dict(state.subkey_counts),
        "ethereum_addresses": dict(state.ethereum_addresses),
        "margin_rates": dict(state.margin_rates),
        "sums": msgspec.structs.astuple(state.sums),
        "market_sums": {
            name: msgspec.structs.astuple(sums) for name, sums in state.market_sums.items()
        },
    }


def _side(side: BookSide) -> list[tuple[int, OrderRow]]:
    return list(side.walk())


def unaccounted(state: State) -> int:
    """Return what law L1 misses, in 1e-26 quote: 0 while money is conserved."""
    sums, totals = state.sums, state.totals
    held = sums.cash - sums.cost + totals.withdrawn - totals.bad_debt - totals.deposited
    return held * DUST_PER_QUOTE + sums.funding + totals.dust


def change_totals(state: State, **changes: object) -> None:
    put(state, Table.TOTALS, ONLY, msgspec.structs.replace(state.totals, **changes))


def of_type(events: Iterable[Event], kind: type[_E]) -> list[_E]:
    """Pick the events of one kind."""
    return [event for event in events if isinstance(event, kind)]
