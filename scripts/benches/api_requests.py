"""What clients of the benches ask: the bytes of each request, written before anything is timed.

Promises
- Reads are of another account each time, in an order that follows from a seed.
- Orders and cancels are those of the trading script, in its order.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from scripts.benches.measure import Trading
from scripts.benches.messages import kept_script
from scripts.benches.world import SEED, account_address
from sequencer.api.perp_rpc.wire import signed_fields
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.exchange_contract import Signed, SignedOrder
from sequencer.chain.slots import slots_of
from sequencer.exchange.state import Table
from sequencer.model.rows import Account
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.names import selector

EVENTS = 100
"""Events in a page."""

_ACCOUNTS = 500
_PLACED = format_felt(selector("OrderOpened"))
_EXCHANGE = format_felt(EXCHANGE_ADDRESS)


class Request(NamedTuple):
    """A request with the number that its answer carries."""

    number: int
    body: bytes


class Asked(NamedTuple):
    """Whom reads are about: accounts with positions, and blocks in which orders were opened."""

    accounts: Sequence[Felt]
    heights: Sequence[int]


def asked_of(trading: Trading, heights: Sequence[int]) -> Asked:
    """Return whom reads are about in a world whose orders lie in these blocks."""
    holders = range(min(_ACCOUNTS, trading.world.holders))
    return Asked([account_address(index) for index in holders], heights)


def _storage_at(asked: Asked, generator: random.Random) -> Sequence[Any]:
    return _EXCHANGE, _slot(generator.choice(asked.accounts)), "latest"


def _call(asked: Asked, generator: random.Random) -> Sequence[Any]:
    call = {
        "contract_address": _EXCHANGE,
        "entry_point_selector": format_felt(selector("get_margin")),
        "calldata": [format_felt(generator.choice(asked.accounts))],
    }
    return call, "latest"


def _events(asked: Asked, generator: random.Random) -> Sequence[Any]:
    return (
        {
            "from_block": {"block_number": generator.choice(asked.heights)},
            "to_block": "latest",
            "address": _EXCHANGE,
            "keys": [[_PLACED]],
            "chunk_size": EVENTS,
        },
    )


def _proof(asked: Asked, generator: random.Random) -> Sequence[Any]:
    account = generator.choice(asked.accounts)
    slots = {"contract_address": _EXCHANGE, "storage_keys": [_slot(account)]}
    return "latest", [], [_EXCHANGE], [slots]


def _slot(account: Felt) -> str:
    """Return the first slot of an account's row, which is always set."""
    return format_felt(next(iter(slots_of(Table.ACCOUNT, account, Account(cash=1)))))


_Parameters = Callable[[Asked, random.Random], Sequence[Any]]

_METHODS: Mapping[str, _Parameters] = {
    "chainId": lambda _, __: (),
    "getStorageAt": _storage_at,
    "call": _call,
    "getEvents": _events,
    "getStorageProof": _proof,
}

METHODS: Mapping[str, str] = {
    "chainId": "no parameters",
    "getStorageAt": "a slot of the exchange at the head",
    "call": "get_margin of an account with two positions, at the head",
    "getEvents": f"{EVENTS} orders opened, from one of the blocks with orders on",
    "getStorageProof": "a slot of the exchange and its contract, at the head",
}
"""The reads that are measured, and what each asks for."""


def read_requests(method: str, asked: Asked) -> Iterator[Request]:
    """Yield requests of one method, without end; those of some accounts come again and again."""
    generator = random.Random(SEED)
    name = f"starknet_{method}"
    numbers = range(1 if method == "chainId" else _ACCOUNTS)
    drawn = [_request(number, name, _METHODS[method](asked, generator)) for number in numbers]
    return itertools.cycle(drawn)


def mixed_requests(asked: Asked) -> Iterator[tuple[str, Request]]:
    """Yield requests of all reads in turn, each with its method, without end."""
    streams = {method: read_requests(method, asked) for method in METHODS}
    return ((method, next(streams[method])) for method in itertools.cycle(METHODS))


def order_requests(trading: Trading) -> list[Request]:
    """Return the requests of a script; those that fill the book come first."""
    return [_order(number, signed) for number, signed in enumerate(kept_script(trading).messages)]


def _order(number: int, signed: Signed) -> Request:
    signature = [format_felt(signed.r), format_felt(signed.s)]
    if isinstance(signed, SignedOrder):
        return _request(number, "perp_placeOrder", (signed_fields(signed.order), signature))
    names = (format_felt(signed.account), format_felt(signed.order_id))
    return _request(number, "perp_cancelOrder", (*names, signature))


def _request(number: int, method: str, parameters: Sequence[Any]) -> Request:
    told = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
    return Request(number, msgspec.json.encode(told))
