"""The settlement contract's rules as values: what each call does, and what it refuses.

Written from docs/settlement.md, and held to the contract itself by the tests that run on both.

Promises
- `carried_out` returns another state or refuses with the contract's code; it changes nothing.
- Only what the engine's port calls is here: owner and operators stay as they were deployed.
"""

from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from sequencer.model.settlement import (
    Post,
    SettlementError,
    SettlementProblem,
    Standing,
    TimedPost,
)

HOLD_SECONDS = 86_400
"""Seconds after which a hold lapses."""


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


ContractCall: TypeAlias = UpdateState | RevertState | Finalize | HoldFinality | ReleaseFinality


class ContractState(msgspec.Struct, frozen=True):
    """All that the contract keeps.

    `posts` are the live ones, rising; those up to the place `final` are final. `plan_hash` is 0
    when nothing is held; `hold_until` then bounds the next hold by an operator.
    """

    owner: int
    operator: int
    finality_delay: int
    posts: tuple[TimedPost, ...]
    final: int = 0
    epoch: int = 0
    plan_hash: int = 0
    hold_until: int = 0

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
            return _revert_state(state, call, caller)
        case Finalize():
            return _finalize(state, call, now)
        case HoldFinality():
            return _hold(state, call, caller, now)
        case ReleaseFinality():
            return _release(state, caller, now)


def _update_state(state: ContractState, call: UpdateState, caller: int, now: int) -> ContractState:
    stored = state.posts[-1].post
    _require(caller == state.operator, "NOT_OPERATOR")
    _require(call.epoch == state.epoch, "EPOCH_DIFFERS")
    _require(call.previous.height == stored.height, "PREV_BLOCK_DIFFERS")
    _require(call.previous.state_root == stored.state_root, "PREV_ROOT_DIFFERS")
    _require(call.new.height > stored.height, "BLOCK_NOT_NEWER")
    return replace(state, posts=(*state.posts, TimedPost(call.new, now)))


def _revert_state(state: ContractState, call: RevertState, caller: int) -> ContractState:
    _require_operator_or_owner(state, caller)
    _require(call.epoch == state.epoch, "EPOCH_DIFFERS")
    final_height = state.posts[state.final].post.height
    _require(call.post.height >= final_height, "BELOW_FINALIZED")
    place = _live_place(state, call.post.height)
    _require(call.post.state_root == state.posts[place].post.state_root, "ROOT_DIFFERS")
    return replace(
        state, posts=state.posts[: place + 1], epoch=state.epoch + 1, plan_hash=0, hold_until=0
    )


def _finalize(state: ContractState, call: Finalize, now: int) -> ContractState:
    _require(not is_held(state, now), "HELD")
    place = _live_place(state, call.height)
    _require(place > state.final, "ALREADY_FINALIZED")
    age = max(now - state.posts[place].posted_at, 0)
    _require(age >= state.finality_delay, "FINALITY_TOO_EARLY")
    return replace(state, final=place, plan_hash=0, hold_until=0)


def _hold(state: ContractState, call: HoldFinality, caller: int, now: int) -> ContractState:
    _require_operator_or_owner(state, caller)
    _require(call.plan_hash != 0, "PLAN_HASH_ZERO")
    until = now + HOLD_SECONDS
    if caller != state.owner:
        _require(not is_held(state, now), "HELD")
        _require(state.plan_hash == 0, "HOLD_LAPSED")
        # What was released early and is taken again ends when the first hold would have.
        until = state.hold_until if now < state.hold_until else until
    return replace(state, plan_hash=call.plan_hash, hold_until=until)


def _release(state: ContractState, caller: int, now: int) -> ContractState:
    _require_operator_or_owner(state, caller)
    _require(is_held(state, now), "NOT_HELD")
    until = 0 if caller == state.owner else state.hold_until
    return replace(state, plan_hash=0, hold_until=until)


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
