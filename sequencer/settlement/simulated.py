"""A settlement chain that is none: the contract's rules in memory or in a file, with faults.

Promises
- It says what it is: `backend` is "simulated", and no Cairo is executed.
- A call in a file is there, or not at all, whenever a process is killed. Several processes may
  share the file; each call and each question finds it as the last one left it.
- Everything that was ever carried out stays in the log, also what a reorg took back.

Laws
- The state is always that of the genesis after the live calls, one by one.
"""

import asyncio
import fcntl
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec.structs import replace

from sequencer.model.bridge_limits import DEPOSITS_PAGE_MAX
from sequencer.model.settlement import (
    Money,
    Post,
    Sent,
    SentDeposit,
    SettlementError,
    SettlementProblem,
    Standing,
    TimedPost,
)
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import Clock
from sequencer.settlement.contract_rules import (
    ContractCall,
    ContractState,
    Deposit,
    Finalize,
    HoldFinality,
    ReleaseFinality,
    RevertState,
    UpdateState,
    carried_out,
)

SIMULATED = "simulated"

_HASH_BYTES = 31


class CarriedOut(msgspec.Struct, frozen=True):
    """A call that the contract accepted: who made it and when, in seconds of that chain."""

    call: ContractCall
    caller: int
    at: int


class Ledger(msgspec.Struct, frozen=True):
    """What is kept: `live` holds the places in `log` of the calls that no reorg has taken back.

    `offset` is what the chain's time is ahead of the clock, in seconds.
    """

    genesis: ContractState
    state: ContractState
    log: tuple[CarriedOut, ...] = ()
    live: tuple[int, ...] = ()
    offset: int = 0

    def with_call(self, done: CarriedOut) -> "Ledger":
        """Return the ledger after one more call; REFUSED by the rules."""
        state = carried_out(self.state, done.call, done.caller, done.at)
        live = (*self.live, len(self.log))
        return replace(self, state=state, log=(*self.log, done), live=live)

    def without_last(self, count: int) -> "Ledger":
        """Return the ledger without the effect of the last live calls."""
        live = self.live[: max(len(self.live) - count, 0)]
        state = self.genesis
        for done in (self.log[place] for place in live):
            state = carried_out(state, done.call, done.caller, done.at)
        return replace(self, state=state, live=live)


class Faults(msgspec.Struct):
    """What goes wrong from now on; the counts are used up, call by call.

    `late_ms_max` above 0 makes each answer late by 1 to so many milliseconds. Of the counts,
    `receipts_lost` carries a call out and doesn't say so, `calls_lost` doesn't even, and `doubled`
    carries it out and tries to do so again.
    """

    unreachable: bool = False
    absent: bool = False
    late_ms_max: int = 0
    receipts_lost: int = 0
    calls_lost: int = 0
    doubled: int = 0


