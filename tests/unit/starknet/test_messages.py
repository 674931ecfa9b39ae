"""The direct paths over off-chain messages against typed data, ours and that of starknet-py."""

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starknet_py.utils.typed_data import TypedData

from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.model.refusals import Reason
from sequencer.starknet.felt import FELT_PRIME, encode_short_string
from sequencer.starknet.felt_hash import starknet_keccak
from sequencer.starknet.messages import (
    CANCEL_TYPE_TEXT,
    ORDER_TYPE_TEXT,
    cancel_hash,
    order_hash,
    paradex_order_hash,
    price_report_hash,
)
from sequencer.starknet.typed_data import message_hash
from tests.strategies import Unchecked, felts, reason_of, refused, short_strings

PARADEX_CHAIN = 0x505249564154455F534E5F504F54435F5345504F4C4941
PARADEX_ACCOUNT = 0x129C135ED63DF9353885E292BE4426B8ED6122B13C6C0E1BB787288A1F5ADFA

FIELD_TYPES = {
    "account": "ContractAddress",
    "market": "shortstring",
    "side": "shortstring",
    "type": "shortstring",
    "size": "u128",
    "price": "u128",
    "trigger_price": "u128",
    "instruction": "shortstring",
    "self_trade": "shortstring",
    "reduce_only": "bool",
    "client_id": "felt",
    "pair_id": "felt",
    "replaces": "felt",
    "signed_at_ms": "u128",
    "receive_window_ms": "u128",
    "expires_at_ms": "u128",
}
NUMBERS = [name for name, kind in FIELD_TYPES.items() if kind in ("u128", "felt")]
SAMPLE = Order(
    account=0x123,
    market="BTC-USD-PERP",
    side=Side.BUY,
    type=OrderType.LIMIT,
    size=10**7,
    price=50_000 * 10**8,
    trigger_price=0,
    instruction=Instruction.GTC,
    self_trade=SelfTrade.EXPIRE_TAKER,
    reduce_only=False,
    client_id=7,
    pair_id=8,
    replaces=9,
    signed_at_ms=1_700_000_000_000,
    receive_window_ms=300_000,
    expires_at_ms=0,
)

# Digits alone, and 0x before anything, are numbers wherever typed data takes text for a felt.
markets = short_strings.filter(lambda text: text[0].isalpha())
amounts = st.one_of(st.sampled_from((0, 1, 2**128 - 1)), st.integers(0, 2**128 - 1))
orders = st.builds(
    Order,
    account=felts,
    market=markets,
    side=st.sampled_from(Side),
    type=st.sampled_from(OrderType),
    size=amounts,
    price=amounts,
    trigger_price=amounts,
    instruction=st.sampled_from(Instruction),
    self_trade=st.sampled_from(SelfTrade),
    reduce_only=st.booleans(),
    client_id=felts,
    pair_id=felts,
    replaces=felts,
    signed_at_ms=amounts,
    receive_window_ms=amounts,
    expires_at_ms=amounts,
)


def order_data(order: Order, chain_id: int) -> dict[str, Unchecked]:
    """Write an order as a wallet would be asked to sign it."""
    domain_types = ("name", "version", "chainId", "revision")
    message = {name: getattr(order, name) for name in FIELD_TYPES}
    numbers = {name: hex(message[name]) for name in (*NUMBERS, "account")}
    words = {name: str(message[name]) for name in ("side", "type", "instruction", "self_trade")}
    return {
        "types": {
            "StarknetDomain": [{"name": name, "type": "shortstring"} for name in domain_types],
            "Order": [{"name": name, "type": kind} for name, kind in FIELD_TYPES.items()],
        },
        "primaryType": "Order",
        # A version of digits alone is a number to every wallet: 1, and not the character 0x31.
        "domain": {
            "name": "perpchain",
            "version": "1",
            "chainId": hex(chain_id),
            "revision": "1",
        },
        "message": message | numbers | words,
    }


