"""SNIP-12 hashes that others published: libraries, Paradex, starknet-perpetual."""

import re
from typing import Any

import pytest

from sequencer.starknet.felt import FELT_PRIME, encode_short_string
from sequencer.starknet.felt_hash import pedersen_array, poseidon_array, starknet_keccak
from sequencer.starknet.typed_data import encode_type, message_hash, type_hash

Json = dict[str, Any]

ACCOUNT = 0xCD2A3D9F938E13CD947EC05ABC7FE734DF8DD826
PARADEX_ACCOUNT = 0x129C135ED63DF9353885E292BE4426B8ED6122B13C6C0E1BB787288A1F5ADFA
PERPETUALS_KEY = 0x5D05989E9302DCEBC74E241001E3E3AC3F4402CCF2F8E6F74B034B07AD6A904
DOMAIN_NAMES = ("StarkNetDomain", "StarknetDomain")
PREFIX = encode_short_string("StarkNet Message")


def struct(*fields: str) -> list[dict[str, str]]:
    """Write fields as `name:type`, or `name:type=contains`."""
    split = [re.split("[:=]", field) for field in fields]
    return [dict(zip(("name", "type", "contains"), parts, strict=False)) for parts in split]


DOMAIN_0 = struct("name:felt", "version:felt", "chainId:felt")
DOMAIN_1 = struct(
    "name:shortstring", "version:shortstring", "chainId:shortstring", "revision:shortstring"
)
DOMAIN_PARADEX = struct("name:felt", "chainId:felt", "version:felt")


def mail(revision: int, primary_type: str, types: Json, message: Json) -> Json:
    """Wrap a message in the domain of the examples that both libraries publish."""
    domain = {"name": "StarkNet Mail", "version": "1", "chainId": "1"}
    return {
        "types": {DOMAIN_NAMES[revision]: (DOMAIN_0, DOMAIN_1)[revision], **types},
        "primaryType": primary_type,
        "domain": {**domain, "revision": "1"} if revision == 1 else domain,
        "message": message,
    }


def paradex(primary_type: str, message: Json) -> Json:
    """Wrap a message of felts in the domain of Paradex's Sepolia chain."""
    chain = hex(encode_short_string("PRIVATE_SN_POTC_SEPOLIA"))
    fields = struct(*(f"{name}:felt" for name in message))
    return {
        "types": {"StarkNetDomain": DOMAIN_PARADEX, primary_type: fields},
        "primaryType": primary_type,
        "domain": {"name": "Paradex", "chainId": chain, "version": "1"},
        "message": message,
    }


def order(timestamp: str, market: str, side: str, kind: str, size: str, price: str) -> Json:
    names = ("timestamp", "market", "side", "orderType", "size", "price")
    return dict(zip(names, (timestamp, market, side, kind, size, price), strict=True))


def block_trade(head: Json, *, offered: bool) -> Json:
    """Build the block trade, or the offer for one, whose hash paradex-py pins in its tests."""
    nobody = dict.fromkeys(("account", "side", "type", "size", "price"), "0")
    bounds = ("min_size", "max_size", "min_price", "max_price", "oracle_tolerance")
    trades = []
    for market, size, price in (
        ("BTC-USD-PERP", "10000000", "7300000000000"),
        ("ETH-USD-PERP", "100000000", "300000000000"),
    ):
        terms = {"type": "LIMIT", "size": size, "price": price}
        maker = {"account": "0x1111", "side": "2", **terms}
        taker = nobody if offered else {"account": "0x2222", "side": "1", **terms}
        trade = {"market": market, "price": price, "size": size}
        sides = {"maker_order": maker, "taker_order": taker}
        trades.append({**trade, **sides, **dict.fromkeys(bounds, "0")})
    name = "BlockTradeOffer" if offered else "BlockTrade"
    types = {
        name: struct(
            *("version:shortstring", *(f"{key}:felt" for key in head), "trades:merkletree=Trade")
        ),
        "Trade": struct(
            *("market:shortstring", "price:felt", "size:felt"),
            *("maker_order:BlockTradeOrder", "taker_order:BlockTradeOrder"),
            *(f"{bound}:felt" for bound in bounds),
        ),
        "BlockTradeOrder": struct(
            *("account:felt", "side:shortstring", "type:shortstring", "size:felt", "price:felt")
        ),
    }
    data = mail(1, name, types, {"version": "2", **head, "trades": trades})
    return data | {"domain": data["domain"] | {"name": "Paradex", "chainId": "0x1"}}


