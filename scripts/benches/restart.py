"""A start as a node does it: open, recover, tick, seal and commit the first block."""

import gc
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

from scripts.benches.world import OPERATOR_KEY, recovered_state
from sequencer.engine.producer import Producer
from sequencer.engine.recovery import mark_planned_stop
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.node import KeyOperator
from sequencer.storage.folder import open_folder


def restart_ms(data: Path) -> float:
    """Start in a process of its own, stop as planned, and return how long the start took."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_start, data).result()


def _start(data: Path) -> float:
    start = time.perf_counter()
    with closing(open_folder(data)) as store:
        state = recovered_state(store)
        gc.collect()
        gc.freeze()
        system = state.system
        operator = KeyOperator(system.operator, OPERATOR_KEY)
        producer = Producer(state, store.head.height + 1, system.chain_id, operator)
        receipt = producer.tick(system.time_ms + 1_000, ())
        if receipt.revert_reason is not None:
            raise SystemExit(f"the first tick was refused: {receipt.revert_reason}")
        Sealer(store, TrieCache(lambda: store.view)).seal(producer.close(), Extras())
        taken = (time.perf_counter() - start) * 1_000
        mark_planned_stop(store)
        return taken
