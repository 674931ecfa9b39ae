"""What a checkpoint of the operator may be called, and whose place it may take."""

from sequencer.engine.recovery import NODE, NODE_STOPPED
from sequencer.engine.rollback import require_plain
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
