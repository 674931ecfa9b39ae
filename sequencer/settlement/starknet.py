"""The settlement contract on a Starknet chain, as the engine's port takes it.

Promises
- `standing` is one view of the contract at one block: all of one moment.
- A call returns once its transaction is accepted and has succeeded; views see it from then on.

Laws
- Nothing is estimated: a call that the contract will refuse is executed and refused there.
"""

from collections.abc import Sequence

from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping
from starknet_py.net.models.transaction import InvokeV3

from sequencer.model.settlement import (
    Post,
    Sent,
    SettlementError,
    SettlementProblem,
    Standing,
    TimedPost,
)
from sequencer.settlement.connection import Connection, Patience, Rejected, StarknetAccess
from sequencer.starknet.names import selector

DEVNET = "starknet-devnet"
STARKNET = "starknet"

# Five times what the dearest call takes, at a hundred times the price of a quiet day; the account
# must hold what the bounds allow, about two STRK.
CALL_BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(1_000, 10**14),
    l2_gas=ResourceBounds(20_000_000, 10**11),
    l1_data_gas=ResourceBounds(10_000, 10**13),
)

_CONTRACT_NOT_FOUND = 20
_ENTRY_POINT_NOT_FOUND = 21
_CONTRACT_ERROR = 40
_NOT_OURS = frozenset({_CONTRACT_NOT_FOUND, _ENTRY_POINT_NOT_FOUND, _CONTRACT_ERROR})

_POST_FELTS = 4
_STANDING_FELTS = 2 * _POST_FELTS + 5
_SOME, _NONE = 0, 1


class StarknetSettlement:
    """One contract, called by one account. It connects at the first question.

    `backend` is that of a devnet once a devnet has answered. Refusal on construction:
    PRIVATE_KEY_OUT_OF_RANGE.
    """

    cairo_executed = True

    def __init__(
        self,
        access: StarknetAccess,
        contract_address: int,
        patience: Patience | None = None,
    ) -> None:
        self._contract = contract_address
        self._connection = Connection(access, patience)

    @property
    def backend(self) -> str:
        """What carries the contract, by name."""
        return DEVNET if self._connection.is_devnet else STARKNET

    async def standing(self) -> Standing:
        """Read the contract, everything at one moment."""
        felts = await self._view("get_standing")
        if len(felts) != _STANDING_FELTS:
            raise self._absent(f"get_standing answers {len(felts)} felts")
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

    async def update_state(self, epoch: int, previous: Post, new: Post) -> Sent:
        """Post a block on top of the newest one."""
        return await self._invoke(
            "update_state",
            epoch,
            previous.height,
            previous.state_root,
            new.height,
            new.state_root,
            new.block_hash,
        )

    async def revert_state_to(self, epoch: int, post: Post, reason_hash: int) -> Sent:
        """Take back every post above a live one, raise the epoch, release a hold."""
        arguments = (epoch, post.height, post.state_root, reason_hash)
        return await self._invoke("revert_state_to", *arguments)

    async def finalize(self, height: int) -> Sent:
        """Make a post and all below it final."""
        return await self._invoke("finalize", height)

    async def hold(self, plan_hash: int) -> Sent:
        """Stop finality."""
        return await self._invoke("hold", plan_hash)

    async def release(self) -> Sent:
        """Let finality go on."""
        return await self._invoke("release")

    async def advance_time(self, seconds: int) -> None:
        """Let a devnet's time pass. REFUSED as NOT_A_DEVNET elsewhere."""
        await self._connection.advance_time(seconds)

    async def close(self) -> None:
        """Let go of the connection. Can be repeated."""
        await self._connection.close()

    async def _find(self, view: str, height: int) -> TimedPost | None:
        match await self._view(view, height):
            case [found, *felts] if found == _SOME and len(felts) == _POST_FELTS:
                return _timed_post(felts)
            case [found] if found == _NONE:
                return None
            case felts:
                raise self._absent(f"{view} answers {len(felts)} felts")

    async def _view(self, name: str, *arguments: int) -> list[int]:
        call = Call(self._contract, selector(name), list(arguments))
        try:
            return await self._connection.read(
                lambda client: client.call_contract(call, block_number="latest")
            )
        except Rejected as rejected:
            raise self._no_view(rejected) from None

    async def _invoke(self, name: str, *arguments: int) -> Sent:
        await self._require_contract()
        call = Call(self._contract, selector(name), list(arguments))

        async def sign(account: Account, nonce: int) -> InvokeV3:
            return await account.sign_invoke_v3(call, nonce=nonce, resource_bounds=CALL_BOUNDS)

        receipt = await self._connection.transact(sign)
        return Sent(receipt.transaction_hash, receipt.execution_resources.l2_gas)

    async def _require_contract(self) -> None:
        """Look before sending: a call to nobody costs a fee, and its refusal has no code."""
        try:
            await self._connection.read(
                lambda client: client.get_class_hash_at(self._contract, block_number="latest")
            )
        except Rejected as rejected:
            raise self._no_view(rejected) from None

    def _no_view(self, rejected: Rejected) -> SettlementError:
        if rejected.code in _NOT_OURS:
            return self._absent(str(rejected))
        return SettlementError(SettlementProblem.UNREACHABLE, str(rejected))

    def _absent(self, words: str) -> SettlementError:
        detail = f"{self._contract:#x}: {words}"
        return SettlementError(SettlementProblem.CONTRACT_ABSENT, detail)


def _timed_post(felts: Sequence[int]) -> TimedPost:
    height, state_root, block_hash, posted_at = felts[:_POST_FELTS]
    return TimedPost(Post(height, state_root, block_hash), posted_at)
