"""A history's live views, compared with what a node answers: read by rules of the page alone.

The events are decoded here by the ABI that the node gives, and by nothing of the plugin.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from starknet_py.net.http_client import RpcHttpClient

from sequencer.starknet.names import selector
from tests.strategies import Unchecked

FILE = "history.sqlite"
PRIME = 2**251 + 17 * 2**192 + 1
ORDERS: Mapping[str, str] = {
    "blocks": "height",
    "transactions": "height, transaction_index",
    "events": "height, transaction_index, event_index",
    "trades": "height, transaction_index, event_index",
    "liquidations": "height, transaction_index, event_index",
    "fills": "height, transaction_index, event_index, liquidity",
    "account_history": "height, transaction_index, event_index, account, role",
}
"""The live views, and the order of their rows."""

_CHUNK = 1_000
_WORD_BYTES = 31
_SCALE = 8

Rows = list[tuple[Unchecked, ...]]


def asked(path: Path, query: str) -> Rows:
    """Ask a history something, while somebody may be writing it; nothing where it is not there."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return database.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise


def live_views(path: Path) -> dict[str, Rows]:
    """Return what is live; an undo brings blocks back here, and elsewhere as new ones."""
    views = {}
    for name, order in ORDERS.items():
        found = asked(path, f"SELECT name FROM pragma_table_info('{name}')")
        columns = [column for (column,) in found if column != "brought_back_by"]
        assert columns, name
        views[name] = asked(path, f"SELECT {', '.join(columns)} FROM {name} ORDER BY {order}")
    return views


async def require_blocks(url: str, path: Path) -> int:
    """Compare blocks and transactions with those of the node; returns how many blocks it has."""
    blocks, transactions = await _node_blocks(RpcHttpClient(url))
    columns = "height, hash, parent_hash, timestamp, state_root, sequencer"
    counts = "transaction_count, event_count"
    assert asked(path, f"SELECT {columns}, {counts} FROM blocks ORDER BY height") == blocks
    columns = "height, block_hash, timestamp, transaction_index, hash, kind, sender, revert_reason"
    found = asked(
        path, f"SELECT {columns}, fee FROM transactions ORDER BY height, transaction_index"
    )
    assert [(*row[:-1], int(row[-1])) for row in found] == transactions
    return len(blocks)


async def require_events(url: str, exchange: int, path: Path) -> int:
    """Compare all events of the exchange with those of the node; returns how many there are."""
    node, said = RpcHttpClient(url), []
    parts = await _members(node, exchange)
    async for event in _node_events(node, exchange):
        (key,) = event["keys"]
        kind, members = parts[int(key, 16)]
        place = (event["block_number"], event["block_hash"], event["transaction_hash"])
        at = (event["transaction_index"], event["event_index"])
        said.append((*place, *at, kind, _decoded(members, [int(x, 16) for x in event["data"]])))
    columns = "height, block_hash, transaction_hash, transaction_index, event_index, kind, details"
    order = ORDERS["events"]
    rows = asked(path, f"SELECT {columns} FROM events ORDER BY {order}")
    assert [(*row[:-1], _numbers(json.loads(row[-1]))) for row in rows] == said
    return len(said)


async def require_trades(url: str, path: Path) -> int:
    """Compare all trades with `perp_getTrades`; returns how many there are."""
    perp, cursor = RpcHttpClient(url, method_prefix="perp"), None
    told: Rows = []
    liquidated: Rows = []
    names = ("height", "block_hash", "timestamp", "transaction_hash", "transaction_index")
    parties = ("side", "taker", "maker", "taker_order", "maker_order")
    while True:
        page = await perp.call("getTrades", {"limit": 500} | ({"cursor": cursor} if cursor else {}))
        for each in page["trades"]:
            where = (*(each[name] for name in names), each["event_index"], each["market"])
            if each["kind"] == "TRADE":
                numbers = ("price", "size", "taker_fee", "maker_fee")
                said = (*(each[name] for name in parties), *(_units(each[n]) for n in numbers))
                told.append((*where, *said))
            else:
                liquidated.append(where)
        if (cursor := page["cursor"]) is None:
            break
    places = f"{', '.join(names)}, event_index, market"
    order = "ORDER BY height DESC, transaction_index DESC, event_index DESC"
    columns = f"{places}, {', '.join(parties)}, price, size, taker_fee, maker_fee"
    assert asked(path, f"SELECT {columns} FROM trades {order}") == told
    query = f"SELECT {places} FROM liquidations WHERE kind = 'Liquidated' {order}"
    assert asked(path, query) == liquidated
    return len(told)


