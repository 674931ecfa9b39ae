"""What must hold before a store is used: start-up is recovery.

Laws
- A store whose head is older than its witness remembers is refused: data was lost, or somebody put
  an older copy in place. A head beyond its witness is a crash between the two, or an older witness.
- Nothing is repaired here that was not written whole: a commit is one batch.
"""

from itertools import pairwise

from sequencer.model.limits import STORE_HEADERS_CHECKED
from sequencer.model.records import NO_HASH, BlockRecord, Head, Witness
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage import keys
from sequencer.storage.key_value import Readable
from sequencer.storage.rollback import incident_hash
from sequencer.storage.view import View, load_view


def open_view(source: Readable) -> View:
    """Look at a store and check that head, blocks, intervals and incidents fit together.

    Failures: HEAD_MISSING, HEAD_INCONSISTENT, HEADERS_BROKEN, INCIDENTS_BROKEN, FORMAT_UNKNOWN,
    RECORD_VERSION_UNKNOWN, RECORD_CORRUPT.
    """
    if source.get(keys.HEAD.key()) is None:
        _require_empty(source)
    view = load_view(source)
    if view.head.height >= 0:
        view.dead.require_sound(view.head.epoch)
        _require_head(view)
        _require_chain(view)
        _require_incidents(view)
    return view


def require_witness(view: View, witness: Witness | None) -> bool:
    """Compare head and witness; return False where there is a head and nothing to compare with.

    Failures: HEAD_BELOW_WITNESS, WITNESS_DISAGREES.
    """
    head = view.head
    if witness is None:
        return head.height < 0
    if head.epoch < witness.epoch or head.sequence < witness.sequence:
        raise StoreFailed(
            StoreProblem.HEAD_BELOW_WITNESS,
            f"the store ends at epoch {head.epoch} sequence {head.sequence}, but epoch "
            f"{witness.epoch} sequence {witness.sequence} was committed: data is lost or older",
        )
    same = (head.epoch, head.sequence) == (witness.epoch, witness.sequence)
    if (same and head.block_hash != witness.block_hash) or not _is_known(view, witness):
        raise StoreFailed(
            StoreProblem.WITNESS_DISAGREES,
            f"the witness knows block {witness.block_hash.hex()}, the store does not: "
            "they are of two chains",
        )
    return True


def _is_known(view: View, witness: Witness) -> bool:
    return witness.block_hash == NO_HASH or view.block_by_hash(witness.block_hash) is not None


def _require_empty(source: Readable) -> None:
    found = next(source.scan(*keys.EVERYTHING), None)
    if found is not None:
        detail = f"there is key {found[0].hex()} and no head"
        raise StoreFailed(StoreProblem.HEAD_MISSING, detail)


def _require_head(view: View) -> None:
    head = view.head
    block = view.block_at(head.height, head.block_sequence)
    known = block is not None and _agree(head, block)
    if not known or not view.dead.is_live(head.block_sequence) or head.block_sequence < 1:
        raise StoreFailed(
            StoreProblem.HEAD_INCONSISTENT, f"the head names block {head.height}, which differs"
        )


def _agree(head: Head, block: BlockRecord) -> bool:
    named = (head.block_hash, head.state_root, head.digest)
    return named == (block.block_hash, block.state_root, block.digest)


def _require_chain(view: View) -> None:
    lowest = max(0, view.head.height - STORE_HEADERS_CHECKED + 1)
    blocks = [view.block(height) for height in range(lowest, view.head.height + 1)]
    for parent, block in pairwise(block for block in blocks if block is not None):
        linked = (block.parent_hash, block.parent_sequence) == (parent.block_hash, parent.sequence)
        if not linked or parent.sequence >= block.sequence:
            raise StoreFailed(
                StoreProblem.HEADERS_BROKEN, f"block {block.height} does not follow its parent"
            )


def _require_incidents(view: View) -> None:
    newest, count = NO_HASH, 0
    for count, incident in enumerate(view.incidents(), 1):
        if incident.number != count or incident.previous != newest:
            raise StoreFailed(StoreProblem.INCIDENTS_BROKEN, f"incident {count} was changed")
        newest = incident_hash(incident)
    if (newest, count) != (view.head.incident_hash, view.head.incidents):
        raise StoreFailed(
            StoreProblem.INCIDENTS_BROKEN,
            f"{count} incidents are kept, the head knows {view.head.incidents}",
        )
