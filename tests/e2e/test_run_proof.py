"""Harm between the end of a story and its proof: the run ends with 1, and a line that names it."""

from pathlib import Path

from scripts.crashing.runs import MAIN, SMALL, RunProcess, small_options
from tests.e2e.finished_run import Finished
from tests.e2e.report_reader import read_report

PLANTED = """
import devnet.run
from tests.e2e.planting import change_cash
prove = devnet.run.prove

async def proven_after_harm(data, *others):
    change_cash(data, {arguments})
    return await prove(data, *others)

devnet.run.prove = proven_after_harm
"""
ELSEWHERE = """
import devnet.proof
executed = devnet.proof._executed_elsewhere

def other(export, heights):
    lines, found = executed(export, heights)
    for line in lines.values():
        accounts = line["accounts"]
        address = max(accounts)
        accounts[address]["cash"] = str(int(accounts[address]["cash"], 0) + 1)
    return lines, found

devnet.proof._executed_elsewhere = other
"""
EXPORTED = """
import devnet.proof
write = devnet.proof.export_lines

def cut(view):
    lines = list(write(view))
    return lines[:20] + lines[21:]

devnet.proof.export_lines = cut
"""
UNVERIFIED = """
import devnet.proof
import subprocess
import sys
run = subprocess.run

def failing(command, **options):
    return run([sys.executable, "-c", "raise SystemExit('planted')"], **options)

devnet.proof.subprocess.run = failing
"""
SETTLED = """
import devnet.run
from devnet.backends import Backend
from tests.e2e.planting import {kind}

async def opened(choice, folder, facts, salt, say):
    return Backend({kind}(facts.first))

devnet.run.open_backend = opened
"""
HEAD = 10**6
"""A sequence above all."""


def proven(small: Finished, record: Path, folder: Path, harm: str) -> RunProcess:
    """Let a run that has ended prove itself again after some harm."""
    options = (*small_options(record), "--data-dir", str(small.copy(folder)))
    with RunProcess(*options, program=SMALL + harm + MAIN) as process:
        process.end()
    assert "Traceback" not in process.said
    return process


def require_named(process: RunProcess, words: str) -> None:
    assert process.process.returncode == 1, process.said
    assert any(words in line for line in process.lines), process.said


def test_one_unit_in_a_row(small: Finished, record: Path, tmp_path: Path) -> None:
    harm = PLANTED.format(arguments=f"until={HEAD}")
    process = proven(small, record, tmp_path / "chain", harm)
    require_named(process, "DIGEST_MISMATCH")


def test_one_unit_in_a_row_and_in_the_digest(small: Finished, record: Path, tmp_path: Path) -> None:
    harm = PLANTED.format(arguments=f"until={HEAD}, with_digest=True")
    process = proven(small, record, tmp_path / "chain", harm)
    require_named(process, "DIFFERS: state root from the rows alone: the rows hash to")
    page, text = read_report(tmp_path / "chain" / "report.html")
    assert '<header class="verdict failed">' in page
    assert "this is NOT PROVEN" in text
    assert "1 accounts differ at block" in text
    assert text.count("✗ NO") == 3
    require_named(process, "DIFFERS: 1 accounts differ at block")
    assert process.summary["accounts_differing"] == 1
    assert process.summary["laws"] == "broken"
    assert process.summary["root_matches"] is False


def test_one_unit_in_a_row_of_the_block_gone_back_to(
    small: Finished, record: Path, tmp_path: Path
) -> None:
    good_height = small.summary["rollback"]["to"]
    harm = PLANTED.format(arguments=f"until={good_height + 1}")
    process = proven(small, record, tmp_path / "chain", harm)
    require_named(process, f"accounts differ at block {good_height}")
    assert process.summary["rollback"]["root_matches"] is False


def test_one_unit_in_the_execution_elsewhere(small: Finished, record: Path, tmp_path: Path) -> None:
    process = proven(small, record, tmp_path / "chain", ELSEWHERE)
    for height in (small.summary["rollback"]["to"], small.summary["blocks"]):
        require_named(process, f"DIFFERS: 1 accounts differ at block {height}")
    assert process.summary["accounts_differing"] == 2


def test_a_block_that_is_not_exported(small: Finished, record: Path, tmp_path: Path) -> None:
    process = proven(small, record, tmp_path / "chain", EXPORTED)
    require_named(process, "DIFFERS: verify_chain: ")
    require_named(process, "BLOCK_DIFFERS")


def test_an_execution_elsewhere_that_fails(small: Finished, record: Path, tmp_path: Path) -> None:
    process = proven(small, record, tmp_path / "chain", UNVERIFIED)
    require_named(process, "DIFFERS: verify_chain: planted")


def test_a_settlement_chain_that_keeps_its_word(
    small: Finished, record: Path, tmp_path: Path
) -> None:
    options = (*small_options(record), "--data-dir", str(tmp_path / "chain"))
    with RunProcess(*options, program=SMALL + SETTLED.format(kind="Settled") + MAIN) as process:
        assert process.end() == 0, process.said
    summary = process.summary
    assert summary["head_root"] == small.summary["head_root"]
    assert (summary["settlement_backend"], summary["cairo_executed"]) == ("simulated", False)
    assert summary["settled_height"] == summary["blocks"]
    assert summary["settled_root"] == summary["root_at_settled_height"] == summary["head_root"]
    assert 0 <= summary["settlement_reverted_to"] <= summary["rollback"]["to"]


def test_a_contract_that_does_not_go_back(record: Path, tmp_path: Path) -> None:
    options = (*small_options(record), "--data-dir", str(tmp_path / "chain"))
    harm = SETTLED.format(kind="Forgetful")
    with RunProcess(*options, program=SMALL + harm + MAIN) as process:
        assert process.end() == 1, process.said
    require_named(process, "RUN_BROKEN: SETTLEMENT_DIFFERS: block ")
    assert "is orphaned here, and no revert takes it away" in process.said
    assert "Traceback" not in process.said


def test_a_contract_that_holds_another_root(small: Finished, record: Path, tmp_path: Path) -> None:
    process = proven(small, record, tmp_path / "chain", SETTLED.format(kind="Lying"))
    require_named(process, "DIFFERS: the contract stands at block")
    assert process.summary["settled_root"] != process.summary["root_at_settled_height"]
