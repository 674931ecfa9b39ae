"""How a devnet is shown: facts to standard output, a log, and a table where there is a terminal."""

import io

import msgspec
import pytest
from rich.console import Console

from devnet.devnet_facts import MarketMoment, Moment
from sequencer.cli.devnet_screen import DevnetScreen, fact_lines
from sequencer.cli.logs import make_log
from sequencer.model.rows import Mode

FACTS = {
    "http": "http://127.0.0.1:5050",
    "ws": "ws://127.0.0.1:5050/ws",
    "chain_id": "PERPCHAIN_DEVNET",
    "chain_id_felt": "0x50",
    "seed": 1,
    "data_dir": "chain",
    "settlement": "none",
    "genesis_hash": "0xabc",
    "exchange": {"address": "0xe", "class_hash": "0xec"},
    "token": {"address": "0x7", "class_hash": "0x7c"},
    "account_class_hash": "0xac",
    "markets": ["BTC-USD-PERP"],
    "faucet": {"method": "perp_faucet", "address": "0xfa"},
    "operator": "0x0b",
    "accounts": [
        {"address": "0xa1", "private_key": "0xb1", "public_key": "0xc1", "balance": "5"},
        {"address": "0xa2", "private_key": "0xb2", "public_key": "0xc2", "balance": "5"},
    ],
}
MARKET = MarketMoment("BTC-USD-PERP", 6183763500000, 6183000000000, 0, 6184000000000, 150_000_000)
SETTLEMENT = {"settlement_url": "http://there", "settlement_contract": "0x5"}


def moment(mode: Mode = Mode.OPEN, height: int = 5, epoch: int = 0, problem: str = "") -> Moment:
    return Moment(height, epoch, mode, 1.25, 3, 2, "starknet-devnet", problem, (MARKET,))


def screen(
    terminal: bool = False, as_json: bool = False, quiet: bool = False
) -> tuple[DevnetScreen, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120, highlight=False)
    log = make_log(console, quiet=quiet)
    return DevnetScreen(console, log, as_json=as_json, quiet=quiet, live=not quiet), file


def test_every_fact_is_in_the_lines() -> None:
    text = "\n".join(fact_lines(FACTS, with_accounts=True))
    plain = [value for value in FACTS.values() if isinstance(value, str)]
    keys = [value for account in FACTS["accounts"] for value in account.values()]  # type: ignore[attr-defined]
    for value in (*plain, *keys, "0xe", "0xec", "0x7", "0x7c", "0xfa", "perp_faucet"):
        assert value in text
    short = "\n".join(fact_lines(FACTS, with_accounts=False))
    assert "0xb1" not in short
    assert "http://127.0.0.1:5050" in short


def test_facts_as_json_are_lines_of_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    shown, file = screen(terminal=True, as_json=True)
    shown.ready(FACTS)
    shown.settled(SETTLEMENT)
    shown.close()
    lines = capsys.readouterr().out.splitlines()
    assert [msgspec.json.decode(line) for line in lines] == [FACTS, SETTLEMENT]
    assert "settlement_contract" in file.getvalue()


def test_a_terminal_has_a_table_and_a_pipe_has_none() -> None:
    words = ("block 5", "1.2 blocks/s", "settled 3 (2 behind)", "61,837.63", "61,840.00")
    for terminal in (True, False):
        shown, file = screen(terminal=terminal)
        shown.ready(FACTS)
        shown.moment(moment())
        shown.close()
        for word in words:
            assert (word in file.getvalue()) is terminal, word


def test_what_is_lost_is_said_also_where_all_is_quiet() -> None:
    shown, file = screen(quiet=True)
    shown.say("message 0 handed over")
    shown.say("L1_DEPOSIT_UNMADE: Ethereum has lost message 0")
    (line,) = file.getvalue().splitlines()
    assert "[warning] L1_DEPOSIT_UNMADE: Ethereum has lost message 0" in line


def test_changes_of_mode_and_epoch_are_logged_once() -> None:
    shown, file = screen()
    for each in (moment(), moment(), moment(Mode.HALTED, 6), moment(Mode.HALTED, 3, 1)):
        shown.moment(each)
    lines = [line.partition("] ")[2] for line in file.getvalue().splitlines()]
    assert lines == [
        "mode height=5 mode=OPEN",
        "epoch epoch=0 height=5",
        "mode height=6 mode=HALTED",
        "epoch epoch=1 height=3",
    ]


def test_quiet_says_halts_alone(capsys: pytest.CaptureFixture[str]) -> None:
    shown, file = screen(terminal=True, quiet=True)
    shown.ready(FACTS)
    shown.say("commands at http://127.0.0.1:1")
    shown.moment(moment())
    assert file.getvalue() == ""
    shown.say("HALTED LATCH: latched by reorg 1\x1b[2J")
    shown.close()
    assert "latched by reorg 1\\x1b[2J" in file.getvalue()
    assert "0xb1" not in capsys.readouterr().out


def test_a_log_is_json_where_it_is_asked_for() -> None:
    file = io.StringIO()
    log = make_log(Console(file=file, width=20), as_json=True)
    log.info("a long event that no width may break", height=5, names=["[bold]x[/bold]"])
    log.warning("look")
    told = [msgspec.json.decode(line) for line in file.getvalue().splitlines()]
    assert [(each["event"], each["level"]) for each in told] == [
        ("a long event that no width may break", "info"),
        ("look", "warning"),
    ]
    assert told[0]["height"] == 5
    assert told[0]["names"] == ["[bold]x[/bold]"]
