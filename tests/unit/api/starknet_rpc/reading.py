"""A chain with everything in it, standing still, and a client of the methods that read it.

`Ledger` grows block by block; `told` is what clients are answered at this moment. Every answer is
held against the protocol's files and starknet-py's schemas.
"""

from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import cast

import msgspec

from sequencer.api.json_rpc import Method
from sequencer.api.starknet_rpc.methods import starknet_methods
from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.calls import exchange_call
from sequencer.chain.shipped_class import SHIPPED
from sequencer.chain.token_contract import TOKEN
from sequencer.engine.latest import Latest
from sequencer.engine.rollback import reopening
from sequencer.engine.sealer import Extras
from sequencer.engine.service import Living, Service
from sequencer.exchange.state import State
from sequencer.model.commands import SetMode
from sequencer.model.orders import Side
from sequencer.model.rows import Mode
from sequencer.ports import Worker
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    Terms,
    Transaction,
    transaction_hash,
)
from sequencer.storage.simulated import SimulatedDisk
from tests.strategies import Unchecked
from tests.unit.api.starknet_rpc.asking import NO_BOUNDS, Failed, ask
from tests.unit.chain.network import PRIVATE, START_MS, address_of, key_of
from tests.unit.engine.builders import InlineWorker, copy_of, reports
from tests.unit.engine.rolling import Act, Chain, deposit, drill_disk

ALICE, BOB = address_of("alice"), address_of("bob")
NEWCOMER = 9_001


class Ledger(Chain):
    """A chain that stands still between calls; its parts are a service's."""

    def __init__(self, disk: SimulatedDisk | None = None) -> None:
        self.finalized = -1
        self.worker: Worker = InlineWorker()
        self.service: Service | None = None
        self.methods: Mapping[str, Method] = {}
        self._living = SimpleNamespace(
            settled=lambda: SimpleNamespace(finalized_height=self.finalized),
            follow=lambda *_: None,
        )
        super().__init__(drill_disk() if disk is None else disk)

    def load(self) -> None:
        super().load()
        self.serve()

    def serve(self) -> None:
        """Answer from the head as it is now: one service, whatever becomes of the chain."""
        rig = self.rig
        latest = Latest(State.rebuilt(rig.state.rows), rig.views)
        self._living.client_views, self._living.clock = rig.views, rig.clock
        self._living.engine = SimpleNamespace(
            latest=latest, gate=rig.gate, writer=rig.writer, admission=rig.admission
        )
        if self.service is None:
            self.service = Service(cast(Living, self._living), self.worker, self.worker)
            self.methods = starknet_methods(self.service)
        self.service.views, self.service.clock = rig.views, rig.clock

    def block(self, *transactions: Transaction) -> None:
        """Make a block of transactions behind a tick, whatever becomes of them."""
        self.open(*transactions)
        self.rig.sealer.seal(self.rig.producer.close(), Extras(), "")
        self.serve()

    def open(self, *transactions: Transaction) -> None:
        """Execute transactions into the open block."""
        producer = self.rig.producer
        if not producer.transactions:
            second = (producer.state.system.time_ms - START_MS) // 1_000 + 1
            self.rig.clock.ms = START_MS + second * 1_000
            producer.tick(self.rig.clock.ms, reports(60_000, second))
        for each in transactions:
            producer.apply(each, transaction_hash(each, producer.chain_id))

    def acted(self, *acts: Act, **given: Unchecked) -> None:
        """Make a block in which everything succeeds."""
        self.act(*acts, **given)
        self.serve()

    def transfer(self, name: str = "alice", amount: int = 1, nonce: int | None = None) -> InvokeV3:
        """Sign a transfer to bob, or of his to alice; one of too much is reverted."""
        receiver = ALICE if name == "bob" else BOB
        values = {"sender": address_of(name), "receiver": receiver, "amount": amount}
        return self.rig.invoke(name, exchange_call("transfer", values), nonce=nonce)

    def signed(self, bare: Unchecked, private: int) -> Unchecked:
        hash_ = transaction_hash(bare, self.rig.state.system.chain_id)
        return msgspec.structs.replace(bare, signature=sign(private, hash_))

    def deployment(self, private: int = NEWCOMER) -> DeployAccountV3:
        key = key_of(private)
        bare = DeployAccountV3(ACCOUNT.class_hash, key, (key,), Terms(0, NO_BOUNDS))
        deployment: DeployAccountV3 = self.signed(bare, private)
        return deployment

    def declaration(self, name: str = "bob") -> DeclareV3:
        shipped = SHIPPED[TOKEN.class_hash]
        terms = Terms(self.rig.state.contracts[address_of(name)].nonce, NO_BOUNDS)
        bare = DeclareV3(address_of(name), shipped.class_hash, shipped.compiled_class_hash, terms)
        declared: DeclareV3 = self.signed(bare, PRIVATE[name])
        return declared

    def trade(self, client_id: int) -> tuple[Act, Act]:
        """Two orders that meet."""
        rig = self.rig
        bid = rig.order("alice", Side.BUY, 60_000, client_id)
        return bid, rig.order("bob", Side.SELL, 60_000, client_id)

    async def told(self, method: str, *positional: Unchecked, **named: Unchecked) -> Unchecked:
        """Call a method; `Failed` for an error. Either is held against the specification."""
        return await ask(self.methods, method, positional, named)

    async def code(self, method: str, *positional: Unchecked, **named: Unchecked) -> int:
        """Call a method that must answer with an error, and return its number."""
        try:
            told = await self.told(method, *positional, **named)
        except Failed as failed:
            return failed.code
        raise AssertionError(f"{method} answered {told}")

    def hash_at(self, height: int) -> str:
        record = self.store.view.block(height)
        assert record is not None
        return hex(int.from_bytes(record.block_hash, "big"))

    def hash_of(self, transaction: Transaction) -> str:
        return hex(transaction_hash(transaction, self.rig.state.system.chain_id))


@cache
def _full_disk() -> SimulatedDisk:
    ledger = Ledger()
    ledger.acted(*ledger.trade(1))
    ledger.block(ledger.deployment(), ledger.declaration(), deposit(1, ALICE, 5_000_000))
    ledger.block(ledger.transfer(amount=10**29), ledger.transfer("bob", 7))
    ledger.acted(*ledger.trade(2))
    ledger.back(7)
    ledger.undo(1)
    ledger.back(5)
    grow(ledger)
    return ledger.disk


def full_ledger() -> Ledger:
    """A chain with every kind of transaction, a rollback, an undo and another rollback.

    Its first blocks 6 to 9 are orphaned; 8 and 9 were, and were restored, before.
    """
    return Ledger(copy_of(_full_disk()))


def grow(ledger: Ledger) -> None:
    """Go on after a rollback, OPEN again, with another history than before."""
    assert reopening(ledger.store.view) is not None
    ledger.reopen()
    for _ in range(3):
        ledger.acted()
    ledger.acted(SetMode(Mode.POST_ONLY))
    ledger.acted(SetMode(Mode.OPEN))
    ledger.acted(*ledger.trade(3))
    ledger.block(ledger.deployment(), ledger.declaration(), deposit(1, BOB, 6_000_000))
    ledger.block(ledger.transfer(amount=10**29), ledger.transfer("bob", 9))
    ledger.acted(*ledger.trade(4))
