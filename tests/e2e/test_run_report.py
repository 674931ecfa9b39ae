"""The report of a run: it is there, it says what the summary says, and its commands work."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from devnet.proof import EXPORT_FILE
from devnet.report.blocks import block_facts, live_records, market_names, orphaned_branches
from scripts.crashing.runs import RunProcess, small_options
from scripts.crashing.watched import ROOT
from sequencer.engine.lookup import state_at
from sequencer.storage.folder import open_folder
from tests.e2e.finished_run import Finished
from tests.e2e.report_reader import REPORT_FILE, commands_of, read_report

_MEASURED = ("How long it took", "Check it yourself", "The summary, whole")
PATIENCE_SECONDS = 120


def typed(command: str) -> subprocess.CompletedProcess[str]:
    """Type a command in the project's folder, with its environment active."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        shlex.split(command),
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def lasting(page: str) -> str:
    """Return a page without what is measured, and without the names of folders."""
    for title in _MEASURED:
        page = re.sub(rf"<section><h2>{title}</h2>.*?</section>", "", page, flags=re.DOTALL)
    return page


def test_it_says_what_the_summary_says(small: Finished) -> None:
    page, text = read_report(small.data / REPORT_FILE)
    summary = small.summary
    rollback = summary["rollback"]
    went = f"The chain went back from block {rollback['from']} to block {rollback['to']}"
    assert text.count(f"{went}, and all of it is proven") == 2
    told = f"{summary['blocks']:,} blocks, {summary['orders']:,} orders, {summary['fills']:,} fills"
    assert told in text
    rows = dict(re.findall(r"<td><code>(\w+)</code></td><td><code>([^<]*)</code></td>", page))
    assert rows.keys() == summary.keys()
    for name in ("head_root", "accounts", "accounts_differing", "laws", "ack_p50_ms", "elapsed_s"):
        assert rows[name] == str(summary[name])
    assert rows["root_matches"] == rows["client_reconciled"] == "true"
    assert text.count("✓ yes") == 4
    assert text.count("not in this run") == 2
    assert small.lines[-1].startswith(f"the report is {small.data / REPORT_FILE}")


def test_its_open_interest_is_that_of_the_states(small: Finished, tmp_path: Path) -> None:
    """It is followed row by row; here every position is added up, live and undone."""
    store = open_folder(small.copy(tmp_path / "small"))
    try:
        view = store.view
        (branch,) = orphaned_branches(view)
        for reorg, records in ((0, live_records(view)), branch):
            facts = [*block_facts(view, records, reorg, market_names(view))]
            for place in (0, len(records) // 2, -1):
                state = state_at(view, records[place])
                markets = facts[place].markets
                sums = {market: each.open_interest for market, each in markets.items()}
                assert sums == {market: state.market_sums[market].long for market in markets}
                marks = {market: each.mark for market, each in markets.items()}
                assert marks == {market: price.mark for market, price in state.prices.items()}
                assert facts[place].mode == state.system.mode.value
            assert any(each.open_interest for each in facts[-1].markets.values())
    finally:
        store.close()


def test_its_commands_work_as_they_are_printed(small: Finished) -> None:
    page, _ = read_report(small.data / REPORT_FILE)
    (verify, head), (again, root), (play, _) = commands_of(page)
    for command, last_line in ((verify, head), (again, root)):
        done = typed(command)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == last_line
    assert small.summary["head_root"] in root
    assert "--data-dir another-chain" in play
    played = typed(f"{play} --port 65536")
    assert (played.returncode, played.stdout) == (2, "")
    assert "--port" in played.stderr


def test_a_run_that_was_killed_and_went_on_has_the_same_report(
    small: Finished, record: Path, tmp_path: Path
) -> None:
    data = tmp_path / "chain"
    options = (*small_options(record), "--data-dir", str(data))
    with RunProcess(*options) as process:
        assert process.until("the same faults again"), process.said
        process.strike()
        assert process.end() == -signal.SIGKILL
    assert not (data / REPORT_FILE).exists()
    with RunProcess(*options) as process:
        assert process.end() == 0, process.said
    assert (data / EXPORT_FILE).read_bytes() == small.export
    page, text = read_report(data / REPORT_FILE)
    assert lasting(page) == lasting((small.data / REPORT_FILE).read_text())
    for words in ("command answered", "suggest", "plan", "commit"):
        assert words in text
