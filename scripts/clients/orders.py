"""Limit orders of perpchain as starknet-py signs and sends them.

Prices and sizes are integers of 1e-8 where they are signed, and decimal text where they are shown.
"""

from decimal import Decimal
from typing import Any

from starknet_py.cairo.felt import encode_shortstring
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call
from starknet_py.utils.typed_data import TypedData

Order = dict[str, Any]

KINDS = {
    "ContractAddress": ("account",),
    "shortstring": ("market", "side", "type", "instruction", "self_trade"),
    "bool": ("reduce_only",),
    "felt": ("client_id", "pair_id", "replaces"),
}
DOMAIN = ("name", "version", "chainId", "revision")


def units(text: str) -> int:
    """Read decimal text as 1e-8."""
    return int(Decimal(text).scaleb(8))


def shown(amount: int) -> str:
    """Write 1e-8 as decimal text."""
    return f"{Decimal(amount).scaleb(-8).normalize():f}"


def limit_order(account: int, market: str, side: str, size: int, price: int, now_ms: int) -> Order:
    """Make an order. Its fields stand in the order in which they are signed."""
    return {
        "account": account,
        "market": market,
        "side": side,
        "type": "LIMIT",
        "size": size,
        "price": price,
        "trigger_price": 0,
        "instruction": "GTC",
        "self_trade": "EXPIRE_TAKER",
        "reduce_only": False,
        "client_id": 1,
        "pair_id": 0,
        "replaces": 0,
        "signed_at_ms": now_ms,
        "receive_window_ms": 60_000,
        "expires_at_ms": 0,
    }


def as_call(order: Order, exchange: int) -> Call:
    """Place an order by a call of its account: nothing but the transaction is signed."""
    felts = [encode_shortstring(v) if isinstance(v, str) else int(v) for v in order.values()]
    return Call(exchange, get_selector_from_name("place_order"), felts)


def as_signed(order: Order, account: Account, domain: dict[str, str]) -> dict[str, Any]:
    """Sign an order (SNIP-12) for `perp_placeOrder`. `domain` is that of `perp_chainInfo`."""
    kinds = {name: kind for kind, names in KINDS.items() for name in names}
    fields = [{"name": name, "type": kinds.get(name, "u128")} for name in order]
    types = {
        "Order": fields,
        "StarknetDomain": [{"name": n, "type": "shortstring"} for n in DOMAIN],
    }
    data: Any = {"types": types, "primaryType": "Order", "domain": domain, "message": order}
    signature = [hex(each) for each in account.sign_message(TypedData.from_dict(data))]
    amounts = {name: shown(order[name]) for name in ("size", "price", "trigger_price")}
    felts = {name: hex(order[name]) for name in ("account", *KINDS["felt"])}
    return {"order": {**order, **amounts, **felts}, "signature": signature}
