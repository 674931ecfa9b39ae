"""Whether the node takes commands, and why not: the halts, the stop, the lag.

Laws
- A halt leaves a note beside the database before anybody hears of it, so that the next start comes
  up HALTED. Losing the folder to another writer leaves none, for it is not ours any more; neither
  does what every start finds again by itself: a settlement chain that cannot be reached, and a
  credited deposit that it has lost.
- An operator's change of mode ends the halts that stood when it was executed and are not final; one
  that came since stands, and so does its note.
"""

import asyncio
from collections.abc import Callable, Sequence

from sequencer.exchange.state import State
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.limits import SEAL_LAG_MS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import HaltNote, StoreError, StoreProblem

# Every start looks again by itself.
_FOUND_AGAIN = (HaltCause.SETTLEMENT_UNREACHABLE, HaltCause.DEPOSIT_UNMADE)
# The folder is not ours any more.
_WITHOUT_NOTE = (HaltCause.WRITER_REPLACED, *_FOUND_AGAIN)
_REPLACED = (StoreProblem.WRITER_REPLACED, StoreProblem.WRITER_FORKED)


def halt_of(error: StoreError) -> Halt:
    """Return the halt of a chain whose store has said no to a write."""
    is_replaced = error.problem in _REPLACED
    cause = HaltCause.WRITER_REPLACED if is_replaced else HaltCause.WRITE_FAILED
    return Halt(cause, str(error))


class Gate:
    """The halts of a node and whether it is stopping.

    `owes_root`: the root of a head that was gone back to is not worked out yet; OPEN waits for it.
    """

    def __init__(self, note: HaltNote, halts: Sequence[Halt] = ()) -> None:
        self._note = note
        self.halts = list(halts)
        reason = note.read()
        if reason:
            self.halts.append(Halt(HaltCause.NOTE, reason))
        self.owes_root = False
        self._stops = False
        self._retired = False
        self._listeners: list[Callable[[Halt], None]] = []
        self.sealing_since: float | None = None
        self.halted = asyncio.Event()
        final = self.final()
        if final is not None:
            self.halted.set()
            if not reason:
                note.write(str(final))

    def final(self) -> Halt | None:
        """Return the first halt that only another start can end."""
        return next((halt for halt in self.halts if halt.is_final), None)

    def is_stopping(self) -> bool:
        """Say whether the node takes no more commands."""
        return self._stops

    def is_halted(self, state: State, ends: Sequence[Halt] = ()) -> bool:
        """Say whether no block is made. `ends` are the halts that the open block ends."""
        is_halted = bool(self._without(ends)) or state.system.mode is Mode.HALTED
        return is_halted or self._retired

    def words(self, state: State) -> str:
        """Say why no block is made."""
        return "; ".join(map(str, self.halts)) or f"the mode is {state.system.mode.value}"

    def require_open(self, state: State) -> None:
        """Refuse with SHUTTING_DOWN, HALTED or BUSY where no command would be executed."""
        self.require_making()
        if self.is_halted(state):
            raise Refused(Reason.HALTED, self.words(state))
        lag_ms = self.lag_ms()
        if lag_ms > SEAL_LAG_MS_MAX:
            raise Refused(Reason.BUSY, f"a block has been under way to the disk for {lag_ms} ms")

    def require_making(self) -> None:
        """Refuse with SHUTTING_DOWN or HALTED where nobody makes blocks of anything any more."""
        if self._stops:
            raise Refused(Reason.SHUTTING_DOWN, "the node is stopping")
        if self._retired and self.final() is None:
            raise Refused(Reason.HALTED, "the operator decides about the chain")

    def lag_ms(self) -> int:
        """Return how long the block under way to the disk has taken so far."""
        since = self.sealing_since
        elapsed = 0.0 if since is None else asyncio.get_running_loop().time() - since
        return int(elapsed * MS_PER_SECOND)

    def halt(self, halt: Halt) -> None:
        """Stop making blocks."""
        self.halts.append(halt)
        if halt.cause not in _WITHOUT_NOTE:
            self._note.write(str(halt))
        for listener in self._listeners:
            listener(halt)
        if halt.is_final:
            self.halted.set()

    def listen(self, listener: Callable[[Halt], None]) -> None:
        """Call somebody for each halt, at once."""
        self._listeners.append(listener)

    def end(self, ended: Sequence[Halt]) -> None:
        """Forget those of some halts that are not final; their note stays until that is durable."""
        self.halts = self._without(ended)

    def clear_note(self) -> None:
        """Take the note away, for what ended its halt is durable; not that of a halt since."""
        # Whatever stands now came later, and wrote its own note over the one that is done with.
        if all(halt.cause in _FOUND_AGAIN for halt in self.halts):
            self._note.clear()

    def stop(self) -> None:
        """Take no more commands."""
        self._stops = True

    def retire(self) -> None:
        """Take no more commands: another engine follows this one."""
        self._retired = True

    def _without(self, ended: Sequence[Halt]) -> list[Halt]:
        # The very same ones: a halt that came since may say the same words.
        gone = {id(halt) for halt in ended if not halt.is_final}
        return [halt for halt in self.halts if id(halt) not in gone]
