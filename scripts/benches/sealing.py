"""Benches of the seal: how long it keeps the interpreter's lock, which the event loop waits for.

A run of orders is recorded block by block; the blocks are then sealed again on another copy of the
same world, in a thread, while this one does nothing but ask for the lock. The switch interval is so
long that the lock comes only where the seal lets it go, so what this one waits is what it held.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from scripts.benches.cache import DATA, copied
from scripts.benches.measure import Figure, Sizes, Trading, percentile_ms, spread
from scripts.benches.trading import opened, prepare, run_trading
from scripts.benches.world import kept_world
from sequencer.chain.block import ClosedBlock
from sequencer.engine import sealer
from sequencer.engine.sealer import Extras
from sequencer.starknet.native import HASHES

_SECONDS = 10
_ORDERS_MIN = 50
# Giving the lock away and getting it back takes 0.1 ms where nobody wants it.
_HELD_MIN_SECONDS = 200e-6
_INTERVAL_SECONDS = 60

Closed = tuple[ClosedBlock, Extras]


def seal_gil_held_ms(sizes: Sizes) -> Figure:
    """All the time for which the seal of one block keeps the lock, 99 of a hundred blocks."""
    blocks = _recorded(sizes.trading._replace(seconds=min(sizes.trading.seconds, _SECONDS)))
    held, taken, orders = _sealed_again(sizes.trading, blocks)
    note = (
        f"{len(held)} blocks with {orders // len(held)} new orders and nearly as many cancels; "
        f"{spread(held)} held, {spread(taken)} in all; {HASHES}"
    )
    return Figure(percentile_ms(held, 99), "ms", note)


def _recorded(trading: Trading) -> list[Closed]:
    prepare(trading)
    blocks: list[Closed] = []
    with _recording(blocks):
        run_trading(trading)
    return blocks


@contextmanager
def _recording(blocks: list[Closed]) -> Iterator[None]:
    seal = sealer.Sealer.seal

    def recorded(self: sealer.Sealer, closed: ClosedBlock, extras: Extras) -> sealer.SealedBlock:
        blocks.append((closed, extras))
        return seal(self, closed, extras)

    vars_of: Any = sealer.Sealer
    vars_of.seal = recorded
    try:
        yield
    finally:
        vars_of.seal = seal


def _sealed_again(
    trading: Trading, blocks: Sequence[Closed]
) -> tuple[list[float], list[float], int]:
    """Seal blocks on a fresh copy: what each held and took, of those with many commands."""
    held: list[float] = []
    taken: list[float] = []
    orders = 0
    world, _ = kept_world(trading.world)
    # The thread that opens the store is the one that may change it.
    with copied(world) as folder, ThreadPoolExecutor(max_workers=1) as thread:
        store, _, tries = thread.submit(opened, folder / DATA).result()
        sealing = sealer.Sealer(store, tries)
        for closed, extras in blocks:
            waited, seconds = _watched(thread, partial(sealing.seal, closed, extras))
            if len(extras.orders) >= _ORDERS_MIN:
                held.append(waited)
                taken.append(seconds)
                orders += len(extras.orders)
        thread.submit(store.close).result()
    return held, taken, orders


def _watched(thread: ThreadPoolExecutor, work: Callable[[], object]) -> tuple[float, float]:
    """Do work in a thread; return how long this one waited for the lock, and how long it took."""
    interval, waited = sys.getswitchinterval(), 0.0
    sys.setswitchinterval(_INTERVAL_SECONDS)
    try:
        start = time.perf_counter()
        done = thread.submit(work)
        while not done.done():
            before = time.perf_counter()
            # Gives the lock away and asks for it at once.
            time.sleep(0)
            passed = time.perf_counter() - before
            waited += passed if passed > _HELD_MIN_SECONDS else 0
        done.result()
        return waited, time.perf_counter() - start
    finally:
        sys.setswitchinterval(interval)


BENCHES = (seal_gil_held_ms,)
