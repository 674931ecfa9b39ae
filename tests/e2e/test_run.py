"""`perpchain run`: its summary, the same blocks each time, and an export that proves itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.proof import EXPORT_FILE
from scripts import verify_chain
from scripts.crashing.runs import MAIN, SMALL, RunProcess, cut_record, small_options
from scripts.crashing.watched import ROOT
from sequencer.cli.quantities import decimal
from sequencer.feeds.recorded import read_recording
from tests.e2e.conftest import Play
from tests.e2e.finished_run import Finished
from tests.e2e.report_reader import commands_of, read_report

HEAD_ROOT = "0x432bb218fb9f72691c4026d7850012e74601f2d8876c36d88fab6be4177f3f5"
SMALL_HEAD_ROOT = "0x1584f4d9e2493b68d5a9ce8885e2885c81aa0f7c8a963b481ffe444afd24d7f"
MARKETS = ["BTC-USD-PERP", "ETH-USD-PERP"]
NOT_SETTLED = ("settled_height", "settled_root", "root_at_settled_height", "settlement_reverted_to")
MONEY = ("deposits", "deposited", "withdrawal_claimed", "contract_balance_matches")
CLIENT = (
    *("client_heads", "client_reorgs", "client_undone_blocks"),
    *("client_undone_liquidations", "client_reconciled"),
)
MEASURED = ("orders_per_second", "ack_p50_ms", "ack_p99_ms", "elapsed_s")
COUNTED = ("blocks", "orders", "fills", "volume", "synthetic_volume", "head_root", "accounts")


@pytest.fixture(scope="session")
def whole(play: Play) -> Finished:
    """Give the shortest run as it comes, with a thousand traders."""
    return play("whole", MAIN, ("--settlement", "none", "--seconds", "24"))


def test_the_shortest_run_gives_the_same_root_on_every_machine(whole: Finished) -> None:
    assert whole.summary["head_root"] == HEAD_ROOT
    assert whole.summary["accounts"] > 1_000


def test_the_summary_says_everything(whole: Finished) -> None:
    summary = whole.summary
    assert list(summary) == [
        *("settlement_backend", "cairo_executed", "blocks", "orders", "fills", "volume"),
        *("synthetic_volume", "refused_orders", "head_root", *NOT_SETTLED, *MONEY, "rollback"),
        *("accounts", "accounts_differing", "root_matches", "laws", *CLIENT, *MEASURED),
    ]
    assert (summary["settlement_backend"], summary["cairo_executed"]) == ("none", False)
    assert [summary[name] for name in NOT_SETTLED] == [None] * 4
    assert [summary[name] for name in MONEY] == [0, "0.00000000", None, None]
    for volume in ("volume", "synthetic_volume"):
        assert list(summary[volume]) == MARKETS
        assert all(float(size) > 0 for size in summary[volume].values())
    assert summary["orders"] > summary["fills"] > 0
    assert (summary["refused_orders"], summary["accounts_differing"]) == (0, 0)
    assert (summary["root_matches"], summary["laws"]) == (True, "ok")
    rollback = summary["rollback"]
    assert list(rollback) == ["from", "to", "commit_ms", "total_ms", "root_matches"]
    assert summary["blocks"] > rollback["from"] > rollback["to"] > 0
    assert rollback["root_matches"] is True
    assert min(rollback["commit_ms"], rollback["total_ms"]) > 0
    assert min(summary[name] for name in MEASURED) > 0
    assert (summary["client_reorgs"], summary["client_reconciled"]) == (1, True)
    assert summary["client_heads"] == summary["blocks"] + 1
    assert summary["client_undone_blocks"] == rollback["from"] - rollback["to"]
    assert summary["client_undone_liquidations"] > 0


def test_the_story_is_told(whole: Finished) -> None:
    said = "\n".join(whole.lines)
    told = ["the market opens", "checkpoint before-the-incident at block", "the incident: INDEX_"]
    told += ["the operator halts", "suggest: block", "plan ", "applied: ", "guards on: refused"]
    told += ["OPEN again", "the market goes on", "the proof", "perpchain verify --full"]
    places = [said.find(words) for words in told]
    assert -1 not in places
    assert places == sorted(places)


def test_twice_gives_the_same_blocks(small: Finished, record: Path, tmp_path: Path) -> None:
    """Once more without a folder: then the report and its export stay, and nothing else."""
    temporary, file = tmp_path / "temporary", tmp_path / "build" / "of mine.html"
    temporary.mkdir()
    options = (*small_options(record), "--report", str(file))
    with RunProcess(*options, environment={"TMPDIR": str(temporary)}) as again:
        assert again.end() == 0, again.said
    assert [*temporary.iterdir()] == []
    export = file.with_suffix(".jsonl")
    assert sorted(file.parent.iterdir()) == [file, export]
    assert again.lines[-1] == f"the report is {file}: open it in a browser"
    page, _ = read_report(file)
    (command, last_line), _ = commands_of(page)
    assert str(export) in command
    assert SMALL_HEAD_ROOT in last_line
    assert small.summary["head_root"] == SMALL_HEAD_ROOT
    assert [small.summary[name] for name in COUNTED] == [again.summary[name] for name in COUNTED]
    assert small.export == export.read_bytes()
    assert small.export.count(BLOCK_LINE) == small.summary["blocks"]


@pytest.mark.parametrize(
    ("incident", "fault", "other"),
    [
        ("funding-reset", "INDEX_RESET", "ZERO_PRICE"),
        ("zero-price", "ZERO_PRICE", "INDEX_RESET"),
    ],
)
def test_each_incident(
    play: Play, record: Path, small: Finished, incident: str, fault: str, other: str
) -> None:
    run = play(incident, SMALL + MAIN, (*small_options(record), "--incident", incident))
    said = "\n".join(run.lines)
    assert f"== the incident: {fault}" in said
    assert "guards on: refused" in said
    assert other not in said
    assert run.summary["rollback"]["root_matches"] is True
    assert run.export != small.export


def test_without_an_incident_the_whole_record_is_traded(play: Play, record: Path) -> None:
    run = play("quiet", SMALL + MAIN, (*small_options(record), "--incident", "none"))
    recorded = {f"{each.base}-USD-PERP": each.volume for each in read_recording(record).markets}
    volume = {market: decimal(size) for market, size in recorded.items()}
    assert run.summary["volume"] == volume
    assert run.summary["rollback"] is None
    assert run.summary["refused_orders"] == 0


def test_one_market_alone_and_another_seed(play: Play, tmp_path: Path) -> None:
    record = cut_record(tmp_path / "record", bases=["ETH"])
    run = play("eth", SMALL + MAIN, (*small_options(record), "--seed", "7"))
    assert list(run.summary["volume"]) == ["ETH-USD-PERP"]
    assert run.summary["rollback"]["root_matches"] is True


def test_a_run_that_has_ended_is_proven_again(
    small: Finished, record: Path, tmp_path: Path
) -> None:
    folder = small.copy(tmp_path / "small")
    with RunProcess(*small_options(record), "--data-dir", str(folder)) as process:
        assert process.end() == 0, process.said
    assert "this run goes on" in process.said
    assert [process.summary[name] for name in COUNTED] == [small.summary[name] for name in COUNTED]
    rollback, before = process.summary["rollback"], small.summary["rollback"]
    assert rollback == before


BLOCK_LINE = b'\n{"header":'
"""How each line of a block begins, with the end of the one before it."""


def refused(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Verify a file that does not hold; returns the code, and the line that says why."""
    code = verify_chain.main([str(path)])
    (line,) = capsys.readouterr().err.splitlines()
    return code, line


