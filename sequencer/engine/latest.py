"""The exchange at the committed head, for clients: the writer's own state is ahead of it.

Promises
- State and view belong to one head, always: they move on together, with each block at once, and
  after a decision about the chain only once the chain has been recovered.

Laws
- Rows are frozen and shared with the writer's state; only tables and what is derived are its own.
- Only the event loop's thread moves it on.
"""

from sequencer.chain.commitment import Net
from sequencer.engine.views import Views
from sequencer.exchange.state import State


class Latest:
    """The state at the head of `views`; both are there for whoever only reads."""

    def __init__(self, state: State, views: Views) -> None:
        self.state = state
        self._views = views
        views.advance()

    def apply(self, net: Net) -> None:
        """Take over what a committed block changed."""
        for (table, key), (_, after) in net.items():
            self.state.write(table, key, after)
        self._views.advance()
