"""What is typed to move money: which node, which settlement chain, whose key; what is refused."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from devnet.devnet_folder import DevnetFolder
from sequencer.cli.application import application
from sequencer.cli.money_options import (
    SettlementOptions,
    done,
    node_of,
    token_amount,
    token_text,
)
from sequencer.config import (
    ACCOUNT_KEY_VARIABLE,
    CLIENTS_FILE,
    SettlementConfig,
    forget_clients,
    leave_clients,
    leave_settlement,
    read_account_key,
)
from sequencer.model.refusals import Reason
from sequencer.model.secret import Secret
from tests.strategies import refused

NODE, CHAIN = "http://127.0.0.1:5050", "http://127.0.0.1:5051"
KEPT = SettlementConfig(CHAIN, 0xC0, 0xAC, Secret(0x5EC2E7))
OTHER_KEY = 0x7E57


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    leave_settlement(tmp_path, KEPT)
    return tmp_path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "account.key"
    path.write_text(hex(OTHER_KEY))
    return path


def options(
    place: object, url: str | None = None, contract: str | None = None
) -> SettlementOptions:
    return SettlementOptions(str(place), None, url, contract)


def test_a_data_folder_says_it_all(folder: Path) -> None:
    access, contract = options(folder).sender(None, None)
    found = access.url, contract, access.account_address, access.private_key.value
    assert found == (CHAIN, 0xC0, 0xAC, 0x5EC2E7)
    reader, contract = options(folder).reader()
    assert (reader.url, contract) == (CHAIN, 0xC0)
    assert reader.private_key.value != 0x5EC2E7


def test_a_settlement_file_serves_beside_the_address_of_a_node(folder: Path) -> None:
    given = SettlementOptions(NODE, folder / "settlement.json", None, None)
    assert given.sender(None, None)[1] == 0xC0


def test_a_stranger_names_places_and_a_key(key: Path) -> None:
    access, contract = options(NODE, CHAIN, "0xc1").sender("0xad", key)
    found = access.url, contract, access.account_address, access.private_key.value
    assert found == (CHAIN, 0xC1, 0xAD, OTHER_KEY)


def test_the_owner_of_a_folder_may_send_from_another_account(folder: Path, key: Path) -> None:
    access, contract = options(folder).sender("0xad", key)
    assert (access.url, contract, access.account_address) == (CHAIN, 0xC0, 0xAD)
    assert access.private_key.value == OTHER_KEY
    assert options(folder, contract="0xc9").reader()[1] == 0xC9


def test_a_key_is_never_used_for_an_address_that_it_is_not_for(folder: Path, key: Path) -> None:
    with refused(Reason.PARAMETER_INVALID):
        options(folder).sender(None, key)
    # An address of another chain, and the operator's key for the one of the folder.
    with refused(Reason.PARAMETER_INVALID):
        options(folder, CHAIN, "0xc1").sender(None, None)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    for place in (NODE, tmp_path):
        with refused(Reason.SETTLEMENT_ABSENT):
            options(place).reader()
        with refused(Reason.SETTLEMENT_ABSENT):
            options(place, CHAIN).reader()
    with refused(Reason.PARAMETER_INVALID):
        options(NODE, "127.0.0.1:5051", "0xc1").reader()
    with refused(Reason.PARAMETER_INVALID):
        options(NODE, CHAIN, "12").reader()


def test_a_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACCOUNT_KEY_VARIABLE, hex(OTHER_KEY))
    assert read_account_key(None).value == OTHER_KEY
    monkeypatch.delenv(ACCOUNT_KEY_VARIABLE)
    with refused(Reason.PRIVATE_KEY_OUT_OF_RANGE):
        read_account_key(None)


def test_a_node_is_found_by_its_folder_while_it_runs(tmp_path: Path) -> None:
    assert node_of(NODE) == NODE
    leave_clients(tmp_path, NODE)
    assert node_of(str(tmp_path)) == NODE
    forget_clients(tmp_path)
    forget_clients(tmp_path)
    with refused(Reason.NODE_NOT_RUNNING):
        node_of(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"url":"u","pid":0}'])
def test_what_a_killed_node_left_is_no_node(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CLIENTS_FILE).write_bytes(content)
    with refused(Reason.NODE_NOT_RUNNING):
        node_of(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "amount"), [("1", 10**6), ("0.000001", 1), ("100.5", 100_500_000), ("2", 2 * 10**6)]
)
def test_amounts_are_exact(text: str, amount: int) -> None:
    assert token_amount(text) == amount
    assert token_amount(token_text(amount)) == amount


@pytest.mark.parametrize("text", ["0", "0.0", "-1", "1e3", "0.0000001", "2.", "", " 1", "x"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with refused(Reason.AMOUNT_INVALID):
        token_amount(text)


COMMANDS = [
    ("deposit", "{place}", "--account", "0x5", "--amount", "1"),
    ("withdraw", "request", "{place}", "--account", "0x5", "--recipient", "0x6", "--amount", "1"),
    ("withdraw", "prove", "{place}", "0x7"),
    ("withdraw", "claim", "{place}", "0x7"),
]


def typed(command: tuple[str, ...], place: str, *more: str) -> Result:
    words = [word.format(place=place) for word in command]
    return CliRunner().invoke(application, [*words, *more])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_a_folder_of_nobody_is_refused_in_one_line(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCOUNT_KEY_VARIABLE, hex(OTHER_KEY))
    done = typed(command, str(tmp_path))
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert any(code in line for code in ("SETTLEMENT_ABSENT", "NODE_NOT_RUNNING"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_nobody_listens_is_one_line(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCOUNT_KEY_VARIABLE, hex(OTHER_KEY))
    away = "http://127.0.0.1:1"
    more = () if command[1] == "request" else ("--settlement-url", away, "--contract", "0xc0")
    more = more if command[1] in ("request", "prove") else (*more, "--sender", "0xad")
    done = typed(command, away, *more)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "UNREACHABLE" in line


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(application, ["withdraw", "claim", str(tmp_path / "absent.json")])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "FILE_UNREADABLE" in done.stderr
    (tmp_path / "claim.json").write_bytes(b"{}")
    done = CliRunner().invoke(application, ["withdraw", "claim", str(tmp_path / "claim.json")])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "CLAIM_MALFORMED" in done.stderr
    done = CliRunner().invoke(application, ["withdraw", "claim", NODE, "absent.json"])
    assert "absent.json: no such file, and no id" in done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_a_folder_that_is_none_is_named(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCOUNT_KEY_VARIABLE, hex(OTHER_KEY))
    done = typed(command, str(tmp_path / "nowhere"))
    assert done.exit_code == 2
    words = f"NODE_NOT_RUNNING: no folder {tmp_path / 'nowhere'}; next: perpchain "
    assert words in done.stderr
    assert done.stderr.endswith(" --help\n")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_a_devnet_that_is_stopped_is_named(
    command: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCOUNT_KEY_VARIABLE, hex(OTHER_KEY))
    DevnetFolder(folder / "chain").begin({})
    leave_settlement(folder / "chain", KEPT)
    done = typed(command, str(folder / "chain"))
    assert done.exit_code == 2
    words = f"its devnet is stopped; perpchain devnet --data-dir {folder / 'chain'}"
    assert done.stderr.endswith(f"NODE_NOT_RUNNING: {folder / 'chain'}: {words}\n")


@pytest.mark.parametrize(
    ("account", "amount", "code"),
    [("0x0", "1", "ACCOUNT_INVALID"), ("0x5", "1000000000.000001", "AMOUNT_INVALID")],
)
def test_a_deposit_that_the_contract_refuses_is_not_sent(
    folder: Path, account: str, amount: str, code: str
) -> None:
    words = ("deposit", str(folder), "--account", account, "--amount", amount, "--mint")
    done = CliRunner().invoke(application, words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"perpchain deposit: {code}: " in done.stderr


def test_words_name_the_same_places_again(folder: Path) -> None:
    given = options(folder)
    assert (given.words(), given.sender_words(None, None)) == ("", "")
    assert given.sender_words("0x5", Path("a b")) == " --sender 0x5 --key-file 'a b'"
    stranger = options(NODE, CHAIN, "0xc1")
    assert stranger.words() == f" --settlement-url {CHAIN} --contract 0xc1"
    assert stranger.sender_words(None, None) == " --sender ACCOUNT --key-file FILE"
    assert options(NODE).words() == " --settlement-url URL --contract ADDRESS"
    file = SettlementOptions(NODE, Path("there.json"), None, None)
    assert file.words() == " --settlement there.json"


def test_a_key_file_that_is_missing_is_said_first(tmp_path: Path) -> None:
    for place in (NODE, tmp_path / "nowhere"):
        with refused(Reason.FILE_UNREADABLE):
            options(place).sender("0x5", tmp_path / "absent.key")
        words = ("--account", "0x5", "--recipient", "0x6", "--amount", "1")
        key = ("--key-file", str(tmp_path / "absent.key"))
        ended = CliRunner().invoke(application, ["withdraw", "request", str(place), *words, *key])
        assert f"FILE_UNREADABLE: {tmp_path / 'absent.key'}: " in ended.stderr


def test_ctrl_c_says_what_stands(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken_off() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        done("deposit", broken_off(), stopped="deposit 4 stands")
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "perpchain deposit: deposit 4 stands\n"
