"""What a client remembers of a node from one of its processes to the next.

Laws
- Everything here was told by the node, and is kept until a record of a reorg says that it is gone.
"""

import msgspec

from scripts.crashing.chain import address_of
from scripts.crashing.checking import Violation
from sequencer.chain.exchange_contract import read_event
from sequencer.model.events import OrderClosed, OrderOpened
from sequencer.starknet.block import Event
from sequencer.starknet.felt import format_felt

OWNER = "alice"
"""Whose orders the client knows without asking."""


def require_told(holds: bool, words: str) -> None:
    """Raise Violation where something that was told does not hold."""
    if not holds:
        raise Violation(f"what a client was told: {words}")


class Placed(msgspec.Struct, frozen=True):
    """An order that was acknowledged, and the block that holds it."""

    order_id: str
    height: int
    block_hash: str


class Seen(msgspec.Struct, frozen=True):
    """An event as the client was told it."""

    height: int
    block_hash: str
    transaction_hash: str
    number: int
    sender: str
    keys: list[str]
    data: list[str]


class Memory(msgspec.Struct):
    """What a client knows, from block 0 on. `lowest` is where nobody goes back below."""

    heads: list[tuple[int, str]] = []
    events: list[Seen] = []
    reorgs: int = 0
    placed: list[Placed] = []
    sent: int = 0
    lowest: int = 0
    violation: str = ""

    def cut(self, height: int) -> None:
        """Forget the blocks from a height on: they are gone, or come again."""
        self.heads = [each for each in self.heads if each[0] < height]
        self.events = [each for each in self.events if each.height < height]

    def orders(self) -> set[str]:
        """Return the orders that rest, by what was told of them."""
        found: set[int] = set()
        opened: set[int] = set()
        for each in self.events:
            keys, data = ([int(felt, 16) for felt in felts] for felts in (each.keys, each.data))
            match read_event(Event(int(each.sender, 16), keys, data)):
                case OrderOpened(order_id=order_id, account=account):
                    require_told(order_id not in opened, f"{order_id:#x} was opened twice")
                    opened.add(order_id)
                    if account == address_of(OWNER):
                        found.add(order_id)
                case OrderClosed(order_id=order_id):
                    found.discard(order_id)
        return {format_felt(each) for each in found}
