"""The settlement contract's second part: deposits, withdrawals by proof, and their pauses.

Laws
- A call's own changes and its event come before it calls the token.
- The order of the checks is the contract's own: the first that fails names the refusal.
"""

from collections.abc import Sequence

from contracts.cairo_types import U64, U128, Address
from contracts.entry_points import emit, named
from contracts.settlement_events import (
    LogDeposit,
    LogDepositsPaused,
    LogDepositsResumed,
    LogWithdrawal,
    LogWithdrawalsPaused,
    LogWithdrawalsResumed,
)
from contracts.settlement_proof import state_root
from contracts.settlement_roots import require_live_place, require_owner
from contracts.settlement_types import (
    CHAIN_ID,
    DEPOSIT_COUNT,
    DEPOSITED,
    DEPOSITS,
    DEPOSITS_PAUSED,
    EXCHANGE,
    FINALIZED,
    L1_BRIDGE,
    PAID,
    PAID_WITHDRAWALS,
    PAUSE_END,
    POSTS,
    TOKEN,
    Bridge,
    Deposit,
    Money,
    WithdrawalProof,
)
from contracts.twin import Frame, Reverted, require
from sequencer.starknet.felt import ADDRESS_BOUND, Felt, encode_short_string
from sequencer.starknet.felt_hash import pedersen_array, poseidon_array
from sequencer.starknet.names import selector, storage_address

DEPOSIT_MAX = 10**15
DEPOSITED_MAX = 10**22
L1_ADDRESS_BOUND = 2**160
PAUSE_SECONDS_MAX = 259_200
PAUSE_GAP_SECONDS = 86_400
DEPOSITS_READ_MAX = 200

_L1_HANDLER = encode_short_string("l1_handler")
_DEPOSIT = selector("deposit")
_U128_BOUND = 2**128


def deposit(frame: Frame, account: Felt, amount: U128) -> U64:
    nonce = _record(frame, frame.caller, account, amount)
    taken = frame.call(
        TOKEN.read(frame), "transfer_from", frame.caller, frame.contract, *_wide(amount)
    )
    require(_is_true(taken), "TRANSFER_FAILED")
    return nonce


def withdraw(
    frame: Frame,
    block_number: U64,
    withdrawal_id: Felt,
    recipient: Address,
    amount: U128,
    proof: WithdrawalProof,
) -> None:
    require(frame.timestamp >= PAUSE_END.read(frame), "WITHDRAWALS_PAUSED")
    root = _finalized_root(frame, block_number)
    require(not PAID_WITHDRAWALS.read(frame, withdrawal_id), "ALREADY_PAID")
    require(recipient != 0, "RECIPIENT_INVALID")
    require(amount != 0, "AMOUNT_INVALID")
    slot = storage_address("withdrawals", withdrawal_id)
    leaf = poseidon_array((withdrawal_id, recipient, amount))
    proven = state_root(proof, EXCHANGE.read(frame), slot, leaf)
    require(proven == root, "ROOT_DIFFERS")
    PAID_WITHDRAWALS.write(frame, (withdrawal_id,), True)
    paid = PAID.read(frame) + amount
    require(paid < _U128_BOUND, "u128_add Overflow")
    PAID.write(frame, paid)
    emit(frame, LogWithdrawal(withdrawal_id, recipient, amount, block_number))
    given = frame.call(TOKEN.read(frame), "transfer", recipient, *_wide(amount))
    require(_is_true(given), "TRANSFER_FAILED")


def pause_deposits(frame: Frame) -> None:
    require_owner(frame)
    require(not DEPOSITS_PAUSED.read(frame), "DEPOSITS_PAUSED")
    DEPOSITS_PAUSED.write(frame, True)
    emit(frame, LogDepositsPaused())


def resume_deposits(frame: Frame) -> None:
    require_owner(frame)
    require(DEPOSITS_PAUSED.read(frame), "DEPOSITS_NOT_PAUSED")
    DEPOSITS_PAUSED.write(frame, False)
    emit(frame, LogDepositsResumed())


def pause_withdrawals(frame: Frame, seconds: U64) -> None:
    require_owner(frame)
    require(0 < seconds <= PAUSE_SECONDS_MAX, "PAUSE_INVALID")
    last_end, now = PAUSE_END.read(frame), frame.timestamp
    require(last_end == 0 or now >= last_end + PAUSE_GAP_SECONDS, "PAUSE_TOO_SOON")
    PAUSE_END.write(frame, now + seconds)
    emit(frame, LogWithdrawalsPaused(now + seconds))


def resume_withdrawals(frame: Frame) -> None:
    require_owner(frame)
    require(frame.timestamp < PAUSE_END.read(frame), "WITHDRAWALS_NOT_PAUSED")
    PAUSE_END.write(frame, frame.timestamp)
    emit(frame, LogWithdrawalsResumed())