BOB = "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"
LETTER = {
    "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
    "to": {"name": "Bob", "wallet": BOB},
}
MAIL = {
    "Mail": struct("from:Person", "to:Person", "contents:felt"),
    "Person": struct("name:felt", "wallet:felt"),
}
TOKEN = "0x049d36570d4e46f48e99674bd3fcc84644ddd6b96f7c741b1562b82f9e004dc7"
AMOUNT = {"low": "0x3e8", "high": "0x0"}
LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor "
    "incididunt ut labore et dolore magna aliqua."
)
BASIC = struct(
    *("n0:felt", "n1:bool", "n2:string", "n3:selector", "n4:u128", "n5:i128"),
    *("n6:ContractAddress", "n7:ClassHash", "n8:timestamp", "n9:shortstring"),
)
BASIC_VALUES = {
    **{"n0": "0x3e8", "n1": True, "n2": LOREM, "n3": "transfer", "n4": "0x3e8"},
    "n5": "-170141183460469231731687303715884105727",
    **{"n6": "0x3e8", "n7": "0x3e8", "n8": 1000, "n9": "transfer"},
}
ENUM = struct("Variant 1:()", "Variant 2:(u128,u128*)", "Variant 3:(u128)")

LETTERS_0 = mail(0, "Mail", MAIL, {**LETTER, "contents": "Hello, Bob!"})
LETTERS_1 = mail(1, "Mail", MAIL, {**LETTER, "contents": "Hello, Bob!"})
SESSION_0 = mail(
    0,
    "Session",
    {
        "Session": struct("key:felt", "expires:felt", "root:merkletree=Policy"),
        "Policy": struct("contractAddress:felt", "selector:selector"),
    },
    {
        **{"key": "0x" + "0" * 64, "expires": "0x" + "0" * 64},
        "root": [{"contractAddress": f"0x{at}", "selector": "transfer"} for at in (1, 2, 3)],
    },
)
BASICS_1 = mail(1, "Example", {"Example": BASIC}, BASIC_VALUES)
PRESETS_1 = mail(
    1,
    "Example",
    {"Example": struct("n0:TokenAmount", "n1:NftId")},
    {
        "n0": {"token_address": TOKEN, "amount": AMOUNT},
        "n1": {"collection_address": TOKEN, "token_id": AMOUNT},
    },
)
ENUM_1 = mail(
    1,
    "Example",
    {"Example": struct("someEnum:enum=MyEnum"), "MyEnum": ENUM},
    {"someEnum": {"Variant 2": [2, [0, 1]]}},
)
LEAVES_1 = mail(
    1,
    "Example",
    {"Example": struct("value:felt", "root:merkletree=felt")},
    {"value": "0x2137", "root": ["0x1", "0x2", "0x3"]},
)

