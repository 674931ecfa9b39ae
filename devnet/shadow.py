"""The chain as it will be: the exchange's state beside a script, command by command.

Promises
- It applies the same commands as the node in the same order, with the same ids, so its exchange
  rows are the node's after every block.
- It goes back to how it was after any of the last SHADOW_BLOCKS_KEPT blocks.

Contracts' nonces are not followed: no rule of the exchange reads them.
"""

from collections import deque

import msgspec

from devnet.orders import resting_orders
from sequencer.chain.genesis import Genesis, open_genesis
from sequencer.exchange.invariants import check_laws
from sequencer.exchange.state import Journal
from sequencer.exchange.step import Context
from sequencer.exchange.transition import transition
from sequencer.model.commands import Command
from sequencer.model.events import Event
from sequencer.model.orders import Side
from sequencer.model.recorded_limits import SHADOW_BLOCKS_KEPT
from sequencer.model.refusals import Reason, Refusal, Refused
from sequencer.model.rows import OrderRow
from sequencer.starknet.felt import Felt


class MarketVolume(msgspec.Struct, frozen=True):
    """One market's volume in 1e-8 base.

    `recorded` is what the file has up to here. Of that `filled` stands on the chain, `undone` was
    filled in blocks that a rollback took back, and `skipped` came while the market did not trade.
    `synthetic` was topped up beforehand so that a trade fills.
    """

    recorded: int = 0
    filled: int = 0
    undone: int = 0
    skipped: int = 0
    synthetic: int = 0


class Shadow:
    """A state with its open block. `height` is that of the last closed one."""

    def __init__(self, genesis: Genesis) -> None:
        self.state, _ = open_genesis(genesis)
        self.height = 0
        self.volumes = {market: MarketVolume() for market in self.state.markets}
        self._journal = Journal(self.state)
        self._kept: deque[tuple[Journal, dict[str, MarketVolume]]] = deque(
            maxlen=SHADOW_BLOCKS_KEPT
        )
        self._before = dict(self.volumes)

    @property
    def changes(self) -> int:
        """Count the row changes of the open block."""
        return self._journal.mark()

    def apply(self, command: Command, signer: Felt) -> list[Event]:
        """Apply a command. Refused as the node would refuse it."""
        outcome = transition(self.state, command, Context(signer), self._journal)
        if isinstance(outcome, Refusal):
            raise Refused(outcome.reason, f"{type(command).__name__}: {outcome.detail}")
        return outcome

    def operate(self, command: Command) -> list[Event]:
        """Apply a command of the operator."""
        return self.apply(command, self.state.system.operator)

    def close(self) -> None:
        """End the open block and begin the next one."""
        check_laws(self.state)
        self._kept.append((self._journal, self._before))
        self._journal, self._before = Journal(self.state), dict(self.volumes)
        self.height += 1

    def roll_back(self, height: int) -> None:
        """Go back to how it was after a block. Refusals: BLOCK_UNKNOWN, for one that is not kept.

        What was filled since then is `undone`; what was skipped stays so.
        """
        oldest = self.height - len(self._kept)
        if not oldest <= height <= self.height:
            words = f"block {height}: the script can go back to {oldest} .. {self.height}"
            raise Refused(Reason.BLOCK_UNKNOWN, words)
        self._journal.undo()
        before = self._before
        while self.height > height:
            journal, before = self._kept.pop()
            journal.undo()
            self.height -= 1
        for market, now in self.volumes.items():
            then = before[market]
            undone = now.undone + now.filled - then.filled
            self.volumes[market] = msgspec.structs.replace(
                now, filled=then.filled, undone=undone, synthetic=then.synthetic
            )
        self._before = dict(self.volumes)

    def count(self, market: str, **sizes: int) -> None:
        """Add to a market's volumes, by their names."""
        volume = self.volumes[market]
        added = {name: getattr(volume, name) + size for name, size in sizes.items()}
        self.volumes[market] = msgspec.structs.replace(volume, **added)

    def available(self, market: str, side: Side, price: int, most: int) -> int:
        """Sum what a taker finds up to a price, `most` at the most."""
        total = 0
        for level, size in self.state.books[market].opposite(side).prices():
            if total >= most or _is_beyond(level, side, price):
                break
            total += size
        return min(total, most)

    def lying_across(self, market: str, side: Side, price: int) -> list[tuple[int, OrderRow]]:
        """List the resting orders that an order of a side at a price would trade with."""
        found: list[tuple[int, OrderRow]] = []
        for order_id, row in self.state.books[market].opposite(side).walk():
            if _is_beyond(row.price, side, price):
                break
            found.append((order_id, row))
        return found

    def resting(self, account: Felt, market: str, side: Side) -> list[int]:
        """List an account's orders in a book, by id, oldest first."""
        rows = resting_orders(self.state, account, market)
        mine = [(row.sequence, name) for name, row in rows.items() if row.order.side is side]
        return [name for _, name in sorted(mine)]


def _is_beyond(level: int, side: Side, price: int) -> bool:
    return level > price if side is Side.BUY else level < price
