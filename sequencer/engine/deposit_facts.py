"""Deposits of the settlement chain as the inbox knows them, and what the exchange has made of each.

Promises
- What the exchange credits next follows from its own rows and the inbox alone, so a rollback makes
  deposits pending again, under the same nonce and hash, and an undo takes that back.

Laws
- A nonce has at most one live fact, and those with one are 0 .. `count` - 1.
- While a credited deposit is retracted nothing is credited: what follows it over there is on top of
  another one than here. Neither is while the settlement chain may have lost some.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from sequencer.chain.block import ClosedBlock
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.stored import TABLES, decode_stored
from sequencer.exchange.state import Table
from sequencer.model.bridge_limits import (
    DEPOSITS_NAMED_MAX,
    DEPOSITS_PER_BLOCK_MAX,
    INBOX_SCANNED_TOGETHER,
)
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.records import InboxFact
from sequencer.model.rows import DepositRow
from sequencer.ports import ChainView, StateReader
from sequencer.starknet.deposits import deposit_message
from sequencer.starknet.felt import FELT_BYTES, Felt, as_bytes
from sequencer.starknet.transactions import L1Handler

_AMOUNT_BYTES = 16

Deposits = Mapping[int, DepositRow]
"""What the exchange has credited, by nonce."""


class Content(NamedTuple):
    """What a deposit's fact keeps of it; `amount` in 1e-6 of the token."""

    contract: Felt
    account: Felt
    amount: int


class InboxStatus(msgspec.Struct, frozen=True):
    """The inbox against the exchange. `next_nonce` is credited next; `pending` counts what waits.

    `unmade` are the nonces of credited deposits that the settlement chain has lost. `problem` is
    why it cannot be read, "" where it can.
    """

    next_nonce: int
    pending: int
    unmade: Sequence[int]
    problem: str = ""


class DepositFacts:
    """The inbox of a store, with what is asked often in memory.

    `view` returns the store with all that was recorded. `chain_hash` is that of the newest live
    fact, 0 where there is none. `is_doubted`: the settlement chain has other deposits, and which
    facts are retracted for it is not settled yet.
    """

    def __init__(self, view: Callable[[], ChainView]) -> None:
        self._view = view
        self._retracted: dict[int, set[bytes]] = {}
        self.count = 0
        self.chain_hash = 0
        self.is_doubted = False
        for fact in facts_from(view(), 0):
            if fact.retracted:
                self._retracted.setdefault(fact.nonce, set()).add(fact.message_hash)
            else:
                self._add(fact)

    def live(self, first: int, count: int) -> Sequence[InboxFact]:
        """Return up to so many live facts from a nonce on."""
        found = (each for each in facts_from(self._view(), first, count) if not each.retracted)
        return tuple(islice(found, count))

    def chain_hash_of(self, count: int) -> Felt:
        """Return the chain hash of so many live facts, the lowest ones: 0 of none."""
        if count == self.count:
            return self.chain_hash
        newest = self.live(count - 1, 1) if count else ()
        return int.from_bytes(newest[0].chain_hash, "big") if newest else 0

    def note_live(self, facts: Iterable[InboxFact]) -> None:
        """Follow facts that were recorded behind all others."""
        for fact in facts:
            left = self._retracted.pop(fact.nonce, set()) - {fact.message_hash}
            if left:
                self._retracted[fact.nonce] = left
            self._add(fact)

    def note_retracted(self, facts: Iterable[InboxFact]) -> None:
        """Follow the newest live facts, newest first, that were recorded as retracted."""
        count = self.count
        for fact in facts:
            self._retracted.setdefault(fact.nonce, set()).add(fact.message_hash)
            count = fact.nonce
        self.chain_hash, self.count = self.chain_hash_of(count), count

    def is_retracted(self, nonce: int, message_hash: Felt) -> bool:
        """Say whether the settlement chain has lost a deposit."""
        return as_bytes(message_hash) in self._retracted.get(nonce, ())

    def unmade(self, deposits: Deposits) -> list[int]:
        """Return the nonces of credited deposits that are retracted, rising."""
        credited = sorted(self._retracted.keys() & deposits.keys())
        return [each for each in credited if self.is_retracted(each, deposits[each].message_hash)]

    def next_nonce(self, deposits: Deposits) -> int:
        """Return the lowest nonce that is not credited.

        That is how many are, unless one was unmade below others: it was retracted then.
        """
        free = (nonce for nonce in self._retracted if nonce not in deposits)
        return min(len(deposits), min(free, default=len(deposits)))

    def pending(self, deposits: Deposits) -> int:
        """Count live facts that are not credited."""
        return max(0, self.count - len(deposits) + len(self.unmade(deposits)))

    def waits(self, deposits: Deposits) -> bool:
        """Say whether there is something to credit."""
        return not self.is_doubted and self.count > len(deposits) and not self.unmade(deposits)

    def due(self, deposits: Deposits) -> Sequence[InboxFact]:
        """Return what the next block credits, in order. Failures: those of a read."""
        if not self.waits(deposits):
            return ()
        first, count = self.next_nonce(deposits), DEPOSITS_PER_BLOCK_MAX
        live = facts_from(self._view(), first, count)
        found = (each for each in live if not (each.retracted or each.nonce in deposits))
        return tuple(islice(found, count))

    def status(self, deposits: Deposits, problem: str = "") -> InboxStatus:
        """Say how the inbox stands against an exchange."""
        unmade = tuple(self.unmade(deposits))
        return InboxStatus(self.next_nonce(deposits), self.pending(deposits), unmade, problem)

    def _add(self, fact: InboxFact) -> None:
        self.count = fact.nonce + 1
        self.chain_hash = int.from_bytes(fact.chain_hash, "big")


