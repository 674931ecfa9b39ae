"""Recorded market data is read as it stands, or refused with the file, the line and the reason."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from sequencer.feeds import recorded
from sequencer.feeds.recorded import Quote, Spot, Trade, read_recording
from sequencer.model.orders import Side
from sequencer.model.recorded_limits import RECORDED_MARKETS_MAX
from sequencer.model.refusals import Reason, Refused

UNIT = 10**8
TRADES = "time_ms,price,size,taker_side\n2000000010,60000.5,0.25,BUY\n2000000010,60000,1,SELL\n"
QUOTES = "time_ms,bid,bid_size,ask,ask_size\n2000000000,60000,2,60000.5,3.125\n"
SPOT = "time_ms,bid,ask\n2000000000,60010.01,60010.02\n"

FolderOf = Callable[..., Path]


@pytest.fixture
def folder_of(tmp_path: Path) -> FolderOf:
    """Write files by kind ("trades"), None for no such file; bytes go out as they are."""

    def make(base: str = "BTC", suffix: str = ".csv.gz", **files: str | bytes | None) -> Path:
        contents = {"trades": TRADES, "quotes": QUOTES, "spot": SPOT} | files
        for kind, content in contents.items():
            if content is None:
                continue
            raw = content
            if isinstance(content, str):
                raw = content.encode("latin-1")
                raw = gzip.compress(raw) if suffix == ".csv.gz" else raw
            assert isinstance(raw, bytes)
            (tmp_path / f"{base}-{kind}{suffix}").write_bytes(raw)
        return tmp_path

    return make


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv"])
def test_rows_come_by_time_and_markets_with_their_grids(folder_of: FolderOf, suffix: str) -> None:
    folder_of(suffix=suffix)
    recording = read_recording(folder_of("ETH", suffix))
    assert [(type(row), row.base) for row in recording.rows] == [
        (Spot, "BTC"),
        (Spot, "ETH"),
        (Quote, "BTC"),
        (Quote, "ETH"),
        (Trade, "BTC"),
        (Trade, "BTC"),
        (Trade, "ETH"),
        (Trade, "ETH"),
    ]
    trade = Trade(2_000_000_010, "BTC", 60_000 * UNIT + UNIT // 2, UNIT // 4, Side.BUY)
    assert recording.rows[4] == trade
    btc = recording.markets[0]
    assert (btc.base, btc.price_increment, btc.lot) == ("BTC", UNIT // 10, UNIT // 1_000)
    assert btc.first_index == 60_010 * UNIT + 1_500_000
    assert (btc.size_max, btc.volume) == (3 * UNIT + UNIT // 8, UNIT + UNIT // 4)
    assert recording.notes == []


def test_without_spot_prices_the_middle_of_quotes_is_the_index(folder_of: FolderOf) -> None:
    recording = read_recording(folder_of(spot=None))
    spots = [row for row in recording.rows if isinstance(row, Spot)]
    assert spots == [Spot(2_000_000_000, "BTC", 60_000 * UNIT, 60_000 * UNIT + UNIT // 2)]
    assert len(recording.notes) == 1
    assert "BTC" in recording.notes[0]


def test_other_files_and_other_columns_are_no_matter(folder_of: FolderOf) -> None:
    folder = folder_of(spot="note,ask,bid,time_ms\nx,2,1,2000000000\n")
    (folder / "README.md").write_text("what it is")
    assert read_recording(folder).markets[0].first_index == UNIT + UNIT // 2


def with_row(row: str) -> dict[str, str]:
    return {"trades": f"{TRADES}{row}\n"}


TOO_LARGE = 10**10 + 1
BAD_ROWS = {
    "not a number": (with_row("2000000011,abc,1,BUY"), "line 4: price"),
    "NaN": (with_row("2000000011,NaN,1,BUY"), "line 4: price"),
    "infinite": (with_row("2000000011,1,Infinity,BUY"), "line 4: size"),
    "exponent": (with_row("2000000011,1e5,1,BUY"), "line 4: price"),
    "negative": (with_row("2000000011,-1,1,BUY"), "line 4: price"),
    "zero": (with_row("2000000011,1,0.000,BUY"), "line 4: size"),
    "nothing": (with_row("2000000011,,1,BUY"), "line 4: price"),
    "9 decimals": (with_row("2000000011,1.000000001,1,BUY"), "line 4: price"),
    "huge": (with_row(f"2000000011,{TOO_LARGE},1,BUY"), "line 4: price"),
    "a thousand digits": (with_row(f"2000000011,{'9' * 1_000},1,BUY"), "line 4: price"),
    "five thousand digits of time": (with_row(f"{'9' * 5_000},1,1,BUY"), "line 4: time_ms"),
    "time that goes back": (with_row("2000000009,1,1,BUY"), "line 4: time goes back"),
    "time of no number": (with_row("noon,1,1,BUY"), "line 4: time_ms"),
    "negative time": (with_row("-1,1,1,BUY"), "line 4: time_ms"),
    "time in nanoseconds": (with_row("1723161256322000000,1,1,BUY"), "line 4: time_ms"),
    "time too early": (with_row("1,1,1,BUY"), "line 4: time_ms"),
    "another side": (with_row("2000000011,1,1,buy"), "line 4: taker_side"),
    "a field too few": (with_row("2000000011,1,1"), "line 4: 3 fields"),
    "a field too many": (with_row("2000000011,1,1,BUY,5"), "line 4: 5 fields"),
    "an empty line": (with_row(""), "line 4: 0 fields"),
    "an open quote": (with_row('"2000000011,1,1,BUY'), "line 4"),
    "a zero byte": (with_row("2000000011,\0,1,BUY"), "line 4"),
    "other letters": (with_row("2000000011,\xe9,1,BUY"), "line 4: byte 0xe9"),
    "no column": ({"trades": "time_ms,price,size\n2000000011,1,1\n"}, "line 1: no column taker_si"),
    "a column twice": ({"spot": "time_ms,bid,ask,bid\n2000000011,1,2,1\n"}, "line 1: bid stands"),
    "an empty file": ({"trades": ""}, "line 1: no column"),
    "only columns": ({"quotes": QUOTES.splitlines()[0] + "\n"}, "no rows"),
    "crossed quotes": ({"quotes": f"{QUOTES}2000000011,2,1,2,1\n"}, "line 3: bid 2"),
    "crossed spot": ({"spot": f"{SPOT}2000000011,3,2\n"}, "line 3: bid 3"),
    "decimals together": (with_row("2000000011,0.00001,0.0001,BUY"), "BTC: its prices and sizes"),
    "days apart": (with_row("2200000000,1,1,BUY"), "span"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_refused_by_name(name: str, folder_of: FolderOf) -> None:
    files, words = BAD_ROWS[name]
    with pytest.raises(Refused) as caught:
        read_recording(folder_of(**files))
    assert caught.value.reason is Reason.MARKET_DATA_INVALID
    assert words in caught.value.detail
    if words.startswith(("line", "no rows")):
        assert caught.value.detail.startswith(f"BTC-{next(iter(files))}.csv.gz")
    assert len(caught.value.detail) < 300


UNREADABLE = {
    "no gzip": b"time_ms,price,size,taker_side\n",
    "a truncated gzip": gzip.compress(TRADES.encode() * 9)[:-20],
    "a damaged gzip": gzip.compress(b"x" * 99)[:15] + b"\xff" * 30,
    "an empty gzip": b"\x1f",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_files_that_are_none_are_refused_by_name(name: str, folder_of: FolderOf) -> None:
    with pytest.raises(Refused, match=r"BTC-trades\.csv\.gz: ") as caught:
        read_recording(folder_of(trades=UNREADABLE[name]))
    assert caught.value.reason is Reason.FILE_UNREADABLE


@pytest.mark.parametrize("name", ["folder", "file"])
def test_folders_that_are_none_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refused) as caught:
        read_recording(tmp_path / name)
    assert caught.value.reason is Reason.FILE_UNREADABLE


def test_a_folder_in_place_of_a_file_is_refused(folder_of: FolderOf) -> None:
    folder = folder_of(spot=None)
    (folder / "BTC-spot.csv.gz").mkdir()
    with pytest.raises(Refused, match="BTC-spot") as caught:
        read_recording(folder)
    assert caught.value.reason is Reason.FILE_UNREADABLE


@pytest.mark.parametrize("kind", ["trades", "quotes"])
def test_a_market_without_trades_or_quotes_is_refused(kind: str, folder_of: FolderOf) -> None:
    with pytest.raises(Refused, match=f"BTC has no BTC-{kind}"):
        read_recording(folder_of(**{kind: None}))


def test_folders_with_no_market_or_too_many_are_refused(folder_of: FolderOf) -> None:
    with pytest.raises(Refused, match="0 markets"):
        read_recording(folder_of(trades=None, quotes=None, spot=None))
    folders = [folder_of(f"A{number}") for number in range(RECORDED_MARKETS_MAX + 1)]
    with pytest.raises(Refused, match="17 markets"):
        read_recording(folders[0])


@pytest.mark.parametrize("base", ["btc", "B-TC", "A" * 14, "B C", ""])
def test_names_that_no_market_may_have_are_refused(base: str, folder_of: FolderOf) -> None:
    with pytest.raises(Refused, match="capitals and digits"):
        read_recording(folder_of(base))


def test_a_file_that_is_there_twice_is_refused(folder_of: FolderOf) -> None:
    folder_of()
    with pytest.raises(Refused, match="there twice"):
        read_recording(folder_of(suffix=".csv"))


def test_rows_and_bytes_are_bounded(folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of()
    monkeypatch.setattr(recorded, "RECORDED_ROWS_MAX", 4)
    assert len(read_recording(folder).rows) == 4
    monkeypatch.setattr(recorded, "RECORDED_ROWS_MAX", 3)
    with pytest.raises(Refused, match="line 3: over 3 rows"):
        read_recording(folder)
    monkeypatch.setattr(recorded, "RECORDED_FILE_BYTES_MAX", len(SPOT))
    with pytest.raises(Refused, match=r"BTC-quotes.*bytes unpacked"):
        read_recording(folder)
