"""The settlement contract's first part: posts, reverts, finality, holds and roles.

Laws
- The order of the checks is the contract's own: the first that fails names the refusal.
- The live posts are those up to `head`, rising; what a revert left above it is dead, and what
  `place_of` says counts only if the post there is live and has the number.
"""

from contracts.cairo_types import U64, Address
from contracts.entry_points import emit, named
from contracts.settlement_events import (
    FinalityDelayRaised,
    LogHold,
    LogRelease,
    LogStateFinalized,
    LogStateReverted,
    LogStateUpdate,
    OperatorRegistered,
    OperatorUnregistered,
    OwnershipTransferred,
    OwnershipTransferStarted,
)
from contracts.settlement_types import (
    CURRENT_HOLD,
    DRILL,
    EPOCH,
    FINALITY_DELAY,
    FINALIZED,
    HEAD,
    OPERATORS,
    OWNER,
    PENDING_OWNER,
    PLACE_OF,
    POSTS,
    BlockStatus,
    Hold,
    Post,
    Standing,
)
from contracts.twin import Frame, Reverted, require
from sequencer.starknet.felt import Felt

FINALITY_DELAY_SECONDS_MIN = 3_600
FINALITY_DELAY_SECONDS_MAX = 2_592_000
HOLD_SECONDS = 86_400


def update_state(
    frame: Frame,
    epoch: U64,
    prev_block_number: U64,
    prev_root: Felt,
    new_block_number: U64,
    new_root: Felt,
    new_block_hash: Felt,
) -> None:
    require(OPERATORS.read(frame, frame.caller), "NOT_OPERATOR")
    _require_epoch(frame, epoch)
    head = HEAD.read(frame)
    stored = POSTS.read(frame, head)
    require(prev_block_number == stored.block_number, "PREV_BLOCK_DIFFERS")
    require(prev_root == stored.state_root, "PREV_ROOT_DIFFERS")
    require(new_block_number > stored.block_number, "BLOCK_NOT_NEWER")
    put_post(frame, head + 1, Post(new_block_number, new_root, new_block_hash, frame.timestamp))


def revert_state_to(
    frame: Frame, epoch: U64, block_number: U64, expected_root: Felt, reason_hash: Felt
) -> None:
    _require_operator_or_owner(frame)
    _require_epoch(frame, epoch)
    final_number = POSTS.read(frame, FINALIZED.read(frame)).block_number
    require(block_number >= final_number, "BELOW_FINALIZED")
    place = require_live_place(frame, block_number)
    require(expected_root == POSTS.read(frame, place).state_root, "ROOT_DIFFERS")
    from_block = POSTS.read(frame, HEAD.read(frame)).block_number
    HEAD.write(frame, place)
    EPOCH.write(frame, epoch + 1)
    emit(frame, LogStateReverted(epoch + 1, from_block, block_number, expected_root, reason_hash))
    if not _is_held_against(frame):
        _end_hold(frame, 0)


def finalize(frame: Frame, block_number: U64) -> None:
    require(not _is_held(frame), "HELD")
    place = require_live_place(frame, block_number)
    require(place > FINALIZED.read(frame), "ALREADY_FINALIZED")
    post = POSTS.read(frame, place)
    age = max(frame.timestamp - post.posted_at, 0)
    require(age >= FINALITY_DELAY.read(frame), "FINALITY_TOO_EARLY")
    FINALIZED.write(frame, place)
    CURRENT_HOLD.write(frame, Hold(0, 0, by_owner=False))
    emit(frame, LogStateFinalized(post.state_root, post.block_number, post.block_hash))


def hold(frame: Frame, plan_hash: Felt) -> None:
    _require_operator_or_owner(frame)
    require(plan_hash != 0, "PLAN_HASH_ZERO")
    last = CURRENT_HOLD.read(frame)
    running = frame.timestamp < last.expires_at
    expires_at = frame.timestamp + HOLD_SECONDS
    by_owner = frame.caller == OWNER.read(frame)
    if not by_owner:
        spent = last.plan_hash != 0
        require(not (spent and running), "HELD")
        require(not spent, "HOLD_LAPSED")
        expires_at = last.expires_at if running else expires_at
    CURRENT_HOLD.write(frame, Hold(plan_hash, expires_at, by_owner))
    emit(frame, LogHold(plan_hash, frame.caller, expires_at))


