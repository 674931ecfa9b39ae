"""Blocks and states of the past, kept for a while once somebody has asked for them.

Promises
- A block that is read again costs nothing; a state is loaded from its rows, and only few are kept.
- Traces come from executing a block again on its parent's state; a receipt that differs from the
  stored one is refused with BLOCK_DIFFERS.

Laws
- What is kept is found by its block's hash: a rollback makes none of it wrong.
- Blocks are read in the reader's thread; states are loaded and blocks executed in another one, so
  that whoever asks for much of the past holds up nobody else. What is asked for twice is done once,
  and so many at a time: one more is refused with BUSY.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from sequencer.chain.block import Block
from sequencer.chain.executor import Environment
from sequencer.chain.text import to_text
from sequencer.chain.trace import Traced
from sequencer.engine.lookup import read_block, state_at
from sequencer.engine.simulation import trace
from sequencer.engine.worker import ASKER
from sequencer.exchange.state import Journal, State
from sequencer.model.api_limits import (
    BLOCK_ENTRIES_CACHED,
    PAST_WAITING_MAX,
    PAST_WAITING_PER_ADDRESS_MAX,
    STATES_CACHED,
    TRACE_ENTRIES_CACHED,
)
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import ChainView, StoreError, Worker
from sequencer.starknet.felt_hash import verify

_T = TypeVar("_T")


class _Kept(OrderedDict[bytes, _T]):
    """The newest values by block hash, as many as weigh no more than is allowed; one at least."""

    def __init__(self, weigh: Callable[[_T], int], weight_max: int) -> None:
        super().__init__()
        self._weigh, self._weight_max = weigh, weight_max
        self._weight = 0

    def find(self, block_hash: bytes) -> _T | None:
        found = self.get(block_hash)
        if found is not None:
            self.move_to_end(block_hash)
        return found

    def keep(self, block_hash: bytes, value: _T) -> None:
        if block_hash in self:
            return
        self[block_hash] = value
        self._weight += self._weigh(value)
        while self._weight > self._weight_max and len(self) > 1:
            self._weight -= self._weigh(self.popitem(last=False)[1])


class History:
    """The past of one store. `reader` reads blocks, `executor` does what may take seconds."""

    def __init__(self, reader: Worker, executor: Worker) -> None:
        self._reader = reader
        self._executor = executor
        self._under_way: dict[tuple[int, bytes], asyncio.Future[Any]] = {}
        self._askers: Counter[str] = Counter()
        self._blocks: _Kept[Block] = _Kept(_entries_of_block, BLOCK_ENTRIES_CACHED)
        self._states: _Kept[State] = _Kept(lambda _: 1, STATES_CACHED)
        self._traces: _Kept[Sequence[Traced]] = _Kept(_entries_of_traces, TRACE_ENTRIES_CACHED)

    async def block(self, view: ChainView, record: BlockRecord) -> Block:
        """Return a whole block."""
        found = self._blocks.find(record.block_hash)
        if found is None:
            found = await self._reader.run(partial(read_block, view, record))
            self._blocks.keep(record.block_hash, found)
        return found

    def kept_block(self, record: BlockRecord) -> Block | None:
        """Return a whole block if somebody has asked for it, for a look without waiting."""
        return self._blocks.find(record.block_hash)

    def keep_block(self, record: BlockRecord, block: Block) -> None:
        """Keep a block that was read elsewhere. Only from the loop's thread."""
        self._blocks.keep(record.block_hash, block)

    async def state_at(self, view: ChainView, record: BlockRecord) -> State:
        """Return the state after a block; not to be changed, but for what is taken back at once.

        Refusals: STATE_COLLECTED, STATE_PRUNED, BUSY.
        """
        return await self._done(self._states, record, partial(state_at, view, record))

    async def traces(self, view: ChainView, record: BlockRecord) -> Sequence[Traced]:
        """Execute a block again, and return what each transaction did.

        Refusals: STATE_COLLECTED, STATE_PRUNED, BLOCK_DIFFERS, BLOCK_UNKNOWN, BUSY.
        """
        return await self._done(self._traces, record, partial(trace_block, view, record))

    async def _done(self, kept: "_Kept[_T]", record: BlockRecord, work: Callable[[], _T]) -> _T:
        found = kept.find(record.block_hash)
        if found is not None:
            return found
        name = (id(kept), record.block_hash)
        if name in self._under_way:
            shared: _T = await asyncio.shield(self._under_way[name])
            return shared
        asker = ASKER.get()
        self._require_room(asker)
        self._askers[asker] += 1
        waiting = self._under_way[name] = asyncio.get_running_loop().create_future()
        failure: Exception = Refused(Reason.BUSY, "whoever asked for it first gave up: ask again")
        try:
            done = await self._executor.run(work)
            kept.keep(record.block_hash, done)
            waiting.set_result(done)
        except (Refused, StoreError) as error:
            failure = error
            raise
        finally:
            del self._under_way[name]
            self._askers[asker] -= 1
            if not self._askers[asker]:
                del self._askers[asker]
            if not waiting.done():
                waiting.set_exception(failure)
                # Nobody else may be waiting.
                waiting.exception()
        return done

    def _require_room(self, asker: str) -> None:
        if len(self._under_way) >= PAST_WAITING_MAX:
            raise Refused(Reason.BUSY, f"{PAST_WAITING_MAX} blocks of the past are being loaded")
        if asker and self._askers[asker] >= PAST_WAITING_PER_ADDRESS_MAX:
            words = f"{PAST_WAITING_PER_ADDRESS_MAX} of them for this address"
            raise Refused(Reason.BUSY, f"blocks of the past are being loaded, {words}")


def _entries_of_block(block: Block) -> int:
    return 1 + sum(1 + len(receipt.events) for receipt in block.receipts)


def _entries_of_traces(traces: Sequence[Traced]) -> int:
    return 1 + sum(1 + len(traced.receipt.events) for traced in traces)


def trace_block(view: ChainView, record: BlockRecord) -> Sequence[Traced]:
    """Execute a block again on its parent's state. Refusals: those of `History.traces`."""
    if record.height == 0:
        return ()
    parent = view.block_at(record.height - 1, record.parent_sequence)
    if parent is None:
        raise Refused(Reason.BLOCK_UNKNOWN, f"block {record.height} has no parent here")
    state, block = state_at(view, parent), read_block(view, record)
    journal, environment = Journal(state), Environment(state.system.chain_id, verify)
    traced = []
    for transaction, receipt in zip(block.transactions, block.receipts, strict=True):
        hash_ = receipt.transaction_hash
        done = trace(state, journal, transaction, environment, hash_)
        if to_text(done.receipt) != to_text(receipt):
            raise Refused(Reason.BLOCK_DIFFERS, f"the receipt of transaction {hash_:#x}")
        traced.append(done)
    return tuple(traced)
