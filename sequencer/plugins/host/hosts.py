"""All plugins of a node: each with a host of its own, and none in another's way."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import msgspec

from sequencer.engine.outbox import move_cursor
from sequencer.engine.plan import Plan
from sequencer.engine.worker import FairWorker
from sequencer.model.plugin_limits import PLUGIN_OPINION_SECONDS_MAX
from sequencer.model.plugins import (
    HOST_BUCKET,
    READER_PREFIX,
    ParkCause,
    PluginConfig,
    PluginOpinion,
    PluginStanding,
)
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.plugins.host.host import Around, Host, acknowledged
from sequencer.ports import StoreError


class PluginHosts:
    """The plugins of a node, as the operator's desk knows them."""

    def __init__(self, configs: Sequence[PluginConfig], around: Around) -> None:
        # Neither a view that is read nor a batch that is written is left behind by one that gives
        # up, and however many there are: a block waits for few of their writes.
        self._around = msgspec.structs.replace(
            around,
            worker=FairWorker(around.worker),
            reader=FairWorker(around.reader),
            folder=around.folder.absolute(),
        )
        self._hosts = {config.name: Host(config, self._around) for config in configs}
        self._kept = {config.name for config in configs if not config.is_dry}
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Have every plugin look for news."""
        self._news.set()
        for host in self._hosts.values():
            host.wake()

    def standings(self) -> Sequence[PluginStanding]:
        """Say how each one stands, at once."""
        return [host.standing() for host in self._hosts.values()]

    async def opinions(self, plan: Plan) -> Sequence[PluginOpinion]:
        """Ask all of them at once what speaks against a plan."""
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_opinion(host, plan)) for host in self._hosts.values()]
        return [task.result() for task in asked]

    async def park(self, name: str, reason: str) -> None:
        """Tell one nothing more, until it is unparked or rebuilt."""
        await self._host(name).park(reason)

    async def unpark(self, name: str) -> None:
        """Begin again where it stopped."""
        await self._host(name).unpark()

    async def rebuild(self, name: str) -> None:
        """Empty its bucket, and tell it everything from the first block on."""
        await self._host(name).rebuild()

    async def run(self) -> None:
        """Tell all of them of the chain, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._park_absent())
            for host in self._hosts.values():
                group.create_task(host.run())

    async def _park_absent(self) -> None:
        """Let go of what a plugin holds back that this node does not have, or tries out alone."""
        with suppress(StoreError):
            await acknowledged(self._around.store, self._news)
            await self._park_others()

    async def _park_others(self) -> None:
        around = self._around
        for reader, cursor in around.views.view.cursors().items():
            name = reader.removeprefix(READER_PREFIX)
            if reader == name or name in self._kept or cursor.parked:
                continue
            words = f"{ParkCause.PLUGIN_ABSENT.value}: the node was started without it"
            around.say(f"plugin {name} is parked, {words}")
            parked = msgspec.structs.replace(cursor, parked=True)
            why = [(HOST_BUCKET, name.encode(), words.encode())]
            move = partial(move_cursor, around.store, reader, parked, why)
            await around.views.change(around.worker, move)

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None:
            names = ", ".join(self._hosts) or "none"
            raise Refused(Reason.PLUGIN_UNKNOWN, f"no plugin {shown(name)}; there are: {names}")
        return host


async def _opinion(host: Host, plan: Plan) -> PluginOpinion:
    try:
        async with asyncio.timeout(PLUGIN_OPINION_SECONDS_MAX):
            return await host.opinion(plan)
    except TimeoutError:
        return PluginOpinion(host.name, f"no answer within {PLUGIN_OPINION_SECONDS_MAX} s")
