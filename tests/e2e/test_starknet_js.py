"""starknet.js, as it comes from npm, against a devnet, through a rollback."""

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devnet.npm_packages import PackagesAbsent, has_npm, install
from sequencer.config import cache_folder
from tests.e2e.devnet_process import ClientDevnet, client_devnet
from tests.e2e.local_devnet import PATIENCE_SECONDS
from tests.strategies import Unchecked

SOURCES = Path(__file__).parent / "starknet_js"
PACKAGES = cache_folder() / "starknet-js-10.8.0"


@pytest.fixture(scope="module")
def packages() -> Path:
    """Install the pinned packages once for all; without a network there may be none."""
    if not has_npm():
        pytest.skip("needs node and npm")
    try:
        return install(SOURCES, PACKAGES).parent
    except PackagesAbsent as absent:
        if absent.network:
            pytest.skip(f"npm has no network here: {absent}")
        raise


@asynccontextmanager
async def script(packages: Path, devnet: ClientDevnet) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the script, and leave none behind. Before Node 22 sockets have to be asked for."""
    command = ["node", "--experimental-websocket", str(SOURCES / "client.mjs")]
    arguments = (str(packages), json.dumps(devnet.facts))
    process = await asyncio.create_subprocess_exec(*command, *arguments, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def step(process: asyncio.subprocess.Process, name: str) -> dict[str, Unchecked]:
    """Read what a step of the script found."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stdout.readline()
    assert line, (await process.stderr.read()).decode()
    found: dict[str, Unchecked] = json.loads(line)
    assert found.pop("step") == name
    return found


async def test_starknet_js_trades_and_hears_of_a_rollback(packages: Path, tmp_path: Path) -> None:
    with client_devnet(tmp_path) as devnet:
        async with script(packages, devnet) as process:
            await require_writes(process, devnet)
            told = await step(process, "subscribes")
            assert told["event"] == told["head"]
            head = int((await devnet.client().get_block_hash_and_number()).block_number)
            await devnet.roll_back(head - 1)
            heard = await step(process, "hearsAReorg")
            assert heard["one"] == heard["other"]
            reorg = (await devnet.perp().call("reorgs"))["reorgs"][0]["removed"]
            assert heard["one"] == {
                "starting_block_hash": reorg["first"]["block_hash"],
                "starting_block_number": reorg["first"]["height"],
                "ending_block_hash": reorg["last"]["block_hash"],
                "ending_block_number": reorg["last"]["height"],
            }
            assert await step(process, "unsubscribes") == {"done": [True, True]}
            assert await process.wait() == 0


async def require_writes(process: asyncio.subprocess.Process, devnet: ClientDevnet) -> None:
    """Expect what the script finds before it subscribes."""
    told = await step(process, "connects")
    assert (told["version"], told["starknet"]) == ("0.10.2", "0.14.2")
    assert told["chain"] == devnet.facts["chain_id_felt"]
    told = await step(process, "executes")
    assert told == {"fee": "0", "succeeded": True, "finality": "ACCEPTED_ON_L2"}
    told = await step(process, "usesContracts")
    (event,) = told["events"]
    assert (told["paid"], told["drill"], event["amount"]) == ("7", True, "700")
    assert int(event["receiver"]) == devnet.address(1)
    told = await step(process, "deploysAnAccount")
    assert told == {"deployed": True, "nonce": "0x2"}
    told = await step(process, "declares")
    assert int(told["class_hash"], 16) == devnet.class_hash("token")
    assert "CLASS_UNKNOWN" in json.dumps(told["refused"])
    assert await step(process, "isRefused") == {"numbers": [41, 52]}
