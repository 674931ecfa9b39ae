"""The settlement contract's rules as values: what each call does, and what it refuses.

Written from docs/settlement.md, and held to the contract itself by the tests that run on both.

Promises
- `carried_out` returns another state or refuses with the contract's code; it changes nothing.
- Only what the engine's port calls is here, and deposits, which anybody makes: there is no token,
  so they cost nothing. Owner and operators stay as they were deployed.
"""

from functools import lru_cache
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from sequencer.model.bridge_limits import DEPOSIT_MAX, DEPOSITED_MAX, SIMULATED_HASHES_CACHED
from sequencer.model.limits import ADDRESS_MAX
from sequencer.model.settlement import (
    Money,
    Post,
    SentDeposit,
    SettlementError,
    SettlementProblem,
    Standing,
    TimedPost,
)
from sequencer.starknet.deposits import deposit_message, next_chain_hash
from sequencer.starknet.felt import Felt
from sequencer.starknet.transactions import transaction_hash

HOLD_SECONDS = 86_400
"""Seconds after which a hold lapses."""

SIMULATED_CONTRACT = 0x51D
"""The address of a contract that is nowhere, unless its state says another."""


class UpdateState(msgspec.Struct, frozen=True, tag=True):
    """Post a block on top of the newest one."""

    epoch: int
    previous: Post
    new: Post


class RevertState(msgspec.Struct, frozen=True, tag=True):
    """Take back every post above a live one."""

    epoch: int
    post: Post
    reason_hash: int


class Finalize(msgspec.Struct, frozen=True, tag=True):
    """Make a post and all below it final."""

    height: int


class HoldFinality(msgspec.Struct, frozen=True, tag=True):
    """Stop finality."""

    plan_hash: int


class ReleaseFinality(msgspec.Struct, frozen=True, tag=True):
    """Let finality go on."""


class Deposit(msgspec.Struct, frozen=True, tag=True):
    """Send money to an account of the appchain; `amount` in 1e-6 of the token."""

    account: int
    amount: int


ContractCall: TypeAlias = (
    UpdateState | RevertState | Finalize | HoldFinality | ReleaseFinality | Deposit
)


class ContractState(msgspec.Struct, frozen=True):
    """All that the contract keeps.

    `posts` are the live ones, rising; those up to the place `final` are final. `plan_hash` is 0
    when nothing is held; `hold_until` then bounds the next hold by an operator. `held_by_owner`
    says whether the owner made the hold, or renewed it. `contract` is its own address, `exchange`
    and `chain_id` are the appchain's.
    """

    owner: int
    operator: int
    finality_delay: int
    posts: tuple[TimedPost, ...]
    final: int = 0
    epoch: int = 0
    plan_hash: int = 0
    hold_until: int = 0
    held_by_owner: bool = False
    contract: Felt = SIMULATED_CONTRACT
    exchange: Felt = 0
    chain_id: Felt = 0
    deposits: tuple[SentDeposit, ...] = ()
    deposited: int = 0

    def money(self) -> Money:
        """Return the counters; nothing is ever paid here."""
        chain_hash = self.deposits[-1].chain_hash if self.deposits else 0
        return Money(len(self.deposits), chain_hash, self.deposited, 0)

    def standing(self, now: int) -> Standing:
        """Return all of one moment, as the contract's view does."""
        held = is_held(self, now)
        return Standing(
            epoch=self.epoch,
            newest=self.posts[-1].post,
            finalized=self.posts[self.final].post,
            hold=self.plan_hash if held else 0,
            hold_until=self.hold_until if held else 0,
            finality_delay=self.finality_delay,
            time=now,
        )


def is_held(state: ContractState, now: int) -> bool:
    """Whether a hold runs."""
    return state.plan_hash != 0 and now < state.hold_until


def carried_out(state: ContractState, call: ContractCall, caller: int, now: int) -> ContractState:
    """Return the state after a call; REFUSED with the contract's code."""
    match call:
        case UpdateState():
            return _update_state(state, call, caller, now)
        case RevertState():
            return _revert_state(state, call, caller, now)
        case Finalize():
            return _finalize(state, call, now)
        case HoldFinality():
            return _hold(state, call, caller, now)
        case ReleaseFinality():
            return _release(state, caller, now)
        case Deposit():
            return _deposit(state, call)


def _update_state(state: ContractState, call: UpdateState, caller: int, now: int) -> ContractState:
    stored = state.posts[-1].post
    _require(caller == state.operator, "NOT_OPERATOR")
    _require(call.epoch == state.epoch, "EPOCH_DIFFERS")
    _require(call.previous.height == stored.height, "PREV_BLOCK_DIFFERS")
    _require(call.previous.state_root == stored.state_root, "PREV_ROOT_DIFFERS")
    _require(call.new.height > stored.height, "BLOCK_NOT_NEWER")
    return replace(state, posts=(*state.posts, TimedPost(call.new, now)))


