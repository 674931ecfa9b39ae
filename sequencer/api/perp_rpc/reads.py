"""What the exchange is at: orders, positions, accounts, books, markets, prices, the mode.

Laws
- Each answer is read from the exchange at the committed head, all of it at one moment.
"""

from collections.abc import Sequence

from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.perp_rpc.family import look
from sequencer.api.perp_rpc.values import read_symbol
from sequencer.api.perp_rpc.wire import (
    Fields,
    account_fields,
    book_fields,
    market_fields,
    order_fields,
    position_fields,
    price_fields,
)
from sequencer.api.starknet_rpc.values import NUMBER_MAX, read_address, read_felt, read_integer
from sequencer.chain.exchange_views import require_order
from sequencer.engine.account_reads import account_figures, held_positions, open_orders
from sequencer.engine.market_reads import all_markets, book_levels, market_figures
from sequencer.engine.service import Service
from sequencer.model.api_limits import PERP_ORDERS_MAX
from sequencer.model.limits import DEPTH_LEVELS_MAX
from sequencer.model.rows import Mode
from sequencer.starknet.felt import Felt, format_felt

_ACCOUNT = Parameter("account", read_address)
_MARKET = Parameter("market", read_symbol)
_ANY_MARKET = Parameter("market", read_symbol, "")
_LEVELS = Parameter("levels", read_integer(1, DEPTH_LEVELS_MAX), DEPTH_LEVELS_MAX)
_LIMIT = Parameter("limit", read_integer(1, PERP_ORDERS_MAX), PERP_ORDERS_MAX)
# Orders are counted from 0, so the first page begins behind -1.
_AFTER = Parameter("cursor", read_integer(0, NUMBER_MAX), -1)
_ORDER_ID = Parameter("order_id", read_felt)


def reading_methods(service: Service) -> Sequence[Method]:
    """Return the methods that look at the head."""
    return (*_account_methods(service), *_market_methods(service), _mode_method(service))


def _account_methods(service: Service) -> Sequence[Method]:
    def account(account: Felt) -> Fields:
        return {"account": account_fields(account, account_figures(service.latest, account))}

    def positions(account: Felt, market: str) -> Fields:
        held = held_positions(service.latest, account, market)
        return {"positions": [position_fields(each) for each in held]}

    def orders(account: Felt, market: str, limit: int, cursor: int) -> Fields:
        found = open_orders(service.latest, account, market, cursor, limit + 1)
        page = found[:limit]
        following = page[-1][1].sequence if len(found) > limit else None
        return {"orders": [order_fields(*each) for each in page], "cursor": following}

    def order(order_id: Felt) -> Fields:
        return {"order": order_fields(order_id, require_order(service.latest, order_id))}

    return (
        look(service, "getAccount", (_ACCOUNT,), account),
        look(service, "getPositions", (_ACCOUNT, _ANY_MARKET), positions),
        look(service, "getOrders", (_ACCOUNT, _ANY_MARKET, _LIMIT, _AFTER), orders),
        look(service, "getOrder", (_ORDER_ID,), order),
    )


def _market_methods(service: Service) -> Sequence[Method]:
    def markets() -> Fields:
        return {"markets": [market_fields(each) for each in all_markets(service.latest)]}

    def market(market: str) -> Fields:
        return {"market": market_fields(market_figures(service.latest, market))}

    def prices() -> Fields:
        return {"prices": [price_fields(each) for each in all_markets(service.latest)]}

    def book(market: str, levels: int) -> Fields:
        return {"market": market, **book_fields(book_levels(service.latest, market, levels))}

    return (
        look(service, "getMarkets", (), markets),
        look(service, "getMarket", (_MARKET,), market),
        look(service, "getPrices", (), prices),
        look(service, "getBook", (_MARKET, _LEVELS), book),
    )


def _mode_method(service: Service) -> Method:
    def mode() -> Fields:
        system, gate = service.latest.system, service.engine.gate
        latch, inbox = service.views.view.head.latch, service.inbox
        halted = latch is not None or gate.is_halted(service.latest)
        return {
            "mode": Mode.HALTED.value if halted else system.mode.value,
            "recorded_mode": system.mode.value,
            "cause": system.cause.value,
            "halts": [halt.cause.value for halt in gate.halts],
            "halted_by_reorg": 0 if latch is None else latch.reorg_id,
            "is_stopping": gate.is_stopping(),
            "guards_off": [guard.value for guard in system.guards_off],
            "drill": system.drill,
            "reopen_automatic": system.reopen_automatic,
            "time_ms": system.time_ms,
            "withdrawals_wait_until_ms": system.wait_until_ms,
            "withdrawals_wait_ticks": max(0, system.wait_until_ticks - system.ticks),
            "operator": format_felt(system.operator),
            "deposits_next_nonce": inbox.next_nonce,
            "deposits_pending": inbox.pending,
            "deposits_unmade": list(inbox.unmade),
        }

    return look(service, "getMode", (), mode)
