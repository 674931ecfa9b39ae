"""The runner of starknet-devnet, and what our client makes of a node that comes and goes."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call
from starknet_py.net.full_node_client import FullNodeClient

from devnet import starknet_devnet
from devnet.embedded.predeployed import ACCOUNTS
from devnet.embedded.predeployed import CHAIN_ID as DEVNET_CHAIN_ID
from devnet.starknet_devnet import (
    DevnetFailed,
    RunningDevnet,
    is_running,
    predeployed_accounts,
    start_devnet,
    stop_devnet,
)
from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.connection import Patience
from sequencer.settlement.signer import StarkSigner
from sequencer.settlement.starknet import StarknetSettlement
from sequencer.starknet.names import selector
from tests.contracts.devnet import BINARY, EMBEDDED, NEEDS_DEVNET, REAL, send
from tests.contracts.settlement_world import GENESIS, SALTS, access, deployed, post

pytestmark = NEEDS_DEVNET


def start(log: Path, port: int = 0, seed: int = 1) -> RunningDevnet:
    assert BINARY is not None
    return start_devnet(BINARY, log, port=port, seed=seed)


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[RunningDevnet]:
    running = start(tmp_path / "log")
    yield running
    stop_devnet(running)


def keys(url: str) -> list[tuple[int, int]]:
    accounts = asyncio.run(predeployed_accounts(url))
    return [(account.address, account.private_key.value) for account in accounts]


def test_it_starts_and_what_was_written_down_stops_it_once_and_again(
    devnet: RunningDevnet,
) -> None:
    assert is_running(devnet)
    assert os.getpgid(devnet.pid) == devnet.pid
    written = msgspec.json.encode(devnet)
    stop_devnet(msgspec.json.decode(written, type=RunningDevnet))
    assert not is_running(devnet)
    assert not Path(f"/proc/{devnet.pid}").exists()
    stop_devnet(devnet)


def test_a_stubborn_one_is_killed(devnet: RunningDevnet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starknet_devnet, "STOP_SECONDS_MAX", 1)
    os.kill(devnet.pid, signal.SIGSTOP)
    assert is_running(devnet)
    stop_devnet(devnet)
    assert not is_running(devnet)


def test_the_seed_decides_the_accounts(chain_on: Callable[[str], str], tmp_path: Path) -> None:
    predeployed = [(each.address, each.private_key) for each in ACCOUNTS[:3]]
    other = start(tmp_path / "other", seed=2)
    try:
        assert keys(chain_on(REAL)) == predeployed != keys(other.url)
    finally:
        stop_devnet(other)


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(DevnetFailed, match="no devnet on port"),
    ):
        start(tmp_path / "log", port=taken.getsockname()[1])


@pytest.fixture
def urls(chain_on: Callable[[str], str]) -> tuple[str, str]:
    return chain_on(EMBEDDED), chain_on(REAL)


async def test_the_embedded_one_says_the_same(urls: tuple[str, str]) -> None:
    embedded, real = urls
    salt = next(SALTS)
    assert await told(embedded, salt) == await told(real, salt)


async def told(url: str, salt: int) -> list[object]:
    """Say who is there, where contracts get to stand, and how a call is refused."""
    owner, operator, stranger = await predeployed_accounts(url)
    keys = [(each.address, each.private_key.value) for each in (owner, operator, stranger)]
    address = await deployed(url, 0, salt)
    account = Account(
        address=owner.address,
        client=FullNodeClient(url),
        signer=StarkSigner(owner.private_key.value, DEVNET_CHAIN_ID),
        chain=DEVNET_CHAIN_ID,
    )
    refused = await send(account, Call(address, selector("finalize"), [99]))
    absent = await send(account, Call(address, selector("nothing"), []))
    return [keys, address, refused.revert_reason, absent.revert_reason]


async def test_two_clients_with_one_account_do_not_lose_a_call(urls: tuple[str, str]) -> None:
    _, url = urls
    address = await deployed(url, 0, next(SALTS))
    _, operator, _ = await predeployed_accounts(url)
    one, other = (StarknetSettlement(access(url, operator), address) for _ in range(2))
    try:
        for height in range(10, 40, 10):
            before = post(height - 10) if height > 10 else GENESIS
            results = await asyncio.gather(
                one.update_state(0, before, post(height)),
                other.update_state(0, before, post(height)),
                return_exceptions=True,
            )
            (refusal,) = (result for result in results if isinstance(result, SettlementError))
            assert refusal.code == "PREV_BLOCK_DIFFERS"
        assert (await one.standing()).newest == post(30)
    finally:
        await one.close()
        await other.close()


async def test_a_node_that_comes_and_goes(devnet: RunningDevnet, tmp_path: Path) -> None:
    address = await deployed(devnet.url, 0, 1)
    _, operator, _ = await predeployed_accounts(devnet.url)
    impatient = Patience(read_ms=500)
    settlement = StarknetSettlement(access(devnet.url, operator), address, impatient)
    try:
        await settlement.update_state(0, GENESIS, post(10))
        os.kill(devnet.pid, signal.SIGSTOP)
        # The signal takes a moment, and an answer can be faster.
        await asyncio.to_thread(await_stopped, devnet.pid)
        assert await problem_of(settlement) is SettlementProblem.UNREACHABLE
        os.kill(devnet.pid, signal.SIGCONT)
        await settlement.standing()
        stop_devnet(devnet)
        assert await problem_of(settlement) is SettlementProblem.UNREACHABLE
        again = start(tmp_path / "again", port=int(devnet.url.rpartition(":")[2]))
        try:
            assert await problem_of(settlement) is SettlementProblem.CONTRACT_ABSENT
        finally:
            stop_devnet(again)
    finally:
        await settlement.close()


def await_stopped(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def problem_of(settlement: StarknetSettlement) -> SettlementProblem:
    with pytest.raises(SettlementError) as caught:
        await settlement.standing()
    with pytest.raises(SettlementError) as sent:
        await settlement.release()
    assert sent.value.problem is caught.value.problem
    return sent.value.problem
