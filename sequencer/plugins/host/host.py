"""Who tells one plugin of the chain: reads, calls, and writes down how far it has come.

Promises
- The plugin's bucket and its place in the chain move in one batch, so every call counts once.
- A plugin that raises, hangs, dies or falls behind is parked, with the reason, durably; the chain
  never waits for it. One whose process dies is given another once, as long as it gets on.
- One that is parked or catching up holds no history back; one that runs does.

Laws
- A parked plugin stays parked through restarts, until the operator says otherwise; only one that
  was parked because a node had been started without it goes on by itself.
- Nothing is told before it is durable, nor from a store that nobody has acknowledged.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from sequencer.engine.deliveries import Position, cursor_of, position_of
from sequencer.engine.desk_facts import system_of
from sequencer.engine.outbox import move_cursor
from sequencer.engine.plan import Plan
from sequencer.engine.reverse_diff import Reverser
from sequencer.engine.views import Views
from sequencer.model.commits import BucketChange
from sequencer.model.limits import STORE_KEY_PART_BYTES_MAX
from sequencer.model.plugin_limits import (
    PLUGIN_CALL_SECONDS_MAX,
    PLUGIN_CALLS_TOGETHER_MAX,
    PLUGIN_LAG_BLOCKS_MAX,
    PLUGIN_START_SECONDS_MAX,
    PLUGIN_WRITE_SECONDS,
)
from sequencer.model.plugins import (
    HOST_BUCKET,
    READER_PREFIX,
    ParkCause,
    PluginConfig,
    PluginOpinion,
    PluginStanding,
    PluginState,
)
from sequencer.model.refusals import Refused
from sequencer.plugins.host.calls import Call, last_key, next_call
from sequencer.plugins.host.messages import Begin, FromPlugin, Message, Taken
from sequencer.plugins.host.orders import Orders, answering
from sequencer.plugins.host.process import Parks, PluginProcess
from sequencer.plugins.host.questions import Questions
from sequencer.ports import ChainView, Store, StoreError, Worker
from sequencer.starknet.felt import as_bytes

_Changes: TypeAlias = dict[bytes, bytes | None]
_DEATHS_MAX = 1
_DRY = "a dry run: nothing is kept"


class HostLimits(msgspec.Struct, frozen=True):
    """How long a plugin may take, and how far it may fall behind."""

    call_seconds_max: float = PLUGIN_CALL_SECONDS_MAX
    start_seconds_max: float = PLUGIN_START_SECONDS_MAX
    lag_max: int = PLUGIN_LAG_BLOCKS_MAX


class Around(msgspec.Struct, frozen=True):
    """What hosts work with and do not own: `worker` changes the store, `reader` reads blocks.

    Both end what they have begun before whoever gives up there goes. `folder` holds a folder for
    each plugin, and is absolute. `say` takes lines for the operator's log. `environment` is that of
    plugins' processes; it holds no key.
    """

    store: Store
    worker: Worker
    views: Views
    reader: Worker
    folder: Path
    say: Callable[[str], None]
    environment: Mapping[str, str]
    limits: HostLimits = HostLimits()


class Host:
    """Tells one plugin. `run` goes on until it is cancelled."""

    def __init__(self, config: PluginConfig, around: Around) -> None:
        self.name = config.name
        self._config = config
        self._around = around
        self._reader = READER_PREFIX + config.name
        self._news = asyncio.Event()
        self._questions = Questions(config.name)
        self._orders = Orders()
        self._reverser = Reverser()
        self._position = Position()
        self._caught_up = False
        self._deaths = 0
        self._reason = ""
        with suppress(StoreError):
            self._look()

    def wake(self) -> None:
        """Look for news."""
        self._news.set()

    def standing(self) -> PluginStanding:
        """Say how the plugin stands."""
        state = PluginState.RUNNING if self._caught_up else PluginState.CATCHING_UP
        return PluginStanding(
            name=self.name,
            state=PluginState.PARKED if self._reason else state,
            height=self._position.height,
            sequence=self._position.sequence,
            lag=self._lag_of(self._position),
            reason=self._reason or (_DRY if self._config.is_dry else ""),
        )

    async def opinion(self, plan: Plan) -> PluginOpinion:
        """Ask what speaks against a plan; a plugin that is parked has nothing to say."""
        if self._reason or self._orders.has_ended:
            why = "it is parked" if self._reason else "the node ends"
            return PluginOpinion(self.name, f"not asked: {why}")
        self._news.set()
        return await self._questions.opinion(plan)

    async def park(self, reason: str) -> None:
        """Tell it nothing more."""
        words = f"{ParkCause.PLUGIN_PARKED.value}: {reason or 'by the operator'}"
        await self._orders.give(lambda: self._park(words))

    async def unpark(self) -> None:
        """Go on where it stopped."""
        await self._orders.give(self._unpark)

    async def rebuild(self) -> None:
        """Empty its bucket, and tell it everything from the first block on."""
        await self._orders.give(self._rebuild)

    async def run(self) -> None:
        """Tell the plugin, and carry out what the operator orders, until cancelled."""
        if self._reason and not self._was_absent():
            self._around.say(f"plugin {self.name} stays parked, {self._reason}")
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    serving = group.create_task(self._serve())
                    act, done = await self._orders.next()
                    serving.cancel()
                    await asyncio.wait({serving})
                    with answering(done):
                        self._look()
                        await act()
        finally:
            self._orders.end()
            self._questions.forget()

    async def _serve(self) -> None:
        """Tell the plugin until it is parked; a store that fails ends it, and the writer halts."""
        try:
            await acknowledged(self._around.store, self._news)
            self._look()
            if self._was_absent():
                await self._unpark()
            while not self._reason:
                try:
                    await self._run_process()
                except Parks as parks:
                    await self._outlive(parks)
                finally:
                    self._questions.forget()
        except StoreError as error:
            self._reason = str(error)
            self._around.say(f"plugin {self.name} is told nothing more, {error}")

    def _was_absent(self) -> bool:
        return self._reason.startswith(ParkCause.PLUGIN_ABSENT.value)

    async def _outlive(self, parks: Parks) -> None:
        self._deaths += parks.cause is ParkCause.PLUGIN_DIED
        if parks.cause is not ParkCause.PLUGIN_DIED or self._deaths > _DEATHS_MAX:
            await self._park(str(parks))
            return
        self._around.say(f"plugin {self.name}: {parks}; once more")
        self._look()

    def _look(self) -> None:
        """Read how things stand, as after a start: what was not written has not been."""
        if self._config.is_dry:
            self._position, self._caught_up = Position(), False
            return
        view = self._around.views.view
        cursor = view.cursor(self._reader)
        self._position = position_of(view, cursor)
        self._caught_up = cursor is not None and not cursor.parked
        self._reason = (view.bucket_value(HOST_BUCKET, self.name.encode()) or b"").decode()

    async def _run_process(self) -> None:
        try:
            folder = self._around.folder / self.name
            folder.mkdir(parents=True, exist_ok=True)
            process = await PluginProcess.start(self._said, self._around.environment)
        except OSError as error:
            words = f"{error.filename or self.name}: {error.strerror}"
            raise Parks(ParkCause.PLUGIN_INVALID, words) from None
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(process.listen())
            try:
                ended = await self._tell(process, folder)
            finally:
                await process.end()
                listening.cancel()
        raise ended

    async def _tell(self, process: PluginProcess, folder: Path) -> Parks | StoreError:
        """Tell the plugin until that ends, and return why: raised in here it would be a group."""
        try:
            begin = await self._begin(folder)
            await process.ask(begin, self._around.limits.start_seconds_max, "init")
            while True:
                self._news.clear()
                while await self._deliver(process):
                    pass
                await self._news.wait()
        except (Parks, StoreError) as ended:
            return ended
        except Refused as refused:
            return Parks(ParkCause.PLUGIN_INVALID, str(refused))

    async def _begin(self, folder: Path) -> Begin:
        with self._around.views.at_head() as view:
            bucket = await self._bucket(view)
            return Begin(
                name=self.name,
                use=self._config.use,
                options=self._config.options,
                folder=str(folder),
                chain_id=as_bytes(system_of(view).chain_id),
                done=last_key(view, self._position),
                is_dry=self._config.is_dry,
                bucket=bucket,
            )

    async def _bucket(self, view: ChainView) -> list[tuple[bytes, bytes]]:
        if self._config.is_dry:
            return []
        return await self._around.reader.run(lambda: list(view.bucket(self.name)))

    async def _deliver(self, process: PluginProcess) -> bool:
        """Tell a number of things and write them down; says whether there were any."""
        loop = asyncio.get_running_loop()
        position, changes, parks = self._position, _Changes(), None
        until = loop.time() + PLUGIN_WRITE_SECONDS
        with self._around.views.at_head() as view:
            try:
                for _ in range(PLUGIN_CALLS_TOGETHER_MAX):
                    await self._questions.put(partial(self._ask, process))
                    call = await self._around.reader.run(
                        partial(next_call, view, position, self._reverser)
                    )
                    if call is None:
                        break
                    changes.update(await self._taken(process, call))
                    position = call.after
                    if loop.time() >= until:
                        break
            except Parks as caught:
                # What it took before that it has taken.
                parks = caught
            is_new = position is not self._position
            if is_new:
                await self._write(view, position, changes)
        if parks is not None:
            raise parks
        return is_new

    async def _taken(self, process: PluginProcess, call: Call) -> _Changes:
        taken = await self._ask(process, call.message, call.what)
        if not isinstance(taken, Taken):
            raise Parks(ParkCause.PLUGIN_NONSENSE, f"{call.what}: no answer to that")
        changes = dict(taken.changes)
        if any(len(key) > STORE_KEY_PART_BYTES_MAX for key in changes):
            raise Parks(ParkCause.PLUGIN_NONSENSE, f"{call.what}: keys that are too long")
        return changes

    async def _ask(self, process: PluginProcess, message: Message, what: str) -> FromPlugin:
        return await process.ask(message, self._around.limits.call_seconds_max, what)

    async def _write(self, view: ChainView, position: Position, changes: _Changes) -> None:
        """Make durable what was taken."""
        lag, lag_max = self._lag_of(position), self._around.limits.lag_max
        caught_up = self._caught_up or lag <= min(PLUGIN_CALLS_TOGETHER_MAX, lag_max)
        if not self._config.is_dry:
            cursor = cursor_of(view, position, parked=not caught_up)
            buckets: Sequence[BucketChange] = [(self.name, *each) for each in changes.items()]
            store = self._around.store
            await self._change(partial(move_cursor, store, self._reader, cursor, buckets))
            # It has come further than the process before it; a dry run begins anew each time.
            self._deaths = 0
        self._position, self._caught_up = position, caught_up
        if caught_up and lag > lag_max:
            raise Parks(ParkCause.PLUGIN_LAGS, f"{lag} commits behind, {lag_max} allowed")

    async def _park(self, words: str) -> None:
        self._around.say(f"plugin {self.name} is parked, {words}")
        self._reason, self._caught_up = words, False
        await self._keep([(HOST_BUCKET, self.name.encode(), words.encode())])

    async def _unpark(self) -> None:
        self._reason, self._caught_up, self._deaths = "", False, 0
        await self._keep([(HOST_BUCKET, self.name.encode(), None)])

    async def _keep(self, buckets: Sequence[BucketChange]) -> None:
        """Write that the plugin holds nothing back, and why, where it stands."""
        if self._config.is_dry:
            return
        store, reader, view = self._around.store, self._reader, self._around.views.view
        if self._position.block is None:
            work = partial(store.forget_reader, reader, buckets)
        else:
            cursor = cursor_of(view, self._position, parked=True)
            work = partial(move_cursor, store, reader, cursor, buckets)
        await self._change(work)

    async def _rebuild(self) -> None:
        self._reason, self._caught_up, self._deaths = "", False, 0
        if self._config.is_dry:
            return
        with self._around.views.at_head() as view:
            held = await self._bucket(view)
        gone: list[BucketChange] = [(self.name, key, None) for key, _ in held]
        buckets = [*gone, (HOST_BUCKET, self.name.encode(), None)]
        await self._change(partial(self._around.store.forget_reader, self._reader, buckets))
        self._position = Position()

    async def _change(self, work: Callable[[], None]) -> None:
        # How far rollbacks have come is read from views, and no block may follow for long.
        await self._around.views.change(self._around.worker, work)

    def _lag_of(self, position: Position) -> int:
        return self._around.views.view.head.sequence - position.sequence

    def _said(self, words: str) -> None:
        self._around.say(f"plugin {self.name}: {words}")


async def acknowledged(store: Store, news: asyncio.Event) -> None:
    """Wait until somebody vouches for a store."""
    while not store.acknowledged:
        news.clear()
        await news.wait()