@settings(derandomize=True, deadline=None, max_examples=60)
@given(orders, felts, felts)
def test_an_order_hashes_as_typed_data_does(order: Order, signer: int, chain_id: int) -> None:
    data = order_data(order, chain_id)
    expected = order_hash(order, signer, chain_id)
    assert message_hash(data, signer) == expected
    assert TypedData.from_dict(data).message_hash(signer) == expected  # type: ignore[arg-type]


def test_the_type_text_names_every_field_of_an_order() -> None:
    fields = ",".join(f'"{name}":"{kind}"' for name, kind in FIELD_TYPES.items())
    assert f'"Order"({fields})' == ORDER_TYPE_TEXT
    assert tuple(FIELD_TYPES) == Order.__struct_fields__


def cancel_data(account: int, order_id: int, chain_id: int) -> dict[str, Unchecked]:
    """Write a cancellation as a wallet would be asked to sign it."""
    fields = (("account", "ContractAddress"), ("order_id", "felt"))
    like_orders = order_data(SAMPLE, chain_id)
    domain = like_orders["types"]["StarknetDomain"]
    types = [{"name": name, "type": kind} for name, kind in fields]
    return like_orders | {
        "types": {"StarknetDomain": domain, "CancelOrder": types},
        "primaryType": "CancelOrder",
        "message": {"account": hex(account), "order_id": hex(order_id)},
    }


@settings(derandomize=True, deadline=None, max_examples=60)
@given(felts, felts, felts, felts)
def test_a_cancellation_hashes_as_typed_data_does(
    account: int, order_id: int, signer: int, chain_id: int
) -> None:
    data = cancel_data(account, order_id, chain_id)
    expected = cancel_hash(account, order_id, signer, chain_id)
    assert message_hash(data, signer) == expected
    assert TypedData.from_dict(data).message_hash(signer) == expected  # type: ignore[arg-type]


def test_each_part_of_a_cancellation_counts() -> None:
    parts = [(1, 2, 3, 4), (2, 1, 3, 4), (1, 2, 4, 3), (3, 2, 1, 4), (0, 2, 3, 4), (1, 0, 3, 4)]
    assert len({cancel_hash(*part) for part in parts}) == len(parts)
    assert CANCEL_TYPE_TEXT == '"CancelOrder"("account":"ContractAddress","order_id":"felt")'
    for place in range(3):
        for bad in BAD_FELTS:
            part: list[Unchecked] = [1, 2, 3, 4]
            part[place] = bad
            with refused(Reason.ORDER_FIELD_OUT_OF_RANGE):
                cancel_hash(*part)


def test_a_remembered_order_lends_its_hash_to_no_other() -> None:
    """Equal is not alike: True == 1 == 1.0, as fields and as signers."""
    order = replace(SAMPLE, {"size": 1, "client_id": 1, "account": 1})
    expected = order_hash(order, 1, 1)
    for field in ("size", "client_id", "account"):
        for alike in (True, 1.0):
            for _ in range(2):
                with refused(Reason.ORDER_FIELD_OUT_OF_RANGE):
                    order_hash(replace(order, {field: alike}), 1, 1)
    for alike in (True, 1.0):
        with refused(Reason.ORDER_FIELD_OUT_OF_RANGE):
            order_hash(order, alike, 1)  # type: ignore[arg-type]
    assert order_hash(order, 1, 1) == expected
    assert order_hash(replace(order, {"side": "BUY"}), 1, 1) == expected


def changes_of(value: Unchecked) -> list[Unchecked]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, Side | OrderType | Instruction | SelfTrade):
        return [other for other in type(value) if other is not value]
    if isinstance(value, int):
        return [value ^ 1 << bit for bit in (0, 1, 63, 64, 127)]
    return [value + "X", value[:-1], value.lower(), "ETH-USD-PERP", ""]


STOP = msgspec.structs.replace(SAMPLE, type=OrderType.STOP_LIMIT, side=Side.SELL, trigger_price=5)


@pytest.mark.parametrize("order", [SAMPLE, STOP], ids=["limit", "stop"])
def test_every_field_counts(order: Order) -> None:
    hashes = [order_hash(order, 5, 6), order_hash(order, 4, 6), order_hash(order, 5, 7)]
    for field in FIELD_TYPES:
        value = getattr(order, field)
        for changed in changes_of(value):
            hashes.append(order_hash(replace(order, {field: changed}), 5, 6))
    assert len(hashes) > 70
    assert len(set(hashes)) == len(hashes)


