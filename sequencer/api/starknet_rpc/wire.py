"""What Starknet's methods answer: the one form in which each thing is written.

Promises
- Felts are canonical; no field is there that the specification does not name, and none is missing
  that it asks for.

Laws
- Whether a thing is final is the caller's to say: nothing here looks anything up.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

import msgspec

from sequencer.chain.block import BLOCK_PRICES, ClosedBlock
from sequencer.chain.commitment import STARKNET_VERSION
from sequencer.chain.trace import Called
from sequencer.starknet.block import Event, GasPrices, Header, Message, Receipt
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.felt_hash import keccak
from sequencer.starknet.state import StateDiff
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    InvokeV3,
    L1Handler,
    LegacyTransaction,
    ResourceBound,
    Terms,
    Transaction,
)
from sequencer.starknet.trie_node import Binary, Node

Fields = dict[str, Any]
"""An object on its way into JSON."""

RECEIVED, PRE_CONFIRMED_STATUS = "RECEIVED", "PRE_CONFIRMED"
ACCEPTED_ON_L2, ACCEPTED_ON_L1 = "ACCEPTED_ON_L2", "ACCEPTED_ON_L1"
"""How final a transaction or a block is, least first."""

SPECIFICATION = "0.10.2"
"""The version of Starknet's JSON-RPC that is spoken here."""

SUCCEEDED, REVERTED = "SUCCEEDED", "REVERTED"
"""What became of a transaction."""

_NO_BOUND = ResourceBound()
_MODES = ("L1", "L2")
_WORD_BYTES = 32
_GAS = ("l1_gas", "l2_gas", "l1_data_gas")


def encoded(fields: object) -> msgspec.Raw:
    """Write an answer down, in whatever thread it was made."""
    return msgspec.Raw(msgspec.json.encode(fields))


def felts(values: Iterable[Felt]) -> list[str]:
    """Write felts."""
    return [format_felt(value) for value in values]


def type_of(transaction: Transaction) -> str:
    """Return a transaction's type, as it stands in transactions, receipts and traces."""
    match transaction:
        case InvokeV3():
            return "INVOKE"
        case DeclareV3():
            return "DECLARE"
        case DeployAccountV3():
            return "DEPLOY_ACCOUNT"
        case L1Handler():
            return "L1_HANDLER"
        case LegacyTransaction():
            raise TypeError("no block of this chain holds a transaction from before version 3")
        case _ as unreachable:
            assert_never(unreachable)


def transaction_fields(
    transaction: Transaction, hash_: Felt | None, *, proof_facts: bool = False
) -> Fields:
    """Write a transaction; without a hash where None. `proof_facts` are there where asked for."""
    fields: Fields = {} if hash_ is None else {"transaction_hash": format_felt(hash_)}
    fields["type"] = type_of(transaction)
    match transaction:
        case InvokeV3():
            fields |= _signed(transaction.terms, transaction.signature)
            fields["sender_address"] = format_felt(transaction.sender)
            fields["calldata"] = felts(transaction.calldata)
            fields["account_deployment_data"] = felts(transaction.account_deployment_data)
            if proof_facts:
                fields["proof_facts"] = felts(transaction.proof_facts)
        case DeclareV3():
            fields |= _signed(transaction.terms, transaction.signature)
            fields["sender_address"] = format_felt(transaction.sender)
            fields["class_hash"] = format_felt(transaction.class_hash)
            fields["compiled_class_hash"] = format_felt(transaction.compiled_class_hash)
            fields["account_deployment_data"] = felts(transaction.account_deployment_data)
        case DeployAccountV3():
            fields |= _signed(transaction.terms, transaction.signature)
            fields["class_hash"] = format_felt(transaction.class_hash)
            fields["contract_address_salt"] = format_felt(transaction.salt)
            fields["constructor_calldata"] = felts(transaction.calldata)
        case L1Handler():
            fields["version"] = "0x0"
            fields["nonce"] = format_felt(transaction.nonce)
            fields["contract_address"] = format_felt(transaction.contract)
            fields["entry_point_selector"] = format_felt(transaction.selector)
            fields["calldata"] = felts(transaction.calldata)
    return fields


