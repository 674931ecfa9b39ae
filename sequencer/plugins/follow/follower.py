"""Follows the chain of a Starknet node for one plugin: blocks, reverts and ends of reorgs.

Promises
- A plugin is told of the chain that is, in order and each call once, whatever ends the process
  and whenever: what is to be told next is written down before it is told.
- A reorg is found by comparing what blocks hold, after whatever may have hidden one: a start, a
  failure, a lost connection, a notice of the node.
- A node that is away is waited for; another chain in its place is refused, and nothing is told.

Laws
- What the node tells of itself over WebSocket is a reason to look and nothing else.
- There is no asking before a reorg: `may_reorg` is never called.
"""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import msgspec

from sequencer.model.plugin_limits import FOLLOW_POLL_MS, FOLLOW_TOLD_POLL_MS
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import MS_PER_SECOND
from sequencer.plugins.calling import one_line
from sequencer.plugins.context import CallContext, MemoryBucket
from sequencer.plugins.follow.calls import PluginCalls
from sequencer.plugins.follow.heads import Heads
from sequencer.plugins.follow.look import Doubt, Log, Look
from sequencer.plugins.follow.node import RemoteNode, require_address
from sequencer.plugins.follow.patience import Patience
from sequencer.plugins.follow.store import CallKind, FollowStore, Place, PlannedCall
from sequencer.plugins.protocol import Key

_PROGRESS_SECONDS = 5
_PLUGIN_FOLDER = "plugin"


class FollowPlan(msgspec.Struct, frozen=True):
    """What to follow. `start` is the height of the first block told, None for the node's last."""

    url: str
    socket_urls: Sequence[str]
    name: str
    factory: Callable[[], object]
    options: Mapping[str, str]
    folder: Path
    start: int | None = 0
    is_once: bool = False
    is_dry: bool = False
    rebuild: bool = False


class Summary(msgspec.Struct):
    """What was told, and where the plugin stands then. `height` is -1 where it has no block."""

    plugin: str
    chain_id: str = ""
    height: int = -1
    block_hash: str = ""
    key: str = ""
    blocks: int = 0
    reverts: int = 0
    reorgs: int = 0


