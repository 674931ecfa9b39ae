"""The open block: transactions executed on the state, one after the other, until it is closed.

Promises
- Nothing waits here: who decides when a block opens and closes is the writer.
- What cannot enter a block leaves no trace; `drop` takes back the whole open block.

Laws
- Order of a block: mode and reopen commands, then the tick, then arrival order.
- The operator's own transactions take their nonce from the state, so a dropped block takes none.
"""

from collections.abc import Sequence, Set
from typing import Protocol, TypeAlias

import msgspec

from sequencer.chain.block import ClosedBlock, close_block
from sequencer.chain.calls import batch_calldata, command_call, write_calls
from sequencer.chain.commitment import net_changes
from sequencer.chain.exchange_contract import Signed, SignedReport
from sequencer.chain.executor import Environment, execute
from sequencer.exchange.state import Journal, State
from sequencer.model.commands import Command, Tick
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt
from sequencer.starknet.felt_hash import verify
from sequencer.starknet.transactions import (
    InvokeV3,
    ResourceBound,
    Terms,
    Transaction,
    transaction_hash,
)

Signature: TypeAlias = tuple[Felt, Felt, Felt, Felt]
"""Public key, message hash, r, s."""

_NO_FEES = (ResourceBound(),) * 3
_NOTHING: Set[Signature] = frozenset()


class Operator(Protocol):
    """Who makes the chain's own transactions."""

    @property
    def address(self) -> Felt:
        """Return the operator's account."""
        ...

    def sign(self, message_hash: Felt) -> tuple[Felt, Felt]:
        """Sign a hash."""
        ...


class Producer:
    """The state with its open block. `number` is that of the block."""

    def __init__(self, state: State, number: int, chain_id: Felt, operator: Operator) -> None:
        self.state = state
        self.number = number
        self.chain_id = chain_id
        self._operator = operator
        self._journal = Journal(state)
        self._executed: list[tuple[Transaction, Receipt]] = []

    @property
    def transactions(self) -> int:
        """Count what has been executed."""
        return len(self._executed)

    def open_block(self) -> ClosedBlock:
        """Return the open block as it would be if it were closed now; no law is checked."""
        system = self.state.system
        return ClosedBlock(
            number=self.number,
            operator=system.operator,
            time_ms=system.time_ms,
            net=net_changes(self._journal.changes),
            transactions=tuple(transaction for transaction, _ in self._executed),
            receipts=tuple(receipt for _, receipt in self._executed),
        )

    @property
    def changes(self) -> int:
        """Count the row changes of the open block so far."""
        return self._journal.mark()

    def tick(
        self, time_ms: int, reports: Sequence[SignedReport], verified: Set[Signature] = _NOTHING
    ) -> Receipt:
        """Move chain time on; a tick that is refused is a receipt with its reason."""
        return self._operate(write_calls((command_call(Tick(time_ms), reports),)), verified)

    def operate(self, command: Command) -> Receipt:
        """Execute a command of the operator."""
        return self._operate(write_calls((command_call(command),)), _NOTHING)

    def carry(self, batch: Sequence[Signed], verified: Set[Signature]) -> Receipt:
        """Execute what traders signed, in one transaction of the operator."""
        return self._operate(batch_calldata(batch), verified)

    def apply(
        self, transaction: Transaction, hash_: Felt, verified: Set[Signature] = _NOTHING
    ) -> Receipt:
        """Execute somebody's transaction. Refusals: those of `execute`; nothing is left then."""
        # A signature that admission has not seen is checked here: keys may change in between.
        environment = Environment(
            self.chain_id, lambda *signature: signature in verified or verify(*signature)
        )
        receipt = execute(self.state, self._journal, transaction, environment, hash_)
        self._executed.append((transaction, receipt))
        return receipt

    def drop(self) -> None:
        """Take the open block back, as if it had never been opened."""
        self._journal.undo()
        self._executed.clear()

    def close(self) -> ClosedBlock:
        """End the open block and begin the next one. LawBroken stops here."""
        closed = close_block(self.state, self.number, self._journal, self._executed)
        self.number += 1
        self._journal = Journal(self.state)
        self._executed = []
        return closed

    def _operate(self, calldata: Sequence[Felt], verified: Set[Signature]) -> Receipt:
        sender = self._operator.address
        contract = self.state.contracts[sender]
        bare = InvokeV3(sender, calldata, Terms(contract.nonce, _NO_FEES))
        hash_ = transaction_hash(bare, self.chain_id)
        signature = self._operator.sign(hash_)
        signed = msgspec.structs.replace(bare, signature=signature)
        return self.apply(signed, hash_, verified | {(contract.public_key, hash_, *signature)})
