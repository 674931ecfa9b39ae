"""A node as a process: signals, the lines over its pipes, and the code with which it ends.

Promises
- SIGTERM and SIGINT finish the open block; then the exit code is that of the first final halt, or
  0.
- Whatever goes wrong ends in a code of `model/halts.py` and one line that names it.
"""

import asyncio
import errno
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from traceback import format_exception

import msgspec

from sequencer.api.admin import AdminServer
from sequencer.api.lines import LinePipes, Lines
from sequencer.api.perp_rpc.methods import perp_methods
from sequencer.api.server import RpcServer
from sequencer.api.starknet_rpc.methods import starknet_methods
from sequencer.api.subscriptions.feed import Feed
from sequencer.api.subscriptions.methods import subscription_methods
from sequencer.config import (
    SETTLEMENT_FILE,
    NodeConfig,
    environment_for_others,
    forget_admin,
    forget_clients,
    leave_admin,
    leave_clients,
    new_token,
)
from sequencer.engine.desk import Desk
from sequencer.engine.operator_log import OperatorLog
from sequencer.engine.outbox import EffectReader
from sequencer.engine.reach import Reach
from sequencer.engine.service import Follower, Service
from sequencer.engine.worker import ThreadWorker
from sequencer.model.halts import ExitCode, Halt
from sequencer.model.limits import HALT_CHARACTERS_SHOWN
from sequencer.model.operator_log import NodeKind
from sequencer.model.plugins import PLUGINS_FOLDER
from sequencer.model.refusals import Refused
from sequencer.node import Given, Node, start_node
from sequencer.plugins.host.host import Around
from sequencer.plugins.host.hosts import PluginHosts
from sequencer.ports import Settlement, StoreError, StoreProblem
from sequencer.starknet.felt import format_hash
from sequencer.storage.copying import StoreCopies
from sequencer.storage.halt_note import HaltFile
from sequencer.storage.operator_log import OperatorLogFile
from sequencer.storage.plan_folder import PlanFolder

_EXITS = {
    StoreProblem.STORE_LOCKED: ExitCode.STORE_LOCKED,
    StoreProblem.WRITER_REPLACED: ExitCode.WRITER_REPLACED,
    StoreProblem.WRITER_FORKED: ExitCode.WRITER_REPLACED,
}
_NO_ADDRESS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


def serve(
    config: NodeConfig,
    say: Callable[[str], None],
    lines: LinePipes | None = None,
    settlement: Settlement | None = None,
) -> ExitCode:
    """Run a node until SIGTERM or SIGINT, and return the exit code. `say` takes lines of text."""
    try:
        return asyncio.run(_serve(config, Given(settlement=settlement, say=say), lines))
    except StoreError as error:
        say(str(error))
        return _EXITS.get(error.problem, ExitCode.STORE_UNUSABLE)
    except Refused as refused:
        say(str(refused))
        return ExitCode.INPUT
    except OSError as error:
        words = error.strerror or str(error)
        if isinstance(error, socket.gaierror) or error.errno in _NO_ADDRESS:
            say(f"no place to answer at: {words}")
            return ExitCode.INPUT
        say(f"{error.filename or config.data_dir}: {words}")
        return ExitCode.STORE_UNUSABLE


async def _serve(config: NodeConfig, given: Given, pipes: LinePipes | None) -> ExitCode:
    say, loop = given.say, asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    node = await start_node(config, given)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stop)
    if told.is_set():
        node.stop()
    try:
        head = node.store.head
        say(f"block {head.height} {format_hash(head.block_hash)}, epoch {head.epoch}")
        node.listen(lambda halt: say(f"HALTED {_printable(halt)}"))
        async with (
            commanded(config, node, given) as (_, services),
            answered(config, node, given) as (_, answering),
        ):
            readers: list[EffectReader] = []
            if pipes is not None:
                lines = Lines(lambda: node.engine, pipes.write)
                waiting: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
                readers.append(lines)
                answering.append(_answer(lines, waiting))
                pipes.pump(loop, waiting.put)
            code = await run_noting(config, node, given, (readers, [*services, *answering]))
        if code is ExitCode.UNEXPECTED:
            return code
        head = node.store.head
        say(f"stopped at block {head.height} {format_hash(head.block_hash)}, exit code {int(code)}")
        return code
    finally:
        if pipes is not None:
            pipes.close()
        node.close()
        if given.settlement is not None:
            await given.settlement.close()


async def run_noting(
    config: NodeConfig,
    node: Node,
    given: Given,
    beside: tuple[Sequence[EffectReader], Sequence[Coroutine[None, None, None]]],
) -> ExitCode:
    """Run a node with readers and services until it ends, and return its exit code.

    A bug, here or in any of them, leaves the file HALTED, and is UNEXPECTED.
    """
    try:
        return await node.run(*beside)
    except Exception as error:  # A bug: the writer cannot be trusted any more.
        HaltFile(config.data_dir).write("".join(format_exception(error)))
        given.say(f"UNEXPECTED {error!r:.200}; the file HALTED has all of it")
        return ExitCode.UNEXPECTED


