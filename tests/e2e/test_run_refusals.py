"""What `perpchain run` refuses: one line that says why, an exit code, and nothing left behind."""

import gzip
import multiprocessing
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import devnet.run
from devnet.run_folder import RUN_FILE
from scripts.crashing.runs import RunProcess, cut_record, small_options
from sequencer.cli.application import application
from sequencer.config import CACHE_VARIABLE
from sequencer.model.halts import ExitCode
from tests.e2e.commands import left
from tests.e2e.finished_run import Finished

REFUSED = "perpchain run: "
USAGE = 2


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of temporary files, where nothing may stay."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(devnet.run, "TRADERS", 20)
    return folder


def invoke(*options: str, code: int = USAGE) -> list[str]:
    """Run something that does not get far; returns what it says."""
    done = CliRunner().invoke(application, ["run", "--json", *options])
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.stderr
    assert done.stdout == ""
    assert multiprocessing.active_children() == []
    return done.stderr.splitlines()


def refusal(*options: str, code: int = USAGE) -> str:
    """Run something that is refused; returns why."""
    lines = invoke(*options, code=code)
    assert lines[-1] == "nothing was played"
    (line,) = (line for line in lines if line.startswith(REFUSED))
    return line.removeprefix(REFUSED)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--incident", "fire"), "one of both, funding-reset"),
        (("--seconds", "3"), "greater than or equal to 24"),
        (("--incident", "none", "--manual"), "needs an incident"),
        (("--report", "report.txt"), "report.txt is no name of an .html file"),
        (("--report", "/dev/null/report.html"), "cannot be written"),
    ],
)
def test_options_that_are_none(temporary: Path, options: tuple[str, ...], words: str) -> None:
    assert any(words in line for line in invoke(*options, code=USAGE))
    assert left(temporary) == []


def test_a_refusal_is_on_standard_error(temporary: Path) -> None:
    done = CliRunner().invoke(application, ["run", "--settlement", "nonsense"])
    assert (done.exit_code, done.stdout) == (USAGE, "")
    assert done.stderr.startswith(f"{REFUSED}SETTLEMENT_ABSENT: 'nonsense' is none of auto")
    assert left(temporary) == []


def garbage(folder: Path) -> None:
    (folder / "BTC-trades.csv").write_bytes(b"\xff\x00 no columns\n")


def cut_gzip(folder: Path) -> None:
    path = folder / "ETH-quotes.csv"
    (folder / "ETH-quotes.csv.gz").write_bytes(gzip.compress(path.read_bytes())[:-20])
    path.unlink()


def without_trades(folder: Path) -> None:
    (folder / "ETH-trades.csv").unlink()


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (garbage, "BTC-trades.csv"),
        (cut_gzip, "ETH-quotes.csv.gz"),
        (without_trades, "ETH"),
        (emptied, "record"),
        (shutil.rmtree, "record: No such file or directory"),
    ],
)
def test_a_record_that_is_none(
    record: Path, tmp_path: Path, temporary: Path, harm: Callable[[Path], None], words: str
) -> None:
    harmed = shutil.copytree(record, tmp_path / "record")
    harm(harmed)
    line = refusal(*small_options(harmed))
    assert line.startswith(("MARKET_DATA_INVALID: ", "FILE_UNREADABLE: "))
    assert words in line
    assert left(temporary) == []
    data = tmp_path / "chain"
    assert refusal(*small_options(harmed), "--data-dir", str(data)) == line
    assert not data.exists()


def test_a_record_without_spot_is_played_by_its_quotes(tmp_path: Path) -> None:
    record = cut_record(tmp_path / "record", seconds=1, bases=["BTC"])
    (record / "BTC-spot.csv").unlink()
    options = ("--incident", "none", "--data-dir", str(tmp_path / "chain"))
    with RunProcess(*small_options(record), *options) as process:
        assert process.end() == 0, process.said
    assert any(line.startswith("BTC") and "quotes" in line for line in process.lines)
    assert process.summary["laws"] == "ok"


@pytest.mark.parametrize(
    ("settlement", "words"),
    [
        ("nonsense", "'nonsense' is none of auto, none, embedded, starknet-devnet and no address"),
        ("http://127.0.0.1:1", "no devnet answers at http://127.0.0.1:1"),
        ("starknet-devnet", "no starknet-devnet 0.8.1 here; `make devnet-real` installs it"),
    ],
)
def test_a_settlement_chain_that_is_none(
    record: Path,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    settlement: str,
    words: str,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    line = refusal(*small_options(record, settlement))
    assert line.startswith(f"SETTLEMENT_ABSENT: {words}")
    assert left(temporary) == []


def test_a_folder_that_holds_something_else(record: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "one").write_text("mine")
    line = refusal(*small_options(record), "--data-dir", str(folder))
    assert line == f"RUN_DIFFERS: {folder} holds something that no run began"
    assert left(folder) == ["one"]


def test_a_folder_that_cannot_be_written(record: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "chain", Path("/proc/chain")):
        assert str(place) in refusal(*small_options(record), "--data-dir", str(place))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_with_other_options(small: Finished, record: Path, tmp_path: Path) -> None:
    data = small.copy(tmp_path / "chain")
    before = (data / RUN_FILE).read_bytes()
    other = shutil.copytree(record, tmp_path / "record")
    for change, words in (
        (("--seed", "2"), "seed 1, not 2"),
        (("--incident", "none"), "incident 'both', not 'none'"),
        (("--settlement", "auto"), "settlement 'none', not 'auto'"),
        (("--market-data", str(other)), f"market_data '{record}', not '{other}'"),
    ):
        line = refusal(*small_options(record), *change, "--data-dir", str(data))
        assert line == f"RUN_DIFFERS: {data} was begun with {words}"
    assert (data / RUN_FILE).read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"options":{"seed":"x"}}'])
def test_notes_of_a_run_that_are_damaged(
    small: Finished, record: Path, tmp_path: Path, content: bytes
) -> None:
    data = small.copy(tmp_path / "chain")
    (data / RUN_FILE).write_bytes(content)
    line = refusal(*small_options(record), "--data-dir", str(data))
    assert line.startswith(f"RUN_DIFFERS: {data / RUN_FILE}: ")


def test_a_run_that_runs(record: Path, tmp_path: Path) -> None:
    options = (*small_options(record), "--data-dir", str(tmp_path / "chain"))
    with RunProcess(*options) as first:
        assert first.until("block     1"), first.said
        refused = refusal(*options, code=ExitCode.STORE_LOCKED)
        assert refused.startswith("STORE_LOCKED: ")
        assert first.until("block     5"), first.said


def test_a_record_that_has_changed(small: Finished, record: Path, tmp_path: Path) -> None:
    data, changed = small.copy(tmp_path / "chain"), cut_record(tmp_path / "record", seconds=3)
    kept = (data / RUN_FILE).read_bytes().replace(str(record).encode(), str(changed).encode())
    (data / RUN_FILE).write_bytes(kept)
    line = refusal(*small_options(changed), "--data-dir", str(data))
    assert line.startswith("GENESIS_")
