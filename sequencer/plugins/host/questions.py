"""What a plugin is asked while it is told of the chain: whoever asks gets an answer, or is told
that there is none."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from sequencer.engine.plan import Plan, write_plan
from sequencer.model.plugins import ParkCause, PluginOpinion
from sequencer.plugins.host.messages import AskOpinion, FromPlugin, Judged
from sequencer.plugins.host.process import Parks


class Questions:
    """Plans that wait for one plugin's opinion."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: deque[tuple[Plan, asyncio.Future[PluginOpinion]]] = deque()
        self._asked: asyncio.Future[PluginOpinion] | None = None

    async def opinion(self, plan: Plan) -> PluginOpinion:
        """Wait until the plugin has been asked, or cannot be any more."""
        answer: asyncio.Future[PluginOpinion] = asyncio.get_running_loop().create_future()
        self._waiting.append((plan, answer))
        return await answer

    async def put(self, ask: Callable[[AskOpinion, str], Awaitable[FromPlugin]]) -> None:
        """Ask the plugin everything that waits. Error: Parks."""
        while self._waiting:
            plan, self._asked = self._waiting.popleft()
            # Whoever asked may have given up.
            if self._asked.done():
                continue
            told = await ask(AskOpinion(plan.plan_id.hex(), write_plan(plan)), "may_reorg")
            if not isinstance(told, Judged):
                raise Parks(ParkCause.PLUGIN_NONSENSE, "may_reorg: no answer to that")
            self._settle(self._asked, told)

    def forget(self) -> None:
        """Answer for a plugin that cannot any more."""
        waiting = [self._asked, *(answer for _, answer in self._waiting)]
        self._waiting.clear()
        for answer in waiting:
            if answer is not None:
                self._settle(answer, Judged("no answer"))

    def _settle(self, answer: "asyncio.Future[PluginOpinion]", said: Judged) -> None:
        if not answer.done():
            answer.set_result(PluginOpinion(self._name, said.words, said.veto))
