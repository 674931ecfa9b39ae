"""Figures of a node in the text format of Prometheus, with names, units and words.

Promises
- Every name begins with `perpchain_` or `process_`; what is not known is left out. Money is in
  quote, time in seconds.
- Nothing secret is in them: no keys, no accounts, no reasons.

Laws
- A scrape reads one moment, and waits for nothing. Names are part of the public interface.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from sequencer.engine.deposit_facts import InboxStatus
from sequencer.engine.desk_figures import ExchangeFigures, Figures, WriterFigures
from sequencer.engine.settler_status import SettlerStatus
from sequencer.engine.verification import VerificationStatus
from sequencer.model.halts import HaltCause
from sequencer.model.plugins import PluginStanding, PluginState
from sequencer.model.rows import Guard, Mode
from sequencer.model.units import MS_PER_SECOND, ONE

Counted: TypeAlias = Callable[[], Mapping[str, int]]
"""Counts a part's events: names without a prefix; those that end in `_total` only ever grow."""

_PREFIX = "perpchain_"
_TOTAL = "_total"
_WORDS = {
    "admin_calls": "Commands that the admin server carries out now.",
    "admin_requests_total": "Requests to the admin server, scrapes among them.",
    "admin_unauthorized_total": "Requests to the admin server without the token.",
    "api_busy_total": "What clients sent and a limit refused.",
    "api_bytes_held": "Bytes that clients' requests and unread messages hold.",
    "api_calls": "Requests of clients that are being answered now.",
    "api_connections": "Connections of clients, those of WebSocket among them.",
    "api_malformed_total": "What clients sent that is no HTTP.",
    "api_messages_total": "WebSocket messages of clients.",
    "api_requests_total": "HTTP requests of clients.",
    "api_streams": "WebSocket connections of clients.",
    "operator_log_entries": "Number of the newest entry of the operator's log; it never falls.",
    "operator_log_unwritten_total": "Entries that could not be written to the operator's log.",
}
_COMMIT_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)


class Watched(Protocol):
    """A desk, as far as metrics ask it."""

    def figures(self) -> Figures | None:
        """Return the figures of this moment, None where the store cannot be read."""

    async def watch_commits(self, seen: Callable[[float], None]) -> None:
        """Say of each block how many seconds it took to the disk."""


class Metrics:
    """The metrics of one node, in a registry of their own. `counted` are those of other parts."""

    def __init__(self, desk: Watched, counted: Counted) -> None:
        self._desk = desk
        self._registry = CollectorRegistry()
        self._commits = Histogram(
            "perpchain_commit_seconds",
            "From the end of a block to the moment in which it was durable.",
            buckets=_COMMIT_SECONDS,
            registry=self._registry,
        )
        self._registry.register(_Collector(desk.figures, counted))
        ProcessCollector(registry=self._registry)

    async def run(self) -> None:
        """Watch commits, until cancelled."""
        await self._desk.watch_commits(self._commits.observe)

    def text(self) -> bytes:
        """Return everything in the text format, version 0.0.4."""
        return generate_latest(self._registry)


class _Collector:
    """Asks for figures when it is scraped, never before."""

    def __init__(self, figures: Callable[[], Figures | None], counted: Counted) -> None:
        self._figures, self._counted = figures, counted

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        figures = self._figures()
        yield _gauge("store_readable", "1 where the store can be read.", figures is not None)
        if figures is not None:
            yield from _of_node(figures)
            yield from _of_parts(figures)
        for name, value in sorted(self._counted().items()):
            kind = _counter if name.endswith(_TOTAL) else _gauge
            yield kind(name, _WORDS.get(name, "Counted by the API."), value)


def _of_node(figures: Figures) -> Iterator[Metric]:
    off = set(figures.guards_off)
    age_seconds = figures.block_age_ms / MS_PER_SECOND
    overdue_seconds = figures.overdue_ms / MS_PER_SECOND
    yield _gauge("height", "Height of the newest durable block.", figures.height)
    yield _gauge("epoch", "Rollbacks and undos so far.", figures.epoch)
    yield _each("mode", "1 for the mode that the chain is in.", "mode", Mode, {figures.mode})
    yield _gauge("latched", "1 while a rollback waits for cancel-only.", figures.latched)
    yield _gauge("drill", "1 where genesis says that this is a drill.", figures.drill)
    yield _each("guard_off", "1 for each guard that is off.", "guard", Guard, off)
    yield _gauge("block_age_seconds", "Time since the newest durable block.", age_seconds)
    yield _gauge("open_rollbacks", "Rollbacks with something left to do.", figures.open_rollbacks)
    yield _gauge("checkpoints", "Checkpoints, which hold pruning back.", figures.checkpoints)
    words = "Time since a halt should have been decided about; 0 while none is overdue."
    yield _gauge("decision_overdue_seconds", words, overdue_seconds)
    if figures.disk_free_bytes is not None:
        words = "Room on the disk of the data folder."
        yield _gauge("disk_free_bytes", words, figures.disk_free_bytes)


def _of_parts(figures: Figures) -> Iterator[Metric]:
    if figures.writer is not None:
        yield from _of_writer(figures.writer)
    if figures.exchange is not None:
        yield from _of_exchange(figures.exchange)
    if figures.settled is not None:
        yield from _of_settlement(figures.settled)
    if figures.inbox is not None:
        yield from _of_inbox(figures.inbox)
    if figures.verified is not None:
        yield from _of_verification(figures.verified)
    if figures.plugins:
        yield from _of_plugins(figures.plugins)


