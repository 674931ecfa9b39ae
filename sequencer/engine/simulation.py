"""Transactions tried out: executed for real on a state, and taken back.

Promises
- The state is afterwards what it was, whatever happened, also where a law broke.
- Each transaction sees what those before it did. A nonce may be ahead of the account's, as where
  others are still to come before it; what is behind it is refused.
- Bounded: so many transactions, and so much time, after which the rest is refused with BUSY.

Laws
- Nothing waits from the beginning to the end: whoever shares the state sees none of it.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from sequencer.chain.commitment import net_changes, split_changes
from sequencer.chain.executor import Environment, execute
from sequencer.chain.native import Answer, Call
from sequencer.chain.trace import Called, Traced, called_of
from sequencer.exchange.state import Journal, State, Table
from sequencer.model.api_limits import SIMULATION_MS_MAX, SIMULATION_TRANSACTIONS_MAX
from sequencer.model.laws import LawBroken
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Contract
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import verify
from sequencer.starknet.transactions import Transaction, transaction_hash

_ABSENT = Contract(0)


class SimulatedTransaction(msgspec.Struct, frozen=True):
    """A transaction to try out; `is_query` where it was signed as one that is only estimated.

    `hash` is worked out where it is None, which for much calldata takes long: see `with_hash`.
    """

    transaction: Transaction
    is_query: bool = False
    hash: Felt | None = None

    def with_hash(self, chain_id: Felt) -> "SimulatedTransaction":
        """Return the same with its hash, for whoever works it out ahead and elsewhere."""
        hash_ = transaction_hash(self.transaction, chain_id, query=self.is_query)
        return msgspec.structs.replace(self, hash=hash_)


class InitialReads(msgspec.Struct, frozen=True):
    """Values from before a list of transactions, of all that they change or call."""

    storage: Mapping[Felt, Mapping[Felt, Felt]] = {}
    nonces: Mapping[Felt, Felt] = {}
    classes: Mapping[Felt, Felt] = {}
    declared: Mapping[Felt, bool] = {}


class SimulationFailed(Exception):
    """A transaction that may not enter a block: its place in the list, and why."""

    def __init__(self, index: int, refused: Refused) -> None:
        super().__init__(f"transaction {index}: {refused}")
        self.index = index
        self.reason = refused.reason
        self.detail = refused.detail


class _TooLong(Exception):
    """There is no time left for another call."""


class Simulated(msgspec.Struct, frozen=True):
    """What a list of transactions did, one by one, and what all of them began with."""

    traced: Sequence[Traced]
    reads: InitialReads


def simulate(
    state: State,
    transactions: Sequence[SimulatedTransaction],
    now_ms: Callable[[], int],
    *,
    validates: bool = True,
) -> Simulated:
    """Execute transactions one after the other, and take all of it back.

    `validates` is False where signatures are not looked at. Error: SimulationFailed, for the first
    that may not enter a block; its reason is BUSY where there are too many, or they take too long.
    """
    if len(transactions) > SIMULATION_TRANSACTIONS_MAX:
        words = f"{SIMULATION_TRANSACTIONS_MAX} transactions at most"
        raise SimulationFailed(SIMULATION_TRANSACTIONS_MAX, Refused(Reason.BUSY, words))
    journal, deadline_ms = Journal(state), now_ms() + SIMULATION_MS_MAX

    def require_time(*_: object) -> None:
        if now_ms() > deadline_ms:
            raise _TooLong

    chain_id = state.system.chain_id
    environment = Environment(chain_id, verify, validates, exact_nonce=False, note=require_time)
    traced = []
    try:
        for index, each in enumerate(transactions):
            try:
                require_time()
                traced.append(_simulate_one(state, journal, each, environment))
            except _TooLong:
                words = f"more than {SIMULATION_MS_MAX} ms of work"
                raise SimulationFailed(index, Refused(Reason.BUSY, words)) from None
            except Refused as refused:
                raise SimulationFailed(index, refused) from None
            except LawBroken as broken:
                raise SimulationFailed(index, Refused(Reason.GUARD_STOPPED, str(broken))) from None
        return Simulated(tuple(traced), _reads(state, journal, traced))
    finally:
        journal.undo()


def trace(
    state: State, journal: Journal, transaction: Transaction, environment: Environment, hash_: Felt
) -> Traced:
    """Execute a transaction, and return all that it did. Refusals: those of `execute`."""
    calls: list[Called] = []
    mark = journal.mark()

    def note(selector: Felt, call: Call, answer: Answer) -> None:
        environment.note(selector, call, answer)
        calls.append(called_of(selector, call, answer))

    noting = msgspec.structs.replace(environment, note=note)
    receipt = execute(state, journal, transaction, noting, hash_)
    diff, _ = split_changes(net_changes(journal.changes[mark:]))
    return Traced(transaction, receipt, tuple(calls), diff)


def _simulate_one(
    state: State, journal: Journal, each: SimulatedTransaction, environment: Environment
) -> Traced:
    hash_ = each.hash
    if hash_ is None:
        hash_ = transaction_hash(each.transaction, environment.chain_id, query=each.is_query)
    return trace(state, journal, each.transaction, environment, hash_)


def _reads(state: State, journal: Journal, traced: Sequence[Traced]) -> InitialReads:
    """Return what was there before: the changes turned round say it."""
    net = net_changes(journal.changes)
    before = {
        key: was or _ABSENT for (table, key), (was, _) in net.items() if table is Table.CONTRACT
    }
    called = {call.contract for each in traced for call in each.calls}
    contracts = {address: state.contracts[address] for address in called} | before
    turned, _ = split_changes(
        {
            (table, key): (now, was or _ABSENT if table is Table.CONTRACT else was)
            for (table, key), (was, now) in net.items()
            if table is not Table.CLASS
        }
    )
    return InitialReads(
        storage=turned.storage,
        nonces=turned.nonces,
        classes={address: row.class_hash for address, row in contracts.items()},
        declared={key: False for table, key in net if table is Table.CLASS},
    )
