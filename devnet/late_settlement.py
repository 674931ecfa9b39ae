"""A settlement chain that is still starting while the appchain runs already.

Promises
- Whoever asks waits until the contract is there, or fails once it is known that it never will be.
- The first look alone need not wait, where the contract is to be a new one: it will stand at block
  0 with nothing posted, so that is what is answered.
"""

import asyncio
from collections.abc import Callable, Sequence

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
from sequencer.ports import Settlement


class LateSettlement:
    """The port of a settlement chain that comes later.

    `first` returns what a new contract will stand at, None where it is not known to be a new one.
    """

    def __init__(self, name: str, first: Callable[[], Standing | None]) -> None:
        self._name = name
        self._first = first
        self._there = asyncio.Event()
        self._chain: Settlement | None = None
        self._problem = ""

    def arrive(self, chain: Settlement | None, problem: str) -> None:
        """Hand over the chain that has come up; None where none will, because of a problem."""
        self._chain, self._problem = chain, problem
        self._there.set()

    @property
    def backend(self) -> str:
        """Name what carries the contract."""
        return self._name if self._chain is None else self._chain.backend

    @property
    def cairo_executed(self) -> bool:
        """Say whether a call runs the contract itself; not known before it is there."""
        return self._chain is not None and self._chain.cairo_executed

    @property
    def contract(self) -> int:
        """The contract's address; 0 before it is there."""
        return 0 if self._chain is None else self._chain.contract

    async def standing(self) -> Standing:
        """Read the contract, or say what it is going to be."""
        first = None if self._there.is_set() else self._first()
        return await (await self._arrived()).standing() if first is None else first

    async def newest_post(self, height: int) -> Post | None:
        """As the port says."""
        return await (await self._arrived()).newest_post(height)

    async def oldest_post_above(self, height: int) -> TimedPost | None:
        """As the port says."""
        return await (await self._arrived()).oldest_post_above(height)

    async def money(self) -> Money:
        """As the port says."""
        return await (await self._arrived()).money()

    async def deposits(self, first: int, count: int) -> Sequence[SentDeposit]:
        """As the port says."""
        return await (await self._arrived()).deposits(first, count)

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        """As the port says."""
        return await (await self._arrived()).update_state(epoch, previous, new)

    async def revert_state_to(self, epoch: int, post: Post, reason_hash: int) -> Sent:
        """As the port says."""
        return await (await self._arrived()).revert_state_to(epoch, post, reason_hash)

    async def finalize(self, height: int) -> Sent:
        """As the port says."""
        return await (await self._arrived()).finalize(height)

    async def hold(self, plan_hash: int) -> Sent:
        """As the port says."""
        return await (await self._arrived()).hold(plan_hash)

    async def release(self) -> Sent:
        """As the port says."""
        return await (await self._arrived()).release()

    async def close(self) -> None:
        """Let go of the connection, if there is one."""
        if self._chain is not None:
            await self._chain.close()

    async def _arrived(self) -> Settlement:
        await self._there.wait()
        if self._chain is None:
            raise SettlementError(SettlementProblem.UNREACHABLE, self._problem)
        return self._chain


def standing_at(first: Post) -> Standing:
    """Return what a contract says that was deployed just now, with the appchain's block 0.

    At its second 0, so nothing can be due yet.
    """
    return Standing(0, first, first, 0, 0, 0, 0)
