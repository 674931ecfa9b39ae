"""The exchange behind its Starknet address: every command as an entry point, every event announced.

Promises
- A call by an account is signed by that account; an order or a cancellation in the operator's batch
  carries its own SNIP-12 signature over every field, and is refused by itself without touching the
  others.
- Ids are computed, never believed: of orders, withdrawals, isolated accounts and ticks.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, assert_never

import msgspec

from sequencer.chain.calldata import CairoType, cairo_type, read_all, struct_type
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.ethereum_binding import require_ethereum_signature
from sequencer.chain.exchange_views import VIEWS
from sequencer.chain.native import Answer, Call, EntryPoint, Interface, native_contract
from sequencer.exchange.ethereum_keys import require_unbound
from sequencer.exchange.step import Context
from sequencer.exchange.transition import HANDLERS, transition
from sequencer.model.commands import (
    CancelOrder,
    Command,
    Deposit,
    OpenIsolated,
    PlaceOrder,
    PriceReport,
    RegisterEthereumKey,
    Reopen,
    SetOperator,
    Tick,
    Withdraw,
)
from sequencer.model.events import CancelRefused, OrderRefused
from sequencer.model.events import Event as ExchangeEvent
from sequencer.model.orders import Order
from sequencer.model.refusals import Reason, Refusal, Refused
from sequencer.starknet.block import Event
from sequencer.starknet.deposits import withdrawal_id_of
from sequencer.starknet.felt import ADDRESS_BOUND, Felt
from sequencer.starknet.felt_hash import poseidon_array
from sequencer.starknet.messages import cancel_hash, order_hash, price_report_hash
from sequencer.starknet.names import selector

_EVENTS = {selector(kind.__name__): kind for kind in ExchangeEvent.__subclasses__()}

COMPUTED = {
    "PlaceOrder": ("order_id",),
    "Withdraw": ("withdrawal_id",),
    "OpenIsolated": ("account",),
    "Tick": ("tick_hash", "reports"),
}
"""Fields of commands that calldata does not have, because they follow from it."""


class SignedReport(msgspec.Struct, frozen=True, gc=False):
    """A price report with its publisher's signature."""

    publisher: str
    asset: str
    price: int
    signed_at: int
    r: int
    s: int


class SignedOrder(msgspec.Struct, frozen=True, gc=False):
    """An order that its trader signed off chain.

    `key` is 0 where the signer's own key signed, and otherwise the subkey that did.
    """

    order: Order
    signer: int
    key: int
    r: int
    s: int


class SignedCancel(msgspec.Struct, frozen=True, gc=False):
    """A cancellation of one order that its trader signed off chain; `key` as for an order.

    It needs no nonce: an order's id is a hash that never comes back, so a cancellation sent again
    is refused with ORDER_UNKNOWN.
    """

    account: int
    order_id: int
    signer: int
    key: int
    r: int
    s: int


Signed: TypeAlias = SignedOrder | SignedCancel
"""What the operator's batch carries."""


def snake_case(name: str) -> str:
    """Return `PlaceOrder` as `place_order`: the name of a command's entry point."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


def entry_point_of(kind: type[Command]) -> EntryPoint:
    """Return the entry point of a kind of command."""
    return EXCHANGE.entry_points[selector(snake_case(kind.__name__))]


def run_command(call: Call, command: Command, context: Context) -> Answer:
    """Apply a command, or refuse with its refusal."""
    outcome = transition(call.state, command, context, call.journal)
    if isinstance(outcome, Refusal):
        raise Refused(outcome.reason, outcome.detail)
    return Answer(events=[announce(event) for event in outcome])


def announce(event: ExchangeEvent) -> Event:
    """Write an event as Starknet knows it: its name's selector as key, its fields as data."""
    kind = type(event)
    data: list[Felt] = []
    struct_type(kind).write(event, data)
    return Event(EXCHANGE_ADDRESS, (selector(kind.__name__),), tuple(data))