@asynccontextmanager
async def commanded(
    config: NodeConfig, node: Node, given: Given
) -> AsyncIterator[tuple[Desk, list[Coroutine[None, None, None]]]]:
    """Give the operator's desk, the services that take its commands on this machine, and the one
    that tells plugins of the chain.

    Without a port in the configuration no commands are taken. Error: OSError for one that cannot be
    had.
    """
    reader, searcher, logger = ThreadWorker("desk"), ThreadWorker("search"), ThreadWorker("log")
    telling, copier = ThreadWorker("plugins"), ThreadWorker("backup")
    plugins = _plugins_of(config, node, given, telling)
    desk = desk_of(config, node, given, reader, searcher, plugins, copier)
    file = OperatorLogFile(config.data_dir, node.clock, NodeKind.RUNNING)
    log, token = OperatorLog(file, logger), new_token()
    counted = partial(_counted, node)
    server = AdminServer(desk, token, log, max(config.admin_port, 0), counted)
    try:
        if config.admin_port < 0:
            yield desk, [plugins.run()]
            return
        if problem := await logger.run(file.open):
            given.say(problem)
        url = await server.start()
        leave_admin(config.data_dir, url, token)
        given.say(f"commands at {url}")
        yield desk, [server.run(), plugins.run()]
    finally:
        if config.admin_port >= 0:
            # What stays in a folder that cannot be written is recognised: its process is gone.
            with suppress(OSError):
                forget_admin(config.data_dir)
        await server.close()
        for thread in (reader, searcher, logger, telling, copier):
            thread.close()


@asynccontextmanager
async def answered(
    config: NodeConfig, node: Node, given: Given
) -> AsyncIterator[tuple[str, list[Coroutine[None, None, None]]]]:
    """Give the address where clients are answered, "" for nowhere, and the services that do it.

    Error: OSError for a port that cannot be had.
    """
    if config.api_port < 0:
        yield "", []
        return
    reader, presses, past = ThreadWorker("read"), ThreadWorker("press"), ThreadWorker("past")
    service = Service(node, reader, past)
    feed = Feed(service, presses)
    methods = {
        **starknet_methods(service),
        **perp_methods(service),
        **subscription_methods(feed),
        **given.methods(service),
    }
    server = RpcServer(methods, config.api_host, config.api_port, config.api_limits)
    try:
        url = await server.start()
        node.count = lambda: msgspec.structs.asdict(server.traffic())
        leave_clients(config.data_dir, url)
        given.say(f"clients at {url}")
        yield url, [server.run(), feed.run()]
    finally:
        with suppress(OSError):
            forget_clients(config.data_dir)
        await server.close()
        for thread in (reader, presses, past):
            thread.close()


def _counted(node: Node) -> Mapping[str, int]:
    return node.count()


def _plugins_of(config: NodeConfig, node: Node, given: Given, reader: ThreadWorker) -> PluginHosts:
    around = Around(
        store=node.store,
        worker=node.worker,
        views=node.views,
        reader=reader,
        folder=config.data_dir / PLUGINS_FOLDER,
        say=given.say,
        environment=environment_for_others(),
    )
    plugins = PluginHosts(config.plugins, around)
    # A plugin is told of what is durable alone.
    node.follow(Follower(durable=plugins.wake))
    return plugins


def desk_of(
    config: NodeConfig,
    node: Node,
    given: Given,
    reader: ThreadWorker,
    searcher: ThreadWorker,
    plugins: PluginHosts | None = None,
    copier: ThreadWorker | None = None,
) -> Desk:
    """Return the operator's desk of a node that runs, with threads for looks, searches, backups."""
    reach = Reach(
        store=node.store,
        view=node.views.at_head,
        advance=node.views.advance,
        change=partial(node.views.change, node.worker),
        worker=node.worker,
        reader=reader,
        searcher=searcher,
        clock=node.clock,
        note=node.outside.note,
        plans=PlanFolder(config.data_dir),
        running=node,
        verification=node.verification,
        settlement=given.settlement,
        settler=node.settler,
        collector=node.collector,
        disk=node.outside.disk,
        plugins=plugins,
        copies=StoreCopies(node.store, config.data_dir, (SETTLEMENT_FILE,)),
        copier=copier,
    )
    return Desk(reach)


async def _answer(lines: Lines, waiting: "asyncio.Queue[bytes]") -> None:
    """Take lines one after the other; a bug in there ends the node like any other."""
    while True:
        await lines.take(await waiting.get())


def _printable(halt: Halt) -> str:
    """Return a halt's words for a terminal: a note may hold anything."""
    words = str(halt)[:HALT_CHARACTERS_SHOWN]
    return "".join(each if each.isprintable() else " " for each in words)