class SimulatedChain:
    """The chain that several callers share. `file` None keeps it in memory.

    A file that is there already is taken as it is, and `genesis` goes unused.
    """

    def __init__(self, genesis: ContractState, clock: Clock, file: Path | None = None) -> None:
        self._clock = clock
        self._file = file
        self._ledger = Ledger(genesis, genesis)

    @property
    def ledger(self) -> Ledger:
        """All that has happened."""
        with self._opened() as ledger:
            return ledger

    def now(self) -> int:
        """Return the time over there, in seconds."""
        return self._now(self.ledger)

    def carry_out(self, call: ContractCall, caller: int) -> int:
        """Carry a call out and return its place in the log; REFUSED by the rules."""
        with self._opened() as ledger:
            self._keep(ledger.with_call(CarriedOut(call, caller, self._now(ledger))))
            return len(ledger.log)

    def advance_time(self, seconds: int) -> None:
        """Let time pass over there."""
        with self._opened() as ledger:
            self._keep(replace(ledger, offset=ledger.offset + seconds))

    def reorg(self, count: int) -> None:
        """Take the last calls back, as a reorg of the settlement chain would."""
        with self._opened() as ledger:
            self._keep(ledger.without_last(count))

    def _now(self, ledger: Ledger) -> int:
        return self._clock.now_ms() // MS_PER_SECOND + ledger.offset

    @contextmanager
    def _opened(self) -> Iterator[Ledger]:
        """Give the ledger as it is now; nobody else changes it meanwhile."""
        if self._file is None:
            yield self._ledger
            return
        with self._file.with_suffix(".lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._file.exists():
                self._ledger = msgspec.json.decode(self._file.read_bytes(), type=Ledger)
            yield self._ledger

    def _keep(self, ledger: Ledger) -> None:
        if self._file is not None:
            _replace_durably(self._file, msgspec.json.encode(ledger))
        self._ledger = ledger


class SimulatedSettlement:
    """One caller's way to a simulated chain. `sleep` takes seconds; `seed` decides what is late."""

    backend = SIMULATED
    cairo_executed = False

    def __init__(
        self,
        chain: SimulatedChain,
        caller: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        seed: int = 0,
    ) -> None:
        self.chain = chain
        self.faults = Faults()
        self._caller = caller
        self._sleep = sleep
        self._random = random.Random(seed)

    @property
    def contract(self) -> int:
        """The contract's own address."""
        return self.chain.ledger.state.contract

    async def standing(self) -> Standing:
        """Read the contract, everything at one moment."""
        await self._reach()
        return self.chain.ledger.state.standing(self.chain.now())

    async def newest_post(self, height: int) -> Post | None:
        """Return the newest live post at or below a height, None where there is none."""
        found = [timed.post for timed in await self._posts() if timed.post.height <= height]
        return found[-1] if found else None

    async def oldest_post_above(self, height: int) -> TimedPost | None:
        """Return the oldest live post above a height, None where there is none."""
        found = [timed for timed in await self._posts() if timed.post.height > height]
        return found[0] if found else None

    async def money(self) -> Money:
        """Read the contract's counters, everything at one moment."""
        await self._reach()
        return self.chain.ledger.state.money()

    async def deposits(self, first: int, count: int) -> tuple[SentDeposit, ...]:
        """Return up to so many deposits from a nonce on, fewer where there are no more."""
        await self._reach()
        made = self.chain.ledger.state.deposits
        return made[first : first + min(count, DEPOSITS_PAGE_MAX)]

    async def deposit(self, account: int, amount: int) -> Sent:
        """Send money to an account of the appchain; `amount` in 1e-6 of the token."""
        return await self._send(Deposit(account, amount))

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        """Post a block on top of the newest one."""
        return await self._send(UpdateState(epoch, previous, new))

    async def revert_state_to(self, epoch: int, post: Post, reason_hash: int) -> Sent:
        """Take back every post above a live one, raise the epoch, release a hold.

        The owner's hold stays where an operator reverts.
        """
        return await self._send(RevertState(epoch, post, reason_hash))

    async def finalize(self, height: int) -> Sent:
        """Make a post and all below it final."""
        return await self._send(Finalize(height))

    async def hold(self, plan_hash: int) -> Sent:
        """Stop finality."""
        return await self._send(HoldFinality(plan_hash))

    async def release(self) -> Sent:
        """Let finality go on."""
        return await self._send(ReleaseFinality())

    async def advance_time(self, seconds: int) -> None:
        """Let the chain's time pass."""
        await self._reach()
        self.chain.advance_time(seconds)

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def _posts(self) -> tuple[TimedPost, ...]:
        await self._reach()
        return self.chain.ledger.state.posts

    async def _send(self, call: ContractCall) -> Sent:
        await self._reach()
        if self._uses_up("calls_lost"):
            raise _unknown("the call was lost on its way")
        number = self.chain.carry_out(call, self._caller)
        if self._uses_up("doubled"):
            with suppress(SettlementError):
                self.chain.carry_out(call, self._caller)
        if self._uses_up("receipts_lost"):
            raise _unknown("no receipt came")
        return Sent(_transaction_hash(number), l2_gas=0)

    async def _reach(self) -> None:
        """Take the time that it takes to get there, if one gets there."""
        if self.faults.late_ms_max > 0:
            late_ms = self._random.randint(1, self.faults.late_ms_max)
            await self._sleep(late_ms / MS_PER_SECOND)
        if self.faults.unreachable:
            raise SettlementError(SettlementProblem.UNREACHABLE, "made unreachable")
        if self.faults.absent:
            raise SettlementError(SettlementProblem.CONTRACT_ABSENT, "made absent")

    def _uses_up(self, fault: str) -> bool:
        left: int = getattr(self.faults, fault)
        setattr(self.faults, fault, max(left - 1, 0))
        return left > 0


def _unknown(words: str) -> SettlementError:
    return SettlementError(SettlementProblem.OUTCOME_UNKNOWN, words)


def _transaction_hash(number: int) -> int:
    return int.from_bytes(sha256(b"simulated %d" % number).digest()[:_HASH_BYTES], "big")


def _replace_durably(path: Path, content: bytes) -> None:
    """Put a file in another's place: after a crash it is the old one or the new one, whole."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
