"""A chain in memory for the twins: slots, events, calls within calls, and nothing of a failure."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from contracts.twin import Frame, Reverted, Run, Twin
from sequencer.starknet.felt import Felt
from sequencer.starknet.names import contract_address, selector

START = 1_700_000_000

Event = tuple[Felt, tuple[Felt, ...], tuple[Felt, ...]]
"""The contract, the keys and the data."""


class MemoryMachine:
    """Transactions one after the other; `timestamp` in seconds is moved by the test."""

    def __init__(self, twins: Mapping[Felt, Twin]) -> None:
        self.timestamp = START
        self.transaction_hash = 0x7A
        self.slots: dict[tuple[Felt, Felt], Felt] = {}
        self.classes: dict[Felt, Twin] = {}
        self.events: list[Event] = []
        self._twins = twins

    def read(self, contract: Felt, slot: Felt) -> Felt:
        return self.slots.get((contract, slot), 0)

    def write(self, contract: Felt, slot: Felt, value: Felt) -> None:
        self.slots[(contract, slot)] = value

    def emit(self, contract: Felt, keys: Sequence[Felt], data: Sequence[Felt]) -> None:
        self.events.append((contract, tuple(keys), tuple(data)))

    def call(
        self, caller: Felt, contract: Felt, entry_point: Felt, calldata: Sequence[Felt]
    ) -> Sequence[Felt]:
        if contract not in self.classes:
            raise Reverted("CONTRACT_NOT_DEPLOYED")
        return self._run(self.classes[contract].external, caller, contract, entry_point, calldata)

    def deploy(
        self, deployer: Felt, class_hash: Felt, salt: Felt, calldata: Sequence[Felt]
    ) -> Felt:
        address = contract_address(salt, class_hash, calldata, deployer)
        if address in self.classes or class_hash not in self._twins:
            raise Reverted("DEPLOYMENT_FAILED")
        twin = self.classes[address] = self._twins[class_hash]
        if twin.constructor is not None:
            twin.constructor(Frame(self, address, deployer), calldata)
        return address

    def handle(self, contract: Felt, name: str, *calldata: Felt) -> None:
        """Run an L1 handler as a transaction; the sender is the first felt."""
        handlers = self.classes[contract].l1_handlers
        with self._transaction():
            self._run(handlers, 0, contract, selector(name), calldata)

    def send(
        self, caller: Felt, contract: Felt, name: str, *calldata: Felt
    ) -> list[tuple[Felt, ...]]:
        """Call as a transaction; returns its events, keys and data in one, without contracts."""
        before = len(self.events)
        with self._transaction():
            self.call(caller, contract, selector(name), calldata)
        return [keys + data for _, keys, data in self.events[before:]]

    def create(self, class_hash: Felt, *calldata: Felt, salt: Felt = 0) -> Felt:
        """Deploy as a transaction of nobody's."""
        with self._transaction():
            return self.deploy(0, class_hash, salt, calldata)

    def view(self, contract: Felt, name: str, *calldata: Felt) -> list[Felt]:
        """Ask a question, which must change nothing."""
        slots, events = dict(self.slots), len(self.events)
        result = list(self.call(0, contract, selector(name), calldata))
        assert (self.slots, len(self.events)) == (slots, events)
        return result

    def _run(
        self,
        functions: Mapping[Felt, Run],
        caller: Felt,
        contract: Felt,
        entry_point: Felt,
        calldata: Sequence[Felt],
    ) -> Sequence[Felt]:
        if entry_point not in functions:
            raise Reverted("ENTRYPOINT_NOT_FOUND")
        return functions[entry_point](Frame(self, contract, caller), calldata)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        kept = dict(self.slots), dict(self.classes), list(self.events)
        try:
            yield
        except Reverted:
            self.slots, self.classes, self.events = kept
            raise


def refusal(machine: MemoryMachine, caller: Felt, contract: Felt, name: str, *data: Felt) -> str:
    """Send a call that is refused, which must change nothing; returns the code."""
    before = dict(machine.slots), list(machine.events)
    try:
        machine.send(caller, contract, name, *data)
    except Reverted as error:
        assert (machine.slots, machine.events) == before
        return error.code
    return "accepted"
