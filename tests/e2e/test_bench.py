"""The measuring program: its JSON, its table and its one mistake."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from scripts.bench import main
from tests.e2e.devnet_process import needs_devnet

ROOT = Path(__file__).resolve().parents[2]


ON_A_REAL_DEVNET = (
    "settle_posts_per_second_real",
    "l2_gas_update",
    "l2_gas_revert",
    "l2_gas_withdraw",
    "commit_to_settled_ms_real_every_block",
)
BREAKDOWN = ("prepare", "batch", "recover", "CANCEL_ONLY", "POST_ONLY", "order")


FILE = ("scripts/bench.py",)
SMALLER = """
import sys
from scripts import bench
from scripts.benches.measure import Trading, World
world = World(500, 100, used_orders=500)
trading = Trading(world, traders=100, messages=2_000, seconds=2)
bench.QUICK = bench.QUICK._replace(trading=trading)
sys.exit(bench.main())
"""


def run(
    *arguments: str, cache: Path | None = None, program: Sequence[str] = FILE
) -> subprocess.CompletedProcess[str]:
    home = {} if cache is None else {"XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)} | home,
        capture_output=True,
        text=True,
        check=False,
    )


Said = tuple[int, str, str]
"""An exit code, and what was written on both outputs."""


@pytest.fixture
def bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Give the program, run in this process: what it measures then is quick."""

    def said(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["bench.py", "--quick", *arguments])
        return main(), *capsys.readouterr()

    return said


def test_json_is_one_object_of_figures(bench: Callable[..., Said]) -> None:
    code, told, said = bench("--json", "--only", "pedersen_per_second")
    assert code == 0, said
    figures = json.loads(told)
    assert list(figures) == ["pedersen_per_second"]
    figure = figures["pedersen_per_second"]
    assert set(figure) == {"value", "unit", "note"}
    assert figure["value"] > 0
    assert figure["unit"] == "per second"
    assert "200 calls" in figure["note"]


def test_the_table_has_a_line_per_figure(bench: Callable[..., Said]) -> None:
    code, told, said = bench("--only", "order_hash_per_second", "sign_per_second")
    assert code == 0, said
    names = [line.split()[0] for line in told.splitlines()]
    assert names == ["order_hash_per_second", "sign_per_second"]


def test_an_unknown_name_is_a_mistake(bench: Callable[..., Said]) -> None:
    code, told, said = bench("--json", "--only", "pedersen_per_second", "speed")
    assert (code, told) == (2, "")
    [line] = said.splitlines()
    assert "speed" in line
    assert "trie_build_seconds" in line


def test_engine_store_and_api_are_measured_on_chains_of_their_own(tmp_path: Path) -> None:
    units = {"orders_per_second": "per second", "ack_p99_ms": "ms", "bytes_per_block": "bytes"}
    # The last ones have their nodes in processes of their own.
    units |= {"rpc_call_per_second": "per second", "rpc_call_p99_ms": "ms"}
    units["ws_orders_per_second"] = "per second"
    only = ("--quick", "--json", "--only", *units)
    done = run(*only, cache=tmp_path, program=("-c", SMALLER))
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert {name: figure["unit"] for name, figure in figures.items()} == units
    assert all(figure["value"] > 0 for figure in figures.values())
    assert "500 accounts" in figures["orders_per_second"]["note"]
    assert "refused: none" in figures["rpc_call_per_second"]["note"]
    assert "384 under way" in figures["ws_orders_per_second"]["note"]
    # What was made is kept, whole, under the names of what is in it; all are asked of copies of it.
    kept = [folder.name for folder in (tmp_path / "perpchain").iterdir()]
    assert sorted(name.split("-")[1] for name in kept) == ["script", "world"]


def test_rollbacks_are_measured_on_a_folder_and_on_a_running_node(tmp_path: Path) -> None:
    names = ("rollback_commit_ms_1_blocks", "undo_commit_ms", "plan_ms", "rollback_total_ms")
    done = run("--quick", "--json", "--only", *names, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert tuple(figures) == names
    for figure in figures.values():
        assert figure["unit"] == "ms"
        assert figure["value"] > 0
        assert "500 accounts" in figure["note"]
    assert "of 20; " in figures["undo_commit_ms"]["note"]
    told = figures["rollback_total_ms"]["note"]
    assert all(f"{part} " in told for part in BREAKDOWN)
    # All of them go back in copies of one chain.
    assert len(list((tmp_path / "perpchain").iterdir())) == 1


def test_settlement_is_measured_on_the_embedded_devnet(tmp_path: Path) -> None:
    names = ("settle_posts_per_second_embedded", "commit_to_settled_ms_embedded_every_block")
    done = run("--quick", "--json", "--only", *names, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert tuple(figures) == names
    posts, settled = (figures[name] for name in names)
    assert (posts["unit"], settled["unit"]) == ("per second", "ms")
    assert "20 posts" in posts["note"]
    # Read after it was accepted, and both after the commit.
    accepted_ms = float(settled["note"].rpartition("accepted at p50 ")[2])
    assert 0 < accepted_ms < settled["value"]


def test_settlement_is_skipped_by_name_without_a_devnet(
    bench: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code, told, said = bench("--json", "--only", *ON_A_REAL_DEVNET)
    assert (code, json.loads(told)) == (0, {})
    skipped = [line.partition(": skipped, ") for line in said.splitlines()]
    assert tuple(name for name, _, _ in skipped) == ON_A_REAL_DEVNET
    assert all("make devnet-real" in why for _, _, why in skipped)


@needs_devnet
def test_settlement_is_measured_on_a_devnet() -> None:
    done = run("--quick", "--json", "--only", *ON_A_REAL_DEVNET)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert tuple(figures) == ON_A_REAL_DEVNET
    assert all(figure["value"] > 0 for figure in figures.values())
    assert "20 posts" in figures["settle_posts_per_second_real"]["note"]
    # A withdrawal walks two tries, so it takes more than a post and less than the client allows.
    withdrawn = figures["l2_gas_withdraw"]
    assert figures["l2_gas_update"]["value"] < withdrawn["value"] < 20_000_000
    assert "3000 accounts" in withdrawn["note"]
