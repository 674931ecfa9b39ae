"""New blocks told by a node over WebSocket: a reason to look, and nothing that is believed.

Promises
- A reorg that is told of, and a connection that was lost, are a reason to compare everything.
- A node without WebSocket is asked again now and then, in silence.
"""

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec

from sequencer.model.plugin_limits import FOLLOW_ANSWER_SECONDS_MAX, FOLLOW_HEADS_RETRY_SECONDS
from sequencer.plugins.follow.node import require_address

_SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "starknet_subscribeNewHeads", "params": {}}
_HEAD, _REORG = "starknet_subscriptionNewHeads", "starknet_subscriptionReorg"
_HEARTBEAT_SECONDS = 20


class _Told(msgspec.Struct):
    method: str = ""
    id: int | None = None
    result: str | int | None = None


class Heads:
    """Listens at the first of some addresses that answers.

    `wake` is called with whether everything is to be compared, `say` where there is nobody.
    """

    def __init__(
        self, urls: Sequence[str], wake: Callable[[bool], None], say: Callable[[str], None]
    ) -> None:
        self.is_told = False
        self._urls, self._wake, self._say = urls, wake, say
        self._is_said = False

    async def run(self) -> None:
        """Listen for ever."""
        async with aiohttp.ClientSession() as session:
            while True:
                for url in self._urls:
                    await self._listen(session, url)
                if self._urls and not self._is_said:
                    self._is_said = True
                    self._say("nobody tells of new blocks: the node is asked twice a second")
                await asyncio.sleep(FOLLOW_HEADS_RETRY_SECONDS)

    async def _listen(self, session: aiohttp.ClientSession, url: str) -> None:
        try:
            async with asyncio.timeout(FOLLOW_ANSWER_SECONDS_MAX):
                socket = await session.ws_connect(url, heartbeat=_HEARTBEAT_SECONDS)
        except (aiohttp.ClientError, OSError, ValueError):
            return
        try:
            async with socket:
                await socket.send_str(msgspec.json.encode(_SUBSCRIBE).decode())
                async for message in socket:
                    self._take(message)
        except (aiohttp.ClientError, OSError):
            pass
        finally:
            was_told, self.is_told = self.is_told, False
            if was_told:
                self._wake(True)

    def _take(self, message: aiohttp.WSMessage) -> None:
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            return
        try:
            told = msgspec.json.decode(message.data, type=_Told)
        except (msgspec.MsgspecError, RecursionError):
            return
        if told.method in (_HEAD, _REORG):
            self._wake(told.method == _REORG)
        elif told.id == _SUBSCRIBE["id"] and told.result is not None:
            # What happened until now was told to nobody.
            self.is_told = self._is_said = True
            self._wake(True)


def websocket_urls(url: str) -> Sequence[str]:
    """Return where a node may answer over WebSocket, from where it answers over HTTP.

    Refusal: PARAMETER_INVALID where that is no address.
    """
    require_address(url)
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    beside = parts._replace(scheme=scheme, path=parts.path.rstrip("/") + "/ws")
    return (urlunsplit(beside), urlunsplit(parts._replace(scheme=scheme)))
