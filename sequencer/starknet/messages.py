"""The off-chain messages that are hashed most, without the detour over typed data.

Promises
- Each hash here equals the generic one of `typed_data` for the same message; tests hold them
  together.
- The id of an order is the hash that was signed: it covers every field of the order, the signer's
  account and the chain.
"""

from collections.abc import Sequence
from functools import lru_cache

from sequencer.model.cache_limits import MESSAGE_DOMAINS_CACHED, ORDER_HASHES_CACHED
from sequencer.model.orders import Order, Side
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import FELT_BYTES, FELT_PRIME, Felt, encode_short_string, pack_felts
from sequencer.starknet.felt_hash import (
    pedersen,
    pedersen_array,
    pedersen_fold,
    poseidon_array,
    poseidon_packed,
    starknet_keccak,
)
from sequencer.starknet.typed_data_values import encode_felt

ORDER_TYPE_TEXT = (
    '"Order"("account":"ContractAddress","market":"shortstring","side":"shortstring",'
    '"type":"shortstring","size":"u128","price":"u128","trigger_price":"u128",'
    '"instruction":"shortstring","self_trade":"shortstring","reduce_only":"bool",'
    '"client_id":"felt","pair_id":"felt","replaces":"felt","signed_at_ms":"u128",'
    '"receive_window_ms":"u128","expires_at_ms":"u128")'
)
"""Our order as SNIP-12 revision 1 spells it."""

CANCEL_TYPE_TEXT = '"CancelOrder"("account":"ContractAddress","order_id":"felt")'
"""Our cancellation of one order as SNIP-12 revision 1 spells it."""

_DOMAIN_TEXT = (
    '"StarknetDomain"("name":"shortstring","version":"shortstring",'
    '"chainId":"shortstring","revision":"shortstring")'
)
_PARADEX_DOMAIN_TEXT = "StarkNetDomain(name:felt,chainId:felt,version:felt)"
_PARADEX_ORDER_TEXT = (
    "Order(timestamp:felt,market:felt,side:felt,orderType:felt,size:felt,price:felt)"
)
_PARADEX_MODIFY_TEXT = _PARADEX_ORDER_TEXT.replace("Order(", "ModifyOrder(").replace(
    ")", ",id:felt)"
)

_MESSAGE = encode_short_string("StarkNet Message")
_NAME = encode_short_string("perpchain")
_PARADEX = encode_short_string("Paradex")
_ORDER_TYPE_HASH = starknet_keccak(ORDER_TYPE_TEXT.encode())
_CANCEL_TYPE_HASH = starknet_keccak(CANCEL_TYPE_TEXT.encode())
_DOMAIN_TYPE_HASH = starknet_keccak(_DOMAIN_TEXT.encode())
_MESSAGE_BYTES = pack_felts((_MESSAGE,))
_AMOUNT_BOUND = 1 << 128
_PARADEX_SIDES = {Side.BUY: 1, Side.SELL: 2}


def order_hash(order: Order, signer: Felt, chain_id: Felt) -> Felt:
    """Hash an order as its signer signs it: SNIP-12 revision 1, domain perpchain, version 1.

    `signer` is the account whose key, or one of whose subkeys, signs. Refusal:
    ORDER_FIELD_OUT_OF_RANGE where a number does not fit its type (128 bits, or a felt), and
    SHORT_STRING_MALFORMED for a market name that is none.
    """
    amounts = (order.size, order.price, order.trigger_price)
    times = (order.signed_at_ms, order.receive_window_ms, order.expires_at_ms)
    names = (order.client_id, order.pair_id, order.replaces)
    _require_numbers((*amounts, *times), (order.account, *names, signer))
    message = (
        _ORDER_TYPE_HASH,
        order.account,
        encode_short_string(order.market),
        _word(order.side),
        _word(order.type),
        *amounts,
        _word(order.instruction),
        _word(order.self_trade),
        1 if order.reduce_only else 0,
        *names,
        *times,
    )
    return _remembered_hash(pack_felts((signer, _domain_hash(chain_id), *message)))


@lru_cache(maxsize=ORDER_HASHES_CACHED)
def _remembered_hash(packed: bytes) -> Felt:
    # Bytes, because integers and structs of them can be made to collide in a dictionary by whoever
    # chooses them, and because True, 1 and 1.0 are one key there.
    signer, domain = packed[:FELT_BYTES], packed[FELT_BYTES : 2 * FELT_BYTES]
    message = poseidon_packed(packed[2 * FELT_BYTES :])
    return poseidon_packed(_MESSAGE_BYTES + domain + signer + pack_felts((message,)))


