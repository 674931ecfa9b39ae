"""Benches of the engine: signed orders from the gate to the acknowledged block."""

from collections.abc import Callable
from functools import cache

from scripts.benches.measure import Figure, Sizes, Trading, percentile_ms
from scripts.benches.stages import clocks, table
from scripts.benches.trading import Run, prepare, run_trading

_COUNTS = "signature, margin, state root, synced batch, witness and answer included"
_STAGE_SECONDS = 20


def orders_per_second(sizes: Sizes) -> Figure:
    """45 % place, 8 % take, 47 % cancel, as fast as they are answered."""
    run = _run(sizes.trading)
    return Figure(round(run.applied / run.seconds), "per second", f"{_words(sizes)}; {_COUNTS}")


def ack_p50_ms(sizes: Sizes) -> Figure:
    """From the gate to the durable answer, half of all commands."""
    return _ack_figure(sizes, 50)


def ack_p99_ms(sizes: Sizes) -> Figure:
    """From the gate to the durable answer, all but one in a hundred."""
    return _ack_figure(sizes, 99)


def bytes_per_order(sizes: Sizes) -> Figure:
    """What a command adds to the data folder: rows, nodes, body and indices, all versions."""
    run = _run(sizes.trading)
    note = f"growth after compaction over {run.sent} commands, their blocks and ticks included"
    return Figure(round(run.grown / run.sent), "bytes", note)


def order_cpu_us(sizes: Sizes) -> Figure:
    """CPU of all threads for a command, and the stages that it goes to."""
    trading = sizes.trading
    prepare(trading)
    with clocks() as seconds:
        run = run_trading(trading._replace(seconds=min(trading.seconds, _STAGE_SECONDS)))
    note = f"stages in us per command, warm-up and idle ticks included:\n{table(seconds, run.sent)}"
    return Figure(round(run.cpu / run.applied * 1_000_000), "us", note)


@cache
def _run(trading: Trading) -> Run:
    return run_trading(trading)


def _words(sizes: Sizes) -> str:
    trading = sizes.trading
    world = f"{trading.world.accounts} accounts, {trading.world.holders} with positions put into"
    return f"{world} block 0, {trading.traders} signers; {_run(trading).words()}"


def _ack_figure(sizes: Sizes, percent: int) -> Figure:
    value = percentile_ms(_run(sizes.trading).latencies, percent, None)
    return Figure(value, "ms", f"at full load; {_words(sizes)}")


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    orders_per_second,
    ack_p50_ms,
    ack_p99_ms,
    bytes_per_order,
    order_cpu_us,
)
