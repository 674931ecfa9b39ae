"""What happened in a run, as those outside saw it: commands with answers, readings, counts.

Laws
- An answer counts only while the node that gave it lives: after a power cut nobody hears anything.
"""

import hashlib
from collections import Counter
from collections.abc import Callable

from sequencer.chain.exchange_contract import SignedCancel, SignedOrder
from sequencer.engine.items import Applied, Item
from sequencer.model.commands import Command
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt
from sequencer.starknet.transactions import InvokeV3, Transaction

Sent = SignedOrder | SignedCancel | Transaction | Command


class Violation(Exception):
    """A law does not hold."""


class Sending:
    """One command on its way, by somebody, in one life of the node.

    `answer` is None as long as there is none; after a power cut for ever: nobody knows.
    """

    def __init__(self, name: str, payload: Sent, hash_: Felt, life: int) -> None:
        self.name = name
        self.payload = payload
        self.hash = hash_
        self.life = life
        self.answer: Applied | Refused | None = None
        self.was_cut = False

    @property
    def reason(self) -> Reason | None:
        """Return why it was refused before or beside a block, None where it was not."""
        return self.answer.reason if isinstance(self.answer, Refused) else None

    @property
    def was_applied(self) -> bool:
        """Say whether a block holds it and the chain did what it asks for."""
        return isinstance(self.answer, Applied) and not self.answer.refusal

    @property
    def is_unknown(self) -> bool:
        """Say whether nobody can know what became of it."""
        return self.was_cut or self.reason is Reason.OUTCOME_UNKNOWN

    @property
    def enters_blocks(self) -> bool:
        """Say whether its hash is that of a transaction in a block, applied or reverted."""
        return isinstance(self.payload, InvokeV3)


class Records:
    """Everything of one run. `clock` returns virtual seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.sendings: list[Sending] = []
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.lines: list[str] = []
        self._clock = clock
        self._digest = hashlib.blake2s()

    def say(self, words: str) -> None:
        """Add a line to the trace."""
        line = f"{self._clock():9.4f} {words}"
        self.lines.append(line)
        self._digest.update(line.encode() + b"\n")

    def count(self, what: str) -> None:
        """Count something that happened."""
        self.counts[what] += 1
        self.say(f"* {what}")

    def violate(self, words: str) -> None:
        """Note that a law does not hold."""
        self.violations.append(words)
        self.say(f"VIOLATED {words}")

    def require(self, holds: bool, words: str) -> None:
        """Note a violation unless something holds."""
        if not holds:
            self.violate(words)

    @property
    def trace_hash(self) -> str:
        """Return the hash of the whole trace."""
        return self._digest.hexdigest()

    def follow(self, sending: Sending, item: Item, on_answer: Callable[[Sending], None]) -> None:
        """Note the answer of an item when it comes."""

        def told(_: object) -> None:
            if sending.was_cut or item.answer.cancelled():
                return
            error = item.answer.exception()
            if error is None:
                sending.answer = item.answer.result()
            elif isinstance(error, Refused):
                sending.answer = error
            else:
                raise error
            on_answer(sending)

        item.answer.add_done_callback(told)
