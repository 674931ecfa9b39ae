"""`perpchain devnet` as a process: what it says, that it trades, and that nothing of it stays."""

import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devnet.starknet_devnet import RunningDevnet, is_running
from tests.contracts.devnet import NEEDS_DEVNET, running
from tests.e2e.commands import run
from tests.e2e.devnet_process import eventually
from tests.e2e.local_devnet import PATIENCE_SECONDS, ROOT, LocalDevnet, seen

ALONE = ("--settlement", "none", "--accounts", "2")
MARKETS = ["BTC-USD-PERP", "ETH-USD-PERP"]
OPENED = "mode=OPEN"


def lasting(facts: dict[str, Any]) -> dict[str, Any]:
    """Leave out where it is, which is another place each time."""
    return {name: facts[name] for name in facts.keys() - {"http", "ws", "data_dir"}}


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def folders(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()]


async def test_it_opens_by_itself_pays_and_trades(tmp_path: Path) -> None:
    with LocalDevnet(tmp_path, *ALONE, "--bots", "--block-time", "50ms") as devnet:
        facts = devnet.facts
        assert await devnet.call("starknet_chainId") == facts["chain_id_felt"]
        assert facts["markets"] == MARKETS
        block = await devnet.call("starknet_getBlockWithTxHashes", [{"block_number": 0}])
        assert block["block_hash"] == facts["genesis_hash"]
        for name in ("exchange", "token"):
            found = await devnet.call("starknet_getClassHashAt", ["latest", facts[name]["address"]])
            assert found == facts[name]["class_hash"]
        assert devnet.logged(OPENED)
        paid = await devnet.call("perp_faucet", {"account": "0x1234", "amount": "2500.5"})
        assert (await devnet.call("perp_getAccount", ["0x1234"]))["account"]["cash"] == "2500.5"
        assert paid["height"] > 0

        async def is_traded() -> bool:
            figures = (await devnet.call("perp_getMarkets"))["markets"]
            return any(each["open_interest"] != "0" for each in figures)

        await eventually(is_traded)
        assert devnet.end() == 0
    assert "Traceback" not in "\n".join(devnet.log)
    assert is_empty(tmp_path)


def test_the_seed_decides_about_everything(tmp_path: Path) -> None:
    seen_facts = []
    for seed in ("5", "5", "6"):
        with LocalDevnet(tmp_path, *ALONE, "--seed", seed) as devnet:
            seen_facts.append(lasting(devnet.facts))
            assert devnet.end() == 0
    assert seen_facts[0] == seen_facts[1]
    assert seen_facts[0]["genesis_hash"] != seen_facts[2]["genesis_hash"]
    assert seen_facts[0]["accounts"] != seen_facts[2]["accounts"]


