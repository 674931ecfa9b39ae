"""Reads a case of the exchange vectors and plays it through `transition`."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import ONLY, Journal, State, Table
from sequencer.exchange.step import Context
from sequencer.exchange.transition import HANDLERS, transition
from sequencer.model import rows as row_types
from sequencer.model.events import Event, GuardViolated
from sequencer.model.laws import LawBroken
from sequencer.model.orders import Order
from sequencer.model.refusals import Refusal
from sequencer.model.rows import (
    Account,
    Arrival,
    Market,
    OrderRow,
    Position,
    Price,
    Publisher,
    System,
)
from sequencer.model.units import DUST_PER_QUOTE, ONE, parse_units

Json = dict[str, Any]

FOLDER = Path(__file__).parent / "exchange"
OPERATOR, INSURANCE, FEES, OTHER_SIDE = 1, 2, 3, 4
NOW_MS = 1_000_000
PUBLISHERS = {"one": 91, "two": 92}
REPORT_DECIMALS = 18
_RANGE = re.compile(r"([A-Z]*)([0-9]+)\.\.\1([0-9]+)")
_DECIMALS = {"=": 8, "@": 18}
_COMMANDS = {command.__name__: command for command in HANDLERS}
_ORDER = {
    "side": "BUY",
    "type": "LIMIT",
    "price": 0,
    "trigger_price": 0,
    "instruction": "GTC",
    "self_trade": "EXPIRE_TAKER",
    "reduce_only": False,
    "client_id": 0,
    "pair_id": 0,
    "replaces": 0,
    "signed_at_ms": NOW_MS,
    "receive_window_ms": 300_000,
    "expires_at_ms": 0,
}


def read_cases() -> list[tuple[str, Json]]:
    """Return every case with its file's name, in order, decimals turned into integers."""
    return [
        (path.stem, exact(case))
        for path in sorted(FOLDER.glob("*.json"))
        for case in msgspec.json.decode(path.read_bytes())
    ]


def exact(value: object) -> Any:  # noqa: ANN401
    """Turn `=` text into integers of 1e-8 and `@` text into integers of 1e-18, at any depth."""
    match value:
        case str() if value[:1] in _DECIMALS:
            digits, decimals = value[1:], _DECIMALS[value[0]]
            negative = digits.startswith("-")
            return parse_units(digits.removeprefix("-"), decimals) * (-1 if negative else 1)
        case list():
            return [exact(item) for item in value]
        case dict():
            return {key: exact(item) for key, item in value.items()}
    return value


def spread(line: object) -> list[Any]:
    """Write a line with ranges (`a..b`) out: once for each number, or once where it has none."""
    lengths = set(_lengths(line))
    assert len(lengths) <= 1, f"ranges of unequal length: {line}"
    return [_nth(line, number) for number in range(lengths.pop())] if lengths else [line]


def _lengths(value: object) -> Iterable[int]:
    match value:
        case str():
            found = _RANGE.fullmatch(value)
            if found:
                yield int(found[3]) - int(found[2]) + 1
        case list():
            for item in value:
                yield from _lengths(item)
        case dict():
            for item in value.values():
                yield from _lengths(item)


def _nth(value: object, number: int) -> Any:  # noqa: ANN401
    match value:
        case str():
            found = _RANGE.fullmatch(value)
            if not found:
                return value
            at = int(found[2]) + number
            return f"{found[1]}{at}" if found[1] else at
        case list():
            return [_nth(item, number) for item in value]
        case dict():
            return {key: _nth(item, number) for key, item in value.items()}
    return value


def _lines(lines: Iterable[Any]) -> list[Any]:
    return [written for line in lines for written in spread(line)]


def _table(table: Mapping[str, Any]) -> dict[Any, Any]:
    """Write out a table whose keys may be ranges."""
    return {key: given for line in table.items() for key, given in spread(list(line))}


