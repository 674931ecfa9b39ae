"""Who calls a method, and the connection on which more than the answer can be sent.

Laws
- A `Stream` belongs to the event loop's thread: nobody else calls it.
- Nothing is sent for a subscription before the answer that names it: `after_answer`.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec


class Stream(Protocol):
    """One WebSocket connection."""

    subscriptions: dict[str, Any]
    """What the subscriptions keep of this connection, by their ids."""

    def send(self, message: bytes) -> None:
        """Queue a message. Never waits; on a closed connection it does nothing.

        A connection with too many messages or bytes in its queue is closed with a code. One
        message alone may have any length.
        """
        ...

    def close(self, code: int, reason: bytes) -> None:
        """End the connection with a code, behind what is queued."""
        ...

    async def flushed(self) -> None:
        """Wait until all that was queued has been handed to the socket, or the end has come.

        Whoever has much to send (a replay) waits here now and then, and is no slow reader's loss.
        """
        ...

    def after_answer(self, act: Callable[[], None]) -> None:
        """Do something once the answer to the request under way was handed to the socket.

        The request under way is that of the task that calls this, at once without any. Not done
        where the connection ends before.
        """
        ...

    def on_close(self, act: Callable[[], None]) -> None:
        """Do something once when the connection has ended; at once where it has already.

        Never from inside `send`: whoever sends to many may keep its list while it does.
        """
        ...


class Caller(msgspec.Struct, frozen=True):
    """Whoever sent a request. `stream` is None over HTTP: there is nothing to send more on."""

    address: str
    stream: Stream | None = None