def release(frame: Frame) -> None:
    _require_operator_or_owner(frame)
    expires_at = CURRENT_HOLD.read(frame).expires_at
    require(_is_held(frame), "NOT_HELD")
    require(not _is_held_against(frame), "HELD_BY_OWNER")
    _end_hold(frame, 0 if frame.caller == OWNER.read(frame) else expires_at)


def raise_finality_delay(frame: Frame, seconds: U64) -> None:
    require_owner(frame)
    from_seconds = FINALITY_DELAY.read(frame)
    require(seconds > from_seconds, "DELAY_NOT_RAISED")
    require(seconds <= FINALITY_DELAY_SECONDS_MAX, "DELAY_TOO_LONG")
    FINALITY_DELAY.write(frame, seconds)
    emit(frame, FinalityDelayRaised(from_seconds, seconds))


def register_operator(frame: Frame, address: Address) -> None:
    require_owner(frame)
    require(address != 0, "ADDRESS_ZERO")
    add_operator(frame, address)


def unregister_operator(frame: Frame, address: Address) -> None:
    require_owner(frame)
    require(OPERATORS.read(frame, address), "OPERATOR_UNKNOWN")
    OPERATORS.write(frame, (address,), False)
    emit(frame, OperatorUnregistered(address))


def transfer_ownership(frame: Frame, new_owner: Address) -> None:
    require_owner(frame)
    PENDING_OWNER.write(frame, new_owner)
    emit(frame, OwnershipTransferStarted(OWNER.read(frame), new_owner))


def accept_ownership(frame: Frame) -> None:
    caller = frame.caller
    require(caller != 0, "NOT_PENDING_OWNER")
    require(caller == PENDING_OWNER.read(frame), "NOT_PENDING_OWNER")
    require(not OPERATORS.read(frame, caller), "OWNER_NEVER_POSTS")
    emit(frame, OwnershipTransferred(OWNER.read(frame), caller))
    PENDING_OWNER.write(frame, 0)
    OWNER.write(frame, caller)


def get_state(frame: Frame) -> tuple[Felt, Felt, Felt]:
    return _summary(frame, HEAD.read(frame))


def finalized_state(frame: Frame) -> tuple[Felt, Felt, Felt]:
    return _summary(frame, FINALIZED.read(frame))


def state_at(frame: Frame, block_number: U64) -> tuple[Felt, Felt, U64, BlockStatus]:
    place = _live_place(frame, block_number)
    if place is None:
        return 0, 0, 0, BlockStatus.NOT_POSTED
    post = POSTS.read(frame, place)
    final = place <= FINALIZED.read(frame)
    status = BlockStatus.FINALIZED if final else BlockStatus.LIVE
    return post.state_root, post.block_hash, post.posted_at, status


def get_standing(frame: Frame) -> Standing:
    held, held_until = get_hold(frame)
    return Standing(
        epoch=EPOCH.read(frame),
        newest=POSTS.read(frame, HEAD.read(frame)),
        finalized=POSTS.read(frame, FINALIZED.read(frame)),
        hold=held,
        hold_until=held_until,
        finality_delay=FINALITY_DELAY.read(frame),
        time=frame.timestamp,
    )


def newest_post_up_to(frame: Frame, block_number: U64) -> Post | None:
    count = _live_posts_up_to(frame, block_number)
    return None if count == 0 else POSTS.read(frame, count - 1)


def oldest_post_above(frame: Frame, block_number: U64) -> Post | None:
    count = _live_posts_up_to(frame, block_number)
    return None if count > HEAD.read(frame) else POSTS.read(frame, count)


def get_epoch(frame: Frame) -> U64:
    return EPOCH.read(frame)


def get_hold(frame: Frame) -> tuple[Felt, U64]:
    held = CURRENT_HOLD.read(frame)
    return (held.plan_hash, held.expires_at) if _is_held(frame) else (0, 0)


