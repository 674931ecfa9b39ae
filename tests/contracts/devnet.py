"""A devnet of one test module's own, real or embedded, and what its tests send to it."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import (
    Call,
    TransactionExecutionStatus,
    TransactionReceipt,
)
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient

from contracts.artifacts import Artifact
from devnet.starknet_devnet import find_binary, predeployed_accounts
from scripts.money import devnets
from sequencer.settlement.signer import StarkSigner

BINARY = find_binary()
NEEDS_DEVNET = [
    pytest.mark.devnet,
    pytest.mark.skipif(BINARY is None, reason=devnets.ABSENT),
]
"""The marks of a test that runs on a real devnet."""

EMBEDDED, REAL = devnets.EMBEDDED, devnets.REAL
BACKENDS = (EMBEDDED, pytest.param(REAL, marks=NEEDS_DEVNET))
"""What carries the contract: a test that takes both says the same of both."""

BOUNDS, DECLARE_BOUNDS = devnets.BOUNDS, devnets.DECLARE_BOUNDS
"""What a transaction may spend."""


def running(log: Path, backend: str = REAL) -> AbstractContextManager[str]:
    """Run a devnet, and give its address."""
    return devnets.devnet_at(backend, log)


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
    signed = await account.sign_declare_v3(
        artifact.sierra, artifact.compiled_class_hash, resource_bounds=DECLARE_BOUNDS
    )
    declared = await account.client.declare(signed)
    receipt = await account.client.get_transaction_receipt(declared.transaction_hash)
    assert is_done(receipt), receipt.revert_reason
    return declared.class_hash


async def send(account: Account, calls: Call | list[Call]) -> TransactionReceipt:
    sent = await account.execute_v3(calls=calls, resource_bounds=BOUNDS)
    return await account.client.get_transaction_receipt(sent.transaction_hash)


def is_done(receipt: TransactionReceipt) -> bool:
    return receipt.execution_status is TransactionExecutionStatus.SUCCEEDED