def _revert_state(state: ContractState, call: RevertState, caller: int, now: int) -> ContractState:
    _require_operator_or_owner(state, caller)
    _require(call.epoch == state.epoch, "EPOCH_DIFFERS")
    final_height = state.posts[state.final].post.height
    _require(call.post.height >= final_height, "BELOW_FINALIZED")
    place = _live_place(state, call.post.height)
    _require(call.post.state_root == state.posts[place].post.state_root, "ROOT_DIFFERS")
    after = replace(state, posts=state.posts[: place + 1], epoch=state.epoch + 1)
    return after if _is_held_against(state, caller, now) else _unheld(after)


def _finalize(state: ContractState, call: Finalize, now: int) -> ContractState:
    _require(not is_held(state, now), "HELD")
    place = _live_place(state, call.height)
    _require(place > state.final, "ALREADY_FINALIZED")
    age = max(now - state.posts[place].posted_at, 0)
    _require(age >= state.finality_delay, "FINALITY_TOO_EARLY")
    return _unheld(replace(state, final=place))


def _hold(state: ContractState, call: HoldFinality, caller: int, now: int) -> ContractState:
    _require_operator_or_owner(state, caller)
    _require(call.plan_hash != 0, "PLAN_HASH_ZERO")
    until = now + HOLD_SECONDS
    by_owner = caller == state.owner
    if not by_owner:
        _require(not is_held(state, now), "HELD")
        _require(state.plan_hash == 0, "HOLD_LAPSED")
        # What was released early and is taken again ends when the first hold would have.
        until = state.hold_until if now < state.hold_until else until
    return replace(state, plan_hash=call.plan_hash, hold_until=until, held_by_owner=by_owner)


def _release(state: ContractState, caller: int, now: int) -> ContractState:
    _require_operator_or_owner(state, caller)
    _require(is_held(state, now), "NOT_HELD")
    _require(not _is_held_against(state, caller, now), "HELD_BY_OWNER")
    return _unheld(state, 0 if caller == state.owner else state.hold_until)


def _unheld(state: ContractState, hold_until: int = 0) -> ContractState:
    return replace(state, plan_hash=0, hold_until=hold_until, held_by_owner=False)


def _is_held_against(state: ContractState, caller: int, now: int) -> bool:
    """Say whether the owner's hold runs and somebody else is calling."""
    return state.held_by_owner and is_held(state, now) and caller != state.owner


def _deposit(state: ContractState, call: Deposit) -> ContractState:
    _require(0 < call.account <= ADDRESS_MAX, "ACCOUNT_INVALID")
    _require(0 < call.amount <= DEPOSIT_MAX, "AMOUNT_INVALID")
    deposited = state.deposited + call.amount
    _require(deposited <= DEPOSITED_MAX, "DEPOSITS_FULL")
    nonce, before = len(state.deposits), state.money().chain_hash
    content = (state.exchange, state.contract, nonce, call.account, call.amount)
    message_hash, chain_hash = _hashes(*content, state.chain_id, before)
    made = SentDeposit(nonce, call.account, call.amount, message_hash, chain_hash)
    return replace(state, deposits=(*state.deposits, made), deposited=deposited)


@lru_cache(maxsize=SIMULATED_HASHES_CACHED)
def _hashes(
    exchange: Felt,
    contract: Felt,
    nonce: int,
    account: Felt,
    amount: int,
    chain_id: Felt,
    before: Felt,
) -> tuple[Felt, Felt]:
    """Return a deposit's own hash and that of all up to it; after a reorg they are asked again."""
    message = deposit_message(exchange, contract, nonce, account, amount)
    message_hash = transaction_hash(message, chain_id)
    return message_hash, next_chain_hash(before, message_hash)


def _require_operator_or_owner(state: ContractState, caller: int) -> None:
    _require(caller in {state.operator, state.owner}, "NOT_OPERATOR_OR_OWNER")


def _live_place(state: ContractState, height: int) -> int:
    for place in reversed(range(len(state.posts))):
        if state.posts[place].post.height == height:
            return place
    raise _refusal("BLOCK_NOT_POSTED")


def _require(condition: bool, code: str) -> None:
    if not condition:
        raise _refusal(code)


def _refusal(code: str) -> SettlementError:
    return SettlementError(SettlementProblem.REFUSED, code, code)