async def _node_blocks(node: RpcHttpClient) -> tuple[Rows, Rows]:
    blocks: Rows = []
    transactions: Rows = []
    for height in range(await node.call("blockNumber", {}) + 1):
        block = await node.call("getBlockWithReceipts", {"block_id": {"block_number": height}})
        events = sum(len(each["receipt"]["events"]) for each in block["transactions"])
        blocks.append(
            (
                *(block["block_number"], block["block_hash"], block["parent_hash"]),
                *(block["timestamp"], block["new_root"], block["sequencer_address"]),
                *(len(block["transactions"]), events),
            )
        )
        for index, each in enumerate(block["transactions"]):
            sent, receipt = each["transaction"], each["receipt"]
            sender = sent.get("sender_address", receipt.get("contract_address"))
            transactions.append(
                (
                    *(height, block["block_hash"], block["timestamp"], index),
                    *(receipt["transaction_hash"], sent["type"], sender),
                    *(receipt.get("revert_reason"), int(receipt["actual_fee"]["amount"], 16)),
                )
            )
    return blocks, transactions


async def _node_events(node: RpcHttpClient, exchange: int) -> Any:  # noqa: ANN401
    token: dict[str, str] = {}
    while True:
        wanted = {"address": hex(exchange), "chunk_size": _CHUNK, "to_block": "latest", **token}
        page = await node.call(
            "getEvents", {"filter": {"from_block": {"block_number": 0}, **wanted}}
        )
        for event in page["events"]:
            yield event
        if "continuation_token" not in page:
            return
        token = {"continuation_token": page["continuation_token"]}


async def _members(node: RpcHttpClient, exchange: int) -> dict[int, tuple[str, dict[str, str]]]:
    params = {"contract_address": hex(exchange), "block_id": "latest"}
    told = (await node.call("getClassAt", params))["abi"]
    abi = json.loads(told) if isinstance(told, str) else told
    parts = {}
    for each in abi:
        if each["type"] == "event" and each["kind"] == "struct":
            name = each["name"].rpartition("::")[2]
            members = {member["name"]: member["type"] for member in each["members"]}
            parts[selector(name)] = (name, members)
    return parts


def _decoded(members: Mapping[str, str], data: list[int]) -> dict[str, object]:
    felts = iter(data)
    fields: dict[str, object] = {}
    for name, kind in members.items():
        if kind.endswith("::ByteArray"):
            fields[name] = _byte_array(felts)
            continue
        value = next(felts)
        if kind.endswith("::i128"):
            fields[name] = value - PRIME if value > PRIME // 2 else value
        else:
            fields[name] = value
    assert list(felts) == []
    return fields


def _byte_array(felts: Iterator[int]) -> int:
    words = [next(felts).to_bytes(_WORD_BYTES, "big") for _ in range(next(felts))]
    rest, size = next(felts), next(felts)
    return _number_of(b"".join(words) + rest.to_bytes(size, "big"))


def _numbers(fields: Mapping[str, object]) -> dict[str, object]:
    """Return fields as numbers, as their felts are: a word is its letters'."""
    numbers: dict[str, object] = {}
    for name, value in fields.items():
        if isinstance(value, bool):
            numbers[name] = int(value)
            continue
        assert isinstance(value, str)
        if value.startswith("0x"):
            numbers[name] = int(value, 16)
        elif value.removeprefix("-").isdecimal():
            numbers[name] = int(value)
        else:
            numbers[name] = _number_of(value.encode())
    return numbers


def _number_of(letters: bytes) -> int:
    return int.from_bytes(letters, "big")


def _units(text: str) -> int:
    """Read a decimal number as units of 1e-8."""
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(_SCALE, "0"))
