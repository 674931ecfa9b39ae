"""Where it went wrong: the first block that does not stand up to being executed again.

Promises
- The state that the search begins with is proven against its header first.
- Every block is executed again with every signature and law, and compared with what is stored. The
  first that differs is named with what differs; so is the first in which something passed only
  because a guard was off, or a drill did harm.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from sequencer.chain.block import Block, verify_block
from sequencer.chain.exchange_contract import read_event
from sequencer.chain.executor import Environment
from sequencer.chain.native import SignatureCheck
from sequencer.engine.lookup import find_block, prove_rows, read_block, rows_at
from sequencer.engine.plan import resolve_named
from sequencer.exchange.state import State, Table
from sequencer.model.events import FaultDone, GuardViolated
from sequencer.model.laws import LawBroken
from sequencer.model.records import BlockRecord
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import ChainView, StoreFailed
from sequencer.starknet.felt import Felt
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


class _Ended(Exception):
    """Nobody waits for what is searched."""


def suggest(view: ChainView, since: str, goes_on: Callable[[], bool] = lambda: True) -> Suggestion:
    """Search from the state after a block on, as long as it goes on: asked at every row and hash.

    `since` is a height, a hash, `latest` or a checkpoint's label. Refusals: BLOCK_UNKNOWN,
    TARGET_ORPHANED; TARGET_ROOT_DIFFERS for a start that is not what its header says;
    SHUTTING_DOWN where it does not go on.
    """

    def pause() -> None:
        if not goes_on():
            raise _Ended

    start = resolve_named(view, since)
    try:
        bad, what = next(_findings(view, start, pause), (0, ""))
    except _Ended:
        words = f"the search from block {start.height} on was ended"
        raise Refused(Reason.SHUTTING_DOWN, words) from None
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


class Rerun:
    """The state after a block, on which those above it are executed again, one after the other.

    Making one proves the state: TARGET_ROOT_DIFFERS for rows that are not what the header says.
    `pause` is called at every row, hash and signature. After a difference it is of no more use.
    """

    def __init__(
        self,
        start: BlockRecord,
        parent: Block,
        rows: Mapping[Table, Mapping[Any, Any]],
        pause: Callable[[], None] | None = None,
    ) -> None:
        self.block = parent
        self._tries = prove_rows(start, rows, pause)
        self._state = State.rebuilt(rows)
        self._environment = Environment(self._state.system.chain_id, _pausing(pause))

    def difference(self, view: ChainView) -> str:
        """Execute the next block again, every signature and law; say what differs, "" for none."""
        number = self.block.header.number + 1
        try:
            stored = read_block(view, find_block(view, str(number)))
            verify_block(self._state, self._tries, self.block, stored, self._environment)
        except Refused as refused:
            return refused.detail
        except (LawBroken, StoreFailed) as broken:
            return str(broken)
        self.block = stored
        return ""


def _pausing(pause: Callable[[], None] | None) -> SignatureCheck:
    if pause is None:
        return verify

    def verify_after_pause(public_key: Felt, message_hash: Felt, r: Felt, s: Felt) -> bool:
        pause()
        return verify(public_key, message_hash, r, s)

    return verify_after_pause


def _findings(
    view: ChainView, start: BlockRecord, pause: Callable[[], None]
) -> Iterator[tuple[int, str]]:
    rerun = Rerun(start, read_block(view, start), rows_at(view, start, pause), pause)
    for number in range(start.height + 1, view.head.height + 1):
        pause()
        if what := rerun.difference(view):
            yield number, what
            return
        yield from ((number, words) for words in harm(rerun.block))


def harm(block: Block) -> Iterator[str]:
    """Yield what a guard would have stopped, and what a drill did."""
    for receipt in block.receipts:
        for event in receipt.events:
            match read_event(event):
                case GuardViolated(guard=guard, detail=detail):
                    yield f"guard {guard.value} was off: {detail}"
                case FaultDone(kind=kind, market=market):
                    yield f"fault {kind} {market}".rstrip()
