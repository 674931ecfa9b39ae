"""The embedded chain: blocks of one transaction each, on a clock that can be moved.

Promises
- A transaction that was taken is in a block when `send` returns, and on the disk where there is
  one. An aborted block is gone, with its transactions and all that it changed.
- Timestamps never go back.

Laws
- Only the newest state is kept; older ones are read through what takes each block back.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from contracts.twin import Twin
from devnet.embedded.blocks import Content, Rules, seal
from devnet.embedded.execution import Outcome, execute
from devnet.embedded.machine import Surroundings
from devnet.embedded.predeployed import CHAIN_ID
from devnet.embedded.state import Changes, Past, State, View, changes_of, diff_of
from devnet.embedded.store import BlockStore
from sequencer.chain.block import Block
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt
from sequencer.starknet.transactions import Transaction, transaction_hash

TIME_MAX = 2**40
"""Seconds since 1970 that the clock may be set to."""


class Beginning(msgspec.Struct, frozen=True):
    """What a new chain starts with: its rules, and what stands on it at block 0."""

    rules: Rules
    changes: Changes


class Chain:
    """All blocks, and the newest state. `now` gives the wall clock in seconds."""

    def __init__(
        self, twins: Mapping[Felt, Twin], store: BlockStore, now: Callable[[], int]
    ) -> None:
        self.twins = twins
        self._store = store
        self._now = now
        self._state = State()
        self._rules = Rules(0)
        self._blocks: list[Block] = []
        self._undos: list[Changes] = []
        self._heights: dict[Felt, int] = {}
        self._places: dict[Felt, tuple[int, int]] = {}

    def begin(self, beginning: Beginning) -> None:
        """Make block 0."""
        self._rules = beginning.rules
        self._grow(Content(diff_of(beginning.changes)))

    def go_on(self, rules: Rules, blocks: Sequence[Block]) -> None:
        """Go on where a kept chain ended."""
        self._rules = rules
        for block in blocks:
            self._add(block)

    @property
    def rules(self) -> Rules:
        """Return what holds now."""
        return self._rules

    @property
    def head(self) -> Block:
        """Return the newest block."""
        return self._blocks[-1]

    @property
    def state(self) -> View:
        """Return the newest state."""
        return self._state

    def block(self, height: int) -> Block | None:
        """Return a block, None where there is none."""
        return self._blocks[height] if 0 <= height < len(self._blocks) else None

    def height_of(self, block_hash: Felt) -> int:
        """Return the height of a block, -1 where there is none."""
        return self._heights.get(block_hash, -1)

    def place_of(self, hash_: Felt) -> tuple[int, int] | None:
        """Return the height of a transaction's block and its index in it, None where none is."""
        return self._places.get(hash_)

    def state_at(self, height: int) -> View:
        """Return the state behind a block."""
        return Past(self._state, self._undos[height + 1 :])

    def hash_of(self, transaction: Transaction, *, is_query: bool = False) -> Felt:
        """Return a transaction's hash here. Refusals: as for the hash."""
        return transaction_hash(transaction, CHAIN_ID, query=is_query)

    def around(self, timestamp: int) -> Surroundings:
        """Return what a machine has to know."""
        return Surroundings(self.twins, timestamp)

    def next_time(self) -> int:
        """Return the second of a block that is made now."""
        newest = self._blocks[-1].header.timestamp if self._blocks else 0
        return max(newest, self._now() + self._rules.clock_offset)

    def check(self, transaction: Transaction) -> Felt:
        """Return the hash of a transaction that would be taken. Errors: as for `execute`."""
        hash_ = self.hash_of(transaction)
        execute(self._state, self.around(self.next_time()), transaction, hash_)
        return hash_

    def send(self, transaction: Transaction) -> Felt:
        """Execute a transaction in a block of its own. Errors: as for `execute`."""
        hash_, timestamp = self.hash_of(transaction), self.next_time()
        outcome = execute(self._state, self.around(timestamp), transaction, hash_)
        # An account's own is refused for its nonce; a message has none that is used up.
        if hash_ in self._places:
            raise Refused(Reason.DUPLICATE_COMMAND, f"transaction {hash_:#x} is in a block")
        self.include(transaction, outcome, timestamp)
        return hash_

    def include(self, transaction: Transaction, outcome: Outcome, timestamp: int) -> None:
        """Make a block of a transaction that was executed."""
        content = Content(diff_of(outcome.changes), (transaction,), (outcome.receipt,))
        self._grow(content, timestamp)

    def create_block(self) -> Block:
        """Make a block with nothing in it."""
        self._grow(Content(diff_of({})))
        return self.head

    def set_time(self, seconds: int, *, makes_block: bool) -> None:
        """Set the clock. Refusal: PARAMETER_INVALID for a time before the newest block."""
        newest = self.head.header.timestamp
        if not newest <= seconds <= TIME_MAX:
            words = f"{seconds} is not between the newest block's {newest} and {TIME_MAX}"
            raise Refused(Reason.PARAMETER_INVALID, words)
        self._move(seconds - self._now(), makes_block=makes_block)

    def increase_time(self, seconds: int) -> None:
        """Let time pass, and make a block. Refusal: PARAMETER_INVALID beyond TIME_MAX."""
        target = self.next_time() + seconds
        if target > TIME_MAX:
            raise Refused(Reason.PARAMETER_INVALID, f"{target} is beyond {TIME_MAX}")
        self._move(target - self._now(), makes_block=True)

    def abort_from(self, height: int) -> Sequence[Felt]:
        """Drop a block and all above it; returns their hashes, newest first.

        Refusal: PARAMETER_INVALID for block 0.
        """
        if height < 1:
            raise Refused(Reason.PARAMETER_INVALID, "Genesis block can't be aborted")
        gone = self._blocks[height:]
        self._store.write(self._rules, (), [block.header.number for block in gone])
        for block in reversed(gone):
            self._drop(block)
        return [block.hash for block in reversed(gone)]

    def close(self) -> None:
        """Let go of the files."""
        self._store.close()

    def _move(self, offset: int, *, makes_block: bool) -> None:
        self._rules = msgspec.structs.replace(self._rules, clock_offset=offset)
        if makes_block:
            self.create_block()
        else:
            self._store.write(self._rules, (), ())

    def _grow(self, content: Content, timestamp: int = 0) -> None:
        parent = self._blocks[-1] if self._blocks else None
        block = seal(parent, timestamp or self.next_time(), content)
        self._store.write(self._rules, (block,), ())
        self._add(block)

    def _add(self, block: Block) -> None:
        self._undos.append(self._state.apply(changes_of(block.diff)))
        self._heights[block.hash] = block.header.number
        for index, receipt in enumerate(block.receipts):
            self._places[receipt.transaction_hash] = (block.header.number, index)
        self._blocks.append(block)

    def _drop(self, block: Block) -> None:
        self._blocks.pop()
        self._state.apply(self._undos.pop())
        del self._heights[block.hash]
        for receipt in block.receipts:
            del self._places[receipt.transaction_hash]