def _signed(terms: Terms, signature: Sequence[Felt]) -> Fields:
    l1_gas, l2_gas, l1_data_gas = (*terms.bounds, _NO_BOUND)[:3]
    return {
        "version": "0x3",
        "signature": felts(signature),
        "nonce": format_felt(terms.nonce),
        "resource_bounds": {
            "l1_gas": _bound(l1_gas),
            "l1_data_gas": _bound(l1_data_gas),
            "l2_gas": _bound(l2_gas),
        },
        "tip": hex(terms.tip),
        "paymaster_data": felts(terms.paymaster_data),
        "nonce_data_availability_mode": _MODES[terms.nonce_mode],
        "fee_data_availability_mode": _MODES[terms.fee_mode],
    }


def _bound(bound: ResourceBound) -> Fields:
    return {"max_amount": hex(bound.amount_max), "max_price_per_unit": hex(bound.price_max)}


def proof_fields(proof: Mapping[Felt, Node]) -> list[Fields]:
    """Write the nodes of a proof, each with its hash."""
    return [{"node_hash": format_felt(hash_), "node": _node(node)} for hash_, node in proof.items()]


def _node(node: Node) -> Fields:
    if isinstance(node, Binary):
        return {"left": format_felt(node.left), "right": format_felt(node.right)}
    return {
        "path": format_felt(node.path),
        "length": node.length,
        "child": format_felt(node.child),
    }


def execution_fields(receipt: Receipt, reason_name: str) -> Fields:
    """Write what became of a transaction; `reason_name` is what the reason is called there."""
    if receipt.revert_reason is None:
        return {"execution_status": SUCCEEDED}
    return {"execution_status": REVERTED, reason_name: receipt.revert_reason}


def sent_fields(transaction: Transaction, transaction_hash: Felt) -> Fields:
    """Write what whoever sent a transaction is told."""
    fields: Fields = {"transaction_hash": format_felt(transaction_hash)}
    if isinstance(transaction, DeclareV3):
        fields["class_hash"] = format_felt(transaction.class_hash)
    if isinstance(transaction, DeployAccountV3):
        fields["contract_address"] = format_felt(transaction.address())
    return fields


def fee_fields(unit: str) -> Fields:
    """Write an estimate: nothing, at the price of 1 that every header names."""
    consumed = {f"{name}_consumed": "0x0" for name in _GAS}
    prices = {f"{name}_price": "0x1" for name in _GAS}
    return {**consumed, **prices, "overall_fee": "0x0", "unit": unit}


def invocation_fields(called: Called, kind: str, first_order: int = 0) -> Fields:
    """Write a call as traces do, with no calls within it; its first event has an order."""
    events = [
        {"order": first_order + index, "keys": each["keys"], "data": each["data"]}
        for index, each in enumerate(map(event_fields, called.events))
    ]
    return {
        "contract_address": format_felt(called.contract),
        "entry_point_selector": format_felt(called.selector),
        "calldata": felts(called.calldata),
        "caller_address": format_felt(called.caller),
        "class_hash": format_felt(called.class_hash),
        "entry_point_type": kind,
        "call_type": "CALL",
        "result": felts(called.result),
        "calls": [],
        "events": events,
        "messages": [],
        "execution_resources": {"l1_gas": 0, "l2_gas": 0},
        "is_reverted": False,
    }


def receipt_fields(transaction: Transaction, receipt: Receipt, finality: str) -> Fields:
    """Write a receipt, without its block."""
    fields: Fields = {
        "type": type_of(transaction),
        "transaction_hash": format_felt(receipt.transaction_hash),
        "actual_fee": {"amount": format_felt(receipt.actual_fee), "unit": "FRI"},
        "finality_status": finality,
        **execution_fields(receipt, "revert_reason"),
        "messages_sent": [_message(message) for message in receipt.messages],
        "events": [event_fields(event) for event in receipt.events],
        "execution_resources": resource_fields(receipt),
    }
    if isinstance(transaction, DeployAccountV3):
        fields["contract_address"] = format_felt(transaction.address())
    if isinstance(transaction, L1Handler):
        fields["message_hash"] = hex(message_hash(transaction))
    return fields


def resource_fields(receipt: Receipt) -> Fields:
    """Write the gas of a receipt."""
    return {"l1_gas": receipt.l1_gas, "l1_data_gas": receipt.l1_data_gas, "l2_gas": 0}