async def test_a_named_folder_goes_on(tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path / "kept"))
    with LocalDevnet(tmp_path, *ALONE, *folder, "--seed", "9") as devnet:
        facts = lasting(devnet.facts)
        assert devnet.logged(OPENED)
        assert devnet.end() == 0
    with LocalDevnet(tmp_path, "--settlement", "none", *folder) as devnet:
        assert lasting(devnet.facts) == facts
        assert await devnet.call("starknet_blockNumber") >= 3
        assert devnet.end() == 0
    with LocalDevnet(tmp_path, "--settlement", "none", *folder, "--seed", "8") as devnet:
        assert devnet.process.wait(PATIENCE_SECONDS) == 2
    assert "begun with seed 9, not 8" in devnet.log[0]
    assert folders(tmp_path) == ["kept"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_while_it_starts(tmp_path: Path, number: signal.Signals) -> None:
    with LocalDevnet(tmp_path, *ALONE) as devnet:
        assert seen(lambda: not is_empty(tmp_path))
        assert devnet.end(number) == 0
    assert "Traceback" not in "\n".join(devnet.log)
    assert is_empty(tmp_path)


def test_the_log_can_be_json_until_ctrl_c_ends_it(tmp_path: Path) -> None:
    with LocalDevnet(tmp_path, *ALONE, "--json-logs") as devnet:
        assert devnet.until(lambda: any('"OPEN"' in line for line in devnet.log))
        devnet.strike(signal.SIGINT, whole_group=True)
        devnet.strike(signal.SIGINT, whole_group=True)
        assert devnet.process.wait(PATIENCE_SECONDS) == 0
    events = [msgspec.json.decode(line) for line in devnet.log]
    assert all({"event", "level", "timestamp"} <= event.keys() for event in events)
    assert [event["mode"] for event in events if event["event"] == "mode"] == [
        "CANCEL_ONLY",
        "POST_ONLY",
        "OPEN",
    ]
    assert is_empty(tmp_path)


def test_one_that_is_killed_leaves_no_folder(tmp_path: Path) -> None:
    with LocalDevnet(tmp_path, *ALONE) as devnet:
        assert devnet.facts
        devnet.strike(signal.SIGKILL)
        devnet.process.wait()
    assert seen(lambda: is_empty(tmp_path))


def test_what_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with LocalDevnet(tmp_path, *ALONE, "--quiet", "--port", port) as devnet:
            assert devnet.process.wait(PATIENCE_SECONDS) == 2
    assert len(devnet.log) == 1
    assert "address already in use" in devnet.log[0]
    assert is_empty(tmp_path)


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize(
    ("choice", "words"), [("ftp://there", ""), ("http://127.0.0.1:1", "no devnet answers")]
)
def test_a_settlement_chain_that_is_none_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str, words: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = run("devnet", "--settlement", choice)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"SETTLEMENT_ABSENT: {words}" in done.stderr
    assert is_empty(tmp_path)


def test_what_the_guide_shows_is_so(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "devnet.md").read_text()
    program = re.search(r"```python\n(.*?)```\n```\n(.*?)```", guide, re.DOTALL)
    assert program is not None
    work = tmp_path / "work"
    work.mkdir()
    with LocalDevnet(tmp_path, "--settlement", "none", "--bots") as devnet:
        (work / "devnet.json").write_text(msgspec.json.encode(devnet.facts).decode() + "\n")
        told = subprocess.run(
            [sys.executable, "-c", program[1]], cwd=work, capture_output=True, text=True, check=True
        )
        assert devnet.end() == 0
    said, promised = (re.sub(r"block \d+", "block N", text) for text in (told.stdout, program[2]))
    assert said == promised


class TestWithItsSettlementChain:
    pytestmark = NEEDS_DEVNET

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_it_posts_and_takes_it_along(self, tmp_path: Path, number: signal.Signals) -> None:
        with LocalDevnet(tmp_path, "--settlement", "devnet") as devnet:
            contract = devnet.line(1)
            assert contract.keys() == {"settlement_url", "settlement_contract"}
            file = Path(devnet.facts["data_dir"]) / "devnet.json"
            settlement = msgspec.json.decode(file.read_bytes(), type=RunningDevnet)
            assert is_running(settlement)
            assert settled(devnet)
            code = devnet.end(number)
            assert code == (0 if number is signal.SIGTERM else -signal.SIGKILL)
        assert seen(lambda: not is_running(settlement))
        assert seen(lambda: is_empty(tmp_path))

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_it_takes_along_what_only_starts(self, tmp_path: Path, number: signal.Signals) -> None:
        with LocalDevnet(tmp_path, "--settlement", "devnet") as devnet:
            assert seen(lambda: any(tmp_path.glob("*/chain/devnet.json")))
            (file,) = tmp_path.glob("*/chain/devnet.json")
            assert seen(lambda: bool(file.read_bytes()))
            settlement = msgspec.json.decode(file.read_bytes(), type=RunningDevnet)
            devnet.end(number)
        assert seen(lambda: not is_running(settlement))
        assert seen(lambda: is_empty(tmp_path))

    def test_somebody_elses_is_used_and_left_alone(self, tmp_path: Path) -> None:
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        with running(tmp_path / "log") as url:
            contracts = set()
            for _ in range(2):
                with LocalDevnet(temporary, "--settlement", url) as devnet:
                    assert devnet.facts["settlement"] == url
                    assert devnet.line(1)["settlement_url"] == url
                    contracts.add(devnet.line(1)["settlement_contract"])
                    assert devnet.logged(OPENED)
                    assert devnet.end() == 0
            assert len(contracts) == 2
        assert is_empty(temporary)


def settled(devnet: LocalDevnet) -> bool:
    """Wait until a block beyond the first is posted, as the log says it."""
    return devnet.until(
        lambda: any(re.search(r"settled=[1-9]", line) is not None for line in devnet.log)
    )