def make_state(case: Json) -> State:
    """Make the state that a case starts from; deposits are set so that conservation holds."""
    state = State(msgspec.convert(_system(case), System))
    for name, key in case.get("publishers", PUBLISHERS).items():
        state.write(Table.PUBLISHER, name, Publisher(key))
    prices = _table(case.get("prices", {}))
    for symbol, given in _table(case.get("markets", {"BTC": {}})).items():
        _put_market(state, symbol, given, prices.get(symbol, {"mark": 100 * ONE}))
    for account, given in _table(case.get("accounts", {})).items():
        row = given if isinstance(given, dict) else {"cash": given}
        state.write(Table.ACCOUNT, int(account), msgspec.convert(row, Account))
    for account, market, given in _lines(case.get("positions", ())):
        row = {"index": state.prices[market].funding_index, **given}
        state.write(Table.POSITION, (account, market), msgspec.convert(row, Position))
    _take_other_sides(state)
    _put_orders(state, case)
    for table, rows in case.get("rows", {}).items():
        _put_rows(state, Table(table), rows)
    _balance(state)
    return state


def _system(case: Json) -> Json:
    system: Json = {"operator": OPERATOR, "insurance": INSURANCE, "fees": FEES, "mode": "OPEN"}
    system |= {"time_ms": NOW_MS, "ticks": 1, **case.get("system", {})}
    guard = case.get("guard")
    if guard is not None:
        off = [*system.get("guards_off", ())] + ([] if guard["on"] else [guard["guard"]])
        system |= {"drill": True, "guards_off": sorted(off)}
    return system


