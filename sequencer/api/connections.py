"""The connections of the public server: how many there are, and which of them go.

Promises
- There is room for one more unless all are busy: the connection goes that has stood for longest
  without any request; else the one whose body has been coming for longest; else the one that has
  been idle for longest. It is one of the same address where that has too many. One for which there
  is no room all the same is told so when it asks.
- No connection without a request under way stays: a head that does not come, or comes slowly, ends
  it, and so does a client that does not read.
- What is no HTTP is answered with 400 and no words of ours; a bug is no answer but the end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sequencer.api.buckets import Hold, Share, Visitors, origin_of
from sequencer.api.json_rpc import RpcError
from sequencer.model.api_limits import (
    RPC_BODY_BYTES_MAX,
    RPC_CLOSING_SECONDS_MAX,
    RPC_HEAD_SECONDS_MAX,
    RPC_HEADER_BYTES_MAX,
    RPC_HEADERS_MAX,
    RPC_IDLE_SECONDS_MAX,
)

# What clients send wrongly is answered, and no news for whoever runs the node.
_SILENT = logging.Logger("rpc", logging.CRITICAL + 1)
_SERVER_HEADER = {"Server": "perpchain"}


class Connection(RequestHandler):
    """One connection. `is_refused`: there was no room for it."""

    __slots__ = ("hold", "is_refused", "server")

    def __init__(self, server: "Connections", **settings: Any) -> None:  # noqa: ANN401
        super().__init__(server, **settings)
        self.server = server
        self.hold: Hold | None = None
        self.is_refused = False

    def force_close(self) -> None:
        """Close it; whoever does not read the rest of an answer is cut off."""
        transport = self.transport
        super().force_close()
        if transport is not None:
            abort_later(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP; hand on what is a bug of ours. ConnectionError: no answer."""
        if isinstance(exc, ConnectionError):
            raise exc
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.server.failed(exc or RuntimeError(message))
            raise ConnectionResetError
        self.server.malformed_count += 1
        response = web.Response(status=status, headers=_SERVER_HEADER)
        response.force_close()
        return response


class Connections(web.Server):
    """All connections. `failed` is told of what nobody expects of the server itself."""

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        visitors: Visitors,
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__(handle)
        self.failed = failed
        self.malformed_count = 0
        self._visitors = visitors
        self._strangers, self._reading, self._idle = _Standing(), _Standing(), _Standing()

    def __call__(self) -> Connection:
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,
            logger=_SILENT,
            auto_decompress=False,
            keepalive_timeout=RPC_IDLE_SECONDS_MAX,
            lingering_time=RPC_CLOSING_SECONDS_MAX,
            max_line_size=RPC_HEADER_BYTES_MAX,
            max_field_size=RPC_HEADER_BYTES_MAX,
            max_headers=RPC_HEADERS_MAX,
            read_bufsize=RPC_BODY_BYTES_MAX,
        )

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if not isinstance(handler, Connection):
            return
        peer = transport.get_extra_info("peername")
        hold = handler.hold = Hold(self._visitors, origin_of(peer[0] if peer else ""))
        self._make_room(hold.address)
        try:
            hold.take(Share.CONNECTIONS)
        except RpcError:
            handler.is_refused = True
        self._strangers.add(handler, hold.address, transport)
        loop = asyncio.get_running_loop()
        loop.call_later(RPC_HEAD_SECONDS_MAX, self._close_unless_asked, handler)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        if isinstance(handler, Connection):
            self._leave(handler)
        super().connection_lost(handler, exc)

    @contextmanager
    def asking(self, connection: Connection) -> Iterator[Hold]:
        """Note that a request of a connection is under way, for as long as it is."""
        self._forget(connection)
        hold, transport = connection.hold, connection.transport
        if hold is None or transport is None:
            raise ConnectionResetError
        self._reading.add(connection, hold.address, transport)
        try:
            yield hold
        finally:
            self._reading.discard(connection)
            if connection.transport is not None:
                self._idle.add(connection, hold.address, transport)

    def asked(self, connection: Connection) -> None:
        """Keep a connection until it is answered: its request is there as a whole."""
        self._reading.discard(connection)

    def _make_room(self, address: str) -> None:
        for crowd in (address, ""):
            if self._visitors.room(Share.CONNECTIONS, crowd) > 0:
                continue
            standing = (self._strangers, self._reading, self._idle)
            victim = next(filter(None, (each.oldest(crowd) for each in standing)), None)
            if victim is not None:
                connection, transport = victim
                self._leave(connection)
                # Not at once: aiohttp may not have begun to look at it, and would stumble.
                asyncio.get_running_loop().call_soon(transport.abort)

    def _forget(self, connection: Connection) -> None:
        for standing in (self._strangers, self._reading, self._idle):
            standing.discard(connection)

    def _leave(self, connection: Connection) -> None:
        self._forget(connection)
        if connection.hold is not None:
            connection.hold.release()

    def _close_unless_asked(self, connection: Connection) -> None:
        if connection in self._strangers:
            connection.force_close()


class _Standing:
    """Connections without a request, the oldest first, all together and by address."""

    def __init__(self) -> None:
        self._all: dict[Connection, tuple[str, asyncio.Transport]] = {}
        self._by_address: dict[str, dict[Connection, None]] = {}

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._all

    def add(self, connection: Connection, address: str, transport: asyncio.Transport) -> None:
        self._all[connection] = (address, transport)
        self._by_address.setdefault(address, {})[connection] = None

    def discard(self, connection: Connection) -> None:
        found = self._all.pop(connection, None)
        if found is not None:
            beside = self._by_address[found[0]]
            del beside[connection]
            if not beside:
                del self._by_address[found[0]]

    def oldest(self, address: str) -> tuple[Connection, asyncio.Transport] | None:
        crowd = self._by_address.get(address, {}) if address else self._all
        connection = next(iter(crowd), None)
        return None if connection is None else (connection, self._all[connection][1])


def abort_later(transport: asyncio.Transport) -> None:
    """Give a client that many seconds to read the rest, and no more. On what is closed: nothing."""
    asyncio.get_running_loop().call_later(RPC_CLOSING_SECONDS_MAX, transport.abort)
