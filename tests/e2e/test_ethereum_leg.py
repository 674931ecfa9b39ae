"""`perpchain devnet --ethereum`: from Ethereum to the appchain and back to the settlement chain."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from devnet.ethereum_node import ETHEREUM_FILE
from devnet.starknet_devnet import DEVNET_FILE, RunningDevnet, is_running
from sequencer.settlement.ethereum import connect_ethereum, disconnect_ethereum
from sequencer.settlement.ethereum_relay import L1_DEPOSIT_UNMADE
from tests.contracts.devnet import NEEDS_DEVNET
from tests.e2e.commands import run, shown
from tests.e2e.devnet_process import needs_devnet
from tests.e2e.ethereum_chains import EthereumUser, anvil_binary
from tests.e2e.local_devnet import LOOK_SECONDS, PATIENCE_SECONDS, LocalDevnet, seen
from tests.e2e.user_scripts import called, finished

REAL = ("--settlement", "devnet")
OPTIONS = ("--ethereum", "--accounts", "1", "--balance", "1")
RECIPIENT = "0x4ec1"


@asynccontextmanager
async def three_layers(
    folder: Path, *options: str, number: signal.Signals = signal.SIGTERM
) -> AsyncIterator[tuple[LocalDevnet, EthereumUser]]:
    """Run all of them, with a user on Ethereum who has tokens; nothing stays, however they end."""
    anvil_binary()
    with LocalDevnet(folder, *OPTIONS, *options) as devnet:
        facts = devnet.line(1)
        started = running_there(Path(devnet.facts["data_dir"]))
        assert all(is_running(each) for each in started)
        node = connect_ethereum(facts["ethereum_url"])
        user = EthereumUser(node, facts["ethereum_lock"], facts["ethereum_token"])
        assert user.account.address == facts["ethereum_account"]
        try:
            await user.begin()
            yield devnet, user
        finally:
            await disconnect_ethereum(node)
        assert devnet.end(number) == (-number if number is signal.SIGKILL else 0)
        assert seen(lambda: not any(is_running(each) for each in started))
        assert seen(lambda: not any(folder.glob("perpchain-devnet-*")))
    assert "Traceback" not in "\n".join(devnet.log)


def running_there(data: Path) -> list[RunningDevnet]:
    files = [data / name for name in (DEVNET_FILE, ETHEREUM_FILE)]
    return [msgspec.json.decode(file.read_bytes(), type=RunningDevnet) for file in files]


async def cash(devnet: LocalDevnet, account: str) -> str:
    told = await devnet.call("perp_getAccount", [account])
    return str(told["account"]["cash"])


async def until_cash(devnet: LocalDevnet, account: str, expected: str) -> None:
    found = ""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while found != expected:
                found = await cash(devnet, account)
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise AssertionError(f"{found}, not {expected}: {devnet.log}") from None


async def blocks_later(devnet: LocalDevnet, count: int) -> None:
    """Wait until the appchain has made so many blocks more."""
    height = await devnet.call("starknet_blockNumber")
    last = height + count
    async with asyncio.timeout(PATIENCE_SECONDS):
        while height < last:
            await asyncio.sleep(LOOK_SECONDS)
            height = await devnet.call("starknet_blockNumber")


@pytest.mark.parametrize(
    ("backend", "number"),
    [("embedded", signal.SIGKILL), pytest.param("devnet", signal.SIGTERM, marks=NEEDS_DEVNET)],
)
async def test_a_deposit_on_ethereum_is_credited_and_withdrawn_to_the_settlement_chain(
    tmp_path: Path, backend: str, number: signal.Signals
) -> None:
    key = tmp_path / "account.key"
    options = ("--settlement", backend)
    async with three_layers(tmp_path, *options, number=number) as (devnet, user):
        account = devnet.facts["accounts"][0]
        key.write_text(account["private_key"])
        key.chmod(0o600)
        await user.deposit(250_000_000, int(account["address"], 16))
        await until_cash(devnet, account["address"], "251")
        place = devnet.facts["data_dir"]
        who = ("--account", account["address"], "--key-file", key)
        amount = ("--recipient", RECIPIENT, "--amount", "200")
        asked = await asyncio.to_thread(shown, "withdraw", "request", place, *who, *amount)
        assert await cash(devnet, account["address"]) == "51"
        claim = ("claim", place, asked["withdrawal_id"], "--wait", "--advance")
        claimed = await asyncio.to_thread(shown, "withdraw", *claim)
        assert claimed["recipient_has"] == "200.000000"
        assert await user.token.balance(devnet.line(1)["ethereum_lock"]) == 250_000_000


@needs_devnet
async def test_deposits_that_ethereum_loses(tmp_path: Path) -> None:
    """Before its depth one never comes; after it, it is named, and nothing more comes."""
    async with three_layers(tmp_path, *REAL, "--ethereum-depth", "20") as (devnet, user):
        assert devnet.line(1)["ethereum_depth_blocks"] == "20"
        address = devnet.facts["accounts"][0]["address"]
        lost = await user.deposit(5_000_000, int(address, 16))
        await user.lose(lost)
        kept = await user.deposit(7_000_000, int(address, 16))
        assert kept.nonce == lost.nonce
        await user.mine(20)
        await until_cash(devnet, address, "8")
        assert devnet.logged("message 0 of Ethereum handed over: 7000000")
        assert not any(L1_DEPOSIT_UNMADE in line for line in devnet.log)
        await user.lose(kept)
        assert devnet.logged(f"{L1_DEPOSIT_UNMADE}: Ethereum has lost message {kept.nonce}")
        await user.deposit(9_000_000, int(address, 16))
        await user.mine(25)
        await blocks_later(devnet, 5)
        assert await cash(devnet, address) == "8"


async def test_the_script_shows_the_leg_and_a_named_folder_keeps_it(tmp_path: Path) -> None:
    """What was handed over is not handed over again; what was not is."""
    options = ("--settlement", "embedded", "--data-dir", str(tmp_path / "kept"))
    async with three_layers(tmp_path, *options) as (devnet, user):
        told = devnet.line(1)
        where = (told["ethereum_url"], told["ethereum_lock"], told["ethereum_private_key"])
        appchain = ("--url", devnet.facts["http"])
        done = await finished("ethereum_deposit", *where, *appchain)
        assert (done.returncode, done.stderr) == (0, "")
        assert "credited: the account has 101 USDC" in done.stdout
        much = (*where, "--amount", "2000000000", *appchain)
        done = await asyncio.to_thread(called, "ethereum_deposit", *much)
        assert done.returncode == 2
        assert "AMOUNT_TOO_LARGE" in done.stderr
        assert "Traceback" not in done.stderr
        address = devnet.facts["accounts"][0]["address"]
        # The script has spent what its user allows the lock.
        await user.begin()
        await user.deposit(7_000_000, int(address, 16))
    async with three_layers(tmp_path, *options) as (devnet, user):
        await until_cash(devnet, address, "8")
        assert not any("message 0 of" in line for line in devnet.log)
        assert not any(L1_DEPOSIT_UNMADE in line for line in devnet.log)


@pytest.mark.parametrize("choice", ["none", "http://127.0.0.1:1"])
def test_a_settlement_chain_that_is_not_its_own_is_refused(choice: str) -> None:
    done = run("devnet", "--ethereum", "--settlement", choice)
    assert (done.exit_code, done.stdout) == (2, "")
    words = f"--ethereum needs a settlement chain of its own, not {choice!r}"
    step = "next: perpchain devnet --help"
    assert done.stderr == f"perpchain devnet: SETTLEMENT_ABSENT: {words}; {step}\n"
