"""What the `perp_*` methods answer: the one form in which each thing of the exchange is written.

Promises
- Prices, sizes, amounts and rates are decimals as text, exact and as short as they can be; felts
  are canonical; times (milliseconds), heights and counts are numbers.

Laws
- Nothing here looks anything up.
"""

from collections.abc import Sequence
from typing import Any

from sequencer.engine.account_reads import AccountFigures, HeldPosition
from sequencer.engine.market_reads import BookLevels, MarketFigures
from sequencer.engine.outcomes import OrderStatus, Outcome
from sequencer.engine.reorgs import Named, Reorg
from sequencer.model.events import Fill
from sequencer.model.markets import FundingParameters, MarketParameters, OracleParameters
from sequencer.model.orders import Order
from sequencer.model.records import BlockRecord, Head, IncidentKind
from sequencer.model.rows import LastTrade, OrderRow
from sequencer.starknet.felt import Felt, format_felt, format_hash

Fields = dict[str, Any]
"""An object on its way into JSON."""

_AMOUNT_DECIMALS, _BASIS_DECIMALS, _INDEX_DECIMALS = 8, 9, 18


def decimal(units: int, decimals: int = _AMOUNT_DECIMALS) -> str:
    """Write an integer of 10^-decimals as a decimal, without zeros at its end."""
    whole, rest = divmod(abs(units), 10**decimals)
    fraction = f"{rest:0{decimals}d}".rstrip("0")
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def head_fields(head: Head) -> Fields:
    """Say which head something was read from."""
    return place_fields(head.height, head.block_hash, head.epoch)


def place_fields(height: int, block_hash: bytes, epoch: int) -> Fields:
    """Say which block, and in which epoch."""
    return {"height": height, "block_hash": format_hash(block_hash), "epoch": epoch}


def block_fields(block: BlockRecord | Named) -> Fields:
    """Name a block."""
    return {"height": block.height, "block_hash": format_hash(block.block_hash)}


def signed_fields(order: Order) -> Fields:
    """Write what an order's signature covers, as a request has it."""
    return {
        "account": format_felt(order.account),
        "market": order.market,
        "side": order.side.value,
        "type": order.type.value,
        "size": decimal(order.size),
        "price": decimal(order.price),
        "trigger_price": decimal(order.trigger_price),
        "instruction": order.instruction.value,
        "self_trade": order.self_trade.value,
        "reduce_only": order.reduce_only,
        "client_id": format_felt(order.client_id),
        "pair_id": format_felt(order.pair_id),
        "replaces": format_felt(order.replaces),
        "signed_at_ms": order.signed_at_ms,
        "receive_window_ms": order.receive_window_ms,
        "expires_at_ms": order.expires_at_ms,
    }


def order_fields(order_id: Felt, row: OrderRow) -> Fields:
    """Write an order that rests or waits. `resting_price` is where it lies in the book."""
    status = OrderStatus.WAITING if row.waiting else OrderStatus.OPEN
    return {
        "order_id": format_felt(order_id),
        "status": status.value,
        "remaining": decimal(row.remaining),
        "filled": decimal(row.order.size - row.remaining),
        "resting_price": "0" if row.waiting else decimal(row.price),
        "sequence": row.sequence,
        "signer": format_felt(row.signer),
        **signed_fields(row.order),
    }


def outcome_fields(outcome: Outcome) -> Fields:
    """Write what became of an order in one transaction."""
    return {
        "status": outcome.status.value,
        "remaining": decimal(outcome.remaining),
        "close_reason": outcome.reason,
        "fills": [fill_fields(fill) for fill in outcome.fills],
    }


def fill_fields(fill: Fill) -> Fields:
    """Write a trade. `side` is the taker's."""
    return {
        "market": fill.market,
        "price": decimal(fill.price),
        "size": decimal(abs(fill.size)),
        "side": "BUY" if fill.size > 0 else "SELL",
        "taker": format_felt(fill.taker),
        "maker": format_felt(fill.maker),
        "taker_order": format_felt(fill.taker_order),
        "maker_order": format_felt(fill.maker_order),
        "taker_fee": decimal(fill.taker_fee),
        "maker_fee": decimal(fill.maker_fee),
    }


def position_fields(position: HeldPosition) -> Fields:
    """Write a position; its size is negative when short."""
    return {
        "market": position.market,
        "size": decimal(position.row.size),
        "cost": decimal(position.row.cost),
        "entry_price": decimal(position.entry_price),
        "mark": decimal(position.mark),
        "notional": decimal(position.notional),
        "unrealized": decimal(position.unrealized),
        "accrued_funding": decimal(position.funding),
        "settled_funding_index": index_decimal(position.row.index),
    }


