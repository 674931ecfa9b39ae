"""Checkpoints of the operator: their names, whose place they take, and the wait for their post."""

import asyncio

from sequencer.engine.desk_commands import require_running
from sequencer.engine.reach import Reach
from sequencer.engine.recovery import NODE, NODE_STOPPED
from sequencer.engine.rollback import require_plain
from sequencer.engine.settler import Settler
from sequencer.model.admin_limits import CHECKPOINT_SETTLED_SECONDS_MAX
from sequencer.model.limits import CHECKPOINT_LABEL_CHARACTERS_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.ports import ChainView

_OWN = (NODE, NODE_STOPPED)


def require_names(label: str, by: str) -> None:
    """Refuse with PARAMETER_INVALID names that are blank, too long, or not one plain line.

    The node's own names are refused, too: its checkpoint says that it stopped as planned.
    """
    for words in (label, by):
        require_plain(words, Reason.PARAMETER_INVALID)
        if not words.strip() or len(words) > CHECKPOINT_LABEL_CHARACTERS_MAX:
            needed = f"a name has 1 to {CHECKPOINT_LABEL_CHARACTERS_MAX} characters, not all blank"
            raise Refused(Reason.PARAMETER_INVALID, f"{needed}: {shown(words)}")
    if by in _OWN:
        raise Refused(Reason.PARAMETER_INVALID, "that is the node's own name: give yours")


def require_free(view: ChainView, sequence: int, label: str) -> None:
    """Refuse with CHECKPOINT_EXISTS to replace somebody's checkpoint by one of another name."""
    for each in view.checkpoints():
        if each.sequence == sequence and each.label != label and each.pinned_by not in _OWN:
            words = f"block {each.height} is {each.label} of {each.pinned_by}: drop or replace it"
            raise Refused(Reason.CHECKPOINT_EXISTS, words)


def require_settler(reach: Reach) -> Settler:
    """Return who posts for a running node. Refusals: NODE_NOT_RUNNING, SETTLEMENT_ABSENT."""
    require_running(reach)
    if reach.settler is None:
        words = "this node posts to no settlement chain"
        raise Refused(Reason.SETTLEMENT_ABSENT, words)
    return reach.settler


async def settle(settler: Settler, height: int, gone: asyncio.Event) -> int:
    """Have a block posted, and wait until the contract stands at it or above, or nobody waits.

    Returns where it stands. Refusal: SETTLEMENT_UNREACHABLE after too long.
    """
    settler.request(height)
    try:
        async with asyncio.timeout(CHECKPOINT_SETTLED_SECONDS_MAX):
            await settler.caught_up(height, lambda: not gone.is_set())
    except TimeoutError:
        words = f"block {height} is not posted after {CHECKPOINT_SETTLED_SECONDS_MAX} s"
        raise Refused(Reason.SETTLEMENT_UNREACHABLE, f"{words}; the checkpoint stands") from None
    return settler.status().settled_height
