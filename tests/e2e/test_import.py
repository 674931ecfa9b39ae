"""`perpchain import`: a chain made of an export, whole or not at all, whenever it is killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from devnet.proof import EXPORT_FILE
from sequencer.cli import imported
from sequencer.cli.application import application
from sequencer.engine import importing
from sequencer.model.halts import ExitCode
from tests.e2e.commands import left, run, shown
from tests.e2e.finished_run import Finished
from tests.e2e.node_process import starting, write_node_files
from tests.e2e.played_store import BLOCKS
from tests.e2e.prepared import INTERRUPTED, killed_at
from tests.tidy.source import ROOT


@pytest.fixture
def file(folder: Path, tmp_path: Path) -> Path:
    assert run("export", folder, tmp_path / "chain.jsonl").exit_code == 0
    return tmp_path / "chain.jsonl"


def head(data: Path) -> list[object]:
    facts = shown("verify", data)
    return [facts[name] for name in ("height", "block_hash", "state_root", "epoch", "ok")]


def test_a_chain_is_made_and_goes_on(file: Path, folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    told = shown("import", file, made)
    assert (told["height"], told["epoch"]) == (BLOCKS, 0)
    assert head(made) == head(folder)
    assert run("verify", "--full", made).exit_code == 0
    assert shown("status", made)["block"] == told["block"]
    assert run("export", made, "-").stdout_bytes == file.read_bytes()
    assert left(tmp_path) == ["chain", "chain.jsonl", "chain.witness", "made"]
    write_node_files(tmp_path)
    with starting() as start:
        node = start(made)
        assert shown("mode", made, "cancel-only")["height"] == BLOCKS + 1
        node.at_height(BLOCKS + 3)
        assert node.end() == ExitCode.STOPPED
    assert run("verify", "--full", made).exit_code == 0


def test_a_name_with_spaces_is_quoted_where_it_is_to_be_typed(file: Path, tmp_path: Path) -> None:
    made = tmp_path / "my chain"
    told = shown("import", file, made)
    assert told["deposits"] == 0
    assert f"perpchain node '{made}' --operator-key FILE" in str(told["next"])
    kept = shown("backup", made, tmp_path / "my copy")
    assert f"cp -r '{tmp_path / 'my copy'}' NEW" in str(kept["restore"])


def test_standard_input_is_read(file: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        application, ["import", "-", str(tmp_path / "made"), "--json"], input=file.read_bytes()
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["height"] == BLOCKS


def test_a_line_that_is_too_long_is_not_read(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (imported, importing):
        monkeypatch.setattr(module, "EXPORT_LINE_BYTES_MAX", 3_000)
    done = run("import", file, tmp_path / "made")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "EXPORT_MALFORMED: line 4: it has over 3000 bytes" in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_chain_with_a_rollback_has_the_same_head(folder: Path, tmp_path: Path) -> None:
    plan_id = shown("reorg", "plan", folder, "--to", 15)["plan_id"]
    shown("reorg", "apply", "--yes", folder, plan_id, "--reason", "a strange price")
    latched = run("export", folder, tmp_path / "latched.jsonl")
    assert latched.exit_code == 0
    done = run("import", tmp_path / "latched.jsonl", tmp_path / "made")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "ROLLBACK_OPEN: line 2: " in done.stderr
    write_node_files(tmp_path)
    with starting() as start:
        node = start(folder)
        assert shown("mode", folder, "cancel-only")["height"] == 16
        node.at_height(18)
        assert node.end() == ExitCode.STOPPED
    assert run("export", folder, tmp_path / "chain.jsonl").exit_code == 0
    told = shown("import", tmp_path / "chain.jsonl", tmp_path / "made")
    assert (told["epoch"], told["reorgs"]) == (1, 1)
    assert int(str(told["undone_commands"])) > 0
    assert head(tmp_path / "made") == head(folder)
    assert run("verify", "--full", tmp_path / "made").exit_code == 0


def test_a_run_with_an_incident_is_made_again_from_its_export(
    small: Finished, tmp_path: Path
) -> None:
    """Trades, liquidations, faults, a rollback and what came after it."""
    exported, made = small.data / EXPORT_FILE, tmp_path / "made"
    told = shown("import", exported, made)
    assert (told["height"], told["reorgs"]) == (small.summary["blocks"], 1)
    assert told["state_root"] == small.summary["head_root"]
    assert int(str(told["undone_commands"])) > 0
    assert run("export", made, "-").stdout_bytes == exported.read_bytes()
    assert run("verify", made).exit_code == 0


def without(at: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [*lines[:at], *lines[at + 1 :]]


def changed(at: int) -> Callable[[list[bytes]], list[bytes]]:
    """Change one digit of a block's state root: it stays well-formed."""

    def change(lines: list[bytes]) -> list[bytes]:
        line = bytearray(lines[at])
        place = line.index(b'"state_root":"0x') + 18
        line[place] = ord("1") if line[place] != ord("1") else ord("2")
        return [*lines[:at], bytes(line), *lines[at + 1 :]]

    return change