def account_fields(account: Felt, figures: AccountFigures) -> Fields:
    """Write an account with its margin figures and positions."""
    margin = figures.margin
    return {
        "account": format_felt(account),
        "exists": figures.exists,
        "cash": decimal(figures.row.cash),
        "value": decimal(margin.value),
        "initial_margin": decimal(margin.initial),
        "maintenance_margin": decimal(margin.maintenance),
        "free": decimal(margin.free),
        "is_healthy": margin.healthy,
        "owner": format_felt(figures.row.owner),
        "isolated_market": figures.row.market,
        "isolated_accounts": [format_felt(each) for each in figures.isolated],
        "subkeys": figures.subkeys,
        "open_orders": figures.open_orders,
        "positions": [position_fields(each) for each in figures.positions],
    }


def market_fields(figures: MarketFigures) -> Fields:
    """Write a market whole: what the operator decided about it, and what it is at."""
    return {
        **price_fields(figures),
        "status": figures.row.status.value,
        "open_interest": decimal(figures.open_interest),
        "last_trade": _trade_fields(figures.last_trade),
        **_parameter_fields(figures.row.parameters),
    }


def price_fields(figures: MarketFigures) -> Fields:
    """Write a market's prices, its funding index, and the rate of funding per period."""
    price = figures.price
    return {
        "market": figures.row.parameters.symbol,
        "index": decimal(price.index),
        "index_at_ms": price.index_at_ms,
        "is_stale": figures.is_stale,
        "mark": decimal(price.mark),
        "basis": decimal(price.basis, _BASIS_DECIMALS),
        "funding_rate": decimal(figures.rate, _BASIS_DECIMALS),
        "funding_period_ms": figures.row.parameters.funding.period_ms,
        "funding_index": index_decimal(price.funding_index),
    }


def index_decimal(index: int) -> str:
    """Write a funding index."""
    return decimal(index, _INDEX_DECIMALS)


def _parameter_fields(parameters: MarketParameters) -> Fields:
    return {
        "price_increment": decimal(parameters.price_increment),
        "lot": decimal(parameters.lot),
        "notional_min": decimal(parameters.notional_min),
        "order_size_max": decimal(parameters.order_size_max),
        "orders_max": parameters.orders_max,
        "position_max": decimal(parameters.position_max),
        "open_interest_max": decimal(parameters.open_interest_max),
        "band": decimal(parameters.band),
        "slippage_max": decimal(parameters.slippage_max),
        "initial_margin": decimal(parameters.initial_margin),
        "maintenance_factor": decimal(parameters.maintenance_factor),
        "taker_fee": decimal(parameters.taker_fee),
        "maker_fee": decimal(parameters.maker_fee),
        "book_demanded": parameters.book_demanded,
        "oracle": _oracle_fields(parameters.oracle),
        "funding": _funding_fields(parameters.funding),
    }


def _oracle_fields(oracle: OracleParameters) -> Fields:
    return {
        "asset": oracle.asset,
        "perpetual_asset": oracle.perpetual_asset,
        "report_decimals": oracle.report_decimals,
        "quorum": oracle.quorum,
        "age_ms_max": oracle.age_ms_max,
        "step_max": decimal(oracle.step_max),
        "range_max": decimal(oracle.range_max),
        "clamp_max": decimal(oracle.clamp_max),
    }


def _funding_fields(funding: FundingParameters) -> Fields:
    return {
        "interest": decimal(funding.interest),
        "clamp": decimal(funding.clamp),
        "rate_max": decimal(funding.rate_max),
        "period_ms": funding.period_ms,
    }


def _trade_fields(trade: LastTrade) -> Fields | None:
    return {"price": decimal(trade.price), "time_ms": trade.time_ms} if trade.price else None


def book_fields(levels: BookLevels) -> Fields:
    """Write the levels of a book, best first."""
    return {"bids": _level_fields(levels.bids), "asks": _level_fields(levels.asks)}


def _level_fields(levels: Sequence[tuple[int, int]]) -> list[Fields]:
    return [{"price": decimal(price), "size": decimal(size)} for price, size in levels]


def reorg_fields(reorg: Reorg) -> Fields:
    """Write the record of a rollback, which removed blocks, or of an undo, which restored them."""
    details = reorg.details
    is_rollback = reorg.kind is IncidentKind.ROLLBACK
    moved = {
        "first": block_fields(reorg.first),
        "last": block_fields(reorg.last),
        "blocks": reorg.last.height - reorg.first.height + 1,
    }
    return {
        "cursor": reorg.number,
        "kind": reorg.kind.value,
        "reorg_id": reorg.reorg_id,
        "undoes": reorg.undoes,
        "epoch_before": reorg.epoch_before,
        "epoch_after": reorg.reorg_id,
        "old_head": block_fields(reorg.old_head),
        "new_head": block_fields(reorg.new_head),
        "removed": moved if is_rollback else None,
        "restored": None if is_rollback else moved,
        "reason": details.reason,
        "by": details.who,
        "time_ms": details.at_ms,
        "plan_hash": "0x" + reorg.plan_id.hex(),
        "root_before": format_felt(details.root_before),
        "root_after": format_felt(details.root_after),
        "order_policy": details.policy.value,
    }