def _of_writer(writer: WriterFigures) -> Iterator[Metric]:
    halts = set(writer.halts)
    yield _gauge("halted", "1 while a halt of the node stands.", bool(halts))
    yield _each("halt", "1 for each cause of a halt that stands.", "cause", HaltCause, halts)
    yield _gauge("commands_waiting", "Commands that wait for a block.", writer.waiting)
    words = "How long the block under way to the disk has taken so far."
    yield _gauge("seal_lag_seconds", words, writer.lag_ms / MS_PER_SECOND)
    words = "1 where the state root was worked out again from the rows."
    yield _gauge("root_proven", words, writer.root_proven)


def _of_exchange(exchange: ExchangeFigures) -> Iterator[Metric]:
    yield _quote("insurance_cash_quote", "Cash of the insurance account.", exchange.insurance_cash)
    yield _quote("bad_debt_quote", "Losses that nobody has paid.", exchange.bad_debt)
    yield _quote("collateral_quote", "Deposits less withdrawals.", exchange.collateral)
    yield _gauge("accounts", "Accounts of the exchange.", exchange.accounts)
    yield _gauge("open_orders", "Orders that rest or wait for their trigger.", exchange.orders)
    words = "Accounts that the tripwire counts now: newly unhealthy, and no price explains it."
    yield _gauge("tripwire_accounts", words, exchange.alarmed)
    yield _gauge("position_holders", "Accounts that hold a position.", exchange.holders)
    # A price of 0 is one that went wrong, and is shown: only before the first there is none.
    priced = {
        market: each for market, each in exchange.markets.items() if each.price_age_ms is not None
    }
    indices = {market: each.index / ONE for market, each in priced.items()}
    marks = {market: each.mark / ONE for market, each in priced.items()}
    interests = {market: each.open_interest / ONE for market, each in exchange.markets.items()}
    ages = {
        market: each.price_age_ms / MS_PER_SECOND
        for market, each in exchange.markets.items()
        if each.price_age_ms is not None
    }
    words = "Positions of one side at the mark price."
    yield _labelled("open_interest_quote", words, "market", interests)
    yield _labelled("index_price_quote", "The last accepted index price.", "market", indices)
    yield _labelled("mark_price_quote", "The mark price.", "market", marks)
    words = "Time since the last accepted index price; none before the first."
    yield _labelled("price_age_seconds", words, "market", ages)


def _of_settlement(settled: SettlerStatus) -> Iterator[Metric]:
    heights = "as last seen there; -1 as long as it never was."
    words = f"Height at which the settlement contract stands, {heights}"
    yield _gauge("settled_height", words, settled.settled_height)
    words = f"Height that is final on the settlement chain, {heights}"
    yield _gauge("finalized_height", words, settled.finalized_height)
    yield _gauge("settlement_lag_blocks", "Blocks that are not posted yet.", settled.lag_blocks)
    words = "1 while the last call over there went wrong."
    yield _gauge("settlement_failing", words, bool(settled.problem))
    yield _gauge("settlement_held", "1 while finality is held.", bool(settled.hold))
    yield _counter("settlement_posts_total", "Posts of this process.", settled.posts)


def _of_inbox(inbox: InboxStatus) -> Iterator[Metric]:
    words = "Nonce of the deposit that is credited next."
    yield _gauge("deposits_next_nonce", words, inbox.next_nonce)
    words = "Deposits of the settlement chain that wait to be credited."
    yield _gauge("deposits_pending", words, inbox.pending)
    words = "Credited deposits that the settlement chain has lost."
    yield _gauge("deposits_unmade", words, len(inbox.unmade))
    words = "1 while the deposits of the settlement chain cannot be read."
    yield _gauge("deposits_failing", words, bool(inbox.problem))


def _of_verification(verified: VerificationStatus) -> Iterator[Metric]:
    words = "Height up to which this process has executed blocks again; -1 for none."
    yield _gauge("verified_height", words, verified.verified_height)
    words = "1 while a block that was executed again differs from what is stored."
    yield _gauge("verification_differs", words, bool(verified.differs))
    words = "Blocks met in which a drill did harm or a guard was off."
    yield _gauge("harmed_blocks", words, verified.harmed_blocks)


def _of_plugins(plugins: Sequence[PluginStanding]) -> Iterator[Metric]:
    lags = {each.name: float(each.lag) for each in plugins}
    parked = {each.name: float(each.state is PluginState.PARKED) for each in plugins}
    words = "Blocks, rollbacks and undos that a plugin has not been told of yet."
    yield _labelled("plugin_lag", words, "plugin", lags)
    words = "1 while a plugin is told nothing, until the operator unparks or rebuilds it."
    yield _labelled("plugin_parked", words, "plugin", parked)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, words, value)


def _quote(name: str, words: str, value: int) -> Metric:
    return _gauge(name, words, value / ONE)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, words, value)


def _labelled(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(_PREFIX + name, words, labels=(label,))
    for value in sorted(values):
        family.add_metric((value,), values[value])
    return family


def _each(
    name: str, words: str, label: str, kinds: Iterable[str], present: Iterable[str]
) -> Metric:
    """Say of each kind whether it is there, by 1 and 0: a row never appears from nowhere."""
    there = set(present)
    return _labelled(name, words, label, {str(kind): float(kind in there) for kind in kinds})