def cancel_hash(account: Felt, order_id: Felt, signer: Felt, chain_id: Felt) -> Felt:
    """Hash a cancellation of one order as its signer signs it, in the same domain as orders.

    `account` is the order's, `signer` the account whose key, or one of whose subkeys, signs. It
    needs no nonce: an order's id is a hash that never comes back, so a cancellation sent again is
    refused with ORDER_UNKNOWN. Refusal: ORDER_FIELD_OUT_OF_RANGE.
    """
    _require_numbers((), (account, order_id, signer))
    message = (_CANCEL_TYPE_HASH, account, order_id)
    return _remembered_hash(pack_felts((signer, _domain_hash(chain_id), *message)))


def paradex_order_hash(
    order: Order, signer: Felt, chain_id: Felt, modifies: str | None = None
) -> Felt:
    """Hash the fields of an order that Paradex's orders have: SNIP-12 revision 0.

    They are time, market, side, type, size and price. `modifies` is the text of the order id in a
    ModifyOrder message. Refusals as for `order_hash`, and TYPED_DATA_MALFORMED for such a text.
    """
    _require_numbers((order.size, order.price, order.signed_at_ms), (signer,))
    fields = [
        order.signed_at_ms,
        encode_short_string(order.market),
        _PARADEX_SIDES[order.side],
        _word(order.type),
        order.size,
        order.price,
    ]
    type_text = _PARADEX_ORDER_TEXT
    if modifies is not None:
        type_text = _PARADEX_MODIFY_TEXT
        fields.append(encode_felt(modifies))
    message = pedersen_fold(_type_state(type_text), fields)
    message_hash = pedersen(message, len(fields) + 1)
    return pedersen(pedersen_fold(_paradex_state(chain_id), (signer, message_hash)), 4)


def price_report_hash(publisher: str, asset: str, price: int, signed_at: int) -> Felt:
    """Hash a price report in Stork's shape: pedersen(asset << 40 | publisher, price << 32 | time).

    The asset's ASCII name fills 16 bytes from the left, the publisher's 5; `price` is an integer in
    the publisher's units (120 bits), `signed_at` seconds since 1970 (32 bits). Refusal:
    ORDER_FIELD_OUT_OF_RANGE.
    """
    numbers = ((price, 120), (signed_at, 32))
    sound = all(type(number) is int and 0 <= number < 1 << bits for number, bits in numbers)
    names = ((asset, 16), (publisher, 5))
    if not sound or any(not name.isascii() or len(name) > size for name, size in names):
        raise Refused(Reason.ORDER_FIELD_OUT_OF_RANGE, "a price report's field does not fit")
    asset_number = int.from_bytes(asset.encode().ljust(16, b"\0"), "big")
    publisher_number = int.from_bytes(publisher.encode().ljust(5, b"\0"), "big")
    return pedersen(asset_number << 40 | publisher_number, price << 32 | signed_at)


def _require_numbers(amounts: Sequence[int], felts: Sequence[int]) -> None:
    for amount in amounts:
        if type(amount) is not int or not 0 <= amount < _AMOUNT_BOUND:
            raise _unfit()
    for felt in felts:
        if type(felt) is not int or not 0 <= felt < FELT_PRIME:
            raise _unfit()


def _unfit() -> Refused:
    return Refused(Reason.ORDER_FIELD_OUT_OF_RANGE, "a number of the order does not fit")


@lru_cache(maxsize=MESSAGE_DOMAINS_CACHED, typed=True)
def _domain_hash(chain_id: Felt) -> Felt:
    # Typed data reads the version "1" as a number, as it reads every text of digits.
    return poseidon_array((_DOMAIN_TYPE_HASH, _NAME, 1, chain_id, 1))


@lru_cache(maxsize=MESSAGE_DOMAINS_CACHED, typed=True)
def _paradex_state(chain_id: Felt) -> Felt:
    type_hash = starknet_keccak(_PARADEX_DOMAIN_TEXT.encode())
    domain = pedersen_array((type_hash, _PARADEX, chain_id, 1))
    return pedersen_fold(0, (_MESSAGE, domain))


@lru_cache(maxsize=MESSAGE_DOMAINS_CACHED, typed=True)
def _type_state(type_text: str) -> Felt:
    return pedersen(0, starknet_keccak(type_text.encode()))


@lru_cache(maxsize=MESSAGE_DOMAINS_CACHED, typed=True)
def _word(word: str) -> Felt:
    return encode_short_string(word)