def message_hash(message: L1Handler) -> int:
    """Return the hash of a message as Starknet's contract on Ethereum works it out.

    keccak256 of (from, to, nonce, selector, length, payload), each a word of 32 bytes.
    """
    sender, *payload = message.calldata
    head = (sender, message.contract, message.nonce, message.selector, len(payload))
    return keccak(b"".join(word.to_bytes(_WORD_BYTES, "big") for word in (*head, *payload)))


def _message(message: Message) -> Fields:
    return {
        "from_address": format_felt(message.from_address),
        "to_address": format_felt(message.to_address),
        "payload": felts(message.payload),
    }


class Emitted(msgspec.Struct, frozen=True, gc=False):
    """An event with where it was emitted: its transaction in the block, its place in that."""

    event: Event
    transaction_hash: Felt
    transaction: int
    position: int


def emitted(receipts: Sequence[Receipt], first: int = 0) -> tuple[Emitted, ...]:
    """List the events of transactions in order; `first` is the place of the first in its block."""
    return tuple(
        Emitted(event, receipt.transaction_hash, place, position)
        for place, receipt in enumerate(receipts, first)
        for position, event in enumerate(receipt.events)
    )


def emitted_fields(each: Emitted) -> Fields:
    """Write an event and where it was emitted, but for the block."""
    return {
        **event_fields(each.event),
        "transaction_hash": format_felt(each.transaction_hash),
        "transaction_index": each.transaction,
        "event_index": each.position,
    }


def event_fields(event: Event) -> Fields:
    """Write an event, without where it was emitted."""
    return {
        "from_address": format_felt(event.from_address),
        "keys": felts(event.keys),
        "data": felts(event.data),
    }


def state_diff_fields(diff: StateDiff) -> Fields:
    """Write a state diff, sorted. No contract of this chain ever gets another class."""
    return {
        "storage_diffs": [
            {
                "address": format_felt(address),
                "storage_entries": _pairs("key", "value", diff.storage[address]),
            }
            for address in sorted(diff.storage)
        ],
        "deprecated_declared_classes": felts(sorted(diff.deprecated)),
        "declared_classes": _pairs("class_hash", "compiled_class_hash", diff.declared),
        "migrated_compiled_classes": _pairs("class_hash", "compiled_class_hash", diff.migrated),
        "deployed_contracts": _pairs("address", "class_hash", diff.classes),
        "replaced_classes": [],
        "nonces": _pairs("contract_address", "nonce", diff.nonces),
    }


def _pairs(key: str, value: str, entries: Mapping[Felt, Felt]) -> list[Fields]:
    return [
        {key: format_felt(name), value: format_felt(felt)} for name, felt in sorted(entries.items())
    ]


def header_fields(header: Header, block_hash: Felt) -> Fields:
    """Write the header of a block that is on the disk, without its status."""
    content = header.commitments
    return {
        "block_hash": format_felt(block_hash),
        "parent_hash": format_felt(header.parent_hash),
        "new_root": format_felt(header.state_root),
        **_common_header(header.number, header.timestamp, header.sequencer),
        **_prices(header.prices),
        "l1_da_mode": "BLOB" if header.blob else "CALLDATA",
        "starknet_version": header.starknet_version,
        "event_commitment": format_felt(content.events),
        "transaction_commitment": format_felt(content.transactions),
        "receipt_commitment": format_felt(content.receipts),
        "state_diff_commitment": format_felt(content.state_diff),
        "event_count": content.event_count,
        "transaction_count": content.transaction_count,
        "state_diff_length": content.state_diff_length,
    }


def pending_header_fields(closed: ClosedBlock) -> Fields:
    """Write the header of a block that is not sealed yet."""
    return {
        **_common_header(closed.number, closed.time_ms // 1_000, closed.operator),
        **_prices(BLOCK_PRICES),
        "l1_da_mode": "BLOB",
        "starknet_version": STARKNET_VERSION,
    }


def _common_header(number: int, timestamp: int, sequencer: Felt) -> Fields:
    return {
        "block_number": number,
        "timestamp": timestamp,
        "sequencer_address": format_felt(sequencer),
    }


def _prices(prices: GasPrices) -> Fields:
    return {
        "l1_gas_price": _price(prices.l1_wei, prices.l1_fri),
        "l2_gas_price": _price(prices.l2_wei, prices.l2_fri),
        "l1_data_gas_price": _price(prices.l1_data_wei, prices.l1_data_fri),
    }


def _price(wei: int, fri: int) -> Fields:
    return {"price_in_fri": format_felt(fri), "price_in_wei": format_felt(wei)}
