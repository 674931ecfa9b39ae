"""What must hold after every block, as running sums and, now and then, recounted from the rows.

Promises
- `check_laws` costs a few comparisons per market, however many accounts and orders there are.
- `recount` compares every derived part with one made from the rows alone, and names what differs.

Laws
- CONSERVATION: sum of (cash - cost) x 1e18 + sum of size x cached index + dust + withdrawn x 1e18
  = (deposited + bad debt) x 1e18, exactly, in 1e-26 quote.
- ZERO_SUM: the sizes of a market add up to 0. BOOK: best bid < best ask.
- INSURANCE: its cash is >= 0. DUST: so is dust. FUNDING_INDEX: no index is 0.
- None of these can be switched off. PRICE (index and mark > 0 once there is a price) and HEALTH are
  guards: switched off they stop nobody.
"""

from collections.abc import Callable, Hashable, Iterable
from itertools import islice
from typing import Any, TypeAlias, cast

from sequencer.exchange.book import BookSide
from sequencer.exchange.calm import move_since, restless
from sequencer.exchange.derived import Exposure, Holding
from sequencer.exchange.losses import insurance_cash
from sequencer.exchange.margin import Margin, is_healthy, margin_of
from sequencer.exchange.state import ONLY, Journal, State, Table
from sequencer.exchange.step import Step
from sequencer.model.exchange_limits import PRICE_MAX
from sequencer.model.laws import Law, check
from sequencer.model.orders import Side
from sequencer.model.rows import Guard, Price
from sequencer.model.units import DUST_PER_QUOTE

View: TypeAlias = Callable[[State], dict[Any, Any]]
"""A derived part as plain values by key, equal where the part is."""


def check_laws(state: State) -> None:
    """Raise LawBroken for the first law that the running sums of a state break."""
    _check_money(state)
    for market in sorted(state.market_sums):
        net = state.market_sums[market].net
        check(net == 0, Law.ZERO_SUM, f"{market}: sizes add up to {net}")
        book = state.books[market]
        bid, ask = book.bids.best_price(), book.asks.best_price()
        uncrossed = bid is None or ask is None or bid < ask
        check(uncrossed, Law.BOOK, f"{market}: best bid {bid}, best ask {ask}")
    zero_allowed = Guard.ZERO_PRICE in state.system.guards_off
    for market, price in sorted(state.prices.items()):
        _check_price(market, price, zero_allowed)


def check_health_change(step: Step, account: int, before: Margin) -> None:
    """Raise LawBroken where an action left an account unhealthy and worse than it was."""
    after = margin_of(step.state, account)
    harmed = not after.is_healthy() and not after.is_no_worse_than(before)
    detail = f"account {account:#x}: value {before.value} to {after.value}"
    stopped = step.guarded(Guard.HEALTH, harmed, detail)
    check(not stopped, Law.HEALTH, detail)


def check_health(step: Step, mark: int) -> None:
    """Raise LawBroken where the changes since a journal mark left an account worse than it may be.

    A change of prices or parameters is no action of an account, so then nothing is compared.
    Insurance takes over positions without margin and is exempt.
    """
    journal, state = step.journal, step.state
    touched: set[int] = set()
    for table, key, _, _ in islice(journal.changes, mark, None):
        if table is Table.POSITION:
            touched.add(cast("tuple[int, str]", key)[0])
        elif table is Table.ACCOUNT:
            touched.add(cast("int", key))
        elif table is Table.PRICE or table is Table.MARKET:
            return
    touched.discard(state.system.insurance)
    for account in sorted(touched):
        row = state.accounts.get(account)
        solvent = row is None or row.cash >= 0 or bool(state.holding(account).positions)
        check(solvent, Law.SOLVENCY, f"account {account:#x} has no position and owes money")
    suspects = [account for account in sorted(touched) if not is_healthy(state, account)]
    before = _margins_at(journal, mark, suspects) if suspects else []
    for account, margin in zip(suspects, before, strict=True):
        check_health_change(step, account, margin)


def _margins_at(journal: Journal, mark: int, accounts: list[int]) -> list[Margin]:
    """Return what accounts' figures were at a journal mark: there and back again."""
    changes = journal.changes[mark:]
    journal.undo(mark)
    margins = [margin_of(journal.state, account) for account in accounts]
    for table, key, _, after in changes:
        journal.put(table, key, after)
    return margins


def recount(state: State) -> None:
    """Raise LawBroken for the first derived part that its rows do not bear out."""
    fresh = State.rebuilt(state.rows)
    for name, (law, view) in VIEWS.items():
        kept, counted = view(state), view(fresh)
        if kept != counted:
            key = _first_difference(kept, counted)
            values = f"{kept.get(key)!r:.200}, its rows {counted.get(key)!r:.200}"
            check(False, law, f"{name} of {key} says {values}")
    for account, holding in sorted(state.holdings.items()):
        for market, exposure in sorted(holding.exposures.items()):
            _check_bounds(account, market, exposure)
    _check_calm(state)


