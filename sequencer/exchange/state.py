"""The exchange's state: tables of frozen rows, and what is derived from them.

Promises
- Rows change only through a `Journal`; every change keeps the derived parts exact at once.
- A journal undone in full leaves the exact rows and derived parts from before.

Laws
- Derived parts (books, holdings, sums) hold nothing that the rows do not say: `State.rebuilt`
  makes them again from the rows alone.
"""

from collections.abc import Callable, Hashable, Mapping
from enum import StrEnum
from typing import Any, TypeAlias

from sequencer.exchange.book import Book
from sequencer.exchange.derived import (
    NOTHING,
    Exposure,
    Holding,
    MarginRates,
    MarketSums,
    Reference,
    Sums,
    is_resize,
    margin_rates_of,
)
from sequencer.exchange.waiting import WaitingOrders
from sequencer.model.rows import (
    Account,
    Arrival,
    Contract,
    DeclaredClass,
    DepositRow,
    EthereumKey,
    LastTrade,
    Limiter,
    Market,
    OrderRow,
    Position,
    Price,
    Publisher,
    ReportTime,
    Row,
    Subkey,
    System,
    Totals,
    Unhealthy,
    UsedOrder,
    Withdrawal,
)
from sequencer.model.units import MS_PER_SECOND


class Table(StrEnum):
    """The tables of rows, in the order in which a state is rebuilt. Keys: see `State`.

    Contracts and classes belong to the chain above; they lie here so that one journal covers all.
    """

    MARKET = "market"
    ACCOUNT = "account"
    POSITION = "position"
    PRICE = "price"
    TRADE = "trade"
    ORDER = "order"
    USED_ORDER = "used_order"
    SUBKEY = "subkey"
    PUBLISHER = "publisher"
    REPORT_TIME = "report_time"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    UNHEALTHY = "unhealthy"
    SYSTEM = "system"
    ARRIVAL = "arrival"
    TOTALS = "totals"
    LIMITER = "limiter"
    CONTRACT = "contract"
    CLASS = "class"
    ETHEREUM_KEY = "ethereum_key"


ONLY = ""
"""The key of a table with one row."""

Change: TypeAlias = tuple[Table, Hashable, Any, Any]
"""Table, key, row before (None: absent), row after (None: removed)."""


_NO_ACCOUNT = Account()