BUY = order("1700000000000", "BTC-USD-PERP", "1", "LIMIT", "10000000", "5000000000000")
SELL = order("1700000000001", "ETH-USD-PERP", "2", "MARKET", "150000000", "0")
MODIFY = order("1700000000002", "BTC-USD-PERP", "1", "LIMIT", "20000000", "5000100000000")
EARLY = order("1634736000000", "ETH-USD-PERP", "1", "LIMIT", "10000000", "150000000000")
MODIFY["id"] = "1681462103821101699438490000"
LOGIN: Json = {"method": "POST", "path": "/v1/auth", "body": ""}
LOGIN |= {"timestamp": 1706868900, "expiration": 1706955300}
BLOCK = {"nonce": "1234567890", "expiration": "1700000000000"}
OFFER = {"nonce": "offer_nonce_1", "expiration": "1700000300000"}
OFFER["block_trade_id"] = "parent_block_xyz"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (LETTERS_0, "0x6fcff244f63e38b9d88b9e3378d44757710d1b244282b435cb472053c8d78d0"),
        (SESSION_0, "0x5d28fa1b31f92e63022f7d85271606e52bed89c046c925f16b09e644dc99794"),
        (LETTERS_1, "0x7f6e8c3d8965b5535f5cc68f837c04e3bbe568535b71aa6c621ddfb188932b8"),
        (BASICS_1, "0x2d80b87b8bc32068247c779b2ef0f15f65c9c449325e44a9df480fb01eb43ec"),
        (PRESETS_1, "0x185b339d5c566a883561a88fb36da301051e2c0225deb325c91bb7aa2f3473a"),
        (ENUM_1, "0x3df10475ad5a8f49db4345a04a5b09164d2e24b09f6e1e236bc1ccd87627cc"),
        (LEAVES_1, "0x4f706783e0d7d0e61433d41343a248a213e9ab341d50ba978dfc055f26484c9"),
    ],
)
def test_examples_that_starknet_js_and_starknet_py_publish(data: Json, expected: str) -> None:
    assert hex(message_hash(data, ACCOUNT)) == expected


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (
            LETTERS_0,
            "StarkNetDomain",
            "1bfc207425a47a5dfa1a50a4f5241203f50624ca5fdf5e18755765416b8e288",
        ),
        (LETTERS_0, "Mail", "13d89452df9512bf750f539ba3001b945576243288137ddb6c788457d4b2f79"),
        (SESSION_0, "Session", "1aa0e1c56b45cf06a54534fa1707c54e520b842feb21d03b7deddb6f1e340c"),
        (
            LETTERS_1,
            "StarknetDomain",
            "1ff2f602e42168014d405a94f75e8a93d640751d71d16311266e140d8b0a210",
        ),
        (LETTERS_1, "Mail", "560430bf7a02939edd1a5c104e7b7a55bbab9f35928b1cf5c7c97de3a907bd"),
        (PRESETS_1, "Example", "1a25a8bb84b761090b1fadaebe762c4b679b0d8883d2bedda695ea340839a55"),
        (ENUM_1, "Example", "380a54d417fb58913b904675d94a8a62e2abc3467f4b5439de0fd65fafdd1a8"),
    ],
)
def test_published_type_hashes(data: Json, name: str, expected: str) -> None:
    revision = int("StarknetDomain" in data["types"])
    assert type_hash(data["types"], name, revision) == int(expected, 16)


def test_type_texts() -> None:
    person = "Person(name:felt,wallet:felt)"
    assert encode_type(MAIL, "Mail", 0) == f"Mail(from:Person,to:Person,contents:felt){person}"
    assert encode_type(ENUM_1["types"], "Example", 1) == (
        '"Example"("someEnum":"MyEnum")'
        '"MyEnum"("Variant 1":(),"Variant 2":("u128","u128*"),"Variant 3":("u128"))'
    )
    assert encode_type({}, "u256", 1) == '"u256"("low":"u128","high":"u128")'
    assert encode_type(SESSION_0["types"], "Session", 0).endswith("root:merkletree)")


@pytest.mark.parametrize(
    ("name", "message", "expected"),
    [
        ("Order", BUY, "378d992fcd5d0937567174e9da374046529415d34b02013cd87d6bcf9cca3e8"),
        ("Order", SELL, "7fb3d592e2ae1f472c0ba11c3cdfc18542bd10a0fe9cb6316ec77682e2ac032"),
        ("Order", EARLY, "357f784e57d5c5b56410bfd988055f93958794f4e550742849e6c82b943c92d"),
        ("ModifyOrder", MODIFY, "b991ae55c59a7071447cca79e09b67b80b30c7e99bbcf563204fb4f12627fd"),
        ("Request", LOGIN, "483c5a1b923d0e130ea8ead403e029af1786ef0210ba6d429032a6bad5df53e"),
        (
            "Constant",
            {"action": "Onboarding"},
            "d38fca3e24662dea69b9bc6699dbaf95d018c8fb7c9940f51aabb813e8d8bf",
        ),
    ],
)
def test_paradex_messages(name: str, message: Json, expected: str) -> None:
    assert message_hash(paradex(name, message), PARADEX_ACCOUNT) == int(expected, 16)


