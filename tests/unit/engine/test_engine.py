"""The engine of one recovery: the root that it owes, and the modes that wait for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from sequencer.chain.codec import encode_key
from sequencer.chain.stored import TABLES
from sequencer.engine.engine import Engine, Outside
from sequencer.engine.items import Applied, Item
from sequencer.engine.recovery import recover
from sequencer.engine.views import Views
from sequencer.exchange.state import Table
from sequencer.model.commands import SetMode
from sequencer.model.halts import HaltCause
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.chain.network import address_of
from tests.unit.engine.builders import (
    PACE,
    FreeSpace,
    HeldWorker,
    InlineWorker,
    ManualClock,
    MemoryNote,
    OperatorKey,
    answer,
    applied,
    causes,
    turns,
    until,
    verify_many,
)
from tests.unit.engine.damage import make_digest_fit
from tests.unit.engine.rolling import Chain
from tests.unit.storage.builders import simulated


class Started:
    """An engine on a disk, its check of the root in the hands of a test."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.store = simulated(disk)
        self.checker, self.note = HeldWorker(), MemoryNote()
        self.checker.free.clear()
        outside = Outside(
            store=self.store,
            worker=InlineWorker(),
            views=Views(self.store),
            clock=ManualClock(),
            note=self.note,
            disk=FreeSpace(),
            verifier=(InlineWorker(), verify_many),
            checker=self.checker,
            pace=PACE,
        )
        self.engine = Engine(outside, recover(self.store), OperatorKey())

    def ask(self, mode: Mode) -> Item:
        return self.engine.writer.operate(SetMode(mode))


@asynccontextmanager
async def started(disk: SimulatedDisk) -> AsyncIterator[Started]:
    made = Started(disk)
    running = asyncio.ensure_future(made.engine.run())
    try:
        yield made
    finally:
        made.engine.stop()
        assert not await running


def gone_back() -> Chain:
    chain = Chain()
    chain.blocks(3)
    chain.back(4)
    return chain


async def test_open_waits_for_the_root_and_what_is_made_meanwhile_does_not_matter() -> None:
    async with started(gone_back().disk) as node:
        await until(lambda: node.checker.held == 1)
        for mode in (Mode.CANCEL_ONLY, Mode.POST_ONLY):
            await applied(node.ask(mode))
        height = node.store.head.height
        assert await answer(node.ask(Mode.OPEN)) is Reason.ROOT_UNVERIFIED
        assert node.engine.writer.state.system.mode is Mode.POST_ONLY
        assert (node.engine.gate.owes_root, node.engine.root_proven) == (True, False)
        await applied(node.ask(Mode.POST_ONLY))
        assert node.store.head.height > height
        node.checker.free.set()
        await until(lambda: not node.engine.gate.owes_root)
        assert node.engine.root_proven
        # Whether the exchange itself is ready is another question: the chain answers it.
        assert isinstance(await answer(node.ask(Mode.OPEN)), Applied)
        assert node.engine.gate.halts == []


async def test_a_root_that_differs_halts_for_good_as_at_a_start() -> None:
    chain = gone_back()
    alice = address_of("alice")
    changed = msgspec.structs.replace(chain.rig.state.contracts[alice], nonce=9)
    make_digest_fit(chain.disk, TABLES[Table.CONTRACT].number, encode_key(alice), changed)
    async with started(chain.disk) as node:
        assert causes(node.engine.gate.halts) == ["LATCH"]
        node.checker.free.set()
        await until(lambda: node.engine.gate.final() is not None)
        halt = node.engine.gate.final()
        assert halt is not None
        assert halt.cause is HaltCause.START_CHECK
        assert "the rows at block 4 hash to" in halt.detail
        assert node.note.text == str(halt)
        assert node.engine.gate.owes_root
        assert not node.engine.root_proven
        assert await answer(node.ask(Mode.CANCEL_ONLY)) is Reason.HALTED
    assert node.store.head.height == 4


async def test_an_engine_that_ends_gives_the_check_up_and_still_owes_it() -> None:
    async with started(gone_back().disk) as node:
        await until(lambda: node.checker.held == 1)
        await applied(node.ask(Mode.CANCEL_ONLY))
    node.checker.free.set()
    await turns()
    assert node.engine.gate.owes_root


async def test_an_undo_owes_the_root_too() -> None:
    chain = gone_back()
    chain.undo(1)
    async with started(chain.disk) as node:
        assert node.engine.gate.owes_root
        node.checker.free.set()
        await until(lambda: not node.engine.gate.owes_root)


async def test_a_chain_that_was_stopped_as_planned_owes_nothing() -> None:
    async with started(Chain().disk) as node:
        await turns()
        assert node.checker.held == 0
        assert not node.engine.gate.owes_root