def read_event(event: Event) -> ExchangeEvent | None:
    """Read an event back, None for one of another contract. Refusal: CALLDATA_MALFORMED."""
    kind = _EVENTS.get(event.keys[0]) if event.from_address == EXCHANGE_ADDRESS else None
    if kind is None:
        return None
    read: ExchangeEvent = struct_type(kind).read(event.data, 0)[0]
    return read


def _entry_point(kind: type[Command]) -> EntryPoint:
    computed = COMPUTED.get(kind.__name__, ())
    inputs = [
        (field.name, cairo_type(field.type, f"{kind.__name__}.{field.name}"))
        for field in msgspec.structs.fields(kind)
        if field.name not in computed
    ]
    if kind is Tick:
        inputs.append(("reports", cairo_type(Sequence[SignedReport])))
    build = _BUILDERS.get(kind, _build_plain)

    def run(call: Call) -> Answer:
        values = read_all(inputs, call.calldata)
        return run_command(call, build(kind, call, values), Context(call.caller))

    return EntryPoint(snake_case(kind.__name__), inputs, run)


def _build_plain(kind: type[Command], _: Call, values: dict[str, Any]) -> Command:
    return kind(**values)


def _build_order(_: type[Command], call: Call, values: dict[str, Any]) -> Command:
    order = values["order"]
    return PlaceOrder(order, order_hash(order, call.caller, call.chain_id))


def _build_withdrawal(_: type[Command], call: Call, values: dict[str, Any]) -> Command:
    return Withdraw(**values, withdrawal_id=withdrawal_id_of(call.transaction_hash, call.number))


def _build_isolated(_: type[Command], call: Call, values: dict[str, Any]) -> Command:
    # From the transaction, so that nobody can occupy the address beforehand.
    own_hash = poseidon_array((call.transaction_hash, call.number))
    return OpenIsolated(**values, account=own_hash % ADDRESS_BOUND)


def _build_tick(_: type[Command], call: Call, values: dict[str, Any]) -> Command:
    # Before any signature is looked at: a stranger's thousand reports would cost a second.
    _require_operator(call, "only the operator moves time on")
    reports = [_checked_report(call, report) for report in values["reports"]]
    return Tick(values["time_ms"], reports, poseidon_array(call.calldata))


def _build_handover(kind: type[Command], call: Call, values: dict[str, Any]) -> Command:
    """Hand over only to an account that can sign: nobody else could ever hand over again."""
    command = kind(**values)
    security = getattr(command, "security", (command,))
    for each in security:
        if isinstance(each, SetOperator):
            contract = call.state.contracts.get(each.operator)
            if contract is None or not contract.public_key:
                raise Refused(Reason.ACCOUNT_INVALID, f"{each.operator:#x} is no account")
    return command


def _build_ethereum_key(kind: type[Command], call: Call, values: dict[str, Any]) -> Command:
    command = RegisterEthereumKey(**values)
    # Ahead of the signature, which takes milliseconds: so a transaction costs one at most, for a
    # second one finds the account bound, or the first has ended the transaction.
    require_unbound(call.state, command)
    if command.account != call.caller:
        words = f"{call.caller:#x} is not account {command.account:#x}"
        raise Refused(Reason.NOT_AUTHORIZED, words)
    contract = call.state.contracts.get(call.caller)
    key = 0 if contract is None else contract.public_key
    require_ethereum_signature(command, key, call.chain_id)
    return command


def _require_operator(call: Call, words: str) -> None:
    if call.caller != call.state.system.operator:
        raise Refused(Reason.NOT_OPERATOR, words)


def _checked_report(call: Call, report: SignedReport) -> PriceReport:
    """Say which key signed a report: the registered one, or none (0) that counts."""
    publisher = call.state.publishers.get(report.publisher)
    key = 0
    if publisher is not None:
        fields = (report.publisher, report.asset, report.price, report.signed_at)
        hash_ = price_report_hash(*fields)
        key = publisher.key if call.signature_ok(publisher.key, hash_, report.r, report.s) else 0
    return PriceReport(report.publisher, report.asset, report.price, report.signed_at, key)


