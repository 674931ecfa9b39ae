"""What a settler says of itself and of the settlement chain."""

import msgspec

from sequencer.model.settlement import TimedPost
from sequencer.starknet.felt import Felt


class SettlerStatus(msgspec.Struct, frozen=True):
    """The settlement chain as it was last seen; heights are -1 as long as it never was.

    `problem` is what went wrong last, "" since it went well. `posts` counts this process's;
    `reverted_height` is the block that it last took the contract back to, -1 for none.
    `is_idle`: the contract stands at the head, and nothing else is to be done. `final_next` is the
    oldest post that is not final, as of the last look, and becomes so `finality_delay` seconds
    after it came, by the settlement chain's clock; None where all is final, or nobody has looked.
    """

    backend: str
    settled_height: int
    settled_root: Felt
    finalized_height: int
    epoch: int
    hold: Felt
    hold_until: int
    lag_blocks: int
    problem: str
    posts: int
    reverted_height: int
    is_idle: bool
    final_next: TimedPost | None = None
    finality_delay: int = 0
