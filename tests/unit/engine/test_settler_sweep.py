"""Whatever goes wrong over there or here, and in whatever order: in the end the contract follows.

Each seed is one history of blocks, rollbacks, undos, faults, settlement reorgs and restarts. What
is sent is checked when it is sent: nothing orphaned, nothing while a rollback waits, nothing final
taken back.
"""

import asyncio
from random import Random

import pytest

from sequencer.engine.settler import SettlePace
from sequencer.engine.settling import Place, pending_rollback, place_of
from sequencer.model.records import IncidentKind
from sequencer.model.refusals import Reason
from sequencer.settlement.contract_rules import Finalize, UpdateState
from tests.unit.engine.settled_world import DELAY_SECONDS, World

STEPS = 60
_EXPECTED = {
    Reason.TARGET_BELOW_FINALIZED,
    Reason.FINALITY_TOO_CLOSE,
    Reason.SETTLEMENT_UNREACHABLE,
    Reason.SETTLEMENT_REFUSED,
}


class History:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.reorged = False
        pace = SettlePace(self.random.randint(1, 5), self.random.choice((1, 10, 60)))
        self.world = World(pace)
        self.steps = (
            *(self.grow,) * 6,
            *(self.roll_back,) * 3,
            *(self.undo,) * 2,
            *(self.lose,) * 3,
            self.keep_back,
            self.arrive,
            self.unreachable,
            self.reorg,
            self.crash,
            *(self.restart,) * 2,
            *(self.pass_time,) * 2,
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self.group:
            self.world.start(self.group)
            for _ in range(STEPS):
                await self.random.choice(self.steps)()
                for _ in range(self.random.randrange(12)):
                    await asyncio.sleep(0)
            await self.heal()
            await self.world.stop()

    async def heal(self) -> None:
        """Let everything work again, make a block, and wait."""
        world = self.world
        world.settlement.faults.unreachable = False
        world.settlement.kept_back = 0
        world.grow()
        await world.idle()
        await self.arrive()
        world.grow()
        await world.until(lambda: world.settler.status().is_idle and not world.standing.hold)

    async def grow(self) -> None:
        self.world.grow(self.random.randint(1, 4))

    async def roll_back(self, crash: bool = False) -> None:
        head = self.world.view.head.height
        if head > 0:
            target = self.random.randint(max(0, head - 7), head - 1)
            refused = await self.world.roll_back(target, crash=crash)
            assert refused is None or refused.reason in _EXPECTED

    async def crash(self) -> None:
        """Die while finality is held, or between any two other awaits."""
        await self.roll_back(crash=self.random.random() < 0.5)
        await self.restart()

    async def undo(self) -> None:
        world = self.world
        last = world.view.incidents()[-1:]
        if last and last[0].kind is IncidentKind.ROLLBACK and last[0].after == world.view.head.mark:
            world.undo(last[0].after.epoch)

    async def lose(self) -> None:
        fault = self.random.choice(("receipts_lost", "calls_lost", "doubled"))
        setattr(self.world.settlement.faults, fault, self.random.randint(1, 3))
        self.world.settlement.faults.late_ms_max = self.random.choice((0, 500))

    async def keep_back(self) -> None:
        self.world.settlement.kept_back = self.random.randint(1, 2)

    async def arrive(self) -> None:
        """What comes late is live, unless a revert of it is still to come or was taken back."""
        world = self.world
        late = not self.reorged and not pending_rollback(world.view, world.settler._delivered)
        for call in world.settlement.arrive():
            if late and isinstance(call, UpdateState):
                assert place_of(call.new, world.view) is Place.LIVE

    async def unreachable(self) -> None:
        faults = self.world.settlement.faults
        faults.unreachable = not faults.unreachable

    async def reorg(self) -> None:
        """Take back what came after the last finality: deeper ones are somebody's bug."""
        ledger = self.world.chain.ledger
        done = [ledger.log[number].call for number in ledger.live]
        finals = [place for place, call in enumerate(done) if isinstance(call, Finalize)]
        after = len(done) - (finals[-1] + 1 if finals else 0)
        self.reorged = True
        self.world.chain.reorg(min(after, self.random.randint(1, 3)))
        late = self.world.settlement.late
        self.world.settlement.late = [call for call in late if not isinstance(call, Finalize)]

    async def restart(self) -> None:
        await self.world.restart(self.group)

    async def pass_time(self) -> None:
        self.world.chain.advance_time(self.random.choice((60, DELAY_SECONDS)))


@pytest.mark.parametrize("first", range(0, 40, 5))
async def test_the_contract_follows_the_chain(first: int) -> None:
    for seed in range(first, first + 5):
        history = History(seed)
        await history.run()
        history.world.require_settled()
