"""A run with a settlement chain: money comes in and goes out, the contract stands at the head, and
blocks are the same on the embedded devnet and on a real one."""

import asyncio
import re
import signal
from pathlib import Path
from shutil import rmtree

import msgspec
import pytest
from starknet_py.net.full_node_client import FullNodeClient

from devnet.backends import DEVNET, EMBEDDED
from devnet.embedded.place import CHAIN_FOLDER
from devnet.embedded.starting import start_embedded
from devnet.starknet_devnet import DEVNET_FILE, RunningDevnet, is_running, stop_devnet
from scripts.crashing.runs import MAIN, SMALL, RunProcess, small_options
from sequencer.config import CACHE_VARIABLE, read_settlement
from sequencer.model.settlement import Money
from sequencer.settlement.connection import reader_of
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.names import selector
from tests.contracts.devnet import NEEDS_DEVNET
from tests.e2e.conftest import Play
from tests.e2e.devnet_process import needs_devnet
from tests.e2e.finished_run import Finished
from tests.e2e.report_reader import read_report

HEAD_ROOT = "0x6a3d84b69bcce6c63db48792130cc993049fb18dd3bb0ee8ad531d857b24c79"
DEPOSITS = 52
"""One for each of 50 traders, the quoter and whoever tops up."""

TOGETHER, SENT = 5, 15
"""Deposits in a transaction, and those that a run has sent when it is killed."""

KILLED = f"""
import os
import signal
import devnet.funding
import sequencer.settlement.money
from sequencer.settlement.money import Purse
from tests.e2e.devnet_process import needs_devnet

devnet.funding.DEPOSITS_TOGETHER = sequencer.settlement.money.DEPOSITS_TOGETHER = {TOGETHER}
deposit, sent = Purse.deposit, 0

async def struck(purse, payments):
    global sent
    done = await deposit(purse, payments)
    sent += len(payments)
    if sent == {SENT}:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

Purse.deposit = struck
"""
BROKEN = """
import devnet.run
import devnet.story
from sequencer.__main__ import main
from sequencer.model.refusals import Reason, Refused
devnet.run.TRADERS = 20

async def broken(story, incident, times):
    story._narrator.say((story._folder.data_dir / "devnet.json").read_text())
    raise Refused(Reason.RUN_BROKEN, "planted")

devnet.story.Story.play = broken
main()
"""


MINTED = """
import devnet.run
prove = devnet.run.prove

async def proven_with_more(data, good_height, settlement, claimant):
    await claimant._purse.mint(settlement.contract, 1)
    return await prove(data, good_height, settlement, claimant)

devnet.run.prove = proven_with_more
"""
TAKEN = """
import devnet.run
from sequencer.settlement.money import Purse
prove, balance = devnet.run.prove, Purse.balance

async def proven_with_less(data, good_height, settlement, claimant):
    async def short(purse, account):
        return await balance(purse, account) - (account == settlement.contract)

    Purse.balance = short
    return await prove(data, good_height, settlement, claimant)

devnet.run.prove = proven_with_less
"""
UNPAID = """
from sequencer.settlement.money import Purse

async def withdrawn(purse, claim):
    return None

async def never(purse, withdrawal_id):
    return False

Purse.withdraw, Purse.is_paid = withdrawn, never
"""


@pytest.fixture(scope="session")
def settled(play: Play, record: Path) -> Finished:
    """Give a small run on the embedded devnet that has ended."""
    return play("settled", SMALL + MAIN, small_options(record, EMBEDDED))


def require_all_of_it(summary: dict[str, object], lines: list[str]) -> None:
    """Look at what only a run with a settlement chain has."""
    assert summary["settled_height"] == summary["blocks"]
    assert summary["settled_root"] == summary["root_at_settled_height"] == summary["head_root"]
    assert summary["head_root"] == HEAD_ROOT
    rollback, reverted_to = summary["rollback"], summary["settlement_reverted_to"]
    assert isinstance(rollback, dict)
    assert isinstance(reverted_to, int)
    assert 0 <= reverted_to <= rollback["to"]
    assert f"settlement: block {summary['blocks']} is final" in lines
    assert summary["deposits"] == DEPOSITS
    assert float(str(summary["deposited"])) > 2 * 10**9
    assert summary["withdrawal_claimed"] == "1000.00000000"
    assert summary["contract_balance_matches"] is True
    assert "contract_surplus" not in summary
    (paid,) = [line for line in lines if "paid by proof" in line]
    assert paid.endswith("a second claim is refused: ALREADY_PAID")


def test_money_comes_in_and_goes_out(settled: Finished) -> None:
    summary = settled.summary
    assert (summary["settlement_backend"], summary["cairo_executed"]) == (EMBEDDED, False)
    require_all_of_it(summary, settled.lines)
    assert not (settled.data / DEVNET_FILE).exists()
    _, text = read_report(settled.data / "report.html")
    assert text.count("✓ yes") > 6
    assert "not in this run" not in text
    assert "✗ NO" not in text
    assert re.search(r"(\d+) roots of it are laid beside this chain's: \1 equal, 0 not", text)
    reverted_to = summary["settlement_reverted_to"]
    assert re.search(rf"reverted from \d+ {reverted_to} 0x", text)
    for words in ("finality held, plan 0x", "finality released", f"final {summary['blocks']} 0x"):
        assert words in text


