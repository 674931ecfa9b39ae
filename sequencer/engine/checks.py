"""The checks of a store that nothing runs on: what it holds against what it says.

Laws
- A check that fails is a finding, not a failure: the next one is made all the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain as chained
from typing import Any

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.genesis import Chain, read_genesis
from sequencer.chain.replay import replay_chain
from sequencer.chain.tries import root_of_rows
from sequencer.engine.lookup import find_block, live_blocks, rows_at
from sequencer.engine.recovery import check_headers, genesis_of, recover
from sequencer.exchange.state import Table
from sequencer.model.halts import HaltCause
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import Store

_DISAGREEING = frozenset({HaltCause.START_CHECK})


class Check(msgspec.Struct, frozen=True):
    """One check and what it found: "" where everything holds."""

    name: str
    found: str = ""


def check_store(
    store: Store,
    *,
    full: bool,
    announced: Callable[[Iterable[Block]], Iterable[Block]] = lambda blocks: blocks,
) -> Iterator[Check]:
    """Make the checks one after the other. `announced` passes on the blocks that are executed.

    `full` hashes the root from all rows and executes every block. Failures: those of the store.
    """
    view = store.view
    recovered = recover(store)
    differing = [halt.detail for halt in recovered.halts if halt.cause in _DISAGREEING]
    yield Check("rows, tries and laws at the head", "; ".join(differing))
    halts = check_headers(view, 0)
    yield Check(f"headers of blocks 0 to {view.head.height}", "; ".join(map(str, halts)))
    if not full:
        return
    head = find_block(view, "latest")
    rows = rows_at(view, head)
    root = root_of_rows(rows)
    same = root == int.from_bytes(head.state_root, "big")
    yield Check("state root from the rows alone", "" if same else f"the rows hash to {root:#x}")
    name = f"blocks 1 to {view.head.height} executed again"
    found, replayed = "", None
    try:
        replayed = replay_chain(
            read_genesis(genesis_of(view).encode()), announced(live_blocks(view, 1))
        )
    except Refused as refused:
        found = str(refused)
    yield Check(name, found)
    if replayed is not None:
        yield Check("rows of the executed chain", _row_difference(rows, replayed))


def _row_difference(stored: Mapping[Table, Mapping[Any, Any]], replayed: Chain) -> str:
    for table, rows in replayed.state.rows.items():
        kept = stored[table]
        for key in chained(rows, kept.keys() - rows.keys()):
            if rows.get(key) != kept.get(key):
                return f"{Reason.BLOCK_DIFFERS.value}: row {key!r:.80} of table {table.value}"
    return ""
