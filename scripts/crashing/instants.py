"""Kills at random instants of a node under load: whatever it acknowledged is there at the restart.

The node goes on with the same chain from one kill to the next, and is stopped as planned at last.
"""

import signal
import time
from pathlib import Path
from random import Random

from scripts.crashing.checking import Violation
from scripts.crashing.children import ask, end_of
from scripts.crashing.nodes import Answer, Talk, check_node, fork_node, load, start_node

_LINES = 120
_INTERVAL_MS = 10
_SECONDS_MAX = 0.25


class Instants:
    """A chain in the folder of a run whose node is killed again and again."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.acknowledged: list[Answer] = []
        self.height = 0
        self._folder = folder
        self._random = random
        self._nonces: dict[str, int] = {}

    def kill_forked(self) -> bool:
        """Kill a forked node. Raises Violation."""
        child, talk = fork_node(self._folder, lambda: None, _INTERVAL_MS)
        self._load(talk)
        talk.kill()
        talk.drain()
        if end_of(child) != -signal.SIGKILL:
            raise Violation("the node ended before it was killed")
        return self._check(talk)

    def kill_process(self) -> bool:
        """Kill a process of the command line. Raises Violation."""
        process, talk = start_node(self._folder, "--block-interval-ms", str(_INTERVAL_MS))
        with process:
            self._load(talk)
            process.kill()
            talk.drain()
        if process.returncode != -signal.SIGKILL:
            raise Violation("the node ended before it was killed")
        return self._check(talk)

    def _load(self, talk: Talk) -> None:
        """Send lines and read answers until a random instant of them."""
        lines = load(dict(self._nonces), _LINES)
        if not talk.until(lambda: bool(talk.announced)):
            raise Violation("the node has not started")
        deadline = time.monotonic() + self._random.random() * _SECONDS_MAX
        talk.send(lines)
        while (left := deadline - time.monotonic()) > 0:
            talk.listen(left)

    def _check(self, talk: Talk) -> bool:
        self.acknowledged += talk.applied()
        height, self._nonces = ask(
            lambda: check_node(self._folder, self.acknowledged), tuple[int, dict[str, int]]
        )
        if height < self.height:
            raise Violation(f"the head went from {self.height} to {height}")
        self.height = height
        return True