def test_paradex_domain_and_order_type() -> None:
    data = paradex("Order", EARLY)
    order_type = type_hash(data["types"], "Order", 0)
    assert order_type == 0xA56D5225B97B257C15AE2CB1CC0EA605381A886CD75463DB45FD2EF9FBC255
    domain_type = type_hash(data["types"], "StarkNetDomain", 0)
    assert domain_type == 0x98D1932052FC5137543DE5ED85B7A88555A4CD1FF5D5BFEDB62ED9B9A1F0DB
    market, kind = encode_short_string("ETH-USD-PERP"), encode_short_string("LIMIT")
    fields = (1634736000000, market, 1, kind, 10_000_000, 150_000_000_000)
    domain_hash = 0x38B9242CB46EB19FF458C80A8F0EDA7E8E26D8D6D54A63D9B5ED89750E39EF2
    message = (PREFIX, domain_hash, PARADEX_ACCOUNT, pedersen_array((order_type, *fields)))
    assert message_hash(data, PARADEX_ACCOUNT) == pedersen_array(message)


def test_paradex_block_trades() -> None:
    trade = message_hash(block_trade(BLOCK, offered=False), 0x1111)
    assert trade == 0x426F5DD572DEED472DB9AA9AC2469F4A456A3A72854B723065DAF3CCC350812
    offer = message_hash(block_trade(OFFER, offered=True), 0x1111)
    assert offer == 0x3D43168F6DEF95BF9371AAE3B20A2E9713E91A773B1A192F5E0729E96B7B139


ASSET_AND_TIME = '"AssetId"("value":"felt")"Timestamp"("seconds":"u64")'
PERPETUALS_ORDER = (
    '"Order"("position_id":"felt","base_asset_id":"AssetId","base_amount":"i64",'
    '"quote_asset_id":"AssetId","quote_amount":"i64","fee_asset_id":"AssetId","fee_amount":"u64",'
    f'"expiration":"Timestamp","salt":"felt")"PositionId"("value":"u32"){ASSET_AND_TIME}'
)
PERPETUALS_WITHDRAWAL = (
    '"WithdrawArgs"("recipient":"ContractAddress","position_id":"PositionId",'
    '"collateral_id":"AssetId","amount":"u64","expiration":"Timestamp","salt":"felt")'
    f'"PositionId"("value":"u32"){ASSET_AND_TIME}'
)
RECIPIENT = 206642948138484946401984817000601902748248360221625950604253680558965863254
COLLATERAL = 1386727789535574059419576650469753513512158569780862144831829362722992755422


# The contract leaves SNIP-12: its types are unknown there and not sorted, its structs are hashed
# flat and a public key stands for the account. Prefix, domain and hash are ours all the same.
@pytest.mark.parametrize(
    ("text", "type_hash_expected", "fields", "expected"),
    [
        (
            PERPETUALS_ORDER,
            0x36DA8D51815527CABFAA9C982F564C80FA7429616739306036F1F9B608DD112,
            (100, 2, 100, 1, -156, 1, 74, 100, 123),
            0x4DE4C009E0D0C5A70A7DA0E2039FB2B99F376D53496F89D9F437E736ADD6B48,
        ),
        (
            PERPETUALS_WITHDRAWAL,
            0x250A5FA378E8B771654BD43DCB34844534F9D1E29E16B14760D7936EA7F4B1D,
            (RECIPIENT, 2, COLLATERAL, 1000, 0, 0),
            2182119571682827544073774098906745929330860211691330979324731407862023927178,
        ),
    ],
)
def test_starknet_perpetual(
    text: str, type_hash_expected: int, fields: tuple[int, ...], expected: int
) -> None:
    assert starknet_keccak(text.encode()) == type_hash_expected
    domain_type = type_hash({"StarknetDomain": DOMAIN_1}, "StarknetDomain", 1)
    named = [encode_short_string(word) for word in ("Perpetuals", "v0", "SN_SEPOLIA")]
    domain_hash = poseidon_array([domain_type, *named, 1])
    struct_hash = poseidon_array([type_hash_expected, *(field % FELT_PRIME for field in fields)])
    assert poseidon_array([PREFIX, domain_hash, PERPETUALS_KEY, struct_hash]) == expected
