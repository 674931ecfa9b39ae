"""The tables and views of the history, as SQL.

Promises
- `trades` and its like are the live truth alone; `all_trades` has what was undone too, with the
  reorg that undid it, and `undone_trades` that alone, with the reason.

Laws
- Whether something is live stands in one place, in the row of its block: a rollback changes that
  row, so no two views can differ about it.
- A number of an event is an INTEGER where 64 bits hold it and else decimal TEXT. Columns of such
  numbers have no type, because SQLite would round them to fit one.
- Rows are kept in the order of the chain; nothing in them depends on when or how often the plugin
  was started.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

FORMAT = 1
"""The layout of tables that this build reads and writes (`PRAGMA user_version`)."""

APPLICATION_ID = 0x70657270
"""Marks a file as a history of perpchain's (`PRAGMA application_id`)."""


class Column(NamedTuple):
    """A column: its SQL type ("" for exact numbers of any size), and what it holds."""

    name: str
    kind: str = ""
    words: str = ""

    def sql(self) -> str:
        """Write it as a line of CREATE TABLE, all but its comma and its comment."""
        return f"{self.name} {self.kind}".rstrip()


class Table(NamedTuple):
    """A table of things in blocks. `columns` come behind those that say where."""

    name: str
    place: Sequence[str]
    columns: Sequence[Column]
    indexes: Sequence[str]

    def insert(self) -> str:
        """Write the statement that inserts a row: height, block, place, columns."""
        marks = ", ".join("?" * (2 + len(self.place) + len(self.columns)))
        return f"INSERT INTO {self.name}_rows VALUES ({marks})"

    def select(self) -> str:
        """Write the statement that reads what a block has, in order: height, block."""
        order = _listed(self.place)
        return f"SELECT * FROM {self.name}_rows WHERE height = ? AND block_id = ? ORDER BY {order}"


TRANSACTIONS = Table(
    "transactions",
    ("transaction_index",),
    (
        Column("hash", "TEXT NOT NULL"),
        Column("kind", "TEXT NOT NULL", "INVOKE, DECLARE, DEPLOY_ACCOUNT, L1_HANDLER, DEPLOY"),
        Column("sender", "TEXT NOT NULL", "the receiver of a message from L1"),
        Column("fee", "", "smallest units of the fee token"),
        Column("revert_reason", "TEXT", "NULL: it succeeded"),
    ),
    ("hash", "sender"),
)

TRADES = Table(
    "trades",
    ("transaction_index", "event_index"),
    (
        Column("market", "TEXT NOT NULL"),
        Column("side", "TEXT NOT NULL", "the taker's: BUY or SELL"),
        Column("price", "", "1e-8 quote for one base"),
        Column("size", "", "1e-8 base, never negative"),
        Column("value", "", "price x size in 1e-8 quote"),
        Column("taker", "TEXT NOT NULL"),
        Column("maker", "TEXT NOT NULL"),
        Column("taker_order", "TEXT NOT NULL"),
        Column("maker_order", "TEXT NOT NULL"),
        Column("taker_fee", "", "1e-8 quote"),
        Column("maker_fee", "", "1e-8 quote"),
    ),
    ("market", "taker", "maker"),
)

LIQUIDATIONS = Table(
    "liquidations",
    ("transaction_index", "event_index"),
    (
        Column("kind", "TEXT NOT NULL", "Liquidated, LiquidationEnded or Covered"),
        Column("account", "TEXT NOT NULL"),
        Column("market", "TEXT", "of Liquidated, as are size and price"),
        Column("size", "", "1e-8 base, signed as the account held it"),
        Column("price", "", "1e-8 quote for one base"),
        Column("share", "", "of LiquidationEnded: 1e-8 of each position"),
        Column("penalty", "", "of LiquidationEnded: 1e-8 quote"),
        Column("insurance", "", "of Covered: 1e-8 quote that insurance paid"),
        Column("bad_debt", "", "of Covered: 1e-8 quote that it could not pay"),
    ),
    ("account", "market"),
)

EVENTS = Table(
    "events",
    ("transaction_index", "event_index"),
    (
        Column("kind", "TEXT NOT NULL", "its name: Fill, PriceAccepted, ModeChanged, ..."),
        Column("market", "TEXT"),
        Column("details", "TEXT NOT NULL", "all of its fields, as JSON"),
    ),
    ("kind",),
)

