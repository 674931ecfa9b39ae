"""Plugins for tests of the operator's side: they say what a test has put into their mouths."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from sequencer.engine.desk import Desk
from sequencer.engine.plan import Plan
from sequencer.model.plugins import PluginOpinion, PluginStanding, PluginState
from sequencer.model.refusals import Reason, Refused
from tests.unit.engine.desks import Operated

FINE = PluginOpinion("books", "")
WARNING = PluginOpinion("feed", "three payouts were sent")
VETO = PluginOpinion("bridge", "block 2 was paid out", veto=True)
OTHER_VETO = PluginOpinion("tax", "the year is closed", veto=True)
MUTE = PluginOpinion("slow", "no answer within 5 s")


class ToyPlugins:
    """Every plugin has an opinion; while `free` is not set nobody gets to hear it."""

    def __init__(self, *opinions: PluginOpinion) -> None:
        self.said: Sequence[PluginOpinion] = opinions
        self.free = asyncio.Event()
        self.free.set()
        self.asked: list[bytes] = []
        self.calls: list[tuple[str, ...]] = []
        names = [each.name for each in opinions]
        self._standings = {name: _running(name, place) for place, name in enumerate(names)}

    def standings(self) -> Sequence[PluginStanding]:
        return [*self._standings.values()]

    async def opinions(self, plan: Plan) -> Sequence[PluginOpinion]:
        self.asked.append(plan.plan_id)
        await self.free.wait()
        return self.said

    async def park(self, name: str, reason: str) -> None:
        self._note(name, "park", name, reason)
        self._set(name, PluginState.PARKED, f"PLUGIN_PARKED: {reason}")

    async def unpark(self, name: str) -> None:
        self._note(name, "unpark", name)
        self._set(name, PluginState.CATCHING_UP)

    async def rebuild(self, name: str) -> None:
        self._note(name, "rebuild", name)
        self._standings[name] = PluginStanding(name, PluginState.CATCHING_UP, -1, 0, 9)

    def _note(self, name: str, *call: str) -> None:
        if name not in self._standings:
            raise Refused(Reason.PLUGIN_UNKNOWN, f"no {name}")
        self.calls.append(call)

    def _set(self, name: str, state: PluginState, reason: str = "") -> None:
        old = self._standings[name]
        self._standings[name] = msgspec.structs.replace(old, state=state, reason=reason)


def _running(name: str, lag: int) -> PluginStanding:
    return PluginStanding(name, PluginState.RUNNING, 7, 8, lag)


@contextmanager
def told(rig: Operated, *opinions: PluginOpinion) -> Iterator[ToyPlugins]:
    """Give a node that runs other plugins."""
    desk, plugins = rig.desk, ToyPlugins(*opinions)
    rig.desk = Desk(msgspec.structs.replace(desk._reach, plugins=plugins))
    try:
        yield plugins
    finally:
        rig.desk = desk