def replace(order: Order, fields: Mapping[str, Unchecked]) -> Order:
    return msgspec.structs.replace(order, **fields)


BAD_AMOUNTS = (-1, 2**128, 2**251, FELT_PRIME, True, None, "1", 1.0)
BAD_FELTS = (-1, FELT_PRIME, 2**256, True, None, "1", 1.0)


@pytest.mark.parametrize("field", [*NUMBERS, "account"])
def test_numbers_beyond_their_type_are_refused(field: str) -> None:
    for bad in BAD_AMOUNTS if FIELD_TYPES[field] == "u128" else BAD_FELTS:
        with refused(Reason.ORDER_FIELD_OUT_OF_RANGE):
            order_hash(replace(SAMPLE, {field: bad}), 1, 1)


@pytest.mark.parametrize("market", ["a" * 32, "\u00e9", "BTC\u2013USD"])
def test_other_market_names_are_refused(market: str) -> None:
    with refused(Reason.SHORT_STRING_MALFORMED):
        order_hash(replace(SAMPLE, {"market": market}), 1, 1)
    with refused(Reason.SHORT_STRING_MALFORMED):
        paradex_order_hash(replace(SAMPLE, {"market": market}), 1, 1)


def test_other_signers_and_chains_are_refused() -> None:
    for bad in (-1, FELT_PRIME):
        for call in (order_hash, paradex_order_hash):
            with refused(Reason.ORDER_FIELD_OUT_OF_RANGE):
                call(SAMPLE, bad, 1)
            reason = reason_of(lambda chain=bad, hash_=call: hash_(SAMPLE, 1, chain))  # type: ignore[misc]
            assert reason in (Reason.FELT_OUT_OF_RANGE, Reason.ORDER_FIELD_OUT_OF_RANGE)


BUY = {"size": 10**7, "price": 50_000 * 10**8, "signed_at_ms": 1700000000000}
SELL = {
    "side": Side.SELL,
    "type": OrderType.MARKET,
    "market": "ETH-USD-PERP",
    "size": 15 * 10**7,
    "price": 0,
    "signed_at_ms": 1700000000001,
}
MODIFY = {"size": 2 * 10**7, "price": 50_001 * 10**8, "signed_at_ms": 1700000000002}
PARADEX: tuple[tuple[dict[str, Unchecked], str | None, int], ...] = (
    (BUY, None, 0x378D992FCD5D0937567174E9DA374046529415D34B02013CD87D6BCF9CCA3E8),
    (SELL, None, 0x7FB3D592E2AE1F472C0BA11C3CDFC18542BD10A0FE9CB6316EC77682E2AC032),
    (
        MODIFY,
        "1681462103821101699438490000",
        0xB991AE55C59A7071447CCA79E09B67B80B30C7E99BBCF563204FB4F12627FD,
    ),
    (
        BUY | {"market": "ETH-USD-PERP", "price": 1500 * 10**8, "signed_at_ms": 1634736000000},
        None,
        0x357F784E57D5C5B56410BFD988055F93958794F4E550742849E6C82B943C92D,
    ),
)


@pytest.mark.parametrize(("fields", "modifies", "expected"), PARADEX)
def test_published_paradex_hashes(
    fields: dict[str, Unchecked], modifies: str | None, expected: int
) -> None:
    order = replace(SAMPLE, fields)
    assert paradex_order_hash(order, PARADEX_ACCOUNT, PARADEX_CHAIN, modifies) == expected


def test_the_published_type_hash_of_paradex() -> None:
    text = b"Order(timestamp:felt,market:felt,side:felt,orderType:felt,size:felt,price:felt)"
    expected = 0xA56D5225B97B257C15AE2CB1CC0EA605381A886CD75463DB45FD2EF9FBC255
    assert starknet_keccak(text) == expected


