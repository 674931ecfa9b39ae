"""A node's engine on a simulated disk, with everything around it in the hands of a test.

`Rig` puts the real parts together over `SimulatedDisk`; `running` lets the writer and the check of
signatures run. Clock, free space, halt note and workers are the test's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from random import Random
from typing import Any, TypeVar

import msgspec

from sequencer.chain.calls import ContractCall, exchange_call
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder, SignedReport
from sequencer.engine.admission import Admission
from sequencer.engine.gate import Gate
from sequencer.engine.items import Applied, Item
from sequencer.engine.producer import Producer
from sequencer.engine.recovery import Recovered, begin_chain, mark_planned_stop, recover
from sequencer.engine.reports import Reports
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.engine.upkeep import Keeping
from sequencer.engine.views import Views
from sequencer.engine.writer import Pace, Parts, Writer
from sequencer.exchange.state import State
from sequencer.model.commands import SetMode
from sequencer.model.halts import Halt
from sequencer.model.orders import Side
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.ports import Worker
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import sign, verify
from sequencer.starknet.messages import cancel_hash, order_hash, price_report_hash
from sequencer.starknet.transactions import InvokeV3, transaction_hash
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk
from tests.strategies import Unchecked
from tests.unit.chain.network import (
    PRIVATE,
    PUBLISHERS,
    START_MS,
    Network,
    address_of,
    genesis_json,
)
from tests.unit.storage.builders import simulated

_T = TypeVar("_T")

PACE = Pace(interval_ms=2, heartbeat_ms=60_000)
"""Blocks close at once, and an idle chain makes none after the first."""

OPENED_MS = START_MS + 4_000
"""Chain time at the head of an open chain."""

UNTIL_MS = 1_000_000
"""How long after its signature an order of `Rig.item` is remembered."""

PATIENCE_SECONDS = 5
LOOKS_MAX = 5_000


class ManualClock:
    def __init__(self, ms: int = OPENED_MS + 1_000) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms


class InlineWorker:
    """Does the work at once."""

    async def run(self, work: Callable[[], _T]) -> _T:
        return work()


class DelayedWorker:
    """Does one piece at a time, in order, each after a seeded number of turns of the loop."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[], _T]) -> _T:
        async with self._turn:
            for _ in range(self._random.randrange(6)):
                await asyncio.sleep(0)
            return work()


class HeldWorker:
    """Begins nothing while `free` is not set. `held` counts what waits."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.held = 0

    async def run(self, work: Callable[[], _T]) -> _T:
        self.held += 1
        await self.free.wait()
        self.held -= 1
        return work()


class MemoryNote:
    """A halt note that is a string. `written` lists every note that was ever left."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.written: list[str] = []

    def read(self) -> str:
        return self.text

    def write(self, reason: str) -> None:
        self.text = reason
        self.written.append(reason)

    def clear(self) -> None:
        self.text = ""


class FreeSpace:
    def __init__(self) -> None:
        self.bytes = 2**40

    def free_bytes(self) -> int:
        return self.bytes


class OperatorKey:
    """The operator of the test's network."""

    address = address_of("op")

    def sign(self, message_hash: Felt) -> tuple[Felt, Felt]:
        return sign(PRIVATE["op"], message_hash)


