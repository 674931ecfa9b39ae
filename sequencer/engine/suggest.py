"""Where it went wrong: the first block that does not stand up to being executed again.

Promises
- The state that the search begins with is proven against its header first.
- Every block is executed again with every signature and law, and compared with what is stored. The
  first that differs is named with what differs; so is the first in which something passed only
  because a guard was off, or a drill did harm.
"""

from collections.abc import Iterator

import msgspec

from sequencer.chain.block import Block, verify_block
from sequencer.chain.exchange_contract import read_event
from sequencer.chain.executor import Environment
from sequencer.engine.lookup import find_block, prove_rows, read_block, rows_at
from sequencer.engine.plan import resolve_live
from sequencer.exchange.state import State
from sequencer.model.events import FaultDone, GuardViolated
from sequencer.model.laws import LawBroken
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Refused
from sequencer.ports import ChainView, StoreFailed
from sequencer.starknet.felt_hash import verify


class Suggestion(msgspec.Struct, frozen=True):
    """What was found. `bad_height` is 0 where every block up to the head stands.

    `good_height` is the last block below, `checkpoint` the label of the newest checkpoint at or
    below it, "" for none.
    """

    since_height: int
    bad_height: int
    what: str
    good_height: int
    checkpoint: str
    checkpoint_height: int


def suggest(view: ChainView, since: str) -> Suggestion:
    """Search from the state after a block on.

    Refusals: BLOCK_UNKNOWN, TARGET_ORPHANED; TARGET_ROOT_DIFFERS for a start that is not what its
    header says.
    """
    start = resolve_live(view, since)
    bad, what = next(_findings(view, start), (0, ""))
    good = bad - 1 if bad else view.head.height
    checkpoint = next(
        (
            each
            for each in reversed(view.checkpoints())
            if each.height <= good and view.undone_by(each.sequence) == 0
        ),
        None,
    )
    return Suggestion(
        since_height=start.height,
        bad_height=bad,
        what=what,
        good_height=good,
        checkpoint="" if checkpoint is None else checkpoint.label,
        checkpoint_height=0 if checkpoint is None else checkpoint.height,
    )


def _findings(view: ChainView, start: BlockRecord) -> Iterator[tuple[int, str]]:
    rows = rows_at(view, start)
    tries = prove_rows(start, rows)
    state, parent = State.rebuilt(rows), read_block(view, start)
    environment = Environment(state.system.chain_id, verify)
    for number in range(start.height + 1, view.head.height + 1):
        try:
            block = read_block(view, find_block(view, str(number)))
            verify_block(state, tries, parent, block, environment)
        except Refused as refused:
            yield number, refused.detail
            return
        except (LawBroken, StoreFailed) as broken:
            yield number, str(broken)
            return
        yield from ((number, words) for words in _harm(block))
        parent = block


def _harm(block: Block) -> Iterator[str]:
    """Yield what a guard would have stopped, and what a drill did."""
    for receipt in block.receipts:
        for event in receipt.events:
            match read_event(event):
                case GuardViolated(guard=guard, detail=detail):
                    yield f"guard {guard.value} was off: {detail}"
                case FaultDone(kind=kind, market=market):
                    yield f"fault {kind} {market}".rstrip()
