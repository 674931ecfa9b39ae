"""Benches of the engine: signed orders from the gate to the acknowledged block."""

from collections.abc import Callable
from functools import cache

from scripts.benches.measure import Figure, Sizes, Trading
from scripts.benches.stages import clocks
from scripts.benches.trading import Run, prepare, run_trading

_COUNTS = "signature, margin, state root, synced batch, witness and answer included"


def orders_per_second(sizes: Sizes) -> Figure:
    """45 % place, 8 % take, 47 % cancel, as fast as they are answered."""
    run = _run(sizes.trading)
    return Figure(round(run.applied / run.seconds), "per second", f"{_words(sizes)}; {_COUNTS}")


def ack_p50_ms(sizes: Sizes) -> Figure:
    """From the gate to the durable answer, half of all commands."""
    return Figure(_percentile(_run(sizes.trading), 50), "ms", f"at full load; {_words(sizes)}")


def ack_p99_ms(sizes: Sizes) -> Figure:
    """From the gate to the durable answer, all but one in a hundred."""
    return Figure(_percentile(_run(sizes.trading), 99), "ms", f"at full load; {_words(sizes)}")


def bytes_per_order(sizes: Sizes) -> Figure:
    """What a command adds to the data folder: rows, nodes, body and indices, all versions."""
    run = _run(sizes.trading)
    note = f"growth after compaction over {run.sent} commands, their blocks and ticks included"
    return Figure(round(run.grown / run.sent), "bytes", note)


def order_cpu_us(sizes: Sizes) -> Figure:
    """CPU of all threads for a command, and the stages that it goes to."""
    trading = sizes.trading
    prepare(trading)
    with clocks() as running:
        run = run_trading(trading._replace(seconds=min(trading.seconds, _STAGE_SECONDS)))
    note = f"stages in us per command, warm-up and idle ticks included:\n{running.table(run.sent)}"
    return Figure(round(run.cpu / run.applied * 1_000_000), "us", note)


_STAGE_SECONDS = 20


@cache
def _run(trading: Trading) -> Run:
    return run_trading(trading)


def _words(sizes: Sizes) -> str:
    trading = sizes.trading
    world = f"{trading.world.accounts} accounts, {trading.world.holders} with positions put into"
    return f"{world} block 0, {trading.traders} signers; {_run(trading).words()}"


def _percentile(run: Run, percent: int) -> int:
    return round(run.latencies[len(run.latencies) * percent // 100] * 1_000)


BENCHES: tuple[Callable[[Sizes], Figure], ...] = (
    orders_per_second,
    ack_p50_ms,
    ack_p99_ms,
    bytes_per_order,
    order_cpu_us,
)
