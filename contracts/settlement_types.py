"""The settlement contract's structs, and its storage."""

from enum import IntEnum
from typing import TypeAlias

import msgspec

from contracts.cairo_types import U8, U64, U128, Address
from contracts.storage import Map, Variable
from sequencer.starknet.felt import Felt


class BlockStatus(IntEnum):
    """What became of a block number."""

    NOT_POSTED = 0
    LIVE = 1
    FINALIZED = 2


class Post(msgspec.Struct, frozen=True):
    """A block as it was posted, and the second of it."""

    block_number: U64
    state_root: Felt
    block_hash: Felt
    posted_at: U64


class Standing(msgspec.Struct, frozen=True):
    """The contract at one moment; `hold` and `hold_until` are 0 where nothing is held."""

    epoch: U64
    newest: Post
    finalized: Post
    hold: Felt
    hold_until: U64
    finality_delay: U64
    time: U64


class Hold(msgspec.Struct, frozen=True):
    """What is held, until when and by whom; after a release the end bounds the next hold."""

    plan_hash: Felt
    expires_at: U64
    by_owner: bool


class Deposit(msgspec.Struct, frozen=True):
    """A deposit as it is kept; the nonce is its place."""

    account: Felt
    amount: U128
    message_hash: Felt
    deposit_hash: Felt


class Money(msgspec.Struct, frozen=True):
    """The counters at one moment; `withdrawals_paused_until` is 0 where no pause runs."""

    deposits: U64
    deposit_hash: Felt
    deposited: U128
    paid: U128
    deposits_paused: bool
    withdrawals_paused_until: U64


class Bridge(msgspec.Struct, frozen=True):
    """What the constructor fixed for ever about money."""

    token: Address
    exchange: Felt
    chain_id: Felt
    l1_bridge: Felt


class BinaryNode(msgspec.Struct, frozen=True):
    """A branch of a trie."""

    left: Felt
    right: Felt


class EdgeNode(msgspec.Struct, frozen=True):
    """A run of a trie without a branch."""

    path: Felt
    length: U8
    child: Felt


ProofNode: TypeAlias = BinaryNode | EdgeNode


class WithdrawalProof(msgspec.Struct, frozen=True):
    """The way from a withdrawal's slot up to a state root; nodes from the root down."""

    classes_root: Felt
    class_hash: Felt
    nonce: Felt
    contract_nodes: tuple[ProofNode, ...]
    storage_nodes: tuple[ProofNode, ...]


OWNER = Variable[int]("owner", Address)
PENDING_OWNER = Variable[int]("pending_owner", Address)
OPERATORS = Map[bool]("operators", bool)
FINALITY_DELAY = Variable[int]("finality_delay", U64)
DRILL = Variable[bool]("drill", bool)
EPOCH = Variable[int]("epoch", U64)
POSTS = Map[Post]("posts", Post)
PLACE_OF = Map[int]("place_of", U64)
HEAD = Variable[int]("head", U64)
FINALIZED = Variable[int]("finalized", U64)
CURRENT_HOLD = Variable[Hold]("current_hold", Hold)

TOKEN = Variable[int]("token", Address)
EXCHANGE = Variable[int]("exchange", Felt)
CHAIN_ID = Variable[int]("chain_id", Felt)
L1_BRIDGE = Variable[int]("l1_bridge", Felt)
DEPOSIT_COUNT = Variable[int]("deposit_count", U64)
DEPOSITS = Map[Deposit]("deposits", Deposit)
DEPOSITED = Variable[int]("deposited", U128)
PAID = Variable[int]("paid", U128)
PAID_WITHDRAWALS = Map[bool]("paid_withdrawals", bool)
DEPOSITS_PAUSED = Variable[bool]("deposits_paused", bool)
PAUSE_END = Variable[int]("pause_end", U64)
"""When the last pause of withdrawals ends or ended, 0 before the first."""
