"""The Python twin of a Cairo contract: the same class hash, storage slots, events and refusals.

Promises
- A twin sees the chain through one `Frame`; whoever executes it is a `Machine`.
- What a call wrote and emitted counts only if it returns, and every call around it.

Laws
- A twin keeps nothing between calls but storage slots, at the addresses that Cairo would use.
- `Reverted` carries the code that Cairo would panic with, a short string.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol, TypeAlias

import msgspec

from sequencer.starknet.felt import Felt, encode_short_string
from sequencer.starknet.names import selector

NAMES_CACHED = 1_024
"""Names of events and functions whose selectors are remembered."""

_selector = lru_cache(maxsize=NAMES_CACHED)(selector)


class Reverted(Exception):
    """A contract's no: nothing of its call stays."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Machine(Protocol):
    """What executes contracts: slots, events, calls and deployments of one transaction."""

    @property
    def timestamp(self) -> int:
        """Return the block's time in seconds."""

    @property
    def transaction_hash(self) -> Felt:
        """Return the hash of the transaction under way, 0 where something is only asked."""

    def read(self, contract: Felt, slot: Felt) -> Felt:
        """Return a slot, 0 where nothing was written."""

    def write(self, contract: Felt, slot: Felt, value: Felt) -> None:
        """Write a slot."""

    def emit(self, contract: Felt, keys: Sequence[Felt], data: Sequence[Felt]) -> None:
        """Emit an event."""

    def call(
        self, caller: Felt, contract: Felt, entry_point: Felt, calldata: Sequence[Felt]
    ) -> Sequence[Felt]:
        """Call a contract by selector; refuses with Reverted."""

    def deploy(
        self, deployer: Felt, class_hash: Felt, salt: Felt, calldata: Sequence[Felt]
    ) -> Felt:
        """Deploy a declared class and run its constructor; `deployer` is 0 for one of nobody's.

        Returns the address; refuses with Reverted.
        """


class Frame(msgspec.Struct, frozen=True):
    """One call of one contract. `caller` is 0 for a view, the deployer for a constructor."""

    machine: Machine
    contract: Felt
    caller: Felt

    @property
    def timestamp(self) -> int:
        """Return the block's time in seconds."""
        return self.machine.timestamp

    def read(self, slot: Felt) -> Felt:
        """Return one of the contract's own slots."""
        return self.machine.read(self.contract, slot)

    def write(self, slot: Felt, value: Felt) -> None:
        """Write one of the contract's own slots."""
        self.machine.write(self.contract, slot, value)

    def emit(self, name: str, keys: Sequence[Felt] = (), data: Sequence[Felt] = ()) -> None:
        """Emit an event of the contract by its name."""
        self.machine.emit(self.contract, (_selector(name), *keys), data)

    def call(self, contract: Felt, name: str, *calldata: Felt) -> Sequence[Felt]:
        """Call another contract; refuses with Reverted."""
        return self.machine.call(self.contract, contract, _selector(name), calldata)


Run: TypeAlias = Callable[[Frame, Sequence[Felt]], Sequence[Felt]]
"""An entry point: calldata in, result out; refuses with Reverted."""


class Twin(msgspec.Struct, frozen=True):
    """A class of contracts bound to Python; entry points are by selector.

    `sierra` is the class as JSON text, as it is declared and served. It hashes to `class_hash`,
    but where `contracts/served.py` made it for a class of other authors.
    """

    name: str
    class_hash: Felt
    compiled_class_hash: Felt
    sierra: str
    external: Mapping[Felt, Run]
    l1_handlers: Mapping[Felt, Run] = {}
    constructor: Run | None = None


def require(condition: bool, code: str) -> None:
    """Refuse with a code, as Cairo's assert does."""
    if not condition:
        raise Reverted(code)


def by_selector(functions: Mapping[str, Run]) -> dict[Felt, Run]:
    """Return entry points by selector."""
    return {selector(name): run for name, run in functions.items()}


def panic_data(code: str) -> Felt:
    """Return the felt that a code is."""
    return encode_short_string(code)
