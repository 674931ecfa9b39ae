"""The chain as clients read and write it: one service for a node's life, over engine after engine.

Promises
- `latest` is the exchange at exactly the head of `views.view`: whoever takes both without waiting
  in between has one height and one epoch.
- `newest` has the open block on top of it; a chain that halted for good shows its head there, too.

Laws
- Nothing here changes the chain: what is to be written goes through `admission`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from sequencer.chain.block import Block, ClosedBlock
from sequencer.chain.trace import Traced
from sequencer.engine.admission import Admission
from sequencer.engine.deposit_facts import InboxStatus
from sequencer.engine.engine import Engine
from sequencer.engine.history import History
from sequencer.engine.items import Item
from sequencer.engine.settler_status import SettlerStatus
from sequencer.engine.views import Views
from sequencer.engine.worker import FairWorker
from sequencer.exchange.state import State
from sequencer.model.records import BlockRecord
from sequencer.ports import ChainView, Clock, Worker


def _ignore(*_: object) -> None:
    return


class Follower(msgspec.Struct, frozen=True):
    """Whom to call when something has happened.

    `durable` after each commit or decision, `pending` whenever the open block holds more,
    `accepted` with whatever was accepted and waits for a block.
    """

    durable: Callable[[], None]
    pending: Callable[[], None] = _ignore
    accepted: Callable[[Item], None] = _ignore


class Living(Protocol):
    """A node that runs."""

    client_views: Views
    clock: Clock

    @property
    def engine(self) -> Engine:
        """Return who makes blocks; another one after each decision about the chain."""
        ...

    def settled(self) -> SettlerStatus | None:
        """Return how the settlement chain stands, None where roots are posted nowhere."""
        ...

    def follow(self, follower: Follower) -> None:
        """Tell somebody of this engine and all that come after it."""
        ...


class Service:
    """What clients are answered from.

    `reader` is a thread for reads that may take long, `executor` one for what may take seconds.
    """

    def __init__(self, node: Living, reader: Worker, executor: Worker) -> None:
        self.views = node.client_views
        self.clock = node.clock
        self.reader: Worker = FairWorker(reader)
        self.history = History(self.reader, FairWorker(executor))
        self._node = node

    @property
    def engine(self) -> Engine:
        """Return the engine of the moment: not to be kept."""
        return self._node.engine

    @property
    def admission(self) -> Admission:
        """Return who lets commands in."""
        return self.engine.admission

    @property
    def latest(self) -> State:
        """Return the exchange at the head; not to be changed, but for what is undone at once."""
        return self.engine.latest.state

    @property
    def newest(self) -> State:
        """Return the exchange with the open block; as above."""
        engine = self.engine
        return self.latest if engine.gate.final() is not None else engine.writer.state

    @property
    def inbox(self) -> InboxStatus:
        """Return how the settlement chain's deposits stand against the exchange at the head."""
        return self.engine.writer.deposits.status(self.latest.deposits)

    def pending(self) -> Sequence[ClosedBlock]:
        """Return the blocks above the head, the next one first; never empty."""
        engine = self.engine
        if engine.gate.final() is None:
            return engine.writer.pending()
        system = self.latest.system
        number = self.views.view.head.height + 1
        return (ClosedBlock(number, system.operator, system.time_ms, {}, (), ()),)

    def finalized_height(self) -> int:
        """Return the newest height that can never be rolled back, -1 for none."""
        settled = self._node.settled()
        return -1 if settled is None else settled.finalized_height

    def listen(
        self,
        durable: Callable[[], None],
        pending: Callable[[], None],
        accepted: Callable[[Item], None] = _ignore,
    ) -> None:
        """Call somebody, as `Follower` says, for as long as the node lives."""
        self._node.follow(Follower(durable, pending, accepted))

    async def block(self, view: ChainView, record: BlockRecord) -> Block:
        """Return a whole block."""
        return await self.history.block(view, record)

    async def state_at(self, view: ChainView, record: BlockRecord) -> State:
        """Return the exchange after a block. Refusals: STATE_COLLECTED, STATE_PRUNED, BUSY."""
        if record.block_hash == self.views.view.head.block_hash:
            return self.latest
        return await self.history.state_at(view, record)

    async def traces(self, view: ChainView, record: BlockRecord) -> Sequence[Traced]:
        """Execute a block again, and return what each transaction did.

        Refusals: STATE_COLLECTED, STATE_PRUNED, BLOCK_DIFFERS, BLOCK_UNKNOWN, BUSY.
        """
        return await self.history.traces(view, record)