_BUILDERS: dict[type[Command], Callable[[type[Command], Call, dict[str, Any]], Command]] = {
    PlaceOrder: _build_order,
    Withdraw: _build_withdrawal,
    OpenIsolated: _build_isolated,
    RegisterEthereumKey: _build_ethereum_key,
    Tick: _build_tick,
    SetOperator: _build_handover,
    Reopen: _build_handover,
}

_BATCH: Sequence[tuple[str, CairoType]] = (("items", cairo_type(Sequence[Signed])),)


def _run_batch(call: Call) -> Answer:
    """Apply the operator's batch; each item stands or falls alone."""
    _require_operator(call, "only the operator carries what others signed")
    events: list[Event] = []
    for signed in read_all(_BATCH, call.calldata)["items"]:
        try:
            events += _run_signed(call, signed).events
        except Refused as refused:
            events.append(announce(_refusal_of(call, signed, refused.reason)))
    return Answer(events=events)


def _run_signed(call: Call, signed: Signed) -> Answer:
    contract = call.state.contracts.get(signed.signer)
    if contract is None or not contract.public_key:
        raise Refused(Reason.SIGNATURE_INVALID, f"{signed.signer:#x} has no key")
    command, hash_ = _signed_command(call, signed)
    key = signed.key or contract.public_key
    if not call.signature_ok(key, hash_, signed.r, signed.s):
        raise Refused(Reason.SIGNATURE_INVALID, f"message {hash_:#x}")
    return run_command(call, command, Context(signed.signer, signed.key))


def _signed_command(call: Call, signed: Signed) -> tuple[Command, Felt]:
    """Return the command that was signed, and the hash that its signature is over."""
    match signed:
        case SignedOrder(order=order, signer=signer):
            order_id = order_hash(order, signer, call.chain_id)
            return PlaceOrder(order, order_id), order_id
        case SignedCancel(account=account, order_id=order_id, signer=signer):
            hash_ = cancel_hash(account, order_id, signer, call.chain_id)
            return CancelOrder(account, order_id), hash_
        case _ as unreachable:
            assert_never(unreachable)


def _refusal_of(call: Call, signed: Signed, reason: Reason) -> ExchangeEvent:
    match signed:
        case SignedOrder(order=order, signer=signer):
            return OrderRefused(order_hash(order, signer, call.chain_id), signer, reason.value)
        case SignedCancel(order_id=order_id, signer=signer):
            return CancelRefused(order_id, signer, reason.value)
        case _ as unreachable:
            assert_never(unreachable)


def _run_deposit(call: Call) -> Answer:
    values = read_all(_DEPOSIT, call.calldata)
    sent = Deposit(values["nonce"], call.transaction_hash, values["account"], values["amount"])
    return run_command(call, sent, Context(0))


_FELT = cairo_type(int, "Deposit.account")
_U128 = cairo_type(int, "Deposit.token_amount")
_DEPOSIT: Sequence[tuple[str, CairoType]] = (
    ("from_address", _FELT),
    ("nonce", _U128),
    ("account", _FELT),
    ("amount", _U128),
)

EXCHANGE = native_contract(
    Interface(
        name="Exchange",
        entry_points=(
            *(_entry_point(kind) for kind in HANDLERS if kind is not Deposit),
            EntryPoint("execute_orders", _BATCH, _run_batch),
            *VIEWS,
        ),
        l1_handlers=(EntryPoint("deposit", _DEPOSIT, _run_deposit),),
        events=[struct_type(kind) for kind in ExchangeEvent.__subclasses__()],
    ),
    EXCHANGE_ADDRESS,
)
"""The exchange's contract."""
