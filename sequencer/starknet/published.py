"""Published Starknet files: blocks, state updates and lists of transactions, in JSON.

Promises
- The shape is recognised from the content, never from the file's name.
- A file of no known shape, or with a malformed field, is refused in one line that names the field.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.block import Event, GasPrices, Message, Receipt
from sequencer.starknet.felt import Felt, parse_felt
from sequencer.starknet.published_transactions import Fields
from sequencer.starknet.state import StateDiff

Hex: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^0[xX][0-9a-fA-F]{1,64}$")]
"""A felt as published."""

_Shape = TypeVar("_Shape")


class _Slot(msgspec.Struct):
    key: Hex
    value: Hex


class _ContractClass(msgspec.Struct):
    address: Hex
    class_hash: Hex


class _CompiledClass(msgspec.Struct):
    class_hash: Hex
    compiled_class_hash: Hex


class _StateDiff(msgspec.Struct):
    storage_diffs: dict[Hex, list[_Slot]]
    deployed_contracts: list[_ContractClass]
    nonces: dict[Hex, Hex] = {}
    old_declared_contracts: list[Hex] = []
    declared_classes: list[_CompiledClass] = []
    replaced_classes: list[_ContractClass] = []
    migrated_compiled_classes: list[_CompiledClass] = []


class _StateUpdate(msgspec.Struct):
    state_diff: _StateDiff
    old_root: Hex
    new_root: Hex
    block_hash: Hex | None = None


class _Event(msgspec.Struct):
    from_address: Hex
    keys: list[Hex]
    data: list[Hex]


class _Message(msgspec.Struct):
    from_address: Hex
    to_address: Hex
    payload: list[Hex]


class _Gas(msgspec.Struct):
    l1_gas: int = 0
    l1_data_gas: int = 0


class _Resources(msgspec.Struct):
    total_gas_consumed: _Gas | None = None


class _Receipt(msgspec.Struct):
    transaction_hash: Hex
    actual_fee: Hex
    events: list[_Event]
    l2_to_l1_messages: list[_Message]
    execution_resources: _Resources | None = None
    revert_error: str | None = None


class _Price(msgspec.Struct):
    price_in_wei: Hex
    price_in_fri: Hex


class Block(msgspec.Struct):
    """A feeder block; felts are left as published text."""

    transactions: list[dict[str, Any]]
    transaction_receipts: list[_Receipt]
    timestamp: int
    parent_block_hash: Hex
    block_number: int | None = None
    block_hash: Hex | None = None
    state_root: Hex | None = None
    sequencer_address: Hex | None = None
    starknet_version: str | None = None
    l1_da_mode: str | None = None
    l1_gas_price: _Price | None = None
    l1_data_gas_price: _Price | None = None
    l2_gas_price: _Price | None = None
    transaction_commitment: Hex | None = None
    event_commitment: Hex | None = None
    receipt_commitment: Hex | None = None
    state_diff_commitment: Hex | None = None
    state_diff_length: int | None = None

    def receipts(self) -> list[Receipt]:
        """Return the receipts in the block's order."""
        return [_read_receipt(receipt) for receipt in self.transaction_receipts]

    def prices(self) -> GasPrices | None:
        """Return the gas prices, or None where the block does not state L1 prices."""
        if self.l1_gas_price is None or self.l1_data_gas_price is None:
            return None
        stated = (self.l1_gas_price, self.l1_data_gas_price, self.l2_gas_price)
        prices: list[int] = []
        for price in stated:
            pair = ("0x0", "0x0") if price is None else (price.price_in_wei, price.price_in_fri)
            prices += map(parse_felt, pair)
        return GasPrices(*prices)


class StateUpdate(msgspec.Struct, frozen=True):
    """One published change of state, with the roots before and after it."""

    diff: StateDiff
    old_root: Felt
    new_root: Felt
    block_hash: Felt | None


class ListedTransaction(msgspec.Struct):
    """An entry of a transaction list: a tagged transaction with the hashes it must have."""

    transaction: dict[str, Any]
    transaction_hash: Hex
    chain_id: str | None = None
    only_query_transaction_hash: Hex | None = None


class PublishedFile(msgspec.Struct, frozen=True):
    """What one file holds."""

    block: Block | None = None
    update: StateUpdate | None = None
    transactions: Sequence[ListedTransaction] = ()


def read_published(content: object) -> PublishedFile:
    """Read a decoded JSON document. Refusal: FILE_UNREADABLE, naming the field."""
    if isinstance(content, list) and content:
        return PublishedFile(transactions=_convert(content, list[ListedTransaction]))
    if isinstance(content, Mapping):
        if "block" in content and "state_update" in content:
            block = _convert(content["block"], Block)
            return PublishedFile(block=block, update=_read_update(content["state_update"]))
        if "state_diff" in content:
            return PublishedFile(update=_read_update(content))
        if "transactions" in content and "transaction_receipts" in content:
            return PublishedFile(block=_convert(content, Block))
    raise Refused(
        Reason.FILE_UNREADABLE,
        "neither a block, a state update, both together, nor a list of transactions",
    )


def _convert(content: object, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(content, shape)
    except msgspec.ValidationError as error:
        raise Refused(Reason.FILE_UNREADABLE, str(error)) from None


def _read_update(content: Fields) -> StateUpdate:
    update = _convert(content, _StateUpdate)
    return StateUpdate(
        diff=_read_diff(update.state_diff),
        old_root=parse_felt(update.old_root),
        new_root=parse_felt(update.new_root),
        block_hash=None if update.block_hash is None else parse_felt(update.block_hash),
    )


def _read_diff(diff: _StateDiff) -> StateDiff:
    named = (*diff.deployed_contracts, *diff.replaced_classes)
    return StateDiff(
        storage={
            parse_felt(address): {parse_felt(slot.key): parse_felt(slot.value) for slot in slots}
            for address, slots in diff.storage_diffs.items()
        },
        nonces={parse_felt(address): parse_felt(nonce) for address, nonce in diff.nonces.items()},
        classes={parse_felt(entry.address): parse_felt(entry.class_hash) for entry in named},
        declared=_read_compiled(diff.declared_classes),
        migrated=_read_compiled(diff.migrated_compiled_classes),
        deprecated=[parse_felt(class_hash) for class_hash in diff.old_declared_contracts],
    )


def _read_compiled(classes: Sequence[_CompiledClass]) -> dict[Felt, Felt]:
    return {
        parse_felt(entry.class_hash): parse_felt(entry.compiled_class_hash) for entry in classes
    }


def _read_receipt(receipt: _Receipt) -> Receipt:
    resources = receipt.execution_resources
    gas = (resources.total_gas_consumed if resources else None) or _Gas()
    return Receipt(
        transaction_hash=parse_felt(receipt.transaction_hash),
        actual_fee=parse_felt(receipt.actual_fee),
        events=[
            Event(parse_felt(event.from_address), _felts(event.keys), _felts(event.data))
            for event in receipt.events
        ],
        messages=[
            Message(
                parse_felt(sent.from_address), parse_felt(sent.to_address), _felts(sent.payload)
            )
            for sent in receipt.l2_to_l1_messages
        ],
        revert_reason=receipt.revert_error,
        l1_gas=gas.l1_gas,
        l1_data_gas=gas.l1_data_gas,
    )


def _felts(texts: Sequence[str]) -> list[Felt]:
    return [parse_felt(text) for text in texts]