def get_finality_delay(frame: Frame) -> U64:
    return FINALITY_DELAY.read(frame)


def is_drill(frame: Frame) -> bool:
    return DRILL.read(frame)


def is_operator(frame: Frame, address: Address) -> bool:
    return OPERATORS.read(frame, address)


def owner(frame: Frame) -> Address:
    return OWNER.read(frame)


def pending_owner(frame: Frame) -> Address:
    return PENDING_OWNER.read(frame)


ROOTS_FUNCTIONS = named(
    update_state,
    revert_state_to,
    finalize,
    hold,
    release,
    raise_finality_delay,
    register_operator,
    unregister_operator,
    transfer_ownership,
    accept_ownership,
    get_state,
    finalized_state,
    state_at,
    get_standing,
    newest_post_up_to,
    oldest_post_above,
    get_epoch,
    get_hold,
    get_finality_delay,
    is_drill,
    is_operator,
    owner,
    pending_owner,
)
"""The entry points of this part, by name."""


def require_owner(frame: Frame) -> None:
    """Refuse everybody but the owner."""
    require(frame.caller == OWNER.read(frame), "NOT_OWNER")


def require_live_place(frame: Frame, block_number: int) -> int:
    """Return the place of a live post. Refusal: BLOCK_NOT_POSTED."""
    place = _live_place(frame, block_number)
    if place is None:
        raise Reverted("BLOCK_NOT_POSTED")
    return place


def _live_place(frame: Frame, block_number: int) -> int | None:
    place = PLACE_OF.read(frame, block_number)
    live = place <= HEAD.read(frame)
    return place if live and POSTS.read(frame, place).block_number == block_number else None


def put_post(frame: Frame, place: int, post: Post) -> None:
    """Make a post the newest one."""
    POSTS.write(frame, (place,), post)
    PLACE_OF.write(frame, (post.block_number,), place)
    HEAD.write(frame, place)
    epoch = EPOCH.read(frame)
    emit(frame, LogStateUpdate(epoch, post.state_root, post.block_number, post.block_hash))


def add_operator(frame: Frame, address: int) -> None:
    """Let somebody post who doesn't own."""
    require(address != OWNER.read(frame), "OWNER_NEVER_POSTS")
    require(not OPERATORS.read(frame, address), "OPERATOR_KNOWN")
    OPERATORS.write(frame, (address,), True)
    emit(frame, OperatorRegistered(address))


def _require_operator_or_owner(frame: Frame) -> None:
    known = frame.caller == OWNER.read(frame) or OPERATORS.read(frame, frame.caller)
    require(known, "NOT_OPERATOR_OR_OWNER")


def _require_epoch(frame: Frame, epoch: int) -> None:
    require(epoch == EPOCH.read(frame), "EPOCH_DIFFERS")


def _is_held(frame: Frame) -> bool:
    held = CURRENT_HOLD.read(frame)
    return held.plan_hash != 0 and frame.timestamp < held.expires_at


def _is_held_against(frame: Frame) -> bool:
    """Say whether the owner's hold runs and somebody else is calling."""
    by_owner = CURRENT_HOLD.read(frame).by_owner
    return by_owner and _is_held(frame) and frame.caller != OWNER.read(frame)


def _live_posts_up_to(frame: Frame, block_number: int) -> int:
    low, high = 0, HEAD.read(frame) + 1
    while low < high:
        middle = (low + high) // 2
        if POSTS.read(frame, middle).block_number <= block_number:
            low = middle + 1
        else:
            high = middle
    return low


def _summary(frame: Frame, place: int) -> tuple[int, int, int]:
    post = POSTS.read(frame, place)
    return post.state_root, post.block_number, post.block_hash


def _end_hold(frame: Frame, expires_at: int) -> None:
    held = _is_held(frame)
    plan_hash = CURRENT_HOLD.read(frame).plan_hash
    CURRENT_HOLD.write(frame, Hold(0, expires_at, by_owner=False))
    if held:
        emit(frame, LogRelease(plan_hash, frame.caller))
