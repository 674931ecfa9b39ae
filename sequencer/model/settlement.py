"""What stands on the settlement chain, and the ways in which it says no.

Laws
- Everything here was read from the chain; nobody keeps it to decide with later.
- Times are seconds of the settlement chain's own clock, never of ours.
"""

from enum import StrEnum

import msgspec


class Post(msgspec.Struct, frozen=True, gc=False):
    """A block as it was posted; root and hash are felts."""

    height: int
    state_root: int
    block_hash: int


class TimedPost(msgspec.Struct, frozen=True, gc=False):
    """A post, and the second in which it came."""

    post: Post
    posted_at: int


class Standing(msgspec.Struct, frozen=True):
    """The contract at one moment of its chain.

    `newest` is the newest live post, `finalized` the newest final one; they may be the same.
    `hold` is the felt of the plan that holds finality, 0 where none does, `hold_until` its end.
    `time` is that of the newest block over there.
    """

    epoch: int
    newest: Post
    finalized: Post
    hold: int
    hold_until: int
    finality_delay: int
    time: int


class Sent(msgspec.Struct, frozen=True):
    """A call that was carried out: its transaction, and the gas of computation that it took."""

    transaction_hash: int
    l2_gas: int


class SentDeposit(msgspec.Struct, frozen=True, gc=False):
    """A deposit as the contract keeps it; `amount` is in 1e-6 of the token.

    `message_hash` is the hash of the L1 handler transaction that credits it on the appchain.
    `chain_hash` is poseidon_array((chain hash of the nonce before, message hash)), from 0 on: equal
    at one nonce, all deposits up to it are equal.
    """

    nonce: int
    account: int
    amount: int
    message_hash: int
    chain_hash: int


class Money(msgspec.Struct, frozen=True):
    """The contract's counters at one moment of its chain; amounts in 1e-6 of the token.

    `deposits` is how many there ever were, so the nonce of the next one; `chain_hash` is that of
    the last one, 0 for none. `withdrawals_paused_until` is 0 where no pause runs.
    """

    deposits: int
    chain_hash: int
    deposited: int
    paid: int
    deposits_paused: bool = False
    withdrawals_paused_until: int = 0


class SettlementProblem(StrEnum):
    """How a settlement chain can fail us, by name."""

    UNREACHABLE = "UNREACHABLE"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    REFUSED = "REFUSED"
    CONTRACT_ABSENT = "CONTRACT_ABSENT"


class SettlementError(Exception):
    """No answer, an answer that never came, or the contract's no.

    UNREACHABLE: nothing was carried out. OUTCOME_UNKNOWN: a call was sent, and nobody knows; read
    the chain before anything else. REFUSED: `code` is the contract's own word. CONTRACT_ABSENT:
    the chain answers, but our contract is not there.
    """

    def __init__(self, problem: SettlementProblem, detail: str, code: str = "") -> None:
        super().__init__(f"SETTLEMENT_{problem.value}: {detail}")
        self.problem = problem
        self.detail = detail
        self.code = code