def paradex_data(order: Order, chain_id: int, modifies: str | None) -> dict[str, Unchecked]:
    message: dict[str, Unchecked] = {
        "timestamp": hex(order.signed_at_ms),
        "market": order.market,
        "side": "1" if order.side is Side.BUY else "2",
        "orderType": str(order.type),
        "size": hex(order.size),
        "price": hex(order.price),
    }
    if modifies is not None:
        message["id"] = modifies
    primary = "Order" if modifies is None else "ModifyOrder"
    domain = ("name", "chainId", "version")
    return {
        "types": {
            "StarkNetDomain": [{"name": name, "type": "felt"} for name in domain],
            primary: [{"name": name, "type": "felt"} for name in message],
        },
        "primaryType": primary,
        "domain": {"name": "Paradex", "chainId": hex(chain_id), "version": "1"},
        "message": message,
    }


ids = st.one_of(st.none(), st.integers(0, FELT_PRIME - 1).map(str), markets)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(orders, felts, felts, ids)
def test_a_paradex_order_hashes_as_typed_data_does(
    order: Order, signer: int, chain_id: int, modifies: str | None
) -> None:
    data = paradex_data(order, chain_id, modifies)
    expected = paradex_order_hash(order, signer, chain_id, modifies)
    assert message_hash(data, signer) == expected
    assert TypedData.from_dict(data).message_hash(signer) == expected  # type: ignore[arg-type]


EDGE_IDS = ("", "0", "00012", "0x10", "0X1f", "0xg", "-5", "-", "1.5", "1" * 75, "1" * 77)


@pytest.mark.parametrize("modifies", [*EDGE_IDS, "9" * 5000, "a" * 32, "\u0661", "\u00e9"])
def test_an_order_id_is_read_as_typed_data_reads_a_felt(modifies: str) -> None:
    """Where typed data refuses the text, there is no hash; where it reads it, there is the same."""
    data = paradex_data(SAMPLE, 1, modifies)
    if reason_of(lambda: message_hash(data, 2)) is None:
        assert paradex_order_hash(SAMPLE, 2, 1, modifies) == message_hash(data, 2)
    else:
        assert reason_of(lambda: paradex_order_hash(SAMPLE, 2, 1, modifies)) is not None


def test_paradex_hashes_cover_just_their_fields() -> None:
    covered = {"market", "side", "type", "size", "price", "signed_at_ms"}
    base = paradex_order_hash(SAMPLE, 1, 2)
    for field in FIELD_TYPES:
        for changed in changes_of(getattr(SAMPLE, field)):
            other = paradex_order_hash(replace(SAMPLE, {field: changed}), 1, 2)
            assert (other != base) == (field in covered), field
    assert len({base, *(paradex_order_hash(SAMPLE, 1, 2, name) for name in ("", "1", "a"))}) == 4
    for field in ("size", "price", "signed_at_ms"):
        for bad in BAD_AMOUNTS:
            with refused(Reason.ORDER_FIELD_OUT_OF_RANGE):
                paradex_order_hash(replace(SAMPLE, {field: bad}), 1, 2)


BAD_REPORTS: tuple[tuple[str, str, int, int], ...] = (
    ("Stork!", "A", 1, 1),
    ("Stork", "A" * 17, 1, 1),
    ("St\u00f6rk", "A", 1, 1),
    ("Stork", "\u00c4", 1, 1),
    ("Stork", "A", -1, 1),
    ("Stork", "A", 2**120, 1),
    ("Stork", "A", 1, -1),
    ("Stork", "A", 1, 2**32),
)


@pytest.mark.parametrize("report", BAD_REPORTS, ids=repr)
def test_price_reports_beyond_their_fields_are_refused(report: tuple[str, str, int, int]) -> None:
    with refused(Reason.ORDER_FIELD_OUT_OF_RANGE):
        price_report_hash(*report)


def test_price_reports_at_their_limits() -> None:
    largest = price_report_hash("Stork", "A" * 16, 2**120 - 1, 2**32 - 1)
    smallest = price_report_hash("", "", 0, 0)
    assert largest != smallest
    assert encode_short_string("Stork") == 0x53746F726B
