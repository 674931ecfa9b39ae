"""Recorded market data: quotes, trades and spot prices of several markets, merged by time.

A folder holds `BASE-trades.csv.gz` and `BASE-quotes.csv.gz` for each market and, where there is
one, `BASE-spot.csv.gz`; plain `.csv` is as good. Columns are named in the first line.

Promises
- Every number is an exact integer of 1e-8; a decimal that has no such integer is refused.
- The order is the same on every machine: by time, then spot before quotes before trades, then by
  market, then as in the file.
- Whatever the folder holds, it is read or refused with the file, the line and the reason.
- A market without spot prices takes the middle of its quotes in their place, and a note says so.
"""

import csv
import gzip
import heapq
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from sequencer.model.orders import Side
from sequencer.model.recorded_limits import (
    RECORDED_BASE_CHARACTERS_MAX,
    RECORDED_FILE_BYTES_MAX,
    RECORDED_MARKETS_MAX,
    RECORDED_NUMBER_MAX,
    RECORDED_ROWS_MAX,
    RECORDED_SPAN_MS_MAX,
    RECORDED_TIME_MS_MAX,
    RECORDED_TIME_MS_MIN,
)
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.model.units import ONE, parse_units


class Spot(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask of the spot market, in 1e-8 quote."""

    time_ms: int
    base: str
    bid: int
    ask: int


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask of the perpetual with their sizes, in 1e-8."""

    time_ms: int
    base: str
    bid: int
    bid_size: int
    ask: int
    ask_size: int


class Trade(msgspec.Struct, frozen=True, gc=False):
    """A trade of the perpetual; `side` is the taker's. Price and size in 1e-8."""

    time_ms: int
    base: str
    price: int
    size: int
    side: Side


Recorded: TypeAlias = Spot | Quote | Trade
"""One recorded row."""


class RecordedMarket(msgspec.Struct, frozen=True):
    """What is known of a market before it is replayed.

    `price_increment` and `lot` are the largest powers of ten (1e-8, 1 at the most) that all its
    prices and sizes are multiples of. `first_index` is its first spot price; `size_max` the largest
    trade or quote, `volume` the sum of trades.
    """

    base: str
    price_increment: int
    lot: int
    first_index: int
    size_max: int
    volume: int


class Recording(msgspec.Struct, frozen=True):
    """All rows by time, the markets by name, and notes on what was read differently."""

    rows: Sequence[Recorded]
    markets: Sequence[RecordedMarket]
    notes: Sequence[str] = ()


_COLUMNS = {
    "trades": ("time_ms", "price", "size", "taker_side"),
    "quotes": ("time_ms", "bid", "bid_size", "ask", "ask_size"),
    "spot": ("time_ms", "bid", "ask"),
}
_RANKS = ("spot", "quotes", "trades")
_BASE = re.compile(f"[A-Z0-9]{{1,{RECORDED_BASE_CHARACTERS_MAX}}}")
_TIME = re.compile("[0-9]{1,13}")
_FILE = re.compile(r"(?P<base>.*)-(?P<kind>trades|quotes|spot)\.csv(\.gz)?")
_Files: TypeAlias = Mapping[str, Mapping[str, Path]]
_Row = TypeVar("_Row", Spot, Quote, Trade)


def read_recording(folder: Path) -> Recording:
    """Read a folder of recorded market data.

    Refusals: FILE_UNREADABLE for a folder or file that is none, MARKET_DATA_INVALID for what is in
    it. The words name the file, and the line where there is one.
    """
    files = _find(folder)
    streams: list[list[tuple[int, int, int, Recorded]]] = []
    markets, notes, rows_left = [], [], RECORDED_ROWS_MAX
    for place, (base, paths) in enumerate(files.items()):
        kinds: dict[str, Sequence[Recorded]] = {}
        for kind in _RANKS:
            if kind in paths:
                kinds[kind] = _read(paths[kind], base, kind, rows_left)
                rows_left -= len(kinds[kind])
        if "spot" not in kinds:
            kinds["spot"] = [_as_spot(row) for row in kinds["quotes"] if isinstance(row, Quote)]
            notes.append(f"{base} has no spot prices: the middle of its quotes is its index")
        markets.append(_market(base, kinds))
        for rank, kind in enumerate(_RANKS):
            streams.append([(row.time_ms, rank, place, row) for row in kinds[kind]])
    rows = [item[3] for item in heapq.merge(*streams, key=lambda item: item[:3])]
    span_ms = rows[-1].time_ms - rows[0].time_ms
    if span_ms > RECORDED_SPAN_MS_MAX:
        words = f"the rows span {span_ms} ms, {RECORDED_SPAN_MS_MAX} allowed"
        raise _invalid(folder.name, words)
    return Recording(rows, markets, notes)


def _find(folder: Path) -> _Files:
    """Find each market's files by kind; markets by name."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        words = f"{folder}: {error.strerror or error}"
        raise Refused(Reason.FILE_UNREADABLE, words) from None
    files: dict[str, dict[str, Path]] = {}
    for name in names:
        match = _FILE.fullmatch(name)
        if match is None:
            continue
        base, kind = match["base"], match["kind"]
        if _BASE.fullmatch(base) is None:
            words = f"a market is 1 to {RECORDED_BASE_CHARACTERS_MAX} capitals and digits"
            raise _invalid(shown(name), words)
        if kind in files.setdefault(base, {}):
            raise _invalid(name, f"the {kind} of {base} are there twice")
        files[base][kind] = folder / name
    _require_markets(folder, files)
    return files


def _require_markets(folder: Path, files: _Files) -> None:
    if not 0 < len(files) <= RECORDED_MARKETS_MAX:
        words = f"{len(files)} markets, 1 to {RECORDED_MARKETS_MAX} allowed"
        raise _invalid(str(folder), f"{words}: BASE-trades.csv.gz and BASE-quotes.csv.gz of each")
    for base, paths in files.items():
        for kind in ("trades", "quotes"):
            if kind not in paths:
                raise _invalid(str(folder), f"{base} has no {base}-{kind}.csv.gz")


def _read(path: Path, base: str, kind: str, rows_max: int) -> list[Recorded]:
    """Read one file."""
    lines = csv.reader(_text(path).splitlines(), strict=True)
    rows: list[Recorded] = []
    try:
        places = _columns(next(lines, []), kind)
        for fields in lines:
            row = _row(base, kind, _picked(fields, places))
            if rows and row.time_ms < rows[-1].time_ms:
                raise _wrong(f"time goes back from {rows[-1].time_ms} to {row.time_ms}")
            if len(rows) >= rows_max:
                raise _wrong(f"over {RECORDED_ROWS_MAX} rows in all files")
            rows.append(row)
    except (csv.Error, Refused) as error:
        words = error.detail if isinstance(error, Refused) else str(error)
        raise _invalid(f"{path.name} line {max(1, lines.line_num)}", words) from None
    if not rows:
        raise _invalid(path.name, "it has no rows")
    return rows


def _text(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(RECORDED_FILE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise Refused(Reason.FILE_UNREADABLE, f"{path.name}: {words}") from None
    if len(content) > RECORDED_FILE_BYTES_MAX:
        raise _invalid(path.name, f"over {RECORDED_FILE_BYTES_MAX} bytes unpacked")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        words = f"byte {content[error.start]:#04x} is no ASCII"
        raise _invalid(f"{path.name} line {line}", words) from None


def _columns(header: Sequence[str], kind: str) -> tuple[tuple[int, ...], int]:
    """Return where the columns stand, and how many fields there are in a row."""
    for name in _COLUMNS[kind]:
        if header.count(name) != 1:
            raise _wrong(f"no column {name}" if name not in header else f"{name} stands twice")
    return tuple(header.index(name) for name in _COLUMNS[kind]), len(header)


def _picked(fields: Sequence[str], places: tuple[tuple[int, ...], int]) -> list[str]:
    columns, width = places
    if len(fields) != width:
        raise _wrong(f"{len(fields)} fields, {width} columns")
    return [fields[column] for column in columns]


def _row(base: str, kind: str, fields: Sequence[str]) -> Recorded:
    if _TIME.fullmatch(fields[0]) is None:
        raise _wrong(f"time_ms {shown(fields[0])} is no number of milliseconds")
    time_ms = int(fields[0])
    if not RECORDED_TIME_MS_MIN <= time_ms <= RECORDED_TIME_MS_MAX:
        raise _wrong(f"time_ms {time_ms} is out of range")
    if kind == "trades":
        price, size, side = _number("price", fields[1]), _number("size", fields[2]), fields[3]
        if side not in (Side.BUY, Side.SELL):
            raise _wrong(f"taker_side {shown(side)} is neither BUY nor SELL")
        return Trade(time_ms, base, price, size, Side(side))
    named = zip(_COLUMNS[kind][1:], fields[1:], strict=True)
    numbers = {name: _number(name, text) for name, text in named}
    bid, ask = numbers["bid"], numbers["ask"]
    if bid > ask or (bid == ask and kind == "quotes"):
        raise _wrong(f"bid {fields[1]} is not below the ask")
    if kind == "spot":
        return Spot(time_ms, base, bid, ask)
    return Quote(time_ms, base, **numbers)


def _number(name: str, text: str) -> int:
    try:
        number = parse_units(text)
    except Refused as refused:
        raise _wrong(f"{name}: {refused.detail}") from None
    if not 0 < number <= RECORDED_NUMBER_MAX:
        raise _wrong(f"{name} {shown(text)} is out of range")
    return number


def _as_spot(quote: Quote) -> Spot:
    return Spot(quote.time_ms, quote.base, quote.bid, quote.ask)


def _market(base: str, kinds: Mapping[str, Sequence[Recorded]]) -> RecordedMarket:
    trades = _only(kinds["trades"], Trade)
    quotes = _only(kinds["quotes"], Quote)
    first = _only(kinds["spot"], Spot)[0]
    prices = {trade.price for trade in trades}
    prices |= {price for quote in quotes for price in (quote.bid, quote.ask)}
    sizes = {trade.size for trade in trades}
    sizes |= {size for quote in quotes for size in (quote.bid_size, quote.ask_size)}
    increment, lot = _grid(prices), _grid(sizes)
    if increment * lot % ONE:
        raise _invalid(base, "its prices and sizes have over 8 decimals together")
    volume = sum(trade.size for trade in trades)
    if volume > RECORDED_NUMBER_MAX:
        raise _invalid(base, f"its trades sum up to over {RECORDED_NUMBER_MAX // ONE}")
    index = (first.bid + first.ask) // 2
    return RecordedMarket(base, increment, lot, index, max(sizes), volume)


def _only(rows: Sequence[Recorded], kind: type[_Row]) -> list[_Row]:
    return [row for row in rows if isinstance(row, kind)]


def _grid(numbers: set[int]) -> int:
    """Return the largest power of ten, 1 at the most, that divides all of them."""
    step = ONE
    for number in numbers:
        while number % step:
            step //= 10
    return step


def _wrong(words: str) -> Refused:
    return Refused(Reason.MARKET_DATA_INVALID, words)


def _invalid(where: str, words: str) -> Refused:
    return Refused(Reason.MARKET_DATA_INVALID, f"{where}: {words}")
