"""How a local devnet is shown: what a client has to know, the log, and on a terminal a live table.

Promises
- The facts go to standard output: once, and those of the settlement chain when it is there.
  Everything else goes to standard error.
- Without a terminal there is no table, and a line of the log now and then in its place.
"""

import time
from contextlib import suppress
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from devnet.devnet_facts import Moment
from sequencer.cli.logs import Log, make_log
from sequencer.cli.quantities import decimal
from sequencer.cli.stored import plain
from sequencer.model.units import ONE

_LINE_SECONDS = 10.0
_REFRESHES_PER_SECOND = 4
_WARNINGS = ("HALTED", "L1_DEPOSIT_UNMADE")


class DevnetScreen:
    """Takes facts, lines and moments.

    `as_json`: the facts are lines of JSON. `quiet`: they are without accounts. `live`: there is a
    table where the console is a terminal.
    """

    def __init__(
        self, console: Console, log: Log, *, as_json: bool, quiet: bool, live: bool
    ) -> None:
        self._log = log
        self._as_json = as_json
        self._quiet = quiet
        self._said_at = time.monotonic()
        self._last: Moment | None = None
        self._is_shown = console.is_terminal and live
        # The facts are for whoever reads standard output, wherever the table is.
        self._live = Live(
            console=console, refresh_per_second=_REFRESHES_PER_SECOND, redirect_stdout=False
        )

    def ready(self, facts: dict[str, Any]) -> None:
        """Print what a client has to know."""
        if self._as_json:
            typer.echo(msgspec.json.encode(facts).decode())
        else:
            for line in fact_lines(facts, with_accounts=not self._quiet):
                typer.echo(line)
        if self._is_shown:
            self._live.start()

    def settled(self, facts: dict[str, str]) -> None:
        """Tell of the settlement chain, which comes later than the rest."""
        if self._as_json:
            # Whoever read the first line may have gone.
            with suppress(BrokenPipeError):
                typer.echo(msgspec.json.encode(facts).decode())
        self._log.info("settlement chain", **facts)

    def say(self, words: str) -> None:
        """Log a line; what is said of a halt, or of a lost deposit, is a warning."""
        log = self._log.warning if words.startswith(_WARNINGS) else self._log.info
        log(plain(words))

    def moment(self, moment: Moment) -> None:
        """Draw the chain, or log it now and then; a change of mode at once."""
        last, self._last = self._last, moment
        if last is None or last.mode is not moment.mode:
            self._log.info("mode", mode=moment.mode.value, height=moment.height)
        if last is None or last.epoch != moment.epoch:
            self._log.info("epoch", epoch=moment.epoch, height=moment.height)
        if self._is_shown:
            self._live.update(_picture(moment))
        elif time.monotonic() - self._said_at >= _LINE_SECONDS:
            self._said_at = time.monotonic()
            self._log.info("chain", **_values(moment))

    def close(self) -> None:
        """Leave the last picture where it is."""
        if self._live.is_started:
            self._live.stop()


def make_screen(*, as_json: bool, quiet: bool, json_logs: bool) -> DevnetScreen:
    """Return the screen of this terminal, if it is one."""
    console = Console(stderr=True, highlight=False)
    log = make_log(console, as_json=json_logs, quiet=quiet)
    live = not (quiet or json_logs)
    return DevnetScreen(console, log, as_json=as_json, quiet=quiet, live=live)


def fact_lines(facts: dict[str, Any], *, with_accounts: bool) -> list[str]:
    """Write what a client has to know as lines of text."""
    exchange, token = facts["exchange"], facts["token"]
    lines = [f"perpchain devnet listening at {facts['http']} and {facts['ws']}", ""]
    if with_accounts:
        for number, account in enumerate(facts["accounts"]):
            lines += [
                f"| Account #{number}",
                f"| address      {account['address']}",
                f"| private key  {account['private_key']}",
                f"| public key   {account['public_key']}",
                f"| balance      {account['balance']} USDC",
                "|",
            ]
        lines += ["Anybody can derive these keys: send nothing of value to them.", ""]
    named = {
        "chain id": f"{facts['chain_id']} ({facts['chain_id_felt']})",
        "seed": facts["seed"],
        "genesis hash": facts["genesis_hash"],
        "exchange": f"{exchange['address']}  class {exchange['class_hash']}",
        "token": f"{token['address']}  class {token['class_hash']}",
        "account class": facts["account_class_hash"],
        "markets": ", ".join(facts["markets"]),
        "faucet": f"{facts['faucet']['method']}, pays from {facts['faucet']['address']}",
        "operator": facts["operator"],
        "settlement": facts["settlement"],
        "data folder": facts["data_dir"],
    }
    return lines + [f"{name:13} {value}" for name, value in named.items()]


def _picture(moment: Moment) -> Table:
    table = Table(title=_title(moment), title_justify="left")
    for name in ("market", "index", "mark", "bid", "ask", "open interest"):
        table.add_column(name, justify="left" if name == "market" else "right")
    for each in moment.markets:
        prices = (each.index, each.mark, each.bid, each.ask)
        table.add_row(each.market, *map(_price, prices), decimal(each.open_interest))
    return table


def _title(moment: Moment) -> str:
    settled = "" if moment.settlement == "none" else f"  settled {moment.settled_height}"
    behind = f" ({moment.lag_blocks} behind)" if settled else ""
    rate = f"{moment.blocks_per_second:.1f} blocks/s"
    words = f"block {moment.height}  {moment.mode.value}  {rate}{settled}{behind}"
    return f"{words}  {moment.problem}" if moment.problem else words


def _values(moment: Moment) -> dict[str, object]:
    values: dict[str, object] = {
        "height": moment.height,
        "mode": moment.mode.value,
        "blocks_per_second": round(moment.blocks_per_second, 1),
    }
    if moment.settlement != "none":
        values |= {"settled": moment.settled_height, "lag": moment.lag_blocks}
    prices = {each.market.partition("-")[0]: _price(each.mark) for each in moment.markets}
    return values | prices


def _price(price: int) -> str:
    """Write a price, 0 as a dash: there is none."""
    hundredths = price * 100 // ONE
    return f"{hundredths // 100:,}.{hundredths % 100:02d}" if price else "-"
