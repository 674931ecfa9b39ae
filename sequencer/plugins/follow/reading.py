"""Blocks and state updates as nodes answer them, read into the structs that plugins are given.

Promises
- Two answers for one block are equal here exactly where the block is: what only says how far it
  has been confirmed since does not count.
- An answer of another shape is refused in one line that names the field.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

from sequencer.chain.block import Block
from sequencer.model.refusals import Reason, Refused
from sequencer.plugins.protocol import BlockAndStateUpdate
from sequencer.starknet.block import (
    Commitments,
    Event,
    GasPrices,
    Header,
    Message,
    Receipt,
    block_hash,
)
from sequencer.starknet.felt import Felt, parse_felt
from sequencer.starknet.published import Hex, StateUpdate
from sequencer.starknet.published_transactions import read_feeder_transaction
from sequencer.starknet.state import StateDiff

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Shape = TypeVar("_Shape")

_BLOB = "BLOB"


class _Price(msgspec.Struct, frozen=True):
    price_in_wei: Hex
    price_in_fri: Hex


class _Fee(msgspec.Struct, frozen=True):
    amount: Hex


class _Event(msgspec.Struct, frozen=True):
    from_address: Hex
    keys: list[Hex]
    data: list[Hex]


class _Message(msgspec.Struct, frozen=True):
    from_address: Hex
    to_address: Hex
    payload: list[Hex]


class _Gas(msgspec.Struct, frozen=True):
    l1_gas: _Count = 0
    l1_data_gas: _Count = 0


class _Receipt(msgspec.Struct, frozen=True):
    transaction_hash: Hex
    actual_fee: _Fee
    events: list[_Event]
    messages_sent: list[_Message]
    execution_resources: _Gas = _Gas()
    revert_reason: str | None = None


class _Executed(msgspec.Struct, frozen=True):
    transaction: dict[str, Any]
    receipt: _Receipt


class _Block(msgspec.Struct, frozen=True):
    block_hash: Hex
    parent_hash: Hex
    block_number: _Count
    new_root: Hex
    timestamp: _Count
    sequencer_address: Hex
    l1_gas_price: _Price
    l1_da_mode: str
    starknet_version: str
    transactions: list[_Executed]
    l1_data_gas_price: _Price = _Price("0x0", "0x0")
    l2_gas_price: _Price = _Price("0x0", "0x0")
    transaction_commitment: Hex = "0x0"
    event_commitment: Hex = "0x0"
    receipt_commitment: Hex = "0x0"
    state_diff_commitment: Hex = "0x0"
    state_diff_length: _Count = 0
    event_count: _Count | None = None


class _Slot(msgspec.Struct, frozen=True):
    key: Hex
    value: Hex


class _Storage(msgspec.Struct, frozen=True):
    address: Hex
    storage_entries: list[_Slot]


class _Compiled(msgspec.Struct, frozen=True):
    class_hash: Hex
    compiled_class_hash: Hex


class _Deployed(msgspec.Struct, frozen=True):
    address: Hex
    class_hash: Hex


class _Replaced(msgspec.Struct, frozen=True):
    contract_address: Hex
    class_hash: Hex


class _Nonce(msgspec.Struct, frozen=True):
    contract_address: Hex
    nonce: Hex


class _Diff(msgspec.Struct, frozen=True):
    storage_diffs: list[_Storage]
    nonces: list[_Nonce]
    deployed_contracts: list[_Deployed]
    declared_classes: list[_Compiled] = []
    deprecated_declared_classes: list[Hex] = []
    replaced_classes: list[_Replaced] = []
    migrated_compiled_classes: list[_Compiled] = []


class _Update(msgspec.Struct, frozen=True):
    block_hash: Hex
    new_root: Hex
    old_root: Hex
    state_diff: _Diff


class RemoteBlock(msgspec.Struct, frozen=True):
    """A block as a plugin is given it, and the contracts that it deployed."""

    told: BlockAndStateUpdate
    deployed: frozenset[Felt]

    @property
    def height(self) -> int:
        """Return its height."""
        return self.told.block.header.number


def read_remote(block: object, update: object) -> RemoteBlock:
    """Read a block with what it changed.

    Refusals: BLOCK_MALFORMED, or what is wrong with a transaction; BLOCK_DIFFERS where the two are
    not of one block.
    """
    bare, stated = read_remote_block(block), _convert(update, _Update)
    diff = _read_diff(stated.state_diff)
    roots = (parse_felt(stated.old_root), parse_felt(stated.new_root))
    changed = StateUpdate(diff, *roots, block_hash=parse_felt(stated.block_hash))
    if (changed.block_hash, changed.new_root) != (bare.hash, bare.header.state_root):
        words = f"block {bare.header.number} and its state update are not of one chain"
        raise Refused(Reason.BLOCK_DIFFERS, words)
    whole = msgspec.structs.replace(bare, diff=diff)
    deployed = frozenset(parse_felt(each.address) for each in stated.state_diff.deployed_contracts)
    return RemoteBlock(BlockAndStateUpdate(whole, changed), deployed)


def read_remote_block(answer: object) -> Block:
    """Read a block without what it changed. Refusals: as above."""
    block = _convert(answer, _Block)
    receipts = [_read_receipt(executed.receipt) for executed in block.transactions]
    return Block(
        header=_read_header(block, receipts),
        hash=parse_felt(block.block_hash),
        transactions=tuple(
            read_feeder_transaction(each.transaction) for each in block.transactions
        ),
        receipts=tuple(receipts),
        diff=StateDiff(),
    )


def has_true_hash(block: Block) -> bool:
    """Say whether a block's hash is that of its header, and so stands for all blocks below too."""
    try:
        return block_hash(block.header) == block.hash
    except Refused:
        return False