@pytest.mark.parametrize("hashes", ["", "wheels"])
def test_another_program_verifies_the_export(small: Finished, hashes: str) -> None:
    """With the native core, where it is installed, and without: every block hash is the same."""
    done = subprocess.run(
        [sys.executable, "scripts/verify_chain.py", str(small.data / EXPORT_FILE)],
        cwd=ROOT,
        env=os.environ | {"PERPCHAIN_HASHES": hashes},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{small.summary['blocks']} blocks executed again" in done.stdout
    assert SMALL_HEAD_ROOT in done.stdout


@pytest.mark.parametrize(
    ("place", "words"), [(22, "SIGNATURE_INVALID"), (-2, "the receipt")], ids=["early", "last"]
)
def test_it_names_a_block_that_was_changed(
    small: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: int, words: str
) -> None:
    lines = small.export.splitlines(keepends=True)
    line = bytearray(lines[place])
    at = line.index(b"0x", len(line) // 2) + 2
    line[at] = ord("1") if line[at] != ord("1") else ord("2")
    path = tmp_path / "changed.jsonl"
    path.write_bytes(b"".join([*lines[:place], bytes(line)]))
    code, said = refused(path, capsys)
    assert (code, f"BLOCK_DIFFERS: {words}" in said) == (1, True), said


def test_it_names_a_block_that_is_missing(
    small: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = small.export.splitlines(keepends=True)
    path = tmp_path / "cut.jsonl"
    first = next(at for at, line in enumerate(lines) if (b"\n" + line).startswith(BLOCK_LINE))
    path.write_bytes(b"".join([*lines[: first + 2], *lines[first + 3 : first + 5]]))
    code, line = refused(path, capsys)
    assert (code, "BLOCK_DIFFERS" in line) == (1, True)


@pytest.mark.parametrize("kind", ["empty", "no genesis", "cut", "letters", "missing"])
def test_it_names_a_file_that_cannot_be_read(
    small: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    lines = small.export.splitlines(keepends=True)
    contents = {
        "empty": b"",
        "no genesis": b"{}\n",
        "cut": b"".join(lines[:3]) + lines[3][: len(lines[3]) // 2],
        "letters": b"".join(lines[:2]) + b"\xff\n",
    }
    path = tmp_path / "garbage.jsonl"
    if kind in contents:
        path.write_bytes(contents[kind])
    code, line = refused(path, capsys)
    assert (code, str(path) in line) == (2, True)