def _check_calm(state: State) -> None:
    """Look at everyone whom the sweep would pass over at the present prices."""
    move = move_since(state)
    calm = () if move is None else state.holdings.keys() - restless(state, state.holdings, move)
    for account in sorted(calm):
        margin = margin_of(state, account)
        detail = f"account {account:#x} is low and would be passed over"
        check(margin.adds_risk() and margin.is_healthy(), Law.DERIVED, detail)


def _check_money(state: State) -> None:
    sums, totals = state.sums, state.totals
    quote = sums.cash - sums.cost + totals.withdrawn - totals.bad_debt - totals.deposited
    surplus = quote * DUST_PER_QUOTE + sums.funding + totals.dust
    check(surplus == 0, Law.CONSERVATION, f"{surplus} of 1e-26 quote too much")
    check(totals.dust >= 0, Law.DUST, f"dust is {totals.dust}")
    cash = insurance_cash(state)
    check(cash >= 0, Law.INSURANCE, f"insurance has {cash}")


def _check_price(market: str, price: Price, zero_allowed: bool) -> None:
    index = price.funding_index
    check(index != 0, Law.FUNDING_INDEX, f"{market}: funding index {index}")
    unset = price.index_at_ms == 0 and price.index == 0 and price.mark == 0
    sound = price.index > 0 and price.mark > 0
    detail = f"{market}: index {price.index}, mark {price.mark}"
    check(sound or unset or zero_allowed, Law.PRICE, detail)


def _check_bounds(account: int, market: str, exposure: Exposure) -> None:
    """The bounds of an exposure may be wider than its orders, so they are not recounted."""
    low, high = exposure.sell_bound, exposure.buy_bound
    rows = exposure.resting.values()
    buys = [row.price for row in rows if row.order.side is Side.BUY]
    sells = [row.price for row in rows if row.order.side is Side.SELL]
    holds = max(buys, default=0) <= high and min(sells, default=PRICE_MAX) >= low
    detail = f"bounds {low} and {high} of {account:#x} in {market} miss an order"
    check(holds, Law.DERIVED, detail)


def _first_difference(one: dict[Any, Any], other: dict[Any, Any]) -> Hashable:
    keys: list[Hashable] = sorted(
        key for key in one.keys() | other.keys() if one.get(key) != other.get(key)
    )
    return keys[0]


def _books(state: State) -> dict[Any, Any]:
    views: dict[Any, Any] = {}
    for market, book in state.books.items():
        views[market, "bids"] = _side(book.bids)
        views[market, "asks"] = _side(book.asks)
    return views


def _side(side: BookSide) -> tuple[Any, ...]:
    return tuple(side.walk()), tuple(side.prices())


def _holding(holding: Holding) -> tuple[Any, ...]:
    exposures = {
        market: (
            exposure.resting,
            exposure.waiting,
            exposure.buy_size,
            exposure.sell_size,
            exposure.reduce_only_count,
        )
        for market, exposure in holding.exposures.items()
    }
    return holding.positions, exposures


def _sets(groups: dict[Any, Iterable[Any]]) -> dict[Any, Any]:
    return {key: set(members) for key, members in groups.items()}


VIEWS: dict[str, tuple[Law, View]] = {
    "system": (Law.DERIVED, lambda state: {ONLY: state.system}),
    "arrival": (Law.DERIVED, lambda state: {ONLY: state.arrival}),
    "sums": (Law.CONSERVATION, lambda state: {"money": state.sums}),
    "market_sums": (Law.ZERO_SUM, lambda state: dict(state.market_sums)),
    "books": (Law.BOOK, _books),
    "holdings": (
        Law.DERIVED,
        lambda state: {account: _holding(of) for account, of in state.holdings.items()},
    ),
    "waiting": (
        Law.DERIVED,
        lambda state: {market: orders.entries() for market, orders in state.waiting.items()},
    ),
    "holders": (Law.DERIVED, lambda state: _sets(dict(state.holders))),
    "forgetting": (Law.DERIVED, lambda state: _sets(dict(state.forgetting))),
    "isolated": (Law.DERIVED, lambda state: dict(state.isolated)),
    "subkey_counts": (Law.DERIVED, lambda state: dict(state.subkey_counts)),
    "ethereum_addresses": (Law.DERIVED, lambda state: dict(state.ethereum_addresses)),
    "expiring": (Law.DERIVED, lambda state: dict(state.expiring)),
    "margin_rates": (Law.DERIVED, lambda state: dict(state.margin_rates)),
}
"""Every derived part of a state, by its name there."""
