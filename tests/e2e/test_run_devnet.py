"""A run that posts its roots to a real devnet: the same blocks, and the contract at the head."""

from pathlib import Path

import msgspec

from devnet.backends import DEVNET
from devnet.starknet_devnet import RunningDevnet, is_running
from scripts.crashing.runs import RunProcess, small_options
from tests.contracts.devnet import NEEDS_DEVNET
from tests.e2e.finished_run import Finished

pytestmark = NEEDS_DEVNET


def test_the_contract_goes_back_and_stands_at_the_head(
    small: Finished, record: Path, tmp_path: Path
) -> None:
    data = tmp_path / "chain"
    options = (*small_options(record, DEVNET), "--data-dir", str(data))
    with RunProcess(*options) as process:
        assert process.end() == 0, process.said
    summary = process.summary
    assert (summary["settlement_backend"], summary["cairo_executed"]) == ("starknet-devnet", True)
    assert summary["settled_height"] == summary["blocks"]
    assert summary["settled_root"] == summary["root_at_settled_height"] == summary["head_root"]
    assert 0 <= summary["settlement_reverted_to"] <= summary["rollback"]["to"]
    assert f"settlement: block {summary['blocks']} is final" in process.lines
    assert summary["head_root"] == small.summary["head_root"]
    assert Finished(data, summary, process.lines).export == small.export
    assert not (data / "devnet.json").exists()


def test_a_run_that_fails_leaves_no_devnet(record: Path, tmp_path: Path) -> None:
    data = tmp_path / "chain"
    options = (*small_options(record, DEVNET), "--data-dir", str(data))
    with RunProcess(*options, program=_BROKEN) as process:
        assert process.end() == 1, process.said
    assert "perpchain run: RUN_BROKEN: planted" in process.said
    assert not (data / "devnet.json").exists()
    told = next(line for line in process.lines if line.startswith('{"url"'))
    assert not is_running(msgspec.json.decode(told, type=RunningDevnet))


_BROKEN = """
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
