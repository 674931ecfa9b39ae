"""How a run is told: lines, and on a terminal a picture of the chain below them.

Promises
- Without a terminal every line is plain text, and there is one for a block in each second or so.
"""

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from devnet.story import Moment
from sequencer.cli.quantities import decimal
from sequencer.model.units import ONE

_EVERY_SECONDS = 2.0
_REFRESHES_PER_SECOND = 4


class PlainScreen:
    """Lines of text to a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = 0.0
        self._shown = ""

    def phase(self, words: str) -> None:
        """Begin a chapter."""
        self._console.print(f"\n== {words}", style="bold", highlight=False, markup=False)

    def say(self, words: str) -> None:
        """Tell something worth a line."""
        self._console.print(words, highlight=False, markup=False, soft_wrap=True)

    def block(self, moment: Moment) -> None:
        """Say where the chain is, now and then."""
        now = time.monotonic()
        line = block_line(moment)
        if now - self._shown_at >= _EVERY_SECONDS and line != self._shown:
            self._shown_at, self._shown = now, line
            self.say(line)

    def close(self) -> None:
        """Nothing more is told."""


class LiveScreen(PlainScreen):
    """The same lines, and below them the chain as it is."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, refresh_per_second=_REFRESHES_PER_SECOND)
        self._live.start()

    def block(self, moment: Moment) -> None:
        """Draw the chain."""
        now = time.monotonic()
        if now - self._shown_at >= 1 / _REFRESHES_PER_SECOND:
            self._shown_at = now
            self._live.update(_picture(moment))

    def close(self) -> None:
        """Leave the last picture where it is."""
        self._live.stop()


def block_line(moment: Moment) -> str:
    """Say in one line where the chain is."""
    state = moment.state
    prices = "  ".join(
        f"{market.partition('-')[0]} {_price(price.mark)}"
        for market, price in sorted(state.prices.items())
    )
    settled = "" if moment.settled_height < 0 else f"  settled {moment.settled_height}"
    mode = "HALTED" if moment.is_halted else state.system.mode.value
    return f"block {moment.height:>5}  {mode:<11} {moment.commands:>4} commands  {prices}{settled}"


def _picture(moment: Moment) -> Table:
    state = moment.state
    table = Table(title=block_line(moment), title_justify="left")
    for name in ("market", "index", "mark", "bid", "ask", "open interest"):
        table.add_column(name, justify="left" if name == "market" else "right")
    for market, price in sorted(state.prices.items()):
        book = state.books[market]
        bid, ask = book.bids.best_price(), book.asks.best_price()
        cells = [_price(price.index), _price(price.mark), _price(bid or 0), _price(ask or 0)]
        table.add_row(market, *cells, decimal(state.market_sums[market].long))
    return table


def _price(price: int) -> str:
    hundredths = price * 100 // ONE
    return f"{hundredths // 100:,}.{hundredths % 100:02d}"
