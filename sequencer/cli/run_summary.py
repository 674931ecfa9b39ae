"""What a run comes to: the summary that `perpchain run` prints."""

from typing import TYPE_CHECKING

from sequencer.cli.quantities import decimal
from sequencer.model.units import QUOTE_PER_TOKEN

if TYPE_CHECKING:
    from devnet.proof import Proof
    from devnet.run import Played

_NS_PER_MS = 1_000_000
_MICROSECONDS_PER_MS = 1_000


def summary_of(played: "Played", elapsed_seconds: float) -> dict[str, object]:
    """Sum a run up: counts from the chain, measurements of this process, amounts as decimals."""
    proof, tally, notes = played.proof, played.proof.tally, played.notes
    latencies, settlement = played.latencies_ns, played.backend.settlement
    rollback: dict[str, object] | None = None
    if notes.bad_height >= 0:
        rollback = {
            "from": notes.bad_height,
            "to": notes.good_height,
            "commit_ms": round(notes.commit_microseconds / _MICROSECONDS_PER_MS, 1) or None,
            "total_ms": notes.total_ms or None,
            "root_matches": proof.roots.get(notes.good_height, False),
        }
    per_second = len(latencies) / played.trading_seconds if latencies else 0
    return {
        "settlement_backend": played.backend_name,
        "cairo_executed": settlement is not None and settlement.cairo_executed,
        "blocks": tally.blocks,
        "orders": tally.orders,
        "fills": tally.fills,
        "volume": {market: decimal(size) for market, size in tally.volume.items()},
        "synthetic_volume": {market: decimal(size) for market, size in played.volumes.items()},
        "refused_orders": tally.refused_orders,
        "head_root": proof.head_root,
        "settled_height": None if proof.settled_height < 0 else proof.settled_height,
        "settled_root": proof.settled_root or None,
        "root_at_settled_height": proof.root_at_settled_height or None,
        "settlement_reverted_to": None if notes.reverted_to < 0 else notes.reverted_to,
        **_money_of(proof),
        "rollback": rollback,
        "accounts": proof.accounts,
        "accounts_differing": proof.accounts_differing,
        "root_matches": all(proof.roots.values()),
        "laws": proof.laws,
        "client_heads": played.watched.heads,
        "client_reorgs": played.watched.reorgs,
        "client_undone_blocks": played.watched.undone_blocks,
        "client_undone_liquidations": played.watched.undone_liquidations,
        "client_reconciled": not played.watched.problems,
        "orders_per_second": round(per_second, 1),
        "ack_p50_ms": _percentile_ms(latencies, 50),
        "ack_p99_ms": _percentile_ms(latencies, 99),
        "elapsed_s": round(elapsed_seconds, 1),
    }


def _money_of(proof: "Proof") -> dict[str, object]:
    """Sum up what came in and went out through the settlement chain, None where nothing did."""
    claimed = proof.claimed
    surplus = 0 if claimed is None else claimed.surplus
    more = {"contract_surplus": decimal(surplus * QUOTE_PER_TOKEN)} if surplus else {}
    return {
        "deposits": proof.tally.deposits,
        "deposited": decimal(proof.tally.deposited),
        "withdrawal_claimed": claimed and decimal(claimed.amount * QUOTE_PER_TOKEN),
        "contract_balance_matches": claimed and claimed.balance_matches,
        **more,
    }


def _percentile_ms(latencies_ns: list[int], percent: int) -> float:
    if not latencies_ns:
        return 0.0
    place = min(len(latencies_ns) - 1, len(latencies_ns) * percent // 100)
    return round(latencies_ns[place] / _NS_PER_MS, 1)
