"""Recorded market data: quotes, trades and spot prices of several markets, merged by time.

Promises
- Every number is an exact integer of 1e-8; a decimal that has no such integer is refused.
- The order is the same on every machine: by time, then spot before quotes before trades, then by
  market, then as in the file.
"""

import csv
import gzip
import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from sequencer.model.orders import Side
from sequencer.model.units import parse_units


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


def read_recorded(folder: Path, bases: tuple[str, ...]) -> Iterator[Recorded]:
    """Merge the files of several bases ("BTC") by time.

    Errors: OSError for a missing file, Refused(AMOUNT_INVALID) for a number that is no decimal of
    at most 8 places.
    """
    streams = [
        _ranked(rank, _read(folder / f"{base}-{kind}.csv.gz", base, kind))
        for rank, kind in enumerate(("spot", "quotes", "trades"))
        for base in bases
    ]
    for _, _, recorded in heapq.merge(*streams, key=lambda item: item[:2]):
        yield recorded


def _ranked(rank: int, rows: Iterator[Recorded]) -> Iterator[tuple[int, int, Recorded]]:
    for row in rows:
        yield row.time_ms, rank, row


def _read(path: Path, base: str, kind: str) -> Iterator[Recorded]:
    with gzip.open(path, "rt", encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            yield _row(base, kind, row)


def _row(base: str, kind: str, row: dict[str, str]) -> Recorded:
    time_ms = int(row["time_ms"])
    if kind == "trades":
        side = Side(row["taker_side"])
        return Trade(time_ms, base, parse_units(row["price"]), parse_units(row["size"]), side)
    bid, ask = parse_units(row["bid"]), parse_units(row["ask"])
    if kind == "spot":
        return Spot(time_ms, base, bid, ask)
    sizes = parse_units(row["bid_size"]), parse_units(row["ask_size"])
    return Quote(time_ms, base, bid, sizes[0], ask, sizes[1])
