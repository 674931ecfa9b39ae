"""A chain that is the same in every process: its blocks follow from their heights alone.

Promises
- Block n of a run that was killed anywhere has the hash of block n of a run that never was.

Heights 4 and 5 open the exchange; each block has a tick with reports, transfers and orders. Every
so many blocks one is wide: its batch takes several writes.
"""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from devnet.keys import devnet_key
from devnet.orders import limit_order
from sequencer.chain.block import ClosedBlock, seal_block
from sequencer.chain.calls import command_call, write_calls
from sequencer.chain.exchange_contract import Signed, SignedOrder, SignedReport
from sequencer.chain.genesis import GenesisAccount, open_genesis, read_genesis
from sequencer.chain.tries import Tries
from sequencer.config import NodeConfig
from sequencer.engine.producer import Producer, Signature
from sequencer.exchange.state import State
from sequencer.model.commands import Command, SetMode, Transfer
from sequencer.model.orders import Instruction, Order, Side
from sequencer.model.rows import Mode
from sequencer.model.secret import Secret
from sequencer.model.units import ONE
from sequencer.node import KeyOperator
from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.felt_hash import public_key, sign
from sequencer.starknet.messages import order_hash, price_report_hash
from sequencer.starknet.transactions import InvokeV3, ResourceBound, Terms, transaction_hash

GENESIS_PATH = Path(__file__).resolve().parents[2] / "devnet" / "genesis.json"
GENESIS = GENESIS_PATH.read_text("utf-8")
CHAIN_ID = encode_short_string(read_genesis(GENESIS.encode()).chain_id)
TRADERS = ("alice", "bob", "carol")
MARKET = "BTC-USD-PERP"
WIDE_EVERY = 5
"""Every so many blocks comes a wide one."""

_PRICES = {"BTCUSD": 6_183_763 * 10**16, "ETHUSD": 2_683_600 * 10**15}
_PUBLISHERS = ("Alpha", "Bravo", "Carol")
_BID_PRICE, _ASK_PRICE = 61_830 * ONE, 61_840 * ONE
_START_MS = read_genesis(GENESIS.encode()).time_ms
_NARROW_TRANSFERS, _WIDE_TRANSFERS = 3, 45


def config_of(folder: Path) -> NodeConfig:
    """Return the settings of a node on a folder that works out the root at each start."""
    key = Secret(devnet_key("operator"))
    return NodeConfig(folder, key, genesis=GENESIS, verify_root=True)


@cache
def address_of(name: str) -> Felt:
    """Return the account of somebody who is named."""
    return GenesisAccount(hex(public_key(devnet_key(name)))).address()


def make_producer(state: State, number: int) -> Producer:
    """Return what makes the block of a number on a state."""
    operator = KeyOperator(state.system.operator, devnet_key("operator"))
    return Producer(state, number, state.system.chain_id, operator)


def make_block(producer: Producer) -> ClosedBlock:
    """Execute and close the producer's next block."""
    height, chain_id = producer.number, producer.chain_id
    mode = {4: Mode.POST_ONLY, 5: Mode.OPEN}.get(height)
    if mode is not None:
        producer.operate(SetMode(mode, "as planned"))
    reports, verified = _reports_at(height)
    producer.tick(_time_at(height), reports, verified)
    for transaction, hash_, signature in _transfers_at(height, chain_id):
        producer.apply(transaction, hash_, frozenset((signature,)))
    signed, verified = _orders_at(height, chain_id)
    producer.carry(signed, verified)
    return producer.close()


def uninterrupted(blocks: int) -> list[bytes]:
    """Return the hashes of genesis and the blocks after it, made in memory and never interrupted.

    Whoever is forked afterwards has their signatures at hand.
    """
    state, closed = open_genesis(read_genesis(GENESIS.encode()))
    producer, tries, hashes = make_producer(state, 1), Tries(), list[bytes]()
    parent_hash = 0
    while True:
        block, committed = seal_block(closed, parent_hash, tries)
        tries.apply(committed)
        parent_hash = block.hash
        hashes.append(block.hash.to_bytes(32, "big"))
        if len(hashes) > blocks:
            return hashes
        closed = make_block(producer)


