"""What happened: trades, liquidations, funding. Newest first, a bounded piece at a time.

Promises
- A cursor goes on exactly where a piece ended, also through rollbacks that left its block alone.
  One whose block was undone is refused with EPOCH_CONFLICT and every reorg since.
"""

from collections.abc import Callable, Sequence

from sequencer.api.json_rpc import PARAMS_INVALID, Method, Parameter, RpcError
from sequencer.api.perp_rpc.errors import conflict_error
from sequencer.api.perp_rpc.family import search
from sequencer.api.perp_rpc.values import Cursor, read_cursor, read_symbol, write_cursor
from sequencer.api.perp_rpc.wire import (
    Fields,
    block_fields,
    decimal,
    fill_fields,
    index_decimal,
    price_fields,
)
from sequencer.api.starknet_rpc.resolve import hash_of
from sequencer.api.starknet_rpc.values import read_address, read_integer
from sequencer.engine.account_reads import require_known_or_any
from sequencer.engine.events_back import Said, Wanted, at_end_of, look_back
from sequencer.engine.lookup import find_block
from sequencer.engine.market_reads import market_figures
from sequencer.engine.reorgs import reorgs_since
from sequencer.engine.service import Service
from sequencer.model.api_limits import PERP_HISTORY, PERP_HISTORY_MAX, PERP_REORGS_MAX
from sequencer.model.events import Fill, FundingIndexMoved, FundingPaid, Liquidated, Settled
from sequencer.ports import ChainView
from sequencer.starknet.felt import Felt, as_bytes, format_felt

_MARKET = Parameter("market", read_symbol)
_ANY_MARKET = Parameter("market", read_symbol, "")
_ACCOUNT = Parameter("account", read_address)
_ANY_ACCOUNT = Parameter("account", read_address, None)
_PAGE = (
    Parameter("limit", read_integer(1, PERP_HISTORY_MAX), PERP_HISTORY),
    Parameter("cursor", read_cursor, None),
)
# Up to a tenth of a second of the reader's thread; a look takes microseconds.
_COST = 40
_TRADES = (Fill, Liquidated, Settled)


def history_methods(service: Service) -> Sequence[Method]:
    """Return the methods that look back."""

    async def trades(
        view: ChainView,
        market: str,
        account: Felt | None,
        limit: int,
        cursor: Cursor | None,
    ) -> Fields:
        require_known_or_any(service.latest, market)
        wanted = Wanted(_TRADES, market, account)
        return await _page(service, view, wanted, (limit, cursor), "trades", _trade)

    async def funding(
        view: ChainView,
        market: str,
        limit: int,
        cursor: Cursor | None,
    ) -> Fields:
        now = price_fields(market_figures(service.latest, market))
        wanted = Wanted((FundingIndexMoved,), market)
        page = await _page(service, view, wanted, (limit, cursor), "funding", _move)
        return {"now": now, **page}

    async def payments(
        view: ChainView,
        account: Felt,
        market: str,
        limit: int,
        cursor: Cursor | None,
    ) -> Fields:
        require_known_or_any(service.latest, market)
        wanted = Wanted((FundingPaid,), market, account)
        return await _page(service, view, wanted, (limit, cursor), "payments", _payment)

    return (
        search(service, "getTrades", (_ANY_MARKET, _ANY_ACCOUNT, *_PAGE), trades, _COST),
        search(service, "getFunding", (_MARKET, *_PAGE), funding, _COST),
        search(service, "getFundingPayments", (_ACCOUNT, _ANY_MARKET, *_PAGE), payments, _COST),
    )


async def _page(
    service: Service,
    view: ChainView,
    wanted: Wanted,
    page: tuple[int, Cursor | None],
    name: str,
    fields: Callable[[Said], Fields],
) -> Fields:
    limit, cursor = page
    begin = at_end_of(view.head.height)
    if cursor is not None:
        _require_live(view, cursor)
        begin = cursor.before
    found, following = await look_back(service, view, begin, wanted, limit)
    told: Fields = {name: [{**fields(each), **_place(each)} for each in found], "cursor": None}
    if following is not None:
        block_hash = hash_of(find_block(view, str(following.height)))
        told["cursor"] = write_cursor(Cursor(view.head.epoch, following, block_hash))
    return told


def _require_live(view: ChainView, cursor: Cursor) -> None:
    block = view.block(cursor.before.height)
    if block is not None and block.block_hash == as_bytes(cursor.block_hash):
        return
    if cursor.epoch >= view.head.epoch:
        raise RpcError(PARAMS_INVALID, data="cursor: it names a block that there never was")
    since = reorgs_since(view, cursor.epoch, PERP_REORGS_MAX)
    raise conflict_error(view.head, cursor.epoch, since)


def _place(said: Said) -> Fields:
    return {
        **block_fields(said.block),
        "timestamp": said.timestamp,
        "transaction_hash": format_felt(said.transaction_hash),
        "transaction_index": said.transaction,
        "event_index": said.event,
    }


def _trade(said: Said) -> Fields:
    """Write a trade, or a position that was closed at a price without one."""
    match said.content:
        case Fill() as fill:
            return {"kind": "TRADE", **fill_fields(fill)}
        case Liquidated() as closed:
            kind = "LIQUIDATION"
        case Settled() as closed:
            kind = "SETTLEMENT"
        case _:
            raise TypeError(f"no trade: {type(said.content).__name__}")
    return {
        "kind": kind,
        "market": closed.market,
        "price": decimal(closed.price),
        "size": decimal(abs(closed.size)),
        # The way of the order that would have closed it.
        "side": "SELL" if closed.size > 0 else "BUY",
        "account": format_felt(closed.account),
    }


def _move(said: Said) -> Fields:
    moved = said.content
    if not isinstance(moved, FundingIndexMoved):
        raise TypeError(f"no move of an index: {type(moved).__name__}")
    return {"market": moved.market, "funding_index": index_decimal(moved.index)}


def _payment(said: Said) -> Fields:
    paid = said.content
    if not isinstance(paid, FundingPaid):
        raise TypeError(f"no payment: {type(paid).__name__}")
    amount = decimal(paid.amount)
    return {"account": format_felt(paid.account), "market": paid.market, "amount": amount}