@needs_devnet
def test_blocks_are_the_same_where_cairo_is_executed(
    settled: Finished, record: Path, tmp_path: Path
) -> None:
    data = tmp_path / "chain"
    with RunProcess(*small_options(record, DEVNET), "--data-dir", str(data)) as process:
        assert process.end() == 0, process.said
    summary = process.summary
    assert (summary["settlement_backend"], summary["cairo_executed"]) == (DEVNET, True)
    require_all_of_it(summary, process.lines)
    assert Finished(data, summary, process.lines).export == settled.export
    assert not (data / DEVNET_FILE).exists()


@pytest.mark.parametrize(
    ("harm", "words"),
    [(TAKEN, "DIFFERS: the contract has "), (UNPAID, "DIFFERS: withdrawal 0x")],
    ids=["less than was counted", "not paid"],
)
def test_money_that_is_not_as_it_should_be_fails_the_run(
    settled: Finished, record: Path, tmp_path: Path, harm: str, words: str
) -> None:
    data = settled.copy(tmp_path / "chain")
    options = (*small_options(record, EMBEDDED), "--data-dir", str(data))
    with RunProcess(*options, program=SMALL + harm + MAIN) as process:
        assert process.end() == 1, process.said
    assert "Traceback" not in process.said
    assert [line for line in process.lines if line.startswith(words)], process.said
    assert process.summary["contract_balance_matches"] is False
    assert "the proof does not hold" in process.said


def test_a_gift_to_the_contract_is_a_surplus_and_no_failure(
    settled: Finished, record: Path, tmp_path: Path
) -> None:
    data = settled.copy(tmp_path / "chain")
    options = (*small_options(record, EMBEDDED), "--data-dir", str(data))
    with RunProcess(*options, program=SMALL + MINTED + MAIN) as process:
        assert process.end() == 0, process.said
    assert process.summary["contract_balance_matches"] is True
    assert process.summary["contract_surplus"] == "0.00000100"


def devnet_of(data: Path) -> RunningDevnet:
    return msgspec.json.decode((data / DEVNET_FILE).read_bytes(), type=RunningDevnet)


def money_at(url: str, data: Path) -> Money:
    """Read the counters of a run's contract."""
    place = read_settlement(data, None)
    assert place is not None

    async def read() -> Money:
        settlement = StarknetSettlement(reader_of(url), place.contract)
        try:
            return await settlement.money()
        finally:
            await settlement.close()

    return asyncio.run(read())


def without_binary(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which no real devnet is found."""
    return {"PATH": "/usr/bin:/bin", CACHE_VARIABLE: str(tmp_path / "cache")}


def kill_while_it_is_funded(options: tuple[str, ...], environment: dict[str, str]) -> None:
    program = KILLED + SMALL + MAIN
    with RunProcess(*options, program=program, environment=environment) as process:
        assert process.end() == -signal.SIGKILL, process.said
        assert "the money comes in" in process.said


@pytest.mark.parametrize("is_gone", [False, True], ids=["its devnet stays", "and its devnet"])
def test_killed_while_it_is_funded(
    settled: Finished, record: Path, tmp_path: Path, is_gone: bool
) -> None:
    data, environment = tmp_path / "chain", without_binary(tmp_path)
    options = (*small_options(record, "auto"), "--data-dir", str(data))
    kill_while_it_is_funded(options, environment)
    devnet = devnet_of(data)
    assert money_at(devnet.url, data).deposits == SENT
    if is_gone:
        stop_devnet(devnet)
        rmtree(data / CHAIN_FOLDER)
    with RunProcess(*options, environment=environment) as process:
        assert process.end() == 0, process.said
    assert not is_running(devnet)
    assert ("deployed again" in process.said) == is_gone
    assert process.summary["settlement_backend"] == EMBEDDED
    require_all_of_it(process.summary, process.lines)
    assert Finished(data, process.summary, process.lines).export == settled.export


def deposits_on(data: Path, log: Path) -> int:
    """Count what was ever deposited on the embedded devnet of a data folder."""
    devnet = start_embedded(data, log)

    async def count() -> int:
        client = FullNodeClient(devnet.url)
        found = await client.get_events(keys=[[selector("LogDeposit")]], chunk_size=1_000)
        return len(found.events)

    try:
        return asyncio.run(count())
    finally:
        stop_devnet(devnet)


def test_a_devnet_that_is_gone_with_credited_deposits(
    settled: Finished, record: Path, tmp_path: Path
) -> None:
    data = settled.copy(tmp_path / "chain")
    assert deposits_on(data, tmp_path / "log") == DEPOSITS
    rmtree(data / CHAIN_FOLDER)
    with RunProcess(*small_options(record, EMBEDDED), "--data-dir", str(data)) as process:
        assert process.end() == 1, process.said
    assert process.summary == {}
    assert "Traceback" not in process.said
    (line,) = [line for line in process.lines if line.startswith("perpchain run: ")]
    assert line.startswith("perpchain run: DEPOSIT_UNMADE: deposit 0 is credited here, and ")
    assert line.endswith("begin again in another folder")
    assert not (data / DEVNET_FILE).exists()
    assert deposits_on(data, tmp_path / "log") == 0


@pytest.mark.parametrize("choice", [EMBEDDED, pytest.param(DEVNET, marks=NEEDS_DEVNET)])
def test_a_run_that_fails_leaves_no_devnet(record: Path, tmp_path: Path, choice: str) -> None:
    data = tmp_path / "chain"
    options = (*small_options(record, choice), "--data-dir", str(data))
    with RunProcess(*options, program=BROKEN) as process:
        assert process.end() == 1, process.said
    assert "perpchain run: RUN_BROKEN: planted" in process.said
    assert not (data / DEVNET_FILE).exists()
    told = next(line for line in process.lines if line.startswith('{"url"'))
    assert not is_running(msgspec.json.decode(told, type=RunningDevnet))
