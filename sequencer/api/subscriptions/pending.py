"""Blocks above the head as they were told last: what is in them now that was not there before.

Promises
- A transaction is told once, however often somebody looks; one in a block that was dropped and
  begun anew is told again when it is executed again.
"""

from collections.abc import Iterator, Sequence

from sequencer.api.subscriptions.news import News
from sequencer.chain.block import ClosedBlock
from sequencer.starknet.felt import Felt


class Pending:
    """The news of the blocks above the head. `seen` is the serial number of the newest."""

    def __init__(self) -> None:
        self.seen = 0
        self._hashes: dict[int, tuple[Felt, ...]] = {}
        self._news: dict[int, list[News]] = {}

    def look(self, blocks: Sequence[ClosedBlock], epoch: int) -> Iterator[News]:
        """Yield what the blocks hold more than at the last look, in order."""
        for number in self._news.keys() - {closed.number for closed in blocks}:
            del self._news[number], self._hashes[number]
        for closed in blocks:
            hashes = tuple(receipt.transaction_hash for receipt in closed.receipts)
            known = self._hashes.get(closed.number, ())
            if hashes[: len(known)] != known:
                known = ()
                self._news[closed.number] = []
            self._hashes[closed.number] = hashes
            told = self._news.setdefault(closed.number, [])
            if len(hashes) > len(known):
                self.seen += 1
                told.append(News.of_pending(closed, len(known), epoch, self.seen))
                yield told[-1]

    def since(self, serial: int) -> list[News]:
        """Return what was seen at the last look behind a serial number, in order."""
        blocks = (self._news[number] for number in sorted(self._news))
        return [news for told in blocks for news in told if news.serial > serial]

    def holds(self, hash_: Felt) -> bool:
        """Say whether a transaction was there at the last look."""
        return any(hash_ in hashes for hashes in self._hashes.values())