BROKEN: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "empty": (lambda _: [], 2, "EXPORT_MALFORMED: line 1: the file is empty"),
    "no export": (lambda _: [b"hello\n"], 2, "GENESIS_INVALID: line 1: "),
    "cut in a line": (
        lambda lines: [*lines[:9], lines[9][:40]],
        2,
        "EXPORT_MALFORMED: line 10: it is cut short",
    ),
    "cut behind a line": (lambda lines: lines[:9], 2, "EXPORT_MALFORMED: line 9: "),
    "a line is missing": (without(9), 2, "EXPORT_MALFORMED: line 10: block 8 stands"),
    "a changed digit": (changed(9), 1, "BLOCK_DIFFERS: line 10: header of block 7"),
}


@pytest.mark.parametrize(("change", "code", "words"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_whole_export_is_one_line_and_leaves_nothing(
    file: Path, tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], code: int, words: str
) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
    before = left(tmp_path)
    done = run("import", broken, tmp_path / "made")
    assert (done.exit_code, done.stderr.count("\n"), done.stdout) == (code, 1, "")
    assert words in done.stderr
    assert left(tmp_path) == before


def test_a_place_that_is_taken_is_refused(file: Path, folder: Path, tmp_path: Path) -> None:
    for arguments in (
        (file, folder),
        (file, tmp_path / "absent" / "made"),
        (tmp_path / "absent", tmp_path / "made"),
        (tmp_path, tmp_path / "made"),
        (file, Path("/")),
    ):
        done = run("import", *arguments)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert head(folder)[0] == BLOCKS


@pytest.mark.parametrize(
    ("point", "number"),
    [
        ("database.made", 1),
        ("batch.begins", 1),
        ("batch.written", 2),
        ("batch.begins", 14),
        ("batch.written", BLOCKS),
        ("folder.whole", 1),
    ],
)
def test_one_that_is_killed_leaves_no_chain_and_can_be_repeated(
    file: Path,
    folder: Path,
    tmp_path: Path,
    point: str,
    number: int,
) -> None:
    made = tmp_path / "made"
    before = left(tmp_path)
    assert killed_at(point, number, "import", file, made) == -signal.SIGKILL
    assert left(tmp_path) == sorted([*before, "made.partial"])
    for place in (made, tmp_path / "made.partial"):
        assert run("verify", place).exit_code == ExitCode.STORE_UNUSABLE
    assert run("import", file, made).exit_code == 0
    assert left(tmp_path) == sorted([*before, "made"])
    assert head(made) == head(folder)


def test_one_that_is_killed_behind_the_last_step_is_whole(
    file: Path,
    folder: Path,
    tmp_path: Path,
) -> None:
    made = tmp_path / "made"
    assert killed_at("folder.placed", 1, "import", file, made) == -signal.SIGKILL
    assert head(made) == head(folder)
    assert run("import", file, tmp_path / "again").exit_code == 0


def test_ctrl_c_and_a_full_disk_leave_nothing(file: Path, tmp_path: Path) -> None:
    before = left(tmp_path)
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        code = killed_at("batch.written", 9, "import", file, tmp_path / "made", kind=kind)
        assert code == INTERRUPTED
        assert left(tmp_path) == before
    command = [sys.executable, "-m", "sequencer", "import", str(file), str(tmp_path / "made")]
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 40; exec "$@"', "bash", *command]
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (ExitCode.STORE_UNUSABLE, 1), done.stderr
    assert "WRITE_FAILED" in done.stderr
    assert left(tmp_path) == before
