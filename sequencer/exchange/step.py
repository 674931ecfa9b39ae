"""One command in progress: the state, its journal, the events so far, and who asks.

Promises
- Rules read through `state` and write through `put`; nothing else changes the exchange.
- A refusal is raised as `Refused` and undoes the whole command in `transition`.
"""

import msgspec

from sequencer.exchange.state import ONLY, Journal, State, Table
from sequencer.model.events import Event, GuardViolated
from sequencer.model.rows import Account, Guard, System, Totals


class Context(msgspec.Struct, frozen=True, gc=False):
    """On whose behalf a command was signed, as the chain has verified it.

    `key` is 0 where the account's own key signed, and otherwise the key that did.
    """

    signer: int
    key: int = 0


class Step:
    """The working set of one command."""

    __slots__ = ("context", "events", "journal", "put", "state")

    def __init__(self, state: State, journal: Journal, context: Context) -> None:
        self.state = state
        self.journal = journal
        self.context = context
        self.events: list[Event] = []
        self.put = journal.put

    def emit(self, event: Event) -> None:
        """Record what happened."""
        self.events.append(event)

    def put_system(self, system: System) -> None:
        """Replace the exchange's own row."""
        self.put(Table.SYSTEM, ONLY, system)

    def put_totals(self, totals: Totals) -> None:
        """Replace the row of money that is in no account."""
        self.put(Table.TOTALS, ONLY, totals)

    def add_dust(self, dust: int) -> None:
        """Book what rounding left over, in 1e-26 quote."""
        if dust:
            totals = self.state.totals
            self.put_totals(msgspec.structs.replace(totals, dust=totals.dust + dust))

    def add_cash(self, account: int, amount: int) -> None:
        """Add quote to an account (negative: take it), making its row where there is none."""
        row = self.state.account(account)
        self.put(Table.ACCOUNT, account, Account(row.cash + amount, row.owner, row.market))

    def guarded(self, guard: Guard, violated: bool, detail: str) -> bool:
        """Say whether a guard stops what violates it; one that is off only records it."""
        if not violated:
            return False
        if guard not in self.state.system.guards_off:
            return True
        self.emit(GuardViolated(guard, detail))
        return False
