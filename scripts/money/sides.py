"""The two that must be alike: the twins in this process, and the contracts on a real devnet.

Promises
- Each call comes to a receipt in the same words: the revert reason, events, and slots written.

Laws
- The twins' clock is the real chain's: a call is made there first, and here in the same second.
- What a devnet does about fees is not compared: nobody pays any to the twins.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient

from contracts.artifacts import load_artifact
from contracts.natives import NATIVES
from contracts.twin import Reverted
from devnet.embedded.chain import Chain
from devnet.embedded.execution import execute
from devnet.embedded.machine import TransactionMachine
from devnet.embedded.node import open_chain
from devnet.embedded.predeployed import ACCOUNTS, CHAIN_ID, FEE_TOKENS, Predeployed
from devnet.embedded.state import NONCE, Overlay
from scripts.money.devnets import BOUNDS, DECLARE_BOUNDS, l1_message
from sequencer.settlement.signer import StarkSigner
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import (
    DeclareV3,
    InvokeV3,
    L1Handler,
    ResourceBound,
    Terms,
    Transaction,
)

CALLERS = ACCOUNTS[:3]
"""Owner, operator, and somebody else."""

Asked = tuple[Felt, str, Sequence[Felt]]
"""A contract, a function, and calldata."""

_LATEST = "latest"
_NO_BOUNDS = (ResourceBound(),) * 3
# Where it was in the program of a class of Cairo 0, such as the deployer's: a twin has no program.
_WHERE_IN_PROGRAM = re.compile(r"Error at pc=.*?\n\n", re.DOTALL)
# The sequencer's own contracts, and the tokens that fees are paid in.
_NOT_COMPARED = frozenset({1, 2, *FEE_TOKENS.values()})


class Came(msgspec.Struct, frozen=True):
    """What came of a call: the reason why not, "" for none, events, and slots by contract."""

    reason: str
    events: tuple[tuple[Felt, ...], ...]
    slots: Mapping[tuple[Felt, Felt], Felt]


class TwinSide:
    """The twins on a chain in memory, at any second."""

    def __init__(self) -> None:
        self._chain: Chain = open_chain(NATIVES, None, len(CALLERS), lambda: 0)
        self._messages = 0
        for name in ("settlement", "usdc"):
            artifact = load_artifact(name)
            terms = self._terms(CALLERS[0])
            hashes = artifact.class_hash, artifact.compiled_class_hash
            self._carry_out(DeclareV3(CALLERS[0].address, *hashes, terms), 0)

    def invoke(self, who: Predeployed, calls: Sequence[Asked], timestamp: int) -> Came:
        """Make calls in one transaction."""
        felts = [len(calls)]
        for contract, name, arguments in calls:
            felts += [contract, selector(name), len(arguments), *arguments]
        return self._carry_out(InvokeV3(who.address, tuple(felts), self._terms(who)), timestamp)

    def message(self, contract: Felt, felts: Sequence[Felt], timestamp: int) -> Came:
        """Send `deposit_from_l1`; the sender is the first felt."""
        self._messages += 1
        entry_point = selector("deposit_from_l1")
        return self._carry_out(
            L1Handler(contract, entry_point, tuple(felts), self._messages), timestamp
        )

    def back(self) -> None:
        """Take the last one back."""
        self._chain.abort_from(self._chain.head.header.number)

    def view(self, asked: Asked, timestamp: int) -> list[Felt] | None:
        """Ask a view, None where it refuses."""
        contract, name, arguments = asked
        around = self._chain.around(timestamp)
        machine = TransactionMachine(Overlay(self._chain.state), around, 0)
        with suppress(Reverted):
            return list(machine.call(0, contract, selector(name), arguments))
        return None

    def _terms(self, who: Predeployed) -> Terms:
        return Terms(self._chain.state.get((NONCE, who.address, 0)), _NO_BOUNDS)

    def _carry_out(self, transaction: Transaction, timestamp: int) -> Came:
        chain = self._chain
        around, hash_ = chain.around(timestamp), chain.hash_of(transaction)
        outcome = execute(chain.state, around, transaction, hash_, validates=False)
        chain.include(transaction, outcome, timestamp)
        receipt, storage = outcome.receipt, chain.head.diff.storage
        return Came(
            reason=receipt.revert_reason or "",
            events=tuple((each.from_address, *each.keys, *each.data) for each in receipt.events),
            slots={
                (contract, slot): value
                for contract, slots in storage.items()
                for slot, value in slots.items()
            },
        )


class RealSide:
    """The contracts on a devnet that executes Cairo; `time` is that of its newest block."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.time = 0
        self._url, self._session = url, session
        self._devnet = RpcHttpClient(url, session, method_prefix="devnet")
        client = FullNodeClient(url, session)
        self._accounts = [
            Account(
                address=each.address,
                client=client,
                signer=StarkSigner(each.private_key, CHAIN_ID),
                chain=CHAIN_ID,
            )
            for each in CALLERS
        ]
        self._nonces = [0] * len(CALLERS)
        self._messages = 0

    async def declare(self) -> None:
        """Declare both classes."""
        account = self._accounts[0]
        for name in ("settlement", "usdc"):
            artifact = load_artifact(name)
            signed = await account.sign_declare_v3(
                artifact.sierra,
                artifact.compiled_class_hash,
                nonce=self._nonces[0],
                resource_bounds=DECLARE_BOUNDS,
            )
            self._nonces[0] += 1
            await account.client.declare(signed)

    async def invoke(self, caller: int, calls: Sequence[Asked]) -> Came:
        """Make calls in one transaction."""
        made = [Call(contract, selector(name), list(felts)) for contract, name, felts in calls]
        sent = await self._accounts[caller].execute_v3(
            calls=made, nonce=self._nonces[caller], resource_bounds=BOUNDS
        )
        self._nonces[caller] += 1
        return await self._came(sent.transaction_hash)

    async def message(self, contract: Felt, felts: Sequence[Felt]) -> Came:
        """Send `deposit_from_l1`; the sender is the first felt."""
        self._messages += 1
        sender, *payload = felts
        message = l1_message(sender, contract, payload, self._messages)
        told = await self._devnet.call("postmanSendMessageToL2", message)
        return await self._came(int(told["transaction_hash"], 16))

    async def pass_time(self, seconds: int) -> None:
        """Let time pass, which makes a block."""
        await self._devnet.call("increaseTime", {"time": seconds})
        (block,) = await self._batch([("starknet_getBlockWithTxHashes", {"block_id": _LATEST})])
        self.time = block["timestamp"]

    async def views(self, asked: Sequence[Asked]) -> list[list[Felt] | None]:
        """Ask views, None for each that refuses."""
        requests: list[dict[str, object]] = [
            {
                "request": {
                    "contract_address": hex(contract),
                    "entry_point_selector": hex(selector(name)),
                    "calldata": [hex(felt) for felt in felts],
                },
                "block_id": _LATEST,
            }
            for contract, name, felts in asked
        ]
        told = await self._batch([("starknet_call", each) for each in requests])
        return [None if each is None else [int(felt, 16) for felt in each] for each in told]

    async def _came(self, hash_: Felt) -> Came:
        receipt, block, update = await self._batch(
            [
                ("starknet_getTransactionReceipt", {"transaction_hash": hex(hash_)}),
                ("starknet_getBlockWithTxHashes", {"block_id": _LATEST}),
                ("starknet_getStateUpdate", {"block_id": _LATEST}),
            ]
        )
        self.time = block["timestamp"]
        return Came(
            reason=_WHERE_IN_PROGRAM.sub("", receipt.get("revert_reason", "")),
            events=tuple(
                tuple(
                    int(felt, 16) for felt in (each["from_address"], *each["keys"], *each["data"])
                )
                for each in receipt["events"]
                if int(each["from_address"], 16) not in _NOT_COMPARED
            ),
            slots={
                (int(each["address"], 16), int(entry["key"], 16)): int(entry["value"], 16)
                for each in update["state_diff"]["storage_diffs"]
                if int(each["address"], 16) not in _NOT_COMPARED
                for entry in each["storage_entries"]
            },
        )

    async def _batch(self, asked: Sequence[tuple[str, dict[str, object]]]) -> list[Any]:
        """Ask many questions at once; an answer is None where it is a refusal."""
        requests = [
            {"jsonrpc": "2.0", "id": place, "method": method, "params": parameters}
            for place, (method, parameters) in enumerate(asked)
        ]
        async with self._session.post(self._url, json=requests) as response:
            told = msgspec.json.decode(await response.read())
        by_id = {each["id"]: each.get("result") for each in told}
        return [by_id[place] for place in range(len(requests))]
