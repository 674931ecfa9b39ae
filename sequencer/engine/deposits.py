"""The collector of deposits: keeps the inbox at what the settlement contract says, durably.

Promises
- Each deposit over there becomes a fact in the store, in order, before anybody credits it; one that
  a reorg there removed is retracted. Where they part is found by the chain of hashes.
- A settlement chain that is down, empty or late changes nothing here: it is said once, and asked
  again until it goes on.
- Who has credited what was retracted halts, by name, once while that halt stands; what nobody has
  credited is dropped.

Laws
- A look takes no more than the contract's counters told when it began. An answer that contradicts
  them is late, or the contract has changed meanwhile: it is asked again, and nothing is retracted.
- Facts are retracted only when two looks in a row, a look apart, find the same deposit in the same
  place of the first that is gone; else it was late. From the first of them on nothing is credited.
- A deposit whose hash is not that of its content, on this chain, is no deposit: a halt by name, and
  nothing is collected any more. It takes no other's place: what would replace facts is checked
  before they are retracted.
- Facts change in one batch, and memory after it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.engine.deposit_facts import Content, DepositFacts, payload_of, unmade_halt
from sequencer.engine.gate import halt_of
from sequencer.engine.settling import SettlementDiffers
from sequencer.engine.views import Views
from sequencer.engine.writer import Writer
from sequencer.model.bridge_limits import (
    DEPOSIT_LOOK_MS,
    DEPOSIT_MAX,
    DEPOSIT_PAGES_AT_START_MAX,
    DEPOSIT_PAGES_TOGETHER_MAX,
    DEPOSITS_PAGE_MAX,
)
from sequencer.model.halts import Halt
from sequencer.model.limits import ADDRESS_MAX, SETTLE_BACKOFF_SECONDS_MAX
from sequencer.model.records import InboxFact
from sequencer.model.settlement import Money, SentDeposit, SettlementError, SettlementProblem
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import Settlement, Store, StoreError, Worker
from sequencer.starknet.deposits import deposit_message, next_chain_hash
from sequencer.starknet.felt import Felt, as_bytes
from sequencer.starknet.transactions import transaction_hash

_LOOK_SECONDS = DEPOSIT_LOOK_MS / MS_PER_SECOND


class Collecting(msgspec.Struct, frozen=True):
    """What a collector works with and does not own.

    `worker` changes the store. `writer` returns who makes blocks at the moment, `say` takes a line
    for the operator, `halt` a halt. `sleep` takes seconds.
    """

    settlement: Settlement
    store: Store
    worker: Worker
    views: Views
    facts: DepositFacts
    writer: Callable[[], Writer]
    say: Callable[[str], None]
    halt: Callable[[Halt], None]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class _Parting(NamedTuple):
    """The first nonce with another deposit than ours, and that one's hash, empty for none."""

    nonce: int
    message_hash: bytes


