"""Reads a case of the exchange vectors and plays it through `transition`."""

from typing import Any

import msgspec

from sequencer.exchange.invariants import check_laws, recount
from sequencer.exchange.margin import margin_of
from sequencer.exchange.state import ONLY, Journal, State, Table
from sequencer.exchange.step import Context
from sequencer.exchange.transition import HANDLERS, transition
from sequencer.model import rows as row_types
from sequencer.model.events import Event
from sequencer.model.orders import Order
from sequencer.model.refusals import Refusal
from sequencer.model.rows import Account, Arrival, Market, OrderRow, Position, Price, System
from sequencer.model.units import DUST_PER_QUOTE, ONE, parse_units

Json = dict[str, Any]

OPERATOR, INSURANCE, FEES, OTHER_SIDE = 1, 2, 3, 4
NOW_MS = 1_000_000
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


def exact(value: object) -> Any:  # noqa: ANN401
    """Turn `=` text into integers of 1e-8, at any depth."""
    match value:
        case str() if value.startswith("=-"):
            return -parse_units(value[2:])
        case str() if value.startswith("="):
            return parse_units(value[1:])
        case list():
            return [exact(item) for item in value]
        case dict():
            return {key: exact(item) for key, item in value.items()}
    return value


def make_state(case: Json) -> State:
    """Make the state that a case starts from; deposits are set so that conservation holds."""
    system = {"operator": OPERATOR, "insurance": INSURANCE, "fees": FEES, "mode": "OPEN"}
    system |= {"time_ms": NOW_MS, **case.get("system", {})}
    state = State(msgspec.convert(system, System))
    for symbol, given in case.get("markets", {"BTC": {}}).items():
        base = {"symbol": symbol, "price_increment": ONE // 100, "lot": ONE // 1000}
        oracle = {"asset": f"{symbol}USD"}
        parameters = {**base, "oracle": oracle, "notional_min": ONE, "taker_fee": 0, **given}
        state.write(Table.MARKET, symbol, msgspec.convert({"parameters": parameters}, Market))
        price = {"index_at_ms": NOW_MS, **case.get("prices", {}).get(symbol, {"mark": 100 * ONE})}
        price.setdefault("index", price["mark"])
        state.write(Table.PRICE, symbol, msgspec.convert(price, Price))
    for account, given in case.get("accounts", {}).items():
        row = given if isinstance(given, dict) else {"cash": given}
        state.write(Table.ACCOUNT, int(account), msgspec.convert(row, Account))
    for account, market, given in case.get("positions", ()):
        row = {"index": state.prices[market].funding_index, **given}
        state.write(Table.POSITION, (account, market), msgspec.convert(row, Position))
    _take_other_sides(state)
    _put_orders(state, case)
    for table, rows in case.get("rows", {}).items():
        _put_rows(state, Table(table), rows)
    _balance(state)
    return state


def _take_other_sides(state: State) -> None:
    """Give one more account what makes the sizes of each market sum to zero."""
    for market, sums in state.market_sums.items():
        if sums.net:
            costs = sum(row.cost for (_, name), row in state.positions.items() if name == market)
            row = Position(-sums.net, -costs, state.prices[market].funding_index)
            state.write(Table.POSITION, (OTHER_SIDE, market), row)
            state.write(Table.ACCOUNT, OTHER_SIDE, Account(10**9 * ONE))


def _put_orders(state: State, case: Json) -> None:
    for sequence, (order_id, given) in enumerate(case.get("orders", ())):
        order = msgspec.convert({**_ORDER, "market": "BTC", **given}, Order)
        waiting = order.trigger_price != 0
        row = OrderRow(order, order.size, sequence, order.account, order.price, waiting)
        state.write(Table.ORDER, order_id, row)
        state.write(Table.ARRIVAL, ONLY, Arrival(sequence + 1))


def _put_rows(state: State, table: Table, rows: list[Any]) -> None:
    for key, name, row in rows:
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
    """Apply a case's commands, checking each refusal, and return all events."""
    events: list[Event] = []
    for given in case.get("commands", ()):
        fields = {key: value for key, value in given.items() if key not in _META}
        command_type = _COMMANDS[given["type"]]
        if "order" in fields:
            fields["order"] = {**_ORDER, "market": "BTC", **fields["order"]}
        command = msgspec.convert({**fields, "type": given["type"]}, command_type)
        context = Context(given.get("signer", OPERATOR), given.get("key", 0))
        before = {table: dict(rows) for table, rows in state.rows.items()}
        outcome = transition(state, command, context, Journal(state))
        if isinstance(outcome, Refusal):
            assert outcome.reason == given.get("refused"), (outcome, given)
            assert before == state.rows
        else:
            assert "refused" not in given, (given, outcome)
            events += outcome
        recount(state)
        check_laws(state)
    return events


_META = frozenset(("type", "signer", "key", "refused"))


def check_outcome(state: State, case: Json, events: list[Event]) -> None:
    """Compare rows, margins and events with what the case says."""
    for table, rows in case.get("expect", {}).items():
        for key, fields in rows:
            row = state.rows[Table(table)].get(tuple(key) if isinstance(key, list) else key)
            if fields is None:
                assert row is None, (table, key, row)
                continue
            assert row is not None, (table, key)
            found = msgspec.to_builtins(row)
            assert {name: found[name] for name in fields} == fields, (table, key)
    for account, figures in case.get("margins", {}).items():
        margin = margin_of(state, int(account))
        found = {"value": margin.value, "initial": margin.initial}
        found["maintenance"] = margin.maintenance // ONE
        scaled = {name: figure * ONE * ONE for name, figure in figures.items()}
        assert {name: found[name] for name in figures} == scaled, account
    remaining = iter([msgspec.to_builtins(event) for event in events])
    for wanted in case.get("events", ()):
        assert any(wanted.items() <= event.items() for event in remaining), wanted
