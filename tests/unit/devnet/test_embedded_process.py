"""An embedded devnet as a process: how it starts, how it ends, what a killed one comes back to."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devnet.embedded.place import CHAIN_FOLDER, holds_chain
from devnet.embedded.starting import start_embedded
from devnet.starknet_devnet import (
    DevnetFailed,
    RunningDevnet,
    is_running,
    predeployed_accounts,
    stop_devnet,
)
from tests.unit.devnet.embedded_world import BOUNDS, STARTED_WITH, STRK, account_at, pay

COMMAND = [sys.executable, "-m", "devnet.embedded"]
SECONDS_MAX = 30


@contextmanager
def started(folder: Path, port: int = 0) -> Iterator[RunningDevnet]:
    devnet = start_embedded(folder, folder / "log", port=port)
    try:
        yield devnet
    finally:
        stop_devnet(devnet)


def failing(*options: str) -> tuple[int, str]:
    done = subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    return done.returncode, done.stderr


async def test_a_killed_one_comes_back_with_all_its_blocks(tmp_path: Path) -> None:
    assert not holds_chain(tmp_path)
    with started(tmp_path) as devnet:
        account = account_at(devnet.url)
        hashes = [
            (await account.execute_v3(calls=pay(amount), resource_bounds=BOUNDS)).transaction_hash
            for amount in (1, 2, 3)
        ]
        head = await account.client.get_block(block_number="latest")
        os.kill(devnet.pid, signal.SIGKILL)
        stop_devnet(devnet)
        assert not is_running(devnet)
    assert holds_chain(tmp_path)
    with started(tmp_path) as devnet:
        account = account_at(devnet.url)
        assert await account.client.get_block(block_number="latest") == head
        for height, hash_ in enumerate(hashes, 1):
            receipt = await account.client.get_transaction_receipt(hash_)
            assert receipt.block_number == height
        assert await account.get_nonce() == len(hashes)
        await account.execute_v3(calls=pay(4), resource_bounds=BOUNDS)
        assert await account.get_balance(STRK) == 10**21 - 10
        assert len(await predeployed_accounts(devnet.url)) == STARTED_WITH


async def test_two_of_them_do_not_share_a_folder(tmp_path: Path) -> None:
    with started(tmp_path) as devnet:
        code, said = failing("--data", str(tmp_path / CHAIN_FOLDER))
        assert (code, said.count("\n")) == (2, 1)
        assert "STORE_LOCKED" in said
        port = devnet.url.rpartition(":")[2]
        code, said = failing("--port", port)
        assert (code, said.count("\n")) == (2, 1)
        with pytest.raises(DevnetFailed, match=f"no embedded devnet on port {port}"):
            start_embedded(tmp_path / "other", tmp_path / "other.log", port=int(port))


@pytest.mark.parametrize(
    "options",
    [("--port", "70000"), ("--accounts", "0"), ("--accounts", "11"), ("--fault", "rain=1")],
    ids=" ".join,
)
def test_options_that_cannot_be_used_are_said(options: tuple[str, str]) -> None:
    code, said = failing(*options)
    assert code == 2
    assert options[1] in said


def test_a_file_is_no_folder_and_help_is_short(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = f"embedded devnet: {tmp_path / 'file'} is no folder\n"
    assert failing("--data", str(tmp_path / "file")) == (2, words)
    told = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert "it runs no Cairo" in told.stdout
    assert "Promises" not in told.stdout


def test_there_is_nothing_to_go_back_to_at_the_beginning() -> None:
    assert failing("--fault", "reorg=1") == (2, "embedded devnet: Genesis block can't be aborted\n")


def test_it_ends_politely_and_begins_with_a_fault(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--fault", "slow_ms=1"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        with process.stdout:
            assert "listening on 127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0
    finally:
        process.kill()
        process.wait()


def test_what_is_slow_to_import_is_left_out() -> None:
    code = "import sys, devnet.embedded.process; print(*(name for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "aiohttp" in loaded
    assert not loaded & {"starknet_py", "web3", "typer", "rich", "pytest"}