# Of all but trades, which the view adds: most of what there is, and all of it in their own rows.
ACCOUNT_HISTORY = Table(
    "account_history",
    ("transaction_index", "event_index", "part"),
    (
        Column("account", "TEXT NOT NULL"),
        Column("role", "TEXT", "sender, receiver or owner; else NULL"),
        Column("order_id", "TEXT"),
        Column("size", "", "change of the position in 1e-8 base"),
        Column("price", "", "1e-8 quote for one base"),
        Column("amount", "", "1e-8 quote in, negative: out"),
        Column("reason", "TEXT", "why an order was refused or closed"),
    ),
    ("account",),
)

TABLES = (TRANSACTIONS, EVENTS, TRADES, LIQUIDATIONS, ACCOUNT_HISTORY)
"""All tables of things in blocks."""

BLOCKS = """
CREATE TABLE blocks_rows (
  block_id INTEGER PRIMARY KEY, -- counts blocks, live or not, as they first came
  height INTEGER NOT NULL,
  hash TEXT NOT NULL,
  parent_hash TEXT NOT NULL,
  timestamp INTEGER NOT NULL, -- seconds of chain time since 1970
  state_root TEXT NOT NULL,
  sequencer TEXT NOT NULL,
  transaction_count INTEGER NOT NULL,
  event_count INTEGER NOT NULL, -- events of all contracts
  brought_back_by INTEGER, -- the reorg (an undo) that applied it again last
  undone_by INTEGER -- the reorg that took it back; NULL: it is live
)
"""

REORGS = """
CREATE TABLE reorgs (
  reorg_id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL, -- ROLLBACK or UNDO
  reason TEXT NOT NULL, -- the operator's words
  first_height INTEGER NOT NULL,
  last_height INTEGER NOT NULL,
  head_height INTEGER NOT NULL, -- where the chain is after it
  head_hash TEXT NOT NULL,
  is_complete INTEGER NOT NULL, -- 0: blocks of it are still to come
  undone_by INTEGER -- the undo that brought its blocks back
)
"""

PLACE = """
CREATE TABLE place (
  chain_id TEXT NOT NULL,
  sequence INTEGER, -- the last call that is in here: a commit of the chain, and its step
  step INTEGER
)
"""

_BLOCK_INDEXES = (
    "CREATE INDEX blocks_rows_by_hash ON blocks_rows (hash)",
    "CREATE INDEX blocks_rows_by_height ON blocks_rows (height)",
    "CREATE INDEX blocks_rows_by_timestamp ON blocks_rows (timestamp)",
    "CREATE INDEX blocks_rows_live ON blocks_rows (height) WHERE undone_by IS NULL",
    "CREATE INDEX blocks_rows_undone ON blocks_rows (undone_by) WHERE undone_by IS NOT NULL",
)

_BLOCK_COLUMNS = (
    *("height", "hash", "parent_hash", "timestamp", "state_root", "sequencer"),
    *("transaction_count", "event_count", "brought_back_by"),
)


_WHERE = ("height", "block_hash", "timestamp", "transaction_hash", *TRADES.place)
_OF_FILL = (
    *("account", "market", "order_id", "side", "liquidity"),
    *("price", "size", "value", "fee"),
)
_OF_ACCOUNT = (
    *("account", "kind", "role", "market", "order_id", "size", "price", "amount"),
    *("reason", "details"),
)


def statements() -> Iterator[str]:
    """Yield what makes all tables, indexes and views of an empty file."""
    yield from (PLACE, REORGS, BLOCKS, *_BLOCK_INDEXES)
    yield f"CREATE VIEW all_blocks AS SELECT {_listed(_BLOCK_COLUMNS)}, undone_by FROM blocks_rows"
    yield from _views("blocks", _BLOCK_COLUMNS)
    for table in TABLES:
        yield _rows(table)
        # Behind the column come height, block and place, because they are the rows' key.
        for column in table.indexes:
            name = f"{table.name}_rows_by_{column}"
            yield f"CREATE INDEX {name} ON {table.name}_rows ({column})"
    for table in (TRANSACTIONS, EVENTS, TRADES, LIQUIDATIONS):
        yield _view_of_all(table)
        yield from _views(table.name, [name for _, name in _columns_shown(table)])
    yield from _fills()
    yield from _account_history()