class Follower:
    """Follows as planned, until it is stopped, or has caught up where that is the end.

    Refusal on construction: PARAMETER_INVALID for an address that is none.
    """

    def __init__(self, plan: FollowPlan, log: Log) -> None:
        for url in (plan.url, *plan.socket_urls):
            require_address(url)
        self.summary = Summary(plan.name)
        self._plan, self._log = plan, log
        self._doubt = Doubt()
        self._patience = Patience(log, self._doubt, is_once=plan.is_once)
        self._heads = Heads(plan.socket_urls, self._wake, log.info)
        self._woken = asyncio.Event()
        self._work: asyncio.Task[Refused | None] | None = None
        self._is_stopping = False
        self._is_waiting = False
        self._said_at, self._said_blocks = 0.0, 0

    def stop(self) -> None:
        """Stop after the call under way."""
        self._is_stopping = True
        if self._work is not None and self._is_waiting:
            self._work.cancel()

    async def run(self) -> None:
        """Follow. Refusals: PLUGIN_RAISED, and those whose names begin with FOLLOW_."""
        with ExitStack() as opened:
            # What a plugin prints goes where its log is: standard output is for the summary.
            opened.enter_context(redirect_stdout(sys.stderr))
            store = FollowStore(
                None if self._plan.is_dry else self._plan.folder,
                rebuild_for=self._plan.name if self._plan.rebuild else None,
            )
            opened.callback(store.close)
            if self._plan.is_dry:
                folder = Path(opened.enter_context(TemporaryDirectory()))
            else:
                folder = _plugin_folder(self._plan.folder)
            refused = await self._run(store, folder)
            with suppress(sqlite3.Error, Refused):
                self._summarise(store)
        if refused is not None:
            raise refused

    async def _run(self, store: FollowStore, folder: Path) -> Refused | None:
        async with RemoteNode(self._plan.url) as node, asyncio.TaskGroup() as group:
            heads = group.create_task(self._heads.run())
            look = Look(node, store, self._doubt, self._log)
            self._work = group.create_task(self._until_done(look, store, folder))
            refused = await self._work
            heads.cancel()
        return refused

    async def _until_done(self, look: Look, store: FollowStore, folder: Path) -> Refused | None:
        if self._is_stopping:
            return None
        self._is_waiting = True
        calls: PluginCalls | None = None
        try:
            place = await self._patience.ask(lambda: self._identify(look, store))
            bucket = MemoryBucket(store.bucket())
            calls = PluginCalls(self._context(place, bucket, folder), bucket)
            await self._begin(calls, store)
            await self._go_on(look, store, calls)
        except Refused as refused:
            return refused
        except sqlite3.Error as error:
            words = f"{self._plan.folder}: {error}"
            return Refused(Reason.FOLLOW_FOLDER_UNUSABLE, words)
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise
        finally:
            self._is_waiting = False
            if calls is not None:
                await calls.end()
        return None

    async def _identify(self, look: Look, store: FollowStore) -> Place:
        if store.place is not None and store.place.name != self._plan.name:
            words = f"{self._plan.folder} is that of plugin {store.place.name}"
            raise Refused(Reason.FOLLOW_FOLDER_UNUSABLE, words)
        place = await look.identify(self._plan.name, self._plan.start)
        if store.place is None:
            store.begin(place)
        self._log.info(
            "following",
            plugin=place.name,
            # The rest of an address may hold somebody's key.
            node=urlsplit(self._plan.url).hostname,
            height=place.tip,
            start=place.start,
            dry=self._plan.is_dry,
        )
        return place

    def _context(self, place: Place, bucket: MemoryBucket, folder: Path) -> CallContext:
        return CallContext(
            name=place.name,
            options=self._plan.options,
            folder=folder,
            chain_id=place.chain_id,
            bucket=bucket,
            done=None if place.done is None else Key(place.done),
            is_dry=self._plan.is_dry,
            say=lambda words: self._log.info(one_line(str(words)), plugin=place.name),
        )

    async def _begin(self, calls: PluginCalls, store: FollowStore) -> None:
        self._is_waiting = False
        store.write_bucket(await calls.begin(self._plan.factory))
        self._is_waiting = True

    async def _go_on(self, look: Look, store: FollowStore, calls: PluginCalls) -> None:
        while await self._tell(store, calls):
            self._woken.clear()
            if not await self._patience.ask(look.look):
                continue
            self._say_progress(store, at_once=True)
            if self._plan.is_once:
                return
            await self._pause()

    async def _tell(self, store: FollowStore, calls: PluginCalls) -> bool:
        """Make all calls that are written down; say whether to go on after them."""
        self._is_waiting = False
        while not self._is_stopping and (planned := store.next_call()) is not None:
            store.finish(planned, await calls.tell(planned))
            self._count(planned)
            self._say_progress(store, at_once=False)
        self._is_waiting = not self._is_stopping
        return self._is_waiting

    async def _pause(self) -> None:
        milliseconds = FOLLOW_TOLD_POLL_MS if self._heads.is_told else FOLLOW_POLL_MS
        try:
            async with asyncio.timeout(milliseconds / MS_PER_SECOND):
                await self._woken.wait()
        except TimeoutError:
            pass

    def _count(self, planned: PlannedCall) -> None:
        match planned.kind:
            case CallKind.APPLY:
                self.summary.blocks += 1
            case CallKind.REVERT:
                self.summary.reverts += 1
            case CallKind.DONE:
                self.summary.reorgs += 1
                reorg = planned.reorg
                self._log.info("reorg told", height=None if reorg is None else reorg.head_height)

    def _say_progress(self, store: FollowStore, *, at_once: bool) -> None:
        now = time.monotonic()
        if self.summary.blocks == self._said_blocks:
            return
        if at_once or now - self._said_at > _PROGRESS_SECONDS:
            told = self.summary.blocks - self._said_blocks
            self._log.info("blocks told", blocks=told, height=store.begun().tip)
            self._said_at, self._said_blocks = now, self.summary.blocks

    def _wake(self, is_doubtful: bool) -> None:
        if is_doubtful:
            self._doubt.is_open = True
        self._woken.set()

    def _summarise(self, store: FollowStore) -> None:
        place = store.place
        if place is None:
            return
        self.summary.chain_id = hex(place.chain_id)
        self.summary.key = "" if place.done is None else str(Key(place.done))
        block = store.block(place.tip)
        if block is not None:
            self.summary.height = block.height
            self.summary.block_hash = hex(block.told.block.hash)


def _plugin_folder(folder: Path) -> Path:
    path = folder / _PLUGIN_FOLDER
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        words = f"{path}: {error.strerror or error}"
        raise Refused(Reason.FOLLOW_FOLDER_UNUSABLE, words) from None
    return path
