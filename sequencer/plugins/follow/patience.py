"""Asking a node again: what passes is waited for, what stays is refused.

Promises
- Waits double up to FOLLOW_WAIT_MS_MAX. That a node stays away is said once, and that it is back.
- What a node should have and does not give is asked for FOLLOW_ATTEMPTS_MAX times in a row.
- Any failure may have hidden a reorg: it opens a doubt.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sequencer.model.plugin_limits import (
    FOLLOW_ATTEMPTS_MAX,
    FOLLOW_AWAY_SECONDS_MAX,
    FOLLOW_WAIT_MS_MAX,
    FOLLOW_WAIT_MS_MIN,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import MS_PER_SECOND
from sequencer.plugins.follow.fetch import Unsteady
from sequencer.plugins.follow.look import Doubt, Log
from sequencer.plugins.follow.node import NodeAway, NodeRejected

_Answer = TypeVar("_Answer")


class Patience:
    """Asks until there is an answer. `is_once`: a node that stays away is given up."""

    def __init__(self, log: Log, doubt: Doubt, *, is_once: bool) -> None:
        self._log, self._doubt, self._is_once = log, doubt, is_once
        self._failures = 0
        self._about, self._times = "", 0
        self._away_since: float | None = None
        self._is_said = False

    async def ask(self, question: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Ask again and again. Refusal: FOLLOW_NODE_UNUSABLE."""
        while True:
            try:
                answer = await question()
            except NodeAway as away:
                self._take_away(str(away))
            except Unsteady as unsteady:
                self._take_unsteady(unsteady.about, str(unsteady))
            except NodeRejected as rejected:
                self._take_unsteady("a question", f"the node refuses a question: {rejected}")
            else:
                self._succeed()
                return answer
            self._doubt.is_open = True
            await asyncio.sleep(self._wait_ms() / MS_PER_SECOND)

    def _succeed(self) -> None:
        if self._is_said:
            self._log.info("the node is back")
        self._away_since, self._is_said = None, False
        self._failures, self._about, self._times = 0, "", 0

    def _take_away(self, words: str) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        elif not self._is_said:
            self._is_said = True
            self._log.warning("the node is away", why=words)
        if self._is_once and now - self._away_since > FOLLOW_AWAY_SECONDS_MAX:
            raise Refused(Reason.FOLLOW_NODE_UNUSABLE, f"the node is away: {words}")

    def _take_unsteady(self, about: str, words: str) -> None:
        self._times = self._times + 1 if about == self._about else 1
        self._about = about
        if self._times >= FOLLOW_ATTEMPTS_MAX:
            raise Refused(Reason.FOLLOW_NODE_UNUSABLE, words)

    def _wait_ms(self) -> int:
        self._failures += 1
        return int(min(FOLLOW_WAIT_MS_MIN * 2 ** min(self._failures - 1, 16), FOLLOW_WAIT_MS_MAX))