def report(name: str = "Alpha", price: int = 60_000, second: int = 5) -> SignedReport:
    """Sign a report of BTC, `second` seconds after the chain began."""
    fields = (name, "BTCUSD", price * 10**18, START_MS // 1000 + second)
    return SignedReport(*fields, *sign(PUBLISHERS[name], price_report_hash(*fields)))


def reports(price: int = 60_000, second: int = 5) -> list[SignedReport]:
    return [report(name, price, second) for name in PUBLISHERS]


def genesis_text(**changes: object) -> str:
    return msgspec.json.encode(genesis_json(**changes)).decode()


def copy_of(disk: SimulatedDisk) -> SimulatedDisk:
    """Copy what a disk holds; neither of the two sees what happens to the other."""
    copy = SimulatedDisk()
    disk.contents.held = True
    copy.contents, copy.witness_bytes = disk.contents, disk.witness_bytes
    return copy


@cache
def _genesis_disk() -> SimulatedDisk:
    disk = SimulatedDisk()
    begin_chain(simulated(disk), genesis_text())
    return disk


@cache
def _opened_disk() -> SimulatedDisk:
    disk = copy_of(_genesis_disk())
    store = simulated(disk)
    producer, sealer = producer_of(recover(store)), Sealer(store, TrieCache(lambda: store.view))
    for second in (1, 2, 3):
        producer.tick(START_MS + second * 1_000, reports(second=second))
        sealer.seal(producer.close(), Extras())
    for mode in (Mode.POST_ONLY, Mode.OPEN):
        producer.operate(SetMode(mode))
    producer.tick(OPENED_MS, reports(second=4))
    sealer.seal(producer.close(), Extras())
    assert producer.state.system.mode is Mode.OPEN
    mark_planned_stop(store)
    return disk


def genesis_disk() -> SimulatedDisk:
    """Return a disk with block 0."""
    return copy_of(_genesis_disk())


def opened_disk() -> SimulatedDisk:
    """Return a disk with a chain that is OPEN at block 4, and was stopped as planned."""
    return copy_of(_opened_disk())


def producer_of(recovered: Recovered) -> Producer:
    state = recovered.state
    number = recovered.header.number + 1
    return Producer(state, number, state.system.chain_id, OperatorKey())


class Rig:
    """Everything of a node but the node: put together, not running."""

    def __init__(
        self,
        disk: SimulatedDisk | None = None,
        *,
        pace: Pace = PACE,
        keeping: Keeping | None = None,
        worker: Worker | None = None,
        verifying: Worker | None = None,
        note: str = "",
    ) -> None:
        self.disk = opened_disk() if disk is None else disk
        self.store: ChainStore = simulated(self.disk)
        self.recovered = recover(self.store)
        self.clock, self.space, self.note = ManualClock(), FreeSpace(), MemoryNote(note)
        self.views = Views(self.store)
        self.reports = Reports(lambda: self.views.view)
        self.gate = Gate(self.note, self.recovered.halts)
        self.producer = producer_of(self.recovered)
        self.sealer = Sealer(self.store, TrieCache(lambda: self.store.view))
        self.worker = worker or InlineWorker()
        parts = Parts(
            store=self.store,
            producer=self.producer,
            sealer=self.sealer,
            worker=self.worker,
            clock=self.clock,
            views=self.views,
            reports=self.reports,
            gate=self.gate,
            disk=self.space,
        )
        self.writer = Writer(parts, pace, keeping or Keeping())
        verifier = (verifying or InlineWorker(), verify_many)
        self.admission = Admission(self.writer, self.views, self.clock, self.reports, verifier)
        self._signing = Network()
        self._signing.chain.state = self.state

    @property
    def state(self) -> State:
        return self.producer.state

    def order(
        self, name: str, side: Side, price: int = 60_000, client_id: int = 0, **changes: Unchecked
    ) -> SignedOrder:
        """Sign an order, at the present time."""
        order = self._signing.order(name, side, price, client_id)
        order = msgspec.structs.replace(order, signed_at_ms=self.clock.ms)
        return self._signing.signed(name, msgspec.structs.replace(order, **changes))

    def bid(self, client_id: int = 0, name: str = "alice") -> SignedOrder:
        """Sign an order that rests."""
        return self.order(name, Side.BUY, 59_000, client_id)

    def cancel(self, name: str, order_id: Felt, **changes: Unchecked) -> SignedCancel:
        return self._signing.cancel(name, order_id, **changes)

    def invoke(self, name: str, *made: ContractCall, nonce: int | None = None) -> InvokeV3:
        return self._signing.invoke(name, *made, nonce=nonce)

    def transfer(self, nonce: int = 0, amount: int = 1) -> InvokeV3:
        """Sign a transaction of alice, to bob."""
        alice, bob = address_of("alice"), address_of("bob")
        call = exchange_call("transfer", {"sender": alice, "receiver": bob, "amount": amount})
        return self.invoke("alice", call, nonce=nonce)

    def hash_of(self, transaction: InvokeV3) -> Felt:
        return transaction_hash(transaction, self.state.system.chain_id)

    def item(self, signed: SignedOrder | SignedCancel | InvokeV3) -> Item:
        """Make the item that admission would make, its signature checked."""
        chain_id, until_ms = self.state.system.chain_id, 0
        if isinstance(signed, InvokeV3):
            hash_, signer, (r, s) = self.hash_of(signed), signed.sender, signed.signature
        elif isinstance(signed, SignedOrder):
            hash_ = order_hash(signed.order, signed.signer, chain_id)
            signer, r, s = signed.signer, signed.r, signed.s
            until_ms = signed.order.signed_at_ms + UNTIL_MS
        else:
            hash_ = cancel_hash(signed.account, signed.order_id, signed.signer, chain_id)
            signer, r, s = signed.signer, signed.r, signed.s
        key = self.state.contracts[signer].public_key
        return Item(signed, hash_, signer, (key, hash_, r, s), until_ms)

    def send(self, signed: SignedOrder | SignedCancel | InvokeV3) -> Item:
        """Hand something to admission."""
        match signed:
            case SignedOrder():
                return self.admission.order(signed)
            case SignedCancel():
                return self.admission.cancel(signed)
            case _:
                return self.admission.transaction(signed)

    def price(self, price: int) -> None:
        """Have every publisher report a price now."""
        for each in reports(price, (self.clock.ms - START_MS) // 1_000):
            self.admission.report(each)

    async def at_height(self, height: int) -> None:
        """Wait until a block is durable and everybody has been told."""
        await until(lambda: self.views.view.head.height >= height)

    async def block(self, *, heights: int = 1) -> None:
        """Make the writer make another block, and wait for it."""
        height = self.views.view.head.height
        item = self.writer.operate(SetMode(self.state.system.mode))
        await answer(item)
        assert self.views.view.head.height >= height + heights


def verify_many(signed: Sequence[tuple[int, int, int, int]]) -> list[bool]:
    return [verify(*each) for each in signed]


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    """Run the writer and the check of signatures, and stop them as a node does."""
    async with asyncio.TaskGroup() as group:
        checking = group.create_task(rig.admission.verify_all())
        making = group.create_task(rig.writer.run())
        try:
            yield rig
        finally:
            if isinstance(rig.worker, HeldWorker):
                rig.worker.free.set()
            rig.writer.stop()
            await making
            checking.cancel()
            rig.admission.refuse_all(Reason.SHUTTING_DOWN, "the test is over")


async def answer(item: Item) -> Applied | Reason:
    """Wait for an answer: what became durable, or why not."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            return await item.answer
        except Refused as refused:
            return refused.reason


async def applied(item: Item) -> Applied:
    """Wait for an answer that must be a block in which nothing was refused."""
    told = await answer(item)
    assert isinstance(told, Applied), told
    assert not told.refusal, told.receipt.revert_reason
    return told


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(LOOKS_MAX):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to hold")


async def turns(count: int = 30) -> None:
    """Let everything else that can go on go on for a while."""
    for _ in range(count):
        await asyncio.sleep(0)


def rows_of(state: State) -> dict[str, dict[Any, Any]]:
    """Return the rows of a state as they are now."""
    return {table.value: dict(rows) for table, rows in state.rows.items()}


def causes(halts: Sequence[Halt]) -> list[str]:
    return [halt.cause.value for halt in halts]


def pending(rig: Rig) -> tuple[int, int]:
    """Return how many commands and how many signers admission counts."""
    return len(rig.admission._pending), len(rig.admission._by_signer)


async def settled(*items: Item) -> list[Unchecked]:
    return [await answer(item) for item in items]
