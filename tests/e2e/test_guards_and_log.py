"""Guards, faults, metrics and the operator's log as an operator types them, on a real node."""

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from sequencer.config import ADMIN_FILE, TOKEN_FILE
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason
from sequencer.storage.operator_log import LOG_FILE
from tests.e2e.commands import refused, run, shown
from tests.e2e.node_process import Start, write_node_files
from tests.unit.chain.network import MARKET, address_of


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_node_files(tmp_path, drill=True)
    return tmp_path / "data"


def scraped(data: Path) -> str:
    url = json.loads((data / ADMIN_FILE).read_text())["url"]
    token = (data / TOKEN_FILE).read_text().strip()
    asked = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def logged(data: Path) -> list[tuple[str, str, str, str]]:
    entries = [json.loads(line) for line in (data / LOG_FILE).read_text().splitlines()]
    return [(each["event"], each["node"], each["method"], each["outcome"]) for each in entries]


def test_a_drill_from_a_guard_to_a_broken_law(start: Start, data: Path) -> None:
    node = start()
    node.at_height(1)
    assert shown("guard", "list", data)["ZERO_PRICE"] == "on"
    stopped = refused("fault", data, "zero-price", "--market", MARKET)
    assert "GUARD_STOPPED" in stopped
    assert f"next: perpchain guard list {data}" in stopped
    assert "REASON_MISSING" in refused("guard", "off", data, "zero-price")
    off = shown("guard", "off", data, "zero-price", "--reason", "drill 7")
    assert (off["guard"], off["on"]) == ("ZERO_PRICE", False)
    assert shown("fault", data, "ZERO_PRICE", "--market", MARKET)["fault"] == "ZERO_PRICE"
    text = scraped(data)
    assert 'perpchain_guard_off{guard="ZERO_PRICE"} 1.0' in text
    assert f'perpchain_index_price_quote{{market="{MARKET}"}} 0.0' in text
    assert "FELT_MALFORMED" in refused("fault", data, "cash-minted", "--account", "7")
    account = f"{address_of('alice'):#x}"
    broken = refused("fault", data, "cash-minted", "--account", account, "--amount", 1)
    assert "HALTED: LAW_BROKEN" in broken
    assert 'perpchain_halt{cause="LAW_BROKEN"} 1.0' in scraped(data)
    assert node.end() == ExitCode.LAW_BROKEN
    assert shown("inspect", "operator-log", data)["chain"] == "whole"


@pytest.mark.parametrize("words", [("guard", "on"), ("fault",)])
def test_what_is_no_name_is_told_with_all_of_them(data: Path, words: tuple[str, ...]) -> None:
    done = run(*words, data, "nonsense")
    assert (done.exit_code, done.stdout) == (ExitCode.INPUT, "")
    assert "zero-price" in done.stderr


def test_the_log_lives_through_a_kill_and_names_what_was_changed(start: Start, data: Path) -> None:
    node = start()
    shown("mode", data, "cancel-only")
    node.end(signal.SIGKILL)
    with (data / LOG_FILE).open("ab") as file:
        file.write(b'{"number":3,"prev')
    found = shown("inspect", "operator-log", data)
    assert (found["entries"], found["torn_bytes"], found["chain"]) == (2, 17, "whole")
    told = run("checkpoint", "create", data, "noon")
    assert (told.exit_code, told.stderr) == (0, "operator.log: cut 17 bytes of a torn line\n")
    assert "NODE_NOT_RUNNING" in refused("guard", "on", data, "quorum")
    assert logged(data) == [
        ("INTENT", "running", "admin_mode", ""),
        ("OUTCOME", "running", "admin_mode", "ok"),
        ("CUT", "stopped", "", ""),
        ("INTENT", "stopped", "admin_checkpointCreate", ""),
        ("OUTCOME", "stopped", "admin_checkpointCreate", "ok"),
        ("INTENT", "stopped", "admin_guard", ""),
        ("OUTCOME", "stopped", "admin_guard", "NODE_NOT_RUNNING"),
    ]
    changed = (data / LOG_FILE).read_text().replace('"label":"noon"', '"label":"moon"')
    (data / LOG_FILE).write_text(changed)
    done = run("inspect", "operator-log", data, "--json")
    problem = "operator.log: the entry behind 3 is not what its hash says"
    assert (done.exit_code, json.loads(done.stdout)["chain"]) == (ExitCode.DIFFERS, problem)
    node = start()
    node.end()
    assert f"perpchain node: {problem}" in node.said


def test_a_log_that_cannot_be_written_refuses_changes_and_tells_how_things_stand(
    start: Start, data: Path
) -> None:
    start()
    (data / LOG_FILE).mkdir()
    assert Reason.OPERATOR_LOG_FAILED in refused("mode", data, "post-only")
    assert shown("status", data)["mode"] == "CANCEL_ONLY"
    assert "perpchain_operator_log_unwritten_total 1.0" in scraped(data)
    assert shown("mode", data, "halted", "--reason", "x")["mode"] == "HALTED"
    assert "perpchain_operator_log_unwritten_total 2.0" in scraped(data)
    (data / LOG_FILE).rmdir()
    assert shown("mode", data, "cancel-only", "--reason", "x")["mode"] == "CANCEL_ONLY"
    missing = refused("inspect", "operator-log", data / "absent", code=ExitCode.STORE_UNUSABLE)
    assert "No such file" in missing
