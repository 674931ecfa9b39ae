"""The same genesis and transactions give the same chain, and the same store to the last byte.

Two instances: one process, and another with another hash seed that is stopped and started before
every block. The third, rolled back and executed again, is in `test_rollback_chain`.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sequencer.chain.genesis import read_genesis
from sequencer.chain.replay import replay_chain
from sequencer.engine.lookup import find_block, live_blocks, rows_at
from sequencer.engine.recovery import genesis_of
from sequencer.model.events import CancelRefused, Fill, OrderClosed, OrderRefused
from sequencer.model.limits import UPKEEP_BLOCKS
from sequencer.starknet.names import selector
from sequencer.storage.folder import open_folder
from tests.tidy.source import ROOT

BLOCKS = 2 * UPKEEP_BLOCKS + 4


def played(folder: Path, seed: int, hash_seed: str, *more: str) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.properties.chain_script", str(folder), str(seed)]
    done = subprocess.run(
        [*command, str(BLOCKS), *more],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_two_instances_have_the_same_blocks_and_stores(tmp_path: Path, seed: int) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(played, tmp_path / "main", seed, "0")
        second = pool.submit(played, tmp_path / "restarted", seed, "7", "restart")
        main, restarted = first.result(), second.result()
    assert main == restarted
    hashes = list(map(str, main["hashes"]))  # type: ignore[call-overload]
    assert len(set(hashes)) == BLOCKS + 1
    require_what_matters(tmp_path / "main", hashes[-1])


def require_what_matters(folder: Path, head: str) -> None:
    """Equal chains would say little without trades, refusals, reverts, upkeep: all of it is there.

    And they can be executed again.
    """
    store = open_folder(folder)
    view = store.view
    blocks = list(live_blocks(view, 1))
    receipts = [receipt for block in blocks for receipt in block.receipts]
    kinds = Counter(event.keys[0] for receipt in receipts for event in receipt.events)
    counts = [kinds[selector(kind.__name__)] for kind in (Fill, OrderClosed, OrderRefused)]
    assert min(counts) > 10
    assert kinds[selector(CancelRefused.__name__)] > 3
    assert any(receipt.revert_reason is not None for receipt in receipts)
    assert view.retention().nodes.height > 0
    assert view.retention().rows.height > 0
    assert view.effects(0, 1)[0].number > 1
    replayed = replay_chain(read_genesis(genesis_of(view).encode()), iter(blocks))
    assert f"{replayed.head.hash:064x}" == head
    assert rows_at(view, find_block(view, "latest")) == replayed.state.rows
    store.close()
