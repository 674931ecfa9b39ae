"""The machine of the twins: one transaction or one question, on storage slots.

Promises
- Whatever a call that failed wrote and emitted is gone, also where its caller went on.
- What failed, and through which calls, can be told afterwards.

Laws
- A class runs only where it was declared, and only as the twin of its hash.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from contracts.twin import Frame, Reverted, Run, Twin
from devnet.embedded.state import CLASS, DECLARED, STORAGE, Overlay
from sequencer.starknet.block import Event
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import contract_address, selector

CALL_DEPTH_MAX = 50
"""Calls within calls."""

ENTRY_POINT_MISSING = "ENTRYPOINT_NOT_FOUND"
_CONSTRUCTOR = selector("constructor")


class Entered(NamedTuple):
    """One call under way. `class_hash` is 0 where nothing is deployed."""

    contract: Felt
    class_hash: Felt
    selector: Felt
    is_constructor: bool = False


class Stopped(Reverted):
    """The system's own no, in words; no contract said it."""

    def __init__(self, words: str) -> None:
        super().__init__("")
        self.words = words


class Failure(NamedTuple):
    """What failed, and the calls that led there, outermost first."""

    error: Reverted
    calls: Sequence[Entered]


class Surroundings(NamedTuple):
    """What a machine knows of the chain; `timestamp` in seconds."""

    twins: Mapping[Felt, Twin]
    timestamp: int


class TransactionMachine:
    """Runs twins over an overlay; `failure` is the last thing that went wrong."""

    def __init__(self, overlay: Overlay, around: Surroundings, transaction_hash: Felt) -> None:
        self.failure: Failure | None = None
        self.events: list[Event] = []
        self._overlay = overlay
        self._around = around
        self._hash = transaction_hash
        self._calls: list[Entered] = []

    @property
    def timestamp(self) -> int:
        """Return the block's time in seconds."""
        return self._around.timestamp

    @property
    def transaction_hash(self) -> Felt:
        """Return the hash of the transaction under way."""
        return self._hash

    def read(self, contract: Felt, slot: Felt) -> Felt:
        """Return a slot, 0 where nothing was written."""
        return self._overlay.get((STORAGE, contract, slot))

    def write(self, contract: Felt, slot: Felt, value: Felt) -> None:
        """Write a slot."""
        self._overlay.put((STORAGE, contract, slot), value)

    def emit(self, contract: Felt, keys: Sequence[Felt], data: Sequence[Felt]) -> None:
        """Emit an event."""
        self.events.append(Event(contract, tuple(keys), tuple(data)))

    def call(
        self, caller: Felt, contract: Felt, entry_point: Felt, calldata: Sequence[Felt]
    ) -> Sequence[Felt]:
        """Call a contract by selector; refuses with Reverted."""
        entered = Entered(contract, self._overlay.get((CLASS, contract, 0)), entry_point)

        def run() -> Sequence[Felt]:
            twin = self._twin_of(entered)
            return self._found(twin.external, entry_point)(self._frame(contract, caller), calldata)

        return self._enter(entered, run)

    def handle(self, contract: Felt, entry_point: Felt, calldata: Sequence[Felt]) -> None:
        """Run an L1 handler; the sender over there is in front. Refuses with Reverted."""
        entered = Entered(contract, self._overlay.get((CLASS, contract, 0)), entry_point)

        def run() -> Sequence[Felt]:
            twin = self._twin_of(entered)
            return self._found(twin.l1_handlers, entry_point)(self._frame(contract, 0), calldata)

        self._enter(entered, run)

    def deploy(
        self, deployer: Felt, class_hash: Felt, salt: Felt, calldata: Sequence[Felt]
    ) -> Felt:
        """Deploy a declared class and run its constructor; refuses with Reverted."""
        address = contract_address(salt, class_hash, calldata, deployer)
        caller = self._calls[-1].contract if self._calls else 0
        entered = Entered(address, class_hash, _CONSTRUCTOR, is_constructor=True)

        def run() -> Sequence[Felt]:
            if not self._overlay.get((DECLARED, class_hash, 0)):
                raise Stopped(f"Class with hash {class_hash:#066x} is not declared.")
            if self._overlay.get((CLASS, address, 0)):
                words = f"contract already deployed at address {address:#066x}"
                raise Stopped(f"Deployment failed: {words}")
            self._overlay.put((CLASS, address, 0), class_hash)
            constructor = self._twin_of(entered).constructor
            if constructor is None:
                return ()
            return constructor(self._frame(address, caller), calldata)

        self._enter(entered, run)
        return address

    def _frame(self, contract: Felt, caller: Felt) -> Frame:
        return Frame(machine=self, contract=contract, caller=caller)

    def _twin_of(self, entered: Entered) -> Twin:
        if not entered.class_hash:
            words = f"Requested contract address {entered.contract:#066x} is not deployed."
            raise Stopped(words)
        twin = self._around.twins.get(entered.class_hash)
        if twin is None:
            raise Stopped(f"Class with hash {entered.class_hash:#066x} is bound to no twin.")
        return twin

    def _found(self, functions: Mapping[Felt, Run], entry_point: Felt) -> Run:
        run = functions.get(entry_point)
        if run is None:
            raise Reverted(ENTRY_POINT_MISSING)
        return run

    def _enter(self, entered: Entered, run: Callable[[], Sequence[Felt]]) -> Sequence[Felt]:
        mark, emitted = self._overlay.mark(), len(self.events)
        self._calls.append(entered)
        try:
            if len(self._calls) > CALL_DEPTH_MAX:
                raise Stopped(f"More than {CALL_DEPTH_MAX} calls within calls.")
            return run()
        except Reverted as error:
            if self.failure is None or self.failure.error is not error:
                self.failure = Failure(error, tuple(self._calls))
            self._overlay.back_to(mark)
            del self.events[emitted:]
            raise
        finally:
            self._calls.pop()