def _rows(table: Table) -> str:
    lines = ["height INTEGER NOT NULL,", "block_id INTEGER NOT NULL,"]
    lines += [f"{name} INTEGER NOT NULL," for name in table.place]
    for column in table.columns:
        lines.append(f"{column.sql()}," + (f" -- {column.words}" if column.words else ""))
    key = _listed(("height", "block_id", *table.place))
    body = "\n  ".join([*lines, f"PRIMARY KEY ({key})"])
    return f"CREATE TABLE {table.name}_rows (\n  {body}\n) WITHOUT ROWID"


def _columns_shown(table: Table) -> list[tuple[str, str]]:
    """List the columns of a table's views: whence each comes (b: the block), and its name."""
    # The height of the row, not of the block: the index of the rows is in its order.
    shown = [("r.height", "height"), ("b.hash", "block_hash"), ("b.timestamp", "timestamp")]
    if table is not TRANSACTIONS:
        shown.append(("t.hash", "transaction_hash"))
    names = (*table.place, *(column.name for column in table.columns))
    return shown + [(f"r.{name}", name) for name in names]


def _view_of_all(table: Table) -> str:
    shown = _listed([f"{source} AS {name}" for source, name in _columns_shown(table)])
    return f"CREATE VIEW all_{table.name} AS SELECT {shown}, b.undone_by FROM {_source(table)}"


def _source(table: Table) -> str:
    source = f"{table.name}_rows r JOIN blocks_rows b ON b.block_id = r.block_id"
    # So that the rows of a block are found too: their key begins with the height.
    source += " AND b.height = r.height"
    if table is not TRANSACTIONS:
        source += _joined("LEFT JOIN transactions_rows t", TRANSACTIONS.place)
    return source


def _joined(other: str, place: Sequence[str]) -> str:
    names = ("height", "block_id", *place)
    return f" {other} ON " + " AND ".join(f"{other[-1]}.{name} = r.{name}" for name in names)


def _fills() -> Iterator[str]:
    """Yield the views of fills: a trade seen from both sides."""
    sides = (("taker", "side"), ("maker", "CASE side WHEN 'BUY' THEN 'SELL' ELSE 'BUY' END"))
    selects = [
        f"SELECT {_listed(_WHERE)}, {party} AS account, market, {party}_order AS order_id, "
        f"{side} AS side, '{party.upper()}' AS liquidity, price, size, value, "
        f"{party}_fee AS fee, undone_by FROM all_trades"
        for party, side in sides
    ]
    yield f"CREATE VIEW all_fills AS {' UNION ALL '.join(selects)}"
    yield from _views("fills", (*_WHERE, *_OF_FILL))


def _account_history() -> Iterator[str]:
    """Yield the views of what happened to accounts: their own rows, and both sides of trades."""
    where = _listed([f"{source} AS {name}" for source, name in _columns_shown(TRADES)[:6]])
    selects = [
        f"SELECT {where}, r.account, e.kind, r.role, e.market, r.order_id, r.size, r.price, "
        f"r.amount, r.reason, e.details, b.undone_by FROM {_source(ACCOUNT_HISTORY)}"
    ]
    for party, buys in (("taker", "BUY"), ("maker", "SELL")):
        size = f"CASE r.side WHEN '{buys}' THEN r.size ELSE {_negative('r.size')} END"
        selects.append(
            f"SELECT {where}, r.{party}, 'Fill', '{party}', r.market, r.{party}_order, {size}, "
            f"r.price, {_negative(f'r.{party}_fee')}, NULL, e.details, b.undone_by "
            f"FROM {_source(TRADES)}"
        )
    event = _joined("JOIN events_rows e", EVENTS.place)
    yield (
        f"CREATE VIEW all_account_history ({_listed((*_WHERE, *_OF_ACCOUNT, 'undone_by'))}) AS "
        + " UNION ALL ".join(select + event for select in selects)
    )
    yield from _views("account_history", (*_WHERE, *_OF_ACCOUNT))


def _negative(column: str) -> str:
    # What is kept as text is never 0: it takes more than 64 bits.
    return f"CASE typeof({column}) WHEN 'text' THEN '-' || {column} ELSE -{column} END"


def _views(name: str, columns: Sequence[str]) -> Iterator[str]:
    names = _listed(columns)
    yield f"CREATE VIEW {name} AS SELECT {names} FROM all_{name} WHERE undone_by IS NULL"
    yield (
        f"CREATE VIEW undone_{name} AS SELECT {names}, undone_by, "
        f"(SELECT g.reason FROM reorgs g WHERE g.reorg_id = a.undone_by) AS undone_reason "
        f"FROM all_{name} a WHERE undone_by IS NOT NULL"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
