"""A starknet-devnet of one test module's own, and what its tests send to the contract."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starknet_py.contract import Contract
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import (
    Call,
    ResourceBounds,
    ResourceBoundsMapping,
    TransactionExecutionStatus,
    TransactionReceipt,
)
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient

from contracts.artifacts import Artifact
from sequencer.settlement.signer import StarkSigner

VERSION = "0.8.1"
ARGUMENTS = ("--seed", "1", "--accounts", "3", "--state-archive-capacity", "full", "--port", "0")
START_SECONDS_MAX = 30
LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")

# Far above what a call costs: nothing is estimated, so a refused call is really executed.
BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(10_000, 10**13),
    l2_gas=ResourceBounds(100_000_000, 10**12),
    l1_data_gas=ResourceBounds(100_000, 10**13),
)
DECLARE_BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(10_000, 10**13),
    l2_gas=ResourceBounds(800_000_000, 10**12),
    l1_data_gas=ResourceBounds(100_000, 10**13),
)


def find_binary() -> Path | None:
    """Look on PATH, then in the user's cache."""
    on_path = shutil.which("starknet-devnet")
    if on_path is not None:
        return Path(on_path)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cached = caches / "perpchain" / f"starknet-devnet-{VERSION}" / "bin" / "starknet-devnet"
    return cached if cached.exists() else None


@contextmanager
def running(binary: Path, log: Path) -> Iterator[str]:
    """Run a devnet and give its address; it is ended by its process id."""
    with log.open("wb") as output:
        process = subprocess.Popen([binary, *ARGUMENTS], stdout=output, stderr=subprocess.STDOUT)
        try:
            yield "http://" + _address(process, log)
        finally:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        found = LISTENING.search(log.read_text("utf-8", errors="replace"))
        if found is not None:
            return found.group(1)
        time.sleep(0.05)
    raise RuntimeError(f"no devnet: {log.read_text('utf-8', errors='replace')[-2000:]}")


class Devnet:
    """The accounts of a devnet and its clock."""

    def __init__(self, url: str) -> None:
        self.client = FullNodeClient(url)
        self._rpc = RpcHttpClient(url, method_prefix="devnet")

    async def accounts(self) -> list[Account]:
        found = await self._rpc.call("getPredeployedAccounts")
        chain = int(await self.client.get_chain_id(), 16)
        return [
            Account(
                address=account["address"],
                client=self.client,
                signer=StarkSigner(int(account["private_key"], 16), chain),
                chain=chain,
            )
            for account in found
        ]

    async def wait(self, seconds: int) -> None:
        """Let the chain's time pass."""
        await self._rpc.call("increaseTime", {"time": seconds})


async def declare(account: Account, artifact: Artifact) -> int:
    declared = await Contract.declare_v3(
        account,
        compiled_contract=artifact.sierra,
        compiled_contract_casm=artifact.casm,
        resource_bounds=DECLARE_BOUNDS,
    )
    await declared.wait_for_acceptance(check_interval=0.05)
    return declared.class_hash


async def send(account: Account, call: Call) -> TransactionReceipt:
    sent = await account.execute_v3(calls=call, resource_bounds=BOUNDS)
    return await account.client.get_transaction_receipt(sent.transaction_hash)


def is_done(receipt: TransactionReceipt) -> bool:
    return receipt.execution_status is TransactionExecutionStatus.SUCCEEDED
