"""The settlement contract's events: the class's name is the event's."""

from typing import Annotated

import msgspec

from contracts.cairo_types import U64, U128, Address, Key
from sequencer.starknet.felt import Felt


class LogStateUpdate(msgspec.Struct, frozen=True):
    epoch: Annotated[U64, Key()]
    state_root: Felt
    block_number: Felt
    block_hash: Felt


class LogStateReverted(msgspec.Struct, frozen=True):
    """`epoch` is the one that the revert began."""

    epoch: Annotated[U64, Key()]
    from_block: U64
    to_block: U64
    to_root: Felt
    reason_hash: Felt


class LogStateFinalized(msgspec.Struct, frozen=True):
    state_root: Felt
    block_number: Felt
    block_hash: Felt


class LogHold(msgspec.Struct, frozen=True):
    plan_hash: Annotated[Felt, Key()]
    by: Address
    expires_at: U64


class LogRelease(msgspec.Struct, frozen=True):
    plan_hash: Annotated[Felt, Key()]
    by: Address


class FinalityDelayRaised(msgspec.Struct, frozen=True):
    from_seconds: U64
    to_seconds: U64


class OperatorRegistered(msgspec.Struct, frozen=True):
    operator: Annotated[Address, Key()]


class OperatorUnregistered(msgspec.Struct, frozen=True):
    operator: Annotated[Address, Key()]


class OwnershipTransferStarted(msgspec.Struct, frozen=True):
    previous_owner: Annotated[Address, Key()]
    new_owner: Annotated[Address, Key()]


class OwnershipTransferred(msgspec.Struct, frozen=True):
    previous_owner: Annotated[Address, Key()]
    new_owner: Annotated[Address, Key()]


class LogDeposit(msgspec.Struct, frozen=True):
    """`payer` is the caller, or the bridge on Ethereum."""

    nonce: Annotated[U64, Key()]
    account: Annotated[Felt, Key()]
    payer: Felt
    amount: U128
    message_hash: Felt
    deposit_hash: Felt


class LogWithdrawal(msgspec.Struct, frozen=True):
    withdrawal_id: Annotated[Felt, Key()]
    recipient: Annotated[Address, Key()]
    amount: U128
    block_number: U64


class LogDepositsPaused(msgspec.Struct, frozen=True):
    pass


class LogDepositsResumed(msgspec.Struct, frozen=True):
    pass


class LogWithdrawalsPaused(msgspec.Struct, frozen=True):
    until: U64


class LogWithdrawalsResumed(msgspec.Struct, frozen=True):
    pass