def stored_deposits(state: StateReader) -> Deposits:
    """Read what is credited in a stored state."""
    rows = (decode_stored(*each) for each in state.rows(TABLES[Table.DEPOSIT].number))
    return {nonce: row for _, nonce, row in rows}


def facts_from(
    view: ChainView, first: int, wanted: int = INBOX_SCANNED_TOGETHER
) -> Iterator[InboxFact]:
    """Yield facts from a nonce on, retracted ones too, in order of nonces.

    `wanted` is how many the reader most likely takes: that many are read first.
    """
    # One more, for the last one of a page begins the next.
    size = min(wanted + 1, INBOX_SCANNED_TOGETHER)
    while True:
        page = view.inbox(first, size)
        if len(page) < size:
            yield from page
            return
        # The last nonce may have more of them than fit: it begins the next page.
        whole = [each for each in page if each.nonce != page[-1].nonce]
        yield from whole
        first = page[-1].nonce
        size = max(INBOX_SCANNED_TOGETHER, size if whole else 2 * size)


def content_of(fact: InboxFact) -> Content:
    """Read what a fact is about."""
    read, payload = int.from_bytes, fact.payload
    contract, rest = payload[:FELT_BYTES], payload[FELT_BYTES:]
    account, amount = rest[:FELT_BYTES], rest[FELT_BYTES:]
    return Content(read(contract, "big"), read(account, "big"), read(amount, "big"))


def payload_of(content: Content) -> bytes:
    """Write what a fact is about."""
    amount = content.amount.to_bytes(_AMOUNT_BYTES, "big")
    return as_bytes(content.contract) + as_bytes(content.account) + amount


def message_of(fact: InboxFact) -> L1Handler:
    """Return the transaction that credits a deposit."""
    contract, account, amount = content_of(fact)
    return deposit_message(EXCHANGE_ADDRESS, contract, fact.nonce, account, amount)


def unmade_halt(
    unmade: Sequence[int],
    deposits: Deposits,
    view: ChainView,
    pending: Sequence[ClosedBlock] = (),
) -> Halt:
    """Return the halt for credited deposits that the settlement chain has lost.

    `pending` are the blocks above the head of the view.
    """
    named = []
    for nonce in unmade[:DEPOSITS_NAMED_MAX]:
        height = _height_of(deposits[nonce].message_hash, view, pending)
        place = "a block not yet written" if height is None else f"block {height}"
        named.append(f"deposit {nonce} of {place}")
    more = len(unmade) - len(named)
    words = ", ".join(named) + (f" and {more} more" if more else "")
    way = "go back below that block, or unmake it with insurance's money"
    return Halt(HaltCause.DEPOSIT_UNMADE, f"{words}: not on the settlement chain any more; {way}")


def _height_of(message_hash: Felt, view: ChainView, pending: Sequence[ClosedBlock]) -> int | None:
    place = view.transaction(as_bytes(message_hash))
    if place is not None:
        return place.height
    holding = (
        block.number
        for block in pending
        for receipt in block.receipts
        if receipt.transaction_hash == message_hash
    )
    return next(holding, None)
