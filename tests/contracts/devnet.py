"""A starknet-devnet of one test module's own, and what its tests send to the contract."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
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
from devnet.starknet_devnet import find_binary, predeployed_accounts, start_devnet, stop_devnet
from sequencer.settlement.signer import StarkSigner

BINARY = find_binary()
NEEDS_DEVNET = [
    pytest.mark.devnet,
    pytest.mark.skipif(BINARY is None, reason="needs starknet-devnet: make devnet-real"),
]
"""The marks of a test that runs on a real devnet."""

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


@contextmanager
def running(log: Path) -> Iterator[str]:
    """Run a devnet and give its address."""
    assert BINARY is not None
    devnet = start_devnet(BINARY, log)
    try:
        yield devnet.url
    finally:
        stop_devnet(devnet)


class Devnet:
    """The accounts of a devnet and its clock."""

    def __init__(self, url: str) -> None:
        self.client = FullNodeClient(url)
        self._rpc = RpcHttpClient(url, method_prefix="devnet")

    async def accounts(self) -> list[Account]:
        chain = int(await self.client.get_chain_id(), 16)
        return [
            Account(
                address=account.address,
                client=self.client,
                signer=StarkSigner(account.private_key.value, chain),
                chain=chain,
            )
            for account in await predeployed_accounts(self.client.url)
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