def get_money(frame: Frame) -> Money:
    pause_end = PAUSE_END.read(frame)
    return Money(
        deposits=DEPOSIT_COUNT.read(frame),
        deposit_hash=_last_deposit_hash(frame),
        deposited=DEPOSITED.read(frame),
        paid=PAID.read(frame),
        deposits_paused=DEPOSITS_PAUSED.read(frame),
        withdrawals_paused_until=pause_end if frame.timestamp < pause_end else 0,
    )


def get_deposits(frame: Frame, first: U64, count: U64) -> tuple[Deposit, ...]:
    end = min(first + min(count, DEPOSITS_READ_MAX), DEPOSIT_COUNT.read(frame))
    return tuple(DEPOSITS.read(frame, nonce) for nonce in range(first, end))


def is_paid(frame: Frame, withdrawal_id: Felt) -> bool:
    return PAID_WITHDRAWALS.read(frame, withdrawal_id)


def get_bridge(frame: Frame) -> Bridge:
    return Bridge(
        token=TOKEN.read(frame),
        exchange=EXCHANGE.read(frame),
        chain_id=CHAIN_ID.read(frame),
        l1_bridge=L1_BRIDGE.read(frame),
    )


MONEY_FUNCTIONS = named(
    deposit,
    withdraw,
    pause_deposits,
    resume_deposits,
    pause_withdrawals,
    resume_withdrawals,
    get_money,
    get_deposits,
    is_paid,
    get_bridge,
)
"""The entry points of this part, by name."""


def deposit_from_l1(frame: Frame, from_address: Felt, account: Felt, amount: U128) -> None:
    """Handle a message of the bridge on Ethereum."""
    l1_bridge = L1_BRIDGE.read(frame)
    require(l1_bridge != 0 and from_address == l1_bridge, "NOT_L1_BRIDGE")
    _record(frame, l1_bridge, account, amount)
    frame.call(TOKEN.read(frame), "mint", frame.contract, *_wide(amount))


def fix(frame: Frame, bridge: Bridge) -> None:
    """Write once what never changes; part of the constructor."""
    require(bridge.token != 0, "ADDRESS_ZERO")
    require(bridge.exchange != 0, "EXCHANGE_ZERO")
    require(bridge.exchange < ADDRESS_BOUND, "EXCHANGE_INVALID")
    require(bridge.chain_id != 0, "CHAIN_ID_ZERO")
    require(bridge.l1_bridge < L1_ADDRESS_BOUND, "L1_BRIDGE_INVALID")
    TOKEN.write(frame, bridge.token)
    EXCHANGE.write(frame, bridge.exchange)
    CHAIN_ID.write(frame, bridge.chain_id)
    L1_BRIDGE.write(frame, bridge.l1_bridge)


def _record(frame: Frame, payer: Felt, account: Felt, amount: int) -> int:
    require(not DEPOSITS_PAUSED.read(frame), "DEPOSITS_PAUSED")
    require(0 < account < ADDRESS_BOUND, "ACCOUNT_INVALID")
    require(0 < amount <= DEPOSIT_MAX, "AMOUNT_INVALID")
    deposited = DEPOSITED.read(frame) + amount
    require(deposited <= DEPOSITED_MAX, "DEPOSITS_FULL")
    nonce = DEPOSIT_COUNT.read(frame)
    message_hash = _message_hash(frame, nonce, account, amount)
    deposit_hash = poseidon_array((_last_deposit_hash(frame), message_hash))
    DEPOSITED.write(frame, deposited)
    DEPOSITS.write(frame, (nonce,), Deposit(account, amount, message_hash, deposit_hash))
    DEPOSIT_COUNT.write(frame, nonce + 1)
    emit(frame, LogDeposit(nonce, account, payer, amount, message_hash, deposit_hash))
    return nonce


def _message_hash(frame: Frame, nonce: int, account: Felt, amount: int) -> Felt:
    """Return the hash of the transaction that credits a deposit on the appchain."""
    calldata = pedersen_array((frame.contract, nonce, account, amount))
    exchange, chain_id = EXCHANGE.read(frame), CHAIN_ID.read(frame)
    return pedersen_array((_L1_HANDLER, 0, exchange, _DEPOSIT, calldata, 0, chain_id, nonce))


def _last_deposit_hash(frame: Frame) -> Felt:
    count = DEPOSIT_COUNT.read(frame)
    return 0 if count == 0 else DEPOSITS.read(frame, count - 1).deposit_hash


def _finalized_root(frame: Frame, block_number: int) -> Felt:
    place = require_live_place(frame, block_number)
    require(place <= FINALIZED.read(frame), "BLOCK_NOT_FINALIZED")
    return POSTS.read(frame, place).state_root


def _wide(amount: int) -> tuple[Felt, Felt]:
    """Return an amount of at most 128 bits as the token takes it."""
    return amount, 0


def _is_true(result: Sequence[Felt]) -> bool:
    if not result:
        raise Reverted("Returned data too short")
    return result[0] != 0