class Collector:
    """Follows the deposits of one contract. `problem` is why it cannot, "" where it can."""

    def __init__(self, around: Collecting) -> None:
        self._around = around
        self._facts = around.facts
        self._suspected: _Parting | None = None
        self._failures = 0
        self._ends = False
        self.problem = ""

    async def check_start(self) -> None:
        """Look once, before the first block is made; what is much more waits for the next look."""
        await self._try(DEPOSIT_PAGES_AT_START_MAX)

    async def run(self) -> None:
        """Look again and again, until cancelled, or for good where nothing can be collected."""
        while not self._ends:
            backoff = min(SETTLE_BACKOFF_SECONDS_MAX, 1 << min(self._failures, 16))
            await self._around.sleep(backoff if self._failures else _LOOK_SECONDS)
            await self._try()

    async def _try(self, pages: int = DEPOSIT_PAGES_TOGETHER_MAX) -> None:
        try:
            await self._look(pages)
        except SettlementError as error:
            self._fail(error)
            return
        except SettlementDiffers as differs:
            self._give_up(differs.halt)
            return
        except StoreError as error:
            self._give_up(halt_of(error))
            return
        if self._failures:
            self._around.say("deposits: it goes on")
        self._failures, self.problem = 0, ""

    async def _look(self, pages: int) -> None:
        """Collect whatever is new, or retract what is gone for the second time."""
        if not self._around.store.acknowledged:
            return
        money = await self._around.settlement.money()
        if not await self._stands(money):
            self._facts.is_doubted = True
            parting = await self._parting(money)
            if parting != self._suspected:
                self._suspected = parting
                return
            await self._retract(parting.nonce)
        self._settle()
        for _ in range(pages):
            if self._facts.count >= money.deposits:
                return
            await self._add(await self._behind(self._facts.count, money))

    async def _stands(self, money: Money) -> bool:
        """Say whether the contract still has our newest deposit."""
        count, chain_hash = self._facts.count, self._facts.chain_hash
        if money.deposits <= count:
            return (money.deposits, money.chain_hash) == (count, chain_hash)
        return count == 0 or await self._chain_hash_there(count, money) == chain_hash

    def _settle(self) -> None:
        """All facts stand over there: what waits may be credited."""
        self._suspected = None
        if self._facts.is_doubted:
            self._facts.is_doubted = False
            self._around.writer().queue.wake()

    async def _parting(self, money: Money) -> _Parting:
        """Find where the contract parts from us, by halves, and check what it has there instead."""
        same, other = 0, min(self._facts.count, money.deposits) + 1
        while other - same > 1:
            middle = (same + other) // 2
            there = await self._chain_hash_there(middle, money)
            if there == self._facts.chain_hash_of(middle):
                same = middle
            else:
                other = middle
        behind = await self._behind(same, money)
        if await self._chain_hash_there(money.deposits, money) != money.chain_hash:
            raise _late("the last deposit is not the one that it counts")
        ours = self._facts.live(same, 1)
        if not ours or (behind and behind[0].message_hash == ours[0].message_hash):
            raise _late("what was gone is there again")
        return _Parting(same, behind[0].message_hash if behind else b"")

    async def _behind(self, nonce: int, money: Money) -> list[InboxFact]:
        """Read what follows our first deposits, a page of it, and check it."""
        known, below = 1 if nonce else 0, self._facts.chain_hash_of(nonce)
        first = nonce - known
        page = await self._read(first, DEPOSITS_PAGE_MAX, money)
        if known and page[0].chain_hash != below:
            raise _late(f"deposit {first} is another one than a moment ago")
        contract, chain_id = self._around.settlement.contract, self._chain_id()
        check = partial(_checked, page[known:], nonce, below, contract, chain_id)
        facts = await self._around.worker.run(check)
        if first + len(page) == money.deposits and page and page[-1].chain_hash != money.chain_hash:
            raise _late("the last deposit is not the one that it counts")
        return facts

    async def _chain_hash_there(self, count: int, money: Money) -> Felt:
        """Return the hash of the first so many deposits over there."""
        if not count:
            return 0
        (newest,) = await self._read(count - 1, 1, money)
        return newest.chain_hash

    async def _read(self, first: int, count: int, money: Money) -> Sequence[SentDeposit]:
        """Read up to so many deposits, of those that are counted, each of which has to be there."""
        counted = min(count, money.deposits - first)
        page = await self._around.settlement.deposits(first, counted)
        if len(page) != counted:
            raise _late(f"it counts {money.deposits} deposits and has {first + len(page)}")
        return page

    async def _add(self, facts: Sequence[InboxFact]) -> None:
        await self._record(facts)
        self._facts.note_live(facts)
        self._around.writer().queue.wake()

    async def _retract(self, parting: int) -> None:
        """Retract every live fact from a nonce on, newest first."""
        count = self._facts.count
        while self._facts.count > parting:
            first = max(parting, self._facts.count - DEPOSITS_PAGE_MAX)
            live = self._facts.live(first, self._facts.count - first)
            gone = [msgspec.structs.replace(each, retracted=True) for each in reversed(live)]
            await self._record(gone)
            self._facts.note_retracted(gone)
        self._say_gone(parting, count)

    def _say_gone(self, parting: int, count: int) -> None:
        writer = self._around.writer()
        deposits = writer.state.deposits
        unmade = [each for each in self._facts.unmade(deposits) if parting <= each < count]
        words = f"deposits: {parting} to {count - 1} are not on the settlement chain any more"
        self._around.say(f"{words}; {len(unmade)} of them were credited")
        if unmade:
            view = self._around.views.view
            halt = unmade_halt(unmade, deposits, view, writer.pending())
            # A node that loses them again and again adds none to the halt that stands.
            if halt not in writer.gate.halts:
                self._around.halt(halt)

    async def _record(self, facts: Sequence[InboxFact]) -> None:
        around = self._around
        await around.views.change(around.worker, partial(around.store.record_inbox, facts))

    def _chain_id(self) -> Felt:
        return self._around.writer().state.system.chain_id

    def _fail(self, error: SettlementError) -> None:
        self._suspected, self.problem = None, str(error)
        if not self._failures:
            self._around.say(f"deposits: {self.problem}; asked again until it goes on")
        self._failures += 1

    def _give_up(self, halt: Halt) -> None:
        self._ends, self.problem = True, str(halt)
        self._around.halt(halt)


def _late(words: str) -> SettlementError:
    return SettlementError(SettlementProblem.UNREACHABLE, f"its answers do not agree: {words}")


def _checked(
    page: Sequence[SentDeposit], first: int, chain_hash: Felt, contract: Felt, chain_id: Felt
) -> list[InboxFact]:
    """Make facts of the deposits from a nonce on; `chain_hash` is that of all below it.

    Errors: SettlementDiffers where one is not what it says.
    """
    facts = []
    for nonce, sent in enumerate(page, first):
        is_sound = 0 < sent.account <= ADDRESS_MAX and 0 < sent.amount <= DEPOSIT_MAX
        if not is_sound or sent.nonce != nonce:
            raise SettlementDiffers(f"deposit {nonce} is none: {sent}")
        message = deposit_message(EXCHANGE_ADDRESS, contract, nonce, sent.account, sent.amount)
        hash_ = transaction_hash(message, chain_id)
        chain_hash = next_chain_hash(chain_hash, hash_)
        if (hash_, chain_hash) != (sent.message_hash, sent.chain_hash):
            words = f"deposit {nonce} has the hash {sent.message_hash:#x} there, {hash_:#x} here"
            raise SettlementDiffers(f"{words}, up to it {sent.chain_hash:#x}, {chain_hash:#x}")
        payload = payload_of(Content(contract, sent.account, sent.amount))
        facts.append(InboxFact(nonce, as_bytes(hash_), as_bytes(chain_hash), payload))
    return facts
