"""A chain and the deposits of its settlement contract: a rig, a simulated contract, a collector.

`DepositWorld.restart` comes up again from the disk alone; whatever the test wants of the settlement
chain is done there at once, and collected by `look`: what is gone there needs two of them to be.
"""

import asyncio

from sequencer.chain.block import Block
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import read_event
from sequencer.engine.deposit_facts import stored_deposits
from sequencer.engine.deposits import Collecting, Collector
from sequencer.engine.lookup import live_blocks
from sequencer.engine.plan import make_plan
from sequencer.engine.rollback import apply_plan, undo
from sequencer.exchange.state import State
from sequencer.model.commands import OrderPolicy, SetMode
from sequencer.model.events import Credited
from sequencer.model.halts import Halt
from sequencer.model.rows import Mode
from sequencer.model.settlement import Post, TimedPost
from sequencer.settlement.contract_rules import ContractState, Deposit
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import ManualClock, Rig, applied, until
from tests.unit.engine.rolling import ORDER

ALICE, BOB, NEWCOMER = address_of("alice"), address_of("bob"), 0xABCDE
USD = 10**6
PAYER = 77


class DepositWorld:
    """One chain, one contract, and the collector between them."""

    def __init__(self, disk: SimulatedDisk | None = None) -> None:
        self.said: list[str] = []
        self.halted: list[Halt] = []
        self.slept: list[float] = []
        self.rig = Rig(disk)
        self.disk = self.rig.disk
        state = ContractState(
            1,
            2,
            3_600,
            (TimedPost(Post(0, 1, 1), 1_000),),
            exchange=EXCHANGE_ADDRESS,
            chain_id=self.state.system.chain_id,
        )
        self.contract = SimulatedChain(state, ManualClock())
        self.settlement = SimulatedSettlement(self.contract, 2)
        self._wire()

    def _wire(self) -> None:
        around = Collecting(
            settlement=self.settlement,
            store=self.rig.store,
            worker=self.rig.worker,
            views=self.rig.views,
            facts=self.rig.writer.deposits,
            writer=lambda: self.rig.writer,
            say=self.said.append,
            halt=self._halt,
            sleep=self._sleep,
        )
        self.collector = Collector(around)

    def restart(self) -> None:
        """Come up again, from the disk alone."""
        self.rig = Rig(self.disk)
        self._wire()

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def _halt(self, halt: Halt) -> None:
        self.halted.append(halt)
        self.rig.gate.halt(halt)

    @property
    def state(self) -> State:
        return self.rig.state

    @property
    def facts(self) -> list[tuple[int, bool]]:
        """Return (nonce, whether it is live) of every fact in the store."""
        return [(each.nonce, not each.retracted) for each in self.rig.store.view.inbox(0, 9_999)]

    def send(self, *amounts: int, account: int = ALICE) -> None:
        """Deposit amounts of dollars over there."""
        for amount in amounts:
            self.contract.carry_out(Deposit(account, amount * USD), PAYER)

    async def look_once(self) -> None:
        await self.collector._try()

    async def look(self) -> None:
        """Look, and again where something seems to be gone."""
        await self.look_once()
        if self.rig.writer.deposits.is_doubted and not self.collector.problem:
            await self.look_once()

    async def credited(self, count: int) -> None:
        """Wait until so many deposits are credited in durable blocks."""
        await until(lambda: len(stored_deposits(self.rig.views.view.state())) == count)

    async def credit(self, *amounts: int) -> None:
        """Deposit dollars over there for ALICE, and wait until all that is there is credited."""
        self.send(*amounts)
        await self.look()
        await self.credited(len(self.contract.ledger.state.deposits))

    @property
    def height(self) -> int:
        return self.rig.store.head.height

    @property
    def credits(self) -> list[tuple[int, int]]:
        """Return (height, nonce) of every credit in the live chain, in order."""
        return [(block.header.number, event.nonce) for block, event in self._credits()]

    def _credits(self) -> list[tuple[Block, Credited]]:
        found = [
            (block, read_event(event))
            for block in live_blocks(self.rig.store.view, 1)
            for receipt in block.receipts
            for event in receipt.events
        ]
        return [(block, event) for block, event in found if isinstance(event, Credited)]

    async def mode(self, mode: Mode) -> None:
        await applied(self.rig.writer.operate(SetMode(mode, "reviewed")))

    def back(self, height: int) -> None:
        """Go back, and come up again."""
        plan = make_plan(self.rig.store.view, str(height), OrderPolicy.KEEP)
        apply_plan(self.rig.store, plan, ORDER)
        self.restart()

    def undo(self, reorg_id: int) -> None:
        undo(self.rig.store, reorg_id, ORDER)
        self.restart()