def _put_market(state: State, symbol: str, given: Json, price: Json) -> None:
    base = {"symbol": symbol, "price_increment": ONE // 100, "lot": ONE // 1000}
    base |= {"oracle": {"asset": f"{symbol}USD"}, "funding": {"interest": 0}}
    parameters = {**base, "notional_min": ONE, "taker_fee": 0, **given}
    status = parameters.pop("status", "ACTIVE")
    row = msgspec.convert({"parameters": parameters, "status": status}, Market)
    state.write(Table.MARKET, symbol, row)
    price = {"index": price["mark"], "index_at_ms": NOW_MS, "accepted_in_row": 3, **price}
    if price["index"]:
        extreme = {"time_ms": price["index_at_ms"], "price": price["index"]}
        price = {"lows": [extreme], "highs": [extreme], **price}
    state.write(Table.PRICE, symbol, msgspec.convert(price, Price))


def _take_other_sides(state: State) -> None:
    """Give one more account what makes the sizes of each market sum to zero."""
    for market, sums in state.market_sums.items():
        if sums.net:
            costs = sum(row.cost for (_, name), row in state.positions.items() if name == market)
            row = Position(-sums.net, -costs, state.prices[market].funding_index)
            state.write(Table.POSITION, (OTHER_SIDE, market), row)
            state.write(Table.ACCOUNT, OTHER_SIDE, Account(10**9 * ONE))


def _put_orders(state: State, case: Json) -> None:
    for sequence, (order_id, given) in enumerate(_lines(case.get("orders", ()))):
        order = msgspec.convert({**_ORDER, "market": "BTC", **given}, Order)
        waiting = order.trigger_price != 0
        row = OrderRow(order, order.size, sequence, order.account, order.price, waiting)
        state.write(Table.ORDER, order_id, row)
        state.write(Table.ARRIVAL, ONLY, Arrival(sequence + 1))


def _put_rows(state: State, table: Table, rows: list[Any]) -> None:
    for key, name, row in _lines(rows):
        made = msgspec.convert(row, getattr(row_types, name))
        state.write(table, tuple(key) if isinstance(key, list) else key, made)


def _balance(state: State) -> None:
    """Declare deposited whatever the accounts hold, so that the laws hold from the start."""
    sums, totals = state.sums, state.totals
    held = (sums.cash - sums.cost - totals.bad_debt + totals.withdrawn) * DUST_PER_QUOTE
    deposited, dust = divmod(held + sums.funding + totals.dust, DUST_PER_QUOTE)
    extra = -dust % DUST_PER_QUOTE
    deposited += 1 if extra else 0
    changed = msgspec.structs.replace(totals, deposited=deposited, dust=totals.dust + extra)
    state.write(Table.TOTALS, ONLY, changed)


def play(state: State, case: Json) -> list[Event]:
    """Apply a case's commands, checking each refusal and broken law, and return all events."""
    _check_margins(state, case.get("margins_before", {}))
    events: list[Event] = []
    commands = [
        written
        for given in _lines(case.get("commands", ()))
        for written in [given] * given.get("times", 1)
    ]
    for number, given in enumerate(commands, 1):
        law = None
        try:
            events += _play_one(state, given)
            recount(state)
            check_laws(state)
        except LawBroken as broken:
            law = broken.law
        assert law == given.get("broken"), (law, given)
        assert law is None or number == len(commands), "nothing comes after a broken law"
    return events


def _play_one(state: State, given: Json) -> list[Event]:
    context = Context(given.get("signer", OPERATOR), given.get("signer_key", 0))
    before = {table: dict(rows) for table, rows in state.rows.items()}
    outcome = transition(state, _command(state, given), context, Journal(state))
    if isinstance(outcome, Refusal):
        assert outcome.reason == given.get("refused"), (outcome, given)
        assert before == state.rows
        return []
    assert "refused" not in given, (given, outcome)
    return outcome


def _command(state: State, given: Json) -> Any:  # noqa: ANN401
    fields = {name: value for name, value in given.items() if name not in _META}
    if "order" in fields:
        base = {**_ORDER, "market": "BTC", "signed_at_ms": state.system.time_ms}
        fields["order"] = {**base, **fields["order"]}
    if given["type"] == "Tick":
        time_ms = fields.setdefault("time_ms", state.system.time_ms + given.get("after_ms", 0))
        prices = given.get("prices", {}).items()
        named = [{"asset": asset, "price": price} for asset, price in prices]
        reports = [{"publisher": name, **report} for report in named for name in state.publishers]
        reports += fields.get("reports", [])
        fields["reports"] = [_report(state, time_ms, report) for report in reports]
    return msgspec.convert(fields, _COMMANDS[given["type"]])


def _report(state: State, time_ms: int, given: Json) -> Json:
    """Sign a report now with its publisher's key, at a price of 1e-8, unless it says otherwise."""
    publisher = state.publishers.get(given["publisher"])
    base = {"asset": "BTCUSD", "signed_at": time_ms // 1_000, "key": publisher and publisher.key}
    report = {**base, **given}
    price = report["price"] * 10**REPORT_DECIMALS // ONE
    return {**report, "price": report.pop("signed_price", price)}


_META = frozenset(("signer", "signer_key", "refused", "broken", "times", "after_ms", "prices"))


def check_outcome(state: State, case: Json, events: list[Event]) -> None:
    """Compare rows, margins and events with what the case says."""
    for table, rows in case.get("expect", {}).items():
        _check_rows(state, Table(table), _lines(rows))
    _check_margins(state, case.get("margins", {}))
    _check_events(case, [msgspec.to_builtins(event) for event in events])
    if "guard" in case:
        guard = case["guard"]
        slipped = [event.guard for event in events if isinstance(event, GuardViolated)]
        assert (guard["guard"] in slipped) is not guard["on"], f"let through: {slipped}"


def _check_rows(state: State, table: Table, rows: list[Any]) -> None:
    for key, fields in rows:
        row = state.rows[table].get(tuple(key) if isinstance(key, list) else key)
        if fields is None:
            assert row is None, (table, key, row)
            continue
        assert row is not None, (table, key)
        found = msgspec.json.decode(msgspec.json.encode(row))
        assert {name: found[name] for name in fields} == fields, (table, key)


def _check_margins(state: State, margins: Json) -> None:
    for account, figures in _table(margins).items():
        margin = margin_of(state, int(account))
        found = {"value": margin.value, "initial": margin.initial}
        found["maintenance"] = margin.maintenance // ONE
        scaled = {name: figure * ONE * ONE for name, figure in figures.items()}
        assert {name: found[name] for name in figures} == scaled, account


def _check_events(case: Json, events: list[Json]) -> None:
    remaining = iter(events)
    for wanted in _lines(case.get("events", ())):
        assert any(wanted.items() <= event.items() for event in remaining), wanted
    for name, count in case.get("counts", {}).items():
        assert sum(event["type"] == name for event in events) == count, name
