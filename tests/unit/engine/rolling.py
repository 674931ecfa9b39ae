"""A chain on a simulated disk that is driven block by block, for tests of going back.

`Chain` has a node's parts without its tasks. `act` takes what a block is to hold: commands of the
operator, messages and transactions that `rig` signs, or (name, command) for a trader's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from sequencer.chain.calls import command_call
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import SignedCancel, SignedOrder, read_event
from sequencer.engine.lookup import find_block
from sequencer.engine.plan import Plan, make_plan
from sequencer.engine.recovery import begin_chain
from sequencer.engine.rollback import Order, apply_plan, reopening, undo
from sequencer.engine.sealer import Extras
from sequencer.engine.settling import post_of
from sequencer.model.commands import Command, OrderPolicy, Reopen, SetMode
from sequencer.model.events import Event
from sequencer.model.records import Head, Stage
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.model.settlement import Post
from sequencer.starknet.block import Receipt
from sequencer.starknet.messages import order_hash
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import L1Handler, Transaction, transaction_hash
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.chain.network import START_MS
from tests.unit.engine.builders import UNTIL_MS, Rig, copy_of, genesis_text, opened_disk, reports
from tests.unit.storage.builders import row_table, simulated

Act = Command | SignedOrder | SignedCancel | Transaction | tuple[str, Command]

WHO, WHY, WHEN_MS = "olga", "zero price in block 5", 1_700_000_123_456
ORDER = Order(WHO, WHY, WHEN_MS)


class Chain:
    """A chain and everything around it; `load` is a start."""

    def __init__(self, disk: SimulatedDisk | None = None) -> None:
        self.disk = opened_disk() if disk is None else disk
        self.load()

    def load(self) -> None:
        self.rig = Rig(self.disk)
        self.store = self.rig.store

    @property
    def head(self) -> Head:
        return self.store.head

    def act(self, *acts: Act, price: int = 60_000, reopens: bool = False) -> list[Receipt]:
        """Make a block of things, behind a tick unless it reopens the chain."""
        producer, orders = self.rig.producer, []
        ahead, behind = (acts[:1], acts[1:]) if reopens else ((), acts)
        receipts = [self._receipt(each) for each in ahead]
        second = (producer.state.system.time_ms - START_MS) // 1_000 + 1
        self.rig.clock.ms = START_MS + second * 1_000
        receipts.append(producer.tick(self.rig.clock.ms, reports(price, second)))
        for each in behind:
            receipts.append(self._receipt(each))
            if isinstance(each, SignedOrder):
                hash_ = order_hash(each.order, each.signer, producer.chain_id)
                orders.append((hash_, each.order.signed_at_ms + UNTIL_MS))
        for receipt in receipts:
            assert receipt.revert_reason is None, receipt.revert_reason
        self.rig.sealer.seal(producer.close(), Extras(tuple(orders), (), reopens))
        return receipts

    def _receipt(self, act: Act) -> Receipt:
        producer = self.rig.producer
        match act:
            case Command():
                return producer.operate(act)
            case SignedOrder() | SignedCancel():
                return producer.carry([act], frozenset())
            case (str(name), command):
                return self._receipt(self.rig.invoke(name, command_call(command)))
            case _:
                return producer.apply(act, transaction_hash(act, producer.chain_id))

    def blocks(self, count: int) -> None:
        for _ in range(count):
            self.act()

    def plan(
        self, to: object, policy: OrderPolicy = OrderPolicy.KEEP, deselected: tuple[int, ...] = ()
    ) -> Plan:
        return make_plan(self.store.view, str(to), policy, deselected)

    def apply(self, plan: Plan, order: Order = ORDER) -> Head:
        """Carry a plan out, and start again: memory is always rebuilt."""
        head = apply_plan(self.store, plan, order)
        self.load()
        return head

    def back(self, to: object, policy: OrderPolicy = OrderPolicy.KEEP) -> Head:
        return self.apply(self.plan(to, policy))

    def undo(self, reorg_id: int, order: Order = ORDER) -> Head:
        head = undo(self.store, reorg_id, order)
        self.load()
        return head

    def reopen(self) -> Reopen:
        """Make the block with which a chain goes on after a rollback."""
        command = reopening(self.store.view)
        assert command is not None
        self.act(command, reopens=True)
        self.load()
        return command

    def rows(self) -> dict[tuple[int, bytes], bytes]:
        return row_table(simulated(copy_of(self.disk)).view.state())

    def contents(self) -> dict[bytes, bytes]:
        return dict(self.store.view.source.scan(b"\x00", b"\xff"))


def place(head: Head) -> tuple[object, ...]:
    """What a rollback takes from its target, and an undo gives back."""
    return head.height, head.block_sequence, head.block_hash, head.state_root, head.digest


def stages(chain: Chain) -> list[Stage]:
    return [journal.stage for journal in chain.store.view.journals()]


def deposit(nonce: int, account: int, amount: int) -> L1Handler:
    return L1Handler(EXCHANGE_ADDRESS, selector("deposit"), (5, nonce, account, amount), nonce)


def events(receipts: list[Receipt]) -> list[Event]:
    found = [read_event(event) for receipt in receipts for event in receipt.events]
    return [event for event in found if event is not None]


@contextmanager
def refused(reason: Reason, disk: SimulatedDisk, words: str = ":") -> Iterator[None]:
    """Expect a refusal that writes nothing."""
    writes = disk.writes
    with pytest.raises(Refused, match=words) as caught:
        yield
    assert caught.value.reason is reason
    assert disk.writes == writes


def post_at(chain: Chain, height: int) -> Post:
    """Return what the settlement chain would be told of a block."""
    return post_of(find_block(chain.store.view, str(height)))


@cache
def _disk_with_bids() -> SimulatedDisk:
    chain = Chain()
    for number in range(4):
        chain.act(chain.rig.bid(number))
    return chain.disk


def disk_with_bids() -> SimulatedDisk:
    """Return a disk with a chain at block 8, a bid in each of the last four."""
    return copy_of(_disk_with_bids())


@cache
def _drill_disk() -> SimulatedDisk:
    disk = SimulatedDisk()
    begin_chain(simulated(disk), genesis_text(drill=True))
    chain = Chain(disk)
    chain.blocks(3)
    chain.act(SetMode(Mode.POST_ONLY))
    chain.act(SetMode(Mode.OPEN))
    return chain.disk


def drill_disk() -> SimulatedDisk:
    """Return a disk with a chain of drills that is OPEN at block 5."""
    return copy_of(_drill_disk())
