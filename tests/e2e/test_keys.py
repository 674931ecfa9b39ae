"""`perpchain keys register` against a devnet: with both keys, and with a wallet's signature."""

import asyncio
import json
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from starknet_py.net.client_models import Call
from typer.testing import Result

from sequencer.starknet.names import selector
from tests.e2e.commands import run, shown
from tests.e2e.devnet_process import ClientDevnet

WALLETS = [Account.from_key(number.to_bytes(32, "big")) for number in (0xE7, 0xE8, 0xE9)]


@pytest.fixture(autouse=True)
def no_keys_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PERPCHAIN_ACCOUNT_KEY", "PERPCHAIN_ETHEREUM_KEY"):
        monkeypatch.delenv(name, raising=False)


def words(devnet: ClientDevnet, at: int) -> tuple[object, ...]:
    return ("keys", "register", devnet.http, "--account", hex(devnet.address(at)))


def key_file(devnet: ClientDevnet, at: int, folder: Path) -> tuple[object, ...]:
    file = folder / f"stark-{at}.key"
    file.write_text(devnet.facts["accounts"][at]["private_key"])
    return ("--key-file", file)


def ethereum_key_file(number: int, folder: Path) -> tuple[object, ...]:
    file = folder / f"ethereum-{number}.key"
    file.write_text(WALLETS[number].key.hex())
    return ("--ethereum-key-file", file)


def require_one_line(done: Result, code: str) -> None:
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"perpchain keys register: {code}: "), line


def bound(devnet: ClientDevnet, address: str) -> int:
    call = Call(devnet.exchange, selector("get_ethereum_account"), [int(address, 16)])
    (account,) = asyncio.run(devnet.client().call_contract(call, block_number="latest"))
    return account


def test_two_keys_bind_an_address_once(devnet: ClientDevnet, tmp_path: Path) -> None:
    address = WALLETS[0].address
    keys = (*key_file(devnet, 0, tmp_path), *ethereum_key_file(0, tmp_path))
    done = run(*words(devnet, 0), *keys)
    assert done.exit_code == 0, done.output
    lines = dict(line.split(None, 1) for line in done.stdout.splitlines())
    assert lines["ethereum_address"] == address.lower()
    assert int(lines["account"], 16) == devnet.address(0)
    assert lines["chain_id"] == devnet.facts["chain_id"]
    assert bound(devnet, address) == devnet.address(0)
    require_one_line(run(*words(devnet, 0), *keys), "ETHEREUM_KEY_EXISTS")


def test_a_wallet_signs_what_is_printed(
    devnet: ClientDevnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallet = WALLETS[1]
    named = ("--ethereum-address", wallet.address)
    printed = run(*words(devnet, 1), *named, "--print-message")
    assert printed.exit_code == 0, printed.output
    message = json.loads(printed.stdout)
    assert int(message["message"]["account"], 16) == devnet.address(1)
    signature = wallet.sign_message(encode_typed_data(full_message=message)).signature.hex()
    given = ("--signature", "0x" + signature.removeprefix("0x"))
    # Of another account, with that account's own key: the message is not the same there.
    another = run(*words(devnet, 2), *named, *given, *key_file(devnet, 2, tmp_path))
    require_one_line(another, "ETHEREUM_SIGNATURE_INVALID")
    require_one_line(
        run(*words(devnet, 1), *named, *given, *key_file(devnet, 2, tmp_path)),
        "SIGNATURE_INVALID",
    )
    monkeypatch.setenv("PERPCHAIN_ACCOUNT_KEY", devnet.facts["accounts"][1]["private_key"])
    told = shown(*words(devnet, 1), *named, *given)
    assert told["ethereum_address"] == wallet.address.lower()
    assert bound(devnet, wallet.address) == devnet.address(1)


def test_what_is_no_account_is_told(devnet: ClientDevnet, tmp_path: Path) -> None:
    keys = (*key_file(devnet, 0, tmp_path), *ethereum_key_file(2, tmp_path))
    for address in ("0x5", hex(devnet.exchange)):
        done = run("keys", "register", devnet.http, "--account", address, *keys)
        require_one_line(done, "ACCOUNT_UNKNOWN")