def _read_header(block: _Block, receipts: Sequence[Receipt]) -> Header:
    events = sum(len(receipt.events) for receipt in receipts)
    content = Commitments(
        transactions=parse_felt(block.transaction_commitment),
        events=parse_felt(block.event_commitment),
        receipts=parse_felt(block.receipt_commitment),
        state_diff=parse_felt(block.state_diff_commitment),
        transaction_count=len(block.transactions),
        event_count=events if block.event_count is None else block.event_count,
        state_diff_length=block.state_diff_length,
    )
    prices = (block.l1_gas_price, block.l1_data_gas_price, block.l2_gas_price)
    stated = [text for price in prices for text in (price.price_in_wei, price.price_in_fri)]
    return Header(
        number=block.block_number,
        parent_hash=parse_felt(block.parent_hash),
        state_root=parse_felt(block.new_root),
        sequencer=parse_felt(block.sequencer_address),
        timestamp=block.timestamp,
        commitments=content,
        blob=block.l1_da_mode == _BLOB,
        prices=GasPrices(*map(parse_felt, stated)),
        starknet_version=block.starknet_version,
    )


def _read_receipt(receipt: _Receipt) -> Receipt:
    return Receipt(
        transaction_hash=parse_felt(receipt.transaction_hash),
        actual_fee=parse_felt(receipt.actual_fee.amount),
        events=tuple(
            Event(parse_felt(event.from_address), _felts(event.keys), _felts(event.data))
            for event in receipt.events
        ),
        messages=tuple(
            Message(
                parse_felt(sent.from_address), parse_felt(sent.to_address), _felts(sent.payload)
            )
            for sent in receipt.messages_sent
        ),
        revert_reason=receipt.revert_reason,
        l1_gas=receipt.execution_resources.l1_gas,
        l1_data_gas=receipt.execution_resources.l1_data_gas,
    )


def _read_diff(diff: _Diff) -> StateDiff:
    classes = {parse_felt(each.address): each.class_hash for each in diff.deployed_contracts}
    classes |= {
        parse_felt(each.contract_address): each.class_hash for each in diff.replaced_classes
    }
    return StateDiff(
        storage={
            parse_felt(each.address): {
                parse_felt(slot.key): parse_felt(slot.value) for slot in each.storage_entries
            }
            for each in diff.storage_diffs
        },
        nonces={parse_felt(each.contract_address): parse_felt(each.nonce) for each in diff.nonces},
        classes={address: parse_felt(text) for address, text in classes.items()},
        declared=_read_compiled(diff.declared_classes),
        migrated=_read_compiled(diff.migrated_compiled_classes),
        deprecated=_felts(diff.deprecated_declared_classes),
    )


def _read_compiled(classes: Sequence[_Compiled]) -> dict[Felt, Felt]:
    return {parse_felt(each.class_hash): parse_felt(each.compiled_class_hash) for each in classes}


def _felts(texts: Sequence[str]) -> tuple[Felt, ...]:
    return tuple(parse_felt(text) for text in texts)


def _convert(answer: object, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        raise Refused(Reason.BLOCK_MALFORMED, str(error)) from None
