"""Kills of a node whose clients trade and whose operator goes back and forth meanwhile.

Promises
- Every order that was acknowledged is in a block: in the live chain, or in one that a reorg undid.
- From one life to the next the client knows what the node knows; the last one ends as planned.
"""

import re
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random

from scripts.crashing.chain import config_of
from scripts.crashing.checking import Violation
from scripts.crashing.children import ask
from scripts.crashing.clients import live_with
from scripts.crashing.commands import PATIENCE_SECONDS
from scripts.crashing.memory import Memory
from scripts.crashing.nodes import SAID, Talk, start_node
from scripts.crashing.tracing import DATA
from sequencer.config import find_admin
from sequencer.engine.lookup import read_block
from sequencer.engine.outcomes import mentions
from sequencer.model.halts import HaltCause
from sequencer.node import open_chain
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt

_INTERVAL_MS = 10
_SECONDS_MIN, _SECONDS_MAX = 0.3, 2.0
_PAUSE_SECONDS = 0.01
_ADDRESS = re.compile(r"clients at (http://\S+)")


class Lives:
    """A chain in the folder of a run whose node is killed again and again."""

    def __init__(self, folder: Path, random: Random) -> None:
        self._folder, self._random = folder, random
        self._memory = Memory()

    def kill(self) -> bool:
        """Have one life of the node, and kill it; says whether orders were placed in it."""
        before = len(self._memory.placed)
        code = self._live(self._random.uniform(_SECONDS_MIN, _SECONDS_MAX))
        if code != -signal.SIGKILL:
            raise Violation(f"the node ended with {code}: {self._said()}")
        return len(self._memory.placed) > before

    def end(self) -> None:
        """Have a last life, in which the client compares all that it knows, and a stop."""
        code = self._live(0)
        if code:
            raise Violation(f"the node stopped with {code}: {self._said()}")

    def _live(self, seconds: float) -> int:
        options = ("--port", "0", "--block-interval-ms", str(_INTERVAL_MS))
        process, talk = start_node(self._folder, *options)
        with process:
            try:
                url = self._url(talk)
                admin = find_admin(self._folder / DATA)
                if admin is None:
                    raise Violation("nobody takes commands")
                work = partial(live_with, self._memory, (url, admin), talk, seconds)
                self._memory = ask(work, Memory)
            finally:
                process.send_signal(signal.SIGTERM if seconds == 0 else signal.SIGKILL)
                talk.drain()
        if self._memory.violation:
            raise Violation(self._memory.violation)
        if words := ask(self._wrong, str):
            raise Violation(words)
        return process.returncode

    def _url(self, talk: Talk) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := _ADDRESS.search(self._said())) is None:
            if time.monotonic() > deadline:
                raise Violation(f"the node has not started: {self._said()}")
            talk.listen(_PAUSE_SECONDS)
        return found[1]

    def _said(self) -> str:
        return (self._folder / SAID).read_text("utf-8", "replace")[-1_000:]

    def _wrong(self) -> str:
        """Look up all that was acknowledged, and every block that the client knows."""
        store, recovered = open_chain(config_of(self._folder / DATA))
        try:
            halts = [halt for halt in recovered.halts if halt.cause is not HaltCause.LATCH]
            if halts:
                return f"it comes up halted: {halts}"
            view = store.view
            by_block: dict[tuple[int, str], list[int]] = {}
            for each in self._memory.placed:
                named = by_block.setdefault((each.height, each.block_hash), [])
                named.append(int(each.order_id, 16))
            for (height, hash_), orders in by_block.items():
                if lost := _lost_from(view, height, hash_, orders):
                    return f"{lost} acknowledged orders are not in block {height} {hash_}"
            for height, hash_ in self._memory.heads:
                if view.block_by_hash(int(hash_, 16).to_bytes(32, "big")) is None:
                    return f"block {height} {hash_}, which a client was told of, is lost"
            return ""
        finally:
            store.close()


def _lost_from(view: ChainView, height: int, hash_: str, orders: Sequence[Felt]) -> int:
    """Count the orders of which a block, live or orphaned, says nothing."""
    record = view.block_by_hash(int(hash_, 16).to_bytes(32, "big"))
    if record is None or record.height != height:
        return len(orders)
    receipts = read_block(view, record).receipts
    return sum(not any(mentions(each, order) for each in receipts) for order in orders)