def signed_invoke(name: str, command: Command, nonce: int, chain_id: Felt) -> InvokeV3:
    """Return a command as the transaction of somebody who is named, signed."""
    terms = Terms(nonce, (ResourceBound(),) * 3)
    bare = InvokeV3(address_of(name), write_calls((command_call(command),)), terms)
    signature = sign(devnet_key(name), transaction_hash(bare, chain_id))
    return msgspec.structs.replace(bare, signature=signature)


def _time_at(height: int) -> int:
    return _START_MS + 1_000 * height


def _transfer_counts(height: int) -> dict[str, int]:
    count = _NARROW_TRANSFERS if height % WIDE_EVERY else _WIDE_TRANSFERS
    return dict.fromkeys(TRADERS[:2], count)


@lru_cache(maxsize=1_024)
def _transfers_at(height: int, chain_id: Felt) -> Sequence[tuple[InvokeV3, Felt, Signature]]:
    found: list[tuple[InvokeV3, Felt, Signature]] = []
    for name, count in _transfer_counts(height).items():
        first = sum(_transfer_counts(below)[name] for below in range(1, height))
        for nonce in range(first, first + count):
            receiver = TRADERS[(TRADERS.index(name) + 1) % len(TRADERS)]
            command = Transfer(address_of(name), address_of(receiver), ONE + height)
            transfer = signed_invoke(name, command, nonce, chain_id)
            hash_ = transaction_hash(transfer, chain_id)
            r, s = transfer.signature
            found.append((transfer, hash_, (public_key(devnet_key(name)), hash_, r, s)))
    return found


def reports_at(time_ms: int) -> Sequence[SignedReport]:
    """Return what every publisher reports at a time, always the same prices."""
    signed_at = time_ms // 1_000
    return [
        SignedReport(publisher, asset, price, signed_at, *sign(devnet_key(publisher), hash_))
        for publisher in _PUBLISHERS
        for asset, price in _PRICES.items()
        for hash_ in (price_report_hash(publisher, asset, price, signed_at),)
    ]


@lru_cache(maxsize=1_024)
def _reports_at(height: int) -> tuple[Sequence[SignedReport], frozenset[Signature]]:
    reports, verified = reports_at(_time_at(height)), list[Signature]()
    for report in reports:
        named = (report.publisher, report.asset, report.price, report.signed_at)
        key = public_key(devnet_key(report.publisher))
        verified.append((key, price_report_hash(*named), report.r, report.s))
    return reports, frozenset(verified)


@lru_cache(maxsize=1_024)
def _orders_at(height: int, chain_id: Felt) -> tuple[Sequence[Signed], frozenset[Signature]]:
    """One order that rests, and one that crosses it two blocks later."""
    signed, verified = list[Signed](), list[Signature]()
    for order in _orders(height):
        name = next(name for name in TRADERS if address_of(name) == order.account)
        hash_ = order_hash(order, order.account, chain_id)
        signature = sign(devnet_key(name), hash_)
        signed.append(SignedOrder(order, order.account, 0, *signature))
        verified.append((public_key(devnet_key(name)), hash_, *signature))
    return signed, frozenset(verified)


def order_of(name: str, side: Side, client_id: int, signed_at_ms: int) -> Order:
    """Return an order of somebody's that rests, at the side's own price."""
    price = _BID_PRICE if side is Side.BUY else _ASK_PRICE
    return _order(name, side, price, (client_id, signed_at_ms), Instruction.POST_ONLY)


def _orders(height: int) -> Iterator[Order]:
    price = _BID_PRICE if height % 4 < 2 else _ASK_PRICE
    for name, side in (("alice", Side.BUY), ("bob", Side.SELL)):
        turned = side if height % 2 else {Side.BUY: Side.SELL, Side.SELL: Side.BUY}[side]
        yield _order(name, turned, price, (height, _time_at(height)), Instruction.GTC)


def _order(
    name: str, side: Side, price: int, signed: tuple[int, int], instruction: Instruction
) -> Order:
    return limit_order(address_of(name), MARKET, side, ONE // 100, price, instruction, *signed)