class State:
    """All tables and what is derived from them. Only a journal writes."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.arrival = Arrival()
        self.contracts: dict[int, Contract] = {}
        self.classes: dict[int, DeclaredClass] = {}
        self.accounts: dict[int, Account] = {}
        self.positions: dict[tuple[int, str], Position] = {}
        self.markets: dict[str, Market] = {}
        self.prices: dict[str, Price] = {}
        self.trades: dict[str, LastTrade] = {}
        self.orders: dict[int, OrderRow] = {}
        self.used_orders: dict[int, UsedOrder] = {}
        self.subkeys: dict[tuple[int, int], Subkey] = {}
        self.publishers: dict[str, Publisher] = {}
        self.report_times: dict[tuple[str, str], ReportTime] = {}
        self.deposits: dict[int, DepositRow] = {}
        self.withdrawals: dict[int, Withdrawal] = {}
        self.unhealthy: dict[int, Unhealthy] = {}
        self.ethereum_keys: dict[int, EthereumKey] = {}
        self.rows = self._tables()
        self.books: dict[str, Book] = {}
        self.waiting: dict[str, WaitingOrders] = {}
        self.holdings: dict[int, Holding] = {}
        self.holders: dict[str, dict[int, None]] = {}
        self.isolated: dict[tuple[int, str], int] = {}
        self.subkey_counts: dict[int, int] = {}
        self.ethereum_addresses: dict[int, int] = {}
        self.expiring: dict[int, int] = {}
        self.forgetting: dict[int, dict[int, None]] = {}
        self.sums = Sums()
        self.market_sums: dict[str, MarketSums] = {}
        self.margin_rates: dict[str, MarginRates] = {}
        self.reference: Reference | None = None
        self._derive = self._derivations()

    def _tables(self) -> dict[Table, dict[Any, Any]]:
        return {
            Table.ACCOUNT: self.accounts,
            Table.POSITION: self.positions,
            Table.MARKET: self.markets,
            Table.PRICE: self.prices,
            Table.TRADE: self.trades,
            Table.ORDER: self.orders,
            Table.USED_ORDER: self.used_orders,
            Table.SUBKEY: self.subkeys,
            Table.PUBLISHER: self.publishers,
            Table.REPORT_TIME: self.report_times,
            Table.DEPOSIT: self.deposits,
            Table.WITHDRAWAL: self.withdrawals,
            Table.UNHEALTHY: self.unhealthy,
            Table.SYSTEM: {ONLY: self.system},
            Table.ARRIVAL: {ONLY: self.arrival},
            Table.TOTALS: {ONLY: Totals()},
            Table.LIMITER: {ONLY: Limiter()},
            Table.CONTRACT: self.contracts,
            Table.CLASS: self.classes,
            Table.ETHEREUM_KEY: self.ethereum_keys,
        }

    @classmethod
    def rebuilt(cls, rows: Mapping[Table, Mapping[Any, Any]]) -> "State":
        """Make a state from rows alone: the start-up path, and the recount of every sum.

        Orders go back into their books in sequence.
        """
        state = cls(rows[Table.SYSTEM][ONLY])
        for table in Table:
            items = list(rows.get(table, {}).items())
            if table is Table.ORDER:
                items.sort(key=lambda item: item[1].sequence)
            for key, row in items:
                state.write(table, key, row)
        return state

    @property
    def totals(self) -> Totals:
        """Money that is in no account."""
        return self.rows[Table.TOTALS][ONLY]  # type: ignore[no-any-return]

    @property
    def limiter(self) -> Limiter:
        """What may still be withdrawn."""
        return self.rows[Table.LIMITER][ONLY]  # type: ignore[no-any-return]

    def _derivations(self) -> dict[Table, Callable[[Any, Any, Any], None]]:
        return {
            Table.ACCOUNT: self._derive_account,
            Table.POSITION: self._derive_position,
            Table.ORDER: self._derive_order,
            Table.USED_ORDER: self._derive_used_order,
            Table.MARKET: self._derive_market,
            Table.SUBKEY: self._derive_subkey,
            Table.ETHEREUM_KEY: self._derive_ethereum_key,
            Table.SYSTEM: self._derive_system,
            Table.ARRIVAL: self._derive_arrival,
        }

    def account(self, account: int) -> Account:
        """Return an account's row, an empty one where it has none."""
        return self.accounts.get(account, _NO_ACCOUNT)

    def size_of(self, account: int, market: str) -> int:
        """Return the size of an account's position, 0 where it has none."""
        position = self.positions.get((account, market))
        return 0 if position is None else position.size

    def holding(self, account: int) -> Holding:
        """Return what an account has, by market. Not to be changed."""
        return self.holdings.get(account, NOTHING)

    def write(self, table: Table, key: Hashable, after: Row | None) -> Row | None:
        """Set or (None) remove a row, and return the row before. Only for a journal."""
        rows = self.rows[table]
        before: Row | None = rows.get(key)
        if after is None:
            rows.pop(key, None)
        else:
            rows[key] = after
        derive = self._derive.get(table)
        if derive is not None:
            derive(key, before, after)
        return before

    def _derive_account(self, key: int, before: Account | None, after: Account | None) -> None:
        self._stir(key)
        if before is not None:
            self.sums.cash -= before.cash
            if before.owner:
                self.isolated.pop((before.owner, before.market), None)
        if after is not None:
            self.sums.cash += after.cash
            if after.owner:
                self.isolated[after.owner, after.market] = key

    # Every command reads these two rows: attributes cost a fraction of a look-up.
    def _derive_system(self, _: str, __: System | None, after: System) -> None:
        self.system = after

    def _derive_arrival(self, _: str, __: Arrival | None, after: Arrival) -> None:
        self.arrival = after

    def _derive_subkey(
        self, key: tuple[int, int], before: Subkey | None, after: Subkey | None
    ) -> None:
        account = key[0]
        count = self.subkey_counts.pop(account, 0) + (after is not None) - (before is not None)
        if count:
            self.subkey_counts[account] = count

    def _derive_ethereum_key(
        self, address: int, before: EthereumKey | None, after: EthereumKey | None
    ) -> None:
        if before is not None:
            self.ethereum_addresses.pop(before.account, None)
        if after is not None:
            self.ethereum_addresses[after.account] = address

    def _derive_position(
        self, key: tuple[int, str], before: Position | None, after: Position | None
    ) -> None:
        account, market = key
        self._stir(account)
        sums, of_market = self.sums, self.market_sums[market]
        if before is not None:
            size = before.size
            sums.cost -= before.cost
            sums.funding -= size * before.index
            of_market.net -= size
            of_market.long -= size if size > 0 else 0
        if after is None:
            self._drop_position(account, market)
            return
        size = after.size
        sums.cost += after.cost
        sums.funding += size * after.index
        of_market.net += size
        of_market.long += size if size > 0 else 0
        self._holding_of(account).positions[market] = after
        if before is None:
            self.holders[market][account] = None

    def _stir(self, account: int) -> None:
        holding = self.holdings.get(account)
        if holding is not None:
            holding.calm = None

    def _drop_position(self, account: int, market: str) -> None:
        holding = self.holdings.get(account)
        if holding is not None and holding.positions.pop(market, None) is not None:
            del self.holders[market][account]
            self._drop_holding(account, holding)

    def _drop_holding(self, account: int, holding: Holding) -> None:
        if not holding.positions and not holding.exposures:
            del self.holdings[account]

    def _holding_of(self, account: int) -> Holding:
        holding = self.holdings.get(account)
        if holding is None:
            holding = self.holdings[account] = Holding()
        return holding

    def _derive_order(self, order_id: int, before: OrderRow | None, after: OrderRow | None) -> None:
        self._stir((after or before).order.account)  # type: ignore[union-attr]
        if before is not None and after is not None and is_resize(before, after):
            self._resize_order(order_id, before, after)
            return
        if before is not None:
            self._drop_order(order_id, before)
        if after is not None:
            self._add_order(order_id, after)

    def _resize_order(self, order_id: int, before: OrderRow, after: OrderRow) -> None:
        order = after.order
        self.books[order.market].side(order.side).put(order_id, after)
        exposure = self.holdings[order.account].exposures[order.market]
        exposure.resting[order_id] = after
        exposure.count(after, after.remaining - before.remaining)

    def _add_order(self, order_id: int, row: OrderRow) -> None:
        order = row.order
        exposures = self._holding_of(order.account).exposures
        exposure = exposures.get(order.market)
        if exposure is None:
            exposure = exposures[order.market] = Exposure()
        if row.waiting:
            exposure.waiting[order_id] = row
            self.waiting[order.market].put(order_id, row)
        else:
            exposure.resting[order_id] = row
            exposure.reduce_only_count += order.reduce_only
            exposure.count(row, row.remaining)
            self.books[order.market].side(order.side).put(order_id, row)
        if order.expires_at_ms:
            self.expiring[order_id] = order.expires_at_ms

    def _drop_order(self, order_id: int, row: OrderRow) -> None:
        order = row.order
        holding = self.holdings[order.account]
        exposure = holding.exposures[order.market]
        if row.waiting:
            del exposure.waiting[order_id]
            self.waiting[order.market].remove(order_id, row)
        else:
            del exposure.resting[order_id]
            exposure.reduce_only_count -= order.reduce_only
            exposure.count(row, -row.remaining)
            self.books[order.market].side(order.side).remove(order_id, row)
        if exposure.is_empty():
            del holding.exposures[order.market]
            self._drop_holding(order.account, holding)
        if order.expires_at_ms:
            del self.expiring[order_id]

    def _derive_used_order(
        self, order_id: int, before: UsedOrder | None, after: UsedOrder | None
    ) -> None:
        if before is not None:
            second = before.until_ms // MS_PER_SECOND
            bucket = self.forgetting[second]
            del bucket[order_id]
            if not bucket:
                del self.forgetting[second]
        if after is not None:
            second = after.until_ms // MS_PER_SECOND
            self.forgetting.setdefault(second, {})[order_id] = None

    def _derive_market(self, market: str, before: Market | None, after: Market | None) -> None:
        if after is None:
            del self.books[market], self.holders[market], self.market_sums[market]
            del self.margin_rates[market], self.waiting[market]
            return
        self.margin_rates[market] = margin_rates_of(after.parameters)
        if before is None:
            self.books[market] = Book()
            self.waiting[market] = WaitingOrders()
            self.holders[market] = {}
            self.market_sums[market] = MarketSums()


class Journal:
    """The row changes of a command or a block: at once the changes, their inverse and the undo."""

    __slots__ = ("changes", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.changes: list[Change] = []

    def put(self, table: Table, key: Hashable, after: Row | None) -> None:
        """Write a row, or remove it with None."""
        self.changes.append((table, key, self.state.write(table, key, after), after))

    def mark(self) -> int:
        """Return a point to undo back to."""
        return len(self.changes)

    def undo(self, mark: int = 0) -> None:
        """Take back every change since a mark, newest first."""
        changes = self.changes
        while len(changes) > mark:
            table, key, before, _ = changes.pop()
            self.state.write(table, key, before)
