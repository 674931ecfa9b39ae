"""`perpchain follow`: a plugin beside any Starknet node."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import typer
from rich.console import Console

from sequencer.cli.logs import make_log
from sequencer.cli.stored import fail, print_facts
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, Refused, shown

if TYPE_CHECKING:
    from sequencer.plugins.follow.follower import Follower

_LATEST = "latest"
_FOLDER = Path("follow")
_DIGITS_MAX = 18
_CODES = {
    Reason.FOLLOW_FOLDER_UNUSABLE: 10,
    Reason.FOLLOW_FOLDER_LOCKED: 11,
    Reason.PLUGIN_RAISED: 21,
    Reason.FOLLOW_CHAIN_OTHER: 22,
    Reason.FOLLOW_REORG_TOO_DEEP: 23,
    Reason.FOLLOW_NODE_UNUSABLE: 24,
}


def follow(
    url: Annotated[str, typer.Argument(help="Where the node answers JSON-RPC over HTTP.")],
    plugin: Annotated[str, typer.Option(help="MODULE:CLASS, or the name of an installed plugin.")],
    name: Annotated[str | None, typer.Option(help="Its name; else the class's.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="What it keeps is here; else ./follow/NAME.")
    ] = None,
    start: Annotated[
        str, typer.Option("--from", help="The first block told, a height or latest.")
    ] = "0",
    ws: Annotated[
        str | None, typer.Option(help="Where the node tells of new blocks; else tried.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for the plugin; can be repeated.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when it has caught up.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Begin anew, and keep nothing of it.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Forget what is kept, and begin anew.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log warnings alone.")] = False,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log as JSON.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON at the end.")] = False,
) -> None:
    """Tell a plugin of a chain: every block once, every revert, whatever is killed when.

    The node is any that answers Starknet JSON-RPC. Ctrl-C finishes the call
    under way and ends with code 0; the next start goes on there. Other codes:
    10 the folder cannot be used, 11 another process follows in it, 21 the plugin
    raised, 22 the node has another chain, 23 a reorg is too deep, 24 the node
    does not answer what it should. docs/follow.md says more.
    Example: perpchain follow http://127.0.0.1:5050 --plugin my_plugin:Ledger
    """
    # Nothing has been started yet that would have to be ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    log = make_log(Console(stderr=True), as_json=json_logs, quiet=quiet)
    try:
        from sequencer.plugins.follow.follower import Follower, FollowPlan
        from sequencer.plugins.loading import load_plugin, require_plugin_name

        address = _url(url)
        loaded = load_plugin(plugin)
        named = require_plugin_name(name or loaded.name)
        plan = FollowPlan(
            url=address,
            socket_urls=_sockets(address, ws, is_once=once),
            name=named,
            factory=loaded.factory,
            options=dict(map(_option, option or [])),
            folder=(data_dir or _FOLDER / named).absolute(),
            start=_height(start),
            is_once=once,
            is_dry=dry_run,
            rebuild=rebuild,
        )
        follower = Follower(plan, log)
        refused = asyncio.run(_run(follower))
    except Refused as refused:
        _fail(refused)
    except KeyboardInterrupt:
        raise typer.Exit(int(ExitCode.STOPPED)) from None
    print_facts(msgspec.structs.asdict(follower.summary), as_json)
    if refused is not None:
        _fail(refused)


async def _run(follower: "Follower") -> Refused | None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        follower.stop()
        # A plugin may never come back from its call: the second time nothing is waited for.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await follower.run()
    except Refused as refused:
        return refused
    return None


def _fail(refused: Refused) -> NoReturn:
    code = _CODES.get(refused.reason)
    # The help has nothing about what happens while it runs.
    fail("follow", str(refused), code or ExitCode.INPUT, None if code is None else "")


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        words = f"{shown(text)} is no address that begins with http:// or https://"
        raise Refused(Reason.PARAMETER_INVALID, words)
    return text


def _sockets(url: str, ws: str | None, *, is_once: bool) -> Sequence[str]:
    """Whoever ends at the tip need not be told of what comes after it."""
    from sequencer.plugins.follow.heads import websocket_urls

    if ws is not None and not ws.startswith(("ws://", "wss://")):
        words = f"--ws takes an address that begins with ws:// or wss://, not {shown(ws)}"
        raise Refused(Reason.PARAMETER_INVALID, words)
    if is_once:
        return ()
    return websocket_urls(url) if ws is None else (ws,)


def _height(text: str) -> int | None:
    if text == _LATEST:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX):
        words = f"--from takes a height or {_LATEST}, not {shown(text)}"
        raise Refused(Reason.PARAMETER_INVALID, words)
    return int(text)


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Refused(Reason.PARAMETER_INVALID, f"--option takes KEY=VALUE, not {shown(text)}")
    return key, value
