"""`perpchain devnet`: an appchain of one's own with money, prices and a settlement chain."""

import asyncio
import errno
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sequencer.cli.plugin_options import PluginUses, plugins_of
from sequencer.cli.stored import fail
from sequencer.model.bridge_limits import ETHEREUM_DEPTH_BLOCKS, ETHEREUM_DEPTH_BLOCKS_MAX
from sequencer.model.devnet_limits import (
    DEVNET_ACCOUNTS_MAX,
    DEVNET_BALANCE_MAX,
    DEVNET_BLOCK_MS_MAX,
    DEVNET_BLOCK_MS_MIN,
    DEVNET_SEED_MAX,
)
from sequencer.model.halts import ExitCode
from sequencer.model.plugins import PluginConfig
from sequencer.model.refusals import Refused
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import StoreError, StoreProblem

if TYPE_CHECKING:
    from devnet.appchain import DevnetPlan, SettlementOpener
    from sequencer.cli.devnet_screen import DevnetScreen

PORT = 5050
"""Where a devnet answers unless it is told otherwise: that of starknet-devnet."""

_TIME = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>ms|s)?")
_EXITS = {StoreProblem.STORE_LOCKED: ExitCode.STORE_LOCKED}
_Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port for clients; 0: any.")]


def devnet(
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=DEVNET_SEED_MAX, help="Gives all keys; else 1, or the folder's."),
    ] = None,
    accounts: Annotated[
        int | None,
        typer.Option(min=0, max=DEVNET_ACCOUNTS_MAX, help="Accounts with money; else 10."),
    ] = None,
    balance: Annotated[
        int | None,
        typer.Option(min=0, max=DEVNET_BALANCE_MAX, help="USDC of each; else 1000000."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address for clients.")] = "127.0.0.1",
    port: _Port = PORT,
    admin_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port for the operator's commands; 0: any.")
    ] = 0,
    block_time: Annotated[
        str, typer.Option(help="How long a block stays open: 200ms, 2s or milliseconds.")
    ] = "200ms",
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the chain here and go on with it; else temporary.")
    ] = None,
    settlement: Annotated[
        str, typer.Option(help="auto, devnet, embedded, none, or the address of one.")
    ] = "auto",
    ethereum: Annotated[
        bool, typer.Option("--ethereum", help="Start Ethereum, too: anvil, with a lock on it.")
    ] = False,
    ethereum_depth: Annotated[
        int,
        typer.Option(
            min=0, max=ETHEREUM_DEPTH_BLOCKS_MAX, help="Blocks that confirm a deposit there."
        ),
    ] = ETHEREUM_DEPTH_BLOCKS,
    bots: Annotated[bool, typer.Option(help="Have bots quote and trade.")] = False,
    plugin: PluginUses = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No accounts, no log, no table.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print addresses and keys as JSON.")
    ] = False,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log as JSON.")] = False,
) -> None:
    """Run an appchain for development: accounts with money, BTC and ETH prices, a faucet.

    It answers Starknet JSON-RPC over HTTP and WebSocket on one port. The same
    --seed, --accounts and --balance give the same keys, addresses and block 0.
    Ctrl-C ends it with its settlement chain; without --data-dir nothing stays.
    Example: perpchain devnet --bots --block-time 500ms
    """
    block_ms = _milliseconds(block_time)
    given = {"seed": seed, "accounts": accounts, "balance": balance}
    asked = {name: value for name, value in given.items() if value is not None}
    # Nothing has been started yet that would have to be ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from devnet.appchain import DevnetPlan
        from sequencer.cli.devnet_screen import make_screen

        plugins = _plugins(plugin)
        plan = DevnetPlan(asked, data_dir, host, port, admin_port, block_ms, bots, plugins)
        screen = make_screen(as_json=as_json, quiet=quiet, json_logs=json_logs)
        try:
            code = _run(plan, settlement, screen, ethereum_depth if ethereum else None)
        finally:
            screen.close()
    except KeyboardInterrupt:
        code = ExitCode.STOPPED
    raise typer.Exit(int(code))


def _run(
    plan: "DevnetPlan", settlement: str, screen: "DevnetScreen", ethereum_depth: int | None
) -> ExitCode:
    """Run until told to stop; whatever is refused ends the command with one line and its code."""
    from devnet.appchain import run_appchain
    from sequencer.cli.devnet_ethereum import choose_ethereum
    from sequencer.cli.devnet_settlement import choose_settlement

    try:
        opener: SettlementOpener | None = (
            choose_settlement(settlement, screen.say)
            if ethereum_depth is None
            else choose_ethereum(settlement, ethereum_depth, screen.say)
        )
        return asyncio.run(run_appchain(plan, opener, screen))
    except StoreError as error:
        fail("devnet", str(error), _EXITS.get(error.problem, ExitCode.STORE_UNUSABLE))
    except Refused as refused:
        fail("devnet", str(refused), ExitCode.INPUT)
    except OSError as error:
        words = f"{error.filename or plan.host}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            words += "; port 0 takes a free one"
        fail("devnet", words, ExitCode.INPUT)


def _plugins(uses: list[str] | None) -> Sequence[PluginConfig]:
    try:
        return plugins_of(uses)
    except Refused as refused:
        fail("devnet", str(refused), ExitCode.INPUT)


def _milliseconds(text: str) -> int:
    match = _TIME.fullmatch(text)
    value = 0
    if match is not None:
        value = int(match["number"]) * (MS_PER_SECOND if match["unit"] == "s" else 1)
    if not DEVNET_BLOCK_MS_MIN <= value <= DEVNET_BLOCK_MS_MAX:
        words = f"{text!r:.40} is not {DEVNET_BLOCK_MS_MIN}ms to {DEVNET_BLOCK_MS_MAX}ms"
        raise typer.BadParameter(words, param_hint="--block-time")
    return value
