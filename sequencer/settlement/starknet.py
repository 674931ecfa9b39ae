"""The settlement contract on a Starknet chain, as the engine's port takes it.

Promises
- `standing` and `money` are one view of the contract at one block each: all of one moment.
- A call returns once its transaction is accepted and has succeeded; views see it from then on.
"""

from collections.abc import Sequence

from sequencer.model.bridge_limits import DEPOSITS_PAGE_MAX
from sequencer.model.settlement import Money, Post, Sent, SentDeposit, Standing, TimedPost
from sequencer.settlement.connection import Connection, Patience, StarknetAccess
from sequencer.settlement.contract import Contract

DEVNET = "starknet-devnet"
EMBEDDED = "embedded"
STARKNET = "starknet"

_POST_FELTS = 4
_STANDING_FELTS = 2 * _POST_FELTS + 5
_MONEY_FELTS = 6
_DEPOSIT_FELTS = 4
_SOME, _NONE = 0, 1


class StarknetSettlement:
    """One contract, called by one account. It connects at the first question.

    `backend` is that of a devnet once a devnet has answered. Refusal on construction:
    PRIVATE_KEY_OUT_OF_RANGE.
    """

    def __init__(
        self,
        access: StarknetAccess,
        contract_address: int,
        patience: Patience | None = None,
    ) -> None:
        self._connection = Connection(access, patience)
        self._contract = Contract(self._connection, contract_address)

    @property
    def contract(self) -> int:
        """The contract's address."""
        return self._contract.address

    @property
    def backend(self) -> str:
        """What carries the contract, by name."""
        if self._connection.is_embedded:
            return EMBEDDED
        return DEVNET if self._connection.is_devnet else STARKNET

    @property
    def cairo_executed(self) -> bool:
        """Whether a call runs the contract itself; not known before the chain has answered."""
        return self._connection.is_known and not self._connection.is_embedded

    async def standing(self) -> Standing:
        """Read the contract, everything at one moment."""
        felts = await self._contract.view_of(_STANDING_FELTS, "get_standing")
        epoch, hold, hold_until, finality_delay, time = felts[0], *felts[2 * _POST_FELTS + 1 :]
        return Standing(
            epoch=epoch,
            newest=_timed_post(felts[1:]).post,
            finalized=_timed_post(felts[1 + _POST_FELTS :]).post,
            hold=hold,
            hold_until=hold_until,
            finality_delay=finality_delay,
            time=time,
        )

    async def newest_post(self, height: int) -> Post | None:
        """Return the newest live post at or below a height, None where there is none."""
        found = await self._find("newest_post_up_to", height)
        return None if found is None else found.post

    async def oldest_post_above(self, height: int) -> TimedPost | None:
        """Return the oldest live post above a height, None where there is none."""
        return await self._find("oldest_post_above", height)

    async def money(self) -> Money:
        """Read the contract's counters, everything at one moment."""
        felts = await self._contract.view_of(_MONEY_FELTS, "get_money")
        deposits, chain_hash, deposited, paid, paused, paused_until = felts
        return Money(deposits, chain_hash, deposited, paid, paused != 0, paused_until)

    async def deposits(self, first: int, count: int) -> Sequence[SentDeposit]:
        """Return up to so many deposits from a nonce on, fewer where there are no more."""
        found: list[SentDeposit] = []
        while len(found) < count:
            wanted = min(count - len(found), DEPOSITS_PAGE_MAX)
            page = await self._page(first + len(found), wanted)
            found += page
            if len(page) < wanted:
                break
        return found

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        """Post a block on top of the newest one."""
        return await self._contract.invoke(
            "update_state",
            epoch,
            previous.height,
            previous.state_root,
            new.height,
            new.state_root,
            new.block_hash,
        )

    async def revert_state_to(self, epoch: int, post: Post, reason_hash: int) -> Sent:
        """Take back every post above a live one, raise the epoch, end a hold of ours."""
        arguments = (epoch, post.height, post.state_root, reason_hash)
        return await self._contract.invoke("revert_state_to", *arguments)

    async def finalize(self, height: int) -> Sent:
        """Make a post and all below it final."""
        return await self._contract.invoke("finalize", height)

    async def hold(self, plan_hash: int) -> Sent:
        """Stop finality."""
        return await self._contract.invoke("hold", plan_hash)

    async def release(self) -> Sent:
        """Let finality go on."""
        return await self._contract.invoke("release")

    async def advance_time(self, seconds: int) -> None:
        """Let a devnet's time pass. REFUSED as NOT_A_DEVNET elsewhere."""
        await self._connection.advance_time(seconds)

    async def close(self) -> None:
        """Let go of the connection. Can be repeated."""
        await self._connection.close()

    async def _page(self, first: int, count: int) -> list[SentDeposit]:
        length, *felts = await self._contract.view("get_deposits", first, count) or [-1]
        if length > count or len(felts) != length * _DEPOSIT_FELTS:
            raise self._contract.absent(f"get_deposits answers {len(felts)} felts")
        places = range(0, len(felts), _DEPOSIT_FELTS)
        return [
            SentDeposit(first + number, *felts[place : place + _DEPOSIT_FELTS])
            for number, place in enumerate(places)
        ]

    async def _find(self, view: str, height: int) -> TimedPost | None:
        match await self._contract.view(view, height):
            case [found, *felts] if found == _SOME and len(felts) == _POST_FELTS:
                return _timed_post(felts)
            case [found] if found == _NONE:
                return None
            case felts:
                raise self._contract.absent(f"{view} answers {len(felts)} felts")


def _timed_post(felts: Sequence[int]) -> TimedPost:
    height, state_root, block_hash, posted_at = felts[:_POST_FELTS]
    return TimedPost(Post(height, state_root, block_hash), posted_at)
