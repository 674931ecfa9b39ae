"""A node with the methods that execute, and clients that call them without a socket."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import ResourceBounds, ResourceBoundsMapping
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.signer.key_pair import KeyPair

from sequencer.api.json_rpc import Method
from sequencer.api.starknet_rpc.methods import starknet_methods
from sequencer.api.starknet_rpc.wire import transaction_fields
from sequencer.chain.calls import ContractCall, exchange_call, write_calls
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.model.commands import SetMode
from sequencer.model.rows import Mode
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    Terms,
    transaction_hash,
)
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.asking import NO_BOUNDS, Failed, ask
from tests.unit.api.starknet_rpc.in_process import client_of
from tests.unit.chain.network import PRIVATE, START_MS, address_of
from tests.unit.engine.builders import applied, reports
from tests.unit.engine.desks import Operated, operated

QUERY = "0x100000000000000000000000000000003"
ALICE, BOB = address_of("alice"), address_of("bob")
EXCHANGE_AT = hex(EXCHANGE_ADDRESS)


class World:
    """A node, and a client of its methods."""

    def __init__(self, rig: Operated) -> None:
        self.rig = rig
        self.service = rig.service
        self.methods: Mapping[str, Method] = starknet_methods(rig.service)

    @property
    def chain_id(self) -> Felt:
        return self.service.latest.system.chain_id

    async def call(self, method: str, *positional: Unchecked, **named: Unchecked) -> Unchecked:
        """Call a method; `Failed` for an error. Either is held against the specification."""
        return await ask(self.methods, method, positional, named)

    async def refused(self, method: str, *positional: Unchecked, **named: Unchecked) -> Failed:
        """Call a method that must answer with an error."""
        try:
            told = await self.call(method, *positional, **named)
        except Failed as failed:
            return failed
        raise AssertionError(f"{method} answered {told}")

    def client(self) -> FullNodeClient:
        """Return starknet-py's own client, which thinks that it uses HTTP."""
        return client_of(self.methods)

    def account(self, name: str) -> Account:
        """Return an account of starknet-py's."""
        keys = KeyPair.from_private_key(PRIVATE[name])
        return Account(
            address=address_of(name), client=self.client(), key_pair=keys, chain=self.chain_id
        )

    @staticmethod
    def bounds() -> ResourceBoundsMapping:
        free = ResourceBounds(max_amount=0, max_price_per_unit=0)
        return ResourceBoundsMapping(l1_gas=free, l2_gas=free, l1_data_gas=free)

    def transfer(
        self, name: str = "alice", nonce: int = 0, amount: int = 1, **terms: Unchecked
    ) -> InvokeV3:
        """Sign a transfer of cash from an account to bob."""
        values = {"sender": address_of(name), "receiver": BOB, "amount": amount}
        return self.invoke(name, nonce, exchange_call("transfer", values), **terms)

    def invoke(
        self, name: str, nonce: int, *made: ContractCall, query: bool = False, **terms: Unchecked
    ) -> InvokeV3:
        all_terms = Terms(nonce, NO_BOUNDS, **terms)
        bare = InvokeV3(address_of(name), write_calls(made), all_terms)
        signed: InvokeV3 = self.signed(bare, PRIVATE[name], query=query)
        return signed

    def signed(self, bare: Unchecked, key: int, *, query: bool = False) -> Unchecked:
        hash_ = transaction_hash(bare, self.chain_id, query=query)
        return msgspec.structs.replace(bare, signature=sign(key, hash_))

    async def in_block(self, hash_: str) -> None:
        """Wait until a transaction that was sent is durable."""
        item = self.service.admission.find(int(hash_, 16))
        if item is not None:
            await item.answer


@asynccontextmanager
async def world(folder: Path, *, is_open: bool = True) -> AsyncIterator[World]:
    """Run a node; its exchange is OPEN unless told otherwise."""
    async with operated(folder) as rig:
        if is_open:
            await _open(rig)
        yield World(rig)


async def _open(rig: Operated) -> None:
    admission = rig.node.engine.admission
    for _ in range(3):
        for report in reports(second=(rig.clock.ms - START_MS) // 1_000):
            admission.report(report)
        await rig.block()
    for mode in (Mode.POST_ONLY, Mode.OPEN):
        await applied(rig.node.engine.writer.operate(SetMode(mode)))


def sent(
    transaction: InvokeV3 | DeclareV3 | DeployAccountV3, version: str = "0x3", **changes: Unchecked
) -> dict[str, Any]:
    """Write a transaction as a client sends it. A change to None takes a field out."""
    fields = transaction_fields(transaction, None) | {"version": version} | changes
    return {name: value for name, value in fields.items() if value is not None}


def sent_class(transaction: DeclareV3, shown: dict[str, Any]) -> dict[str, Any]:
    """Write a declaration as a client sends it, with its class."""
    return sent(transaction, class_hash=None, contract_class=shown)


def view_call(name: str, calldata: Sequence[Felt] = (), to: str = EXCHANGE_AT) -> dict[str, Any]:
    return {
        "contract_address": to,
        "entry_point_selector": hex(selector(name)),
        "calldata": [hex(felt) for felt in calldata],
    }
