"""Keep a ledger of a market's trades by WebSocket, through rollbacks, undos and lost connections.

    python scripts/watch_and_reconcile.py     # --url: another node, --since: begin behind a block

Each block is named by its hash, each subscription begins at the last block that the ledger has, and
`perp_reorgs` says why blocks were undone. Ctrl-C ends it: the ledger is compared with a fresh read.
Exit codes: 0 the same, 1 something differs, 2 refused, or nobody to ask.
"""

import argparse
import asyncio
import sys
from typing import Any

import aiohttp
from starknet_py.net.client_errors import ClientError
from starknet_py.net.websockets.websocket_client import WebsocketClient
from websockets.exceptions import WebSocketException

from scripts.clients.devnet import URL, run
from scripts.clients.keeper import Keeper, say
from scripts.clients.listening import Stranger, listen

RETRY_SECONDS = 1


async def watch(url: str, keeper: Keeper, since: int | None) -> int:
    """Follow the chain until somebody ends it; connect again whenever the connection is lost."""
    await keeper.begin(since)
    while True:
        socket: Any = WebsocketClient(f"{url.rstrip('/').replace('http', 'ws', 1)}/ws")
        try:
            await listen(socket, keeper)
        except Stranger as error:
            say(f"this is another chain: {error}")
            return 1
        except (OSError, WebSocketException, aiohttp.ClientError, ClientError) as error:
            say(f"no connection, trying again: {error}")
        finally:
            if socket.connection is not None:
                await socket.disconnect()
        await asyncio.sleep(RETRY_SECONDS)


def main() -> int:
    """Read the command line, watch, and compare; returns the exit code."""
    parser = argparse.ArgumentParser(description="Keep a ledger of trades through rollbacks.")
    parser.add_argument("--url", default=URL, help=f"default: {URL}")
    parser.add_argument("--market", default="BTC-USD-PERP", help="default: BTC-USD-PERP")
    parser.add_argument("--since", type=int, help="a block's number; default: the newest")
    given = parser.parse_args()
    keeper = Keeper(given.url, given.market)
    try:
        return run(given.url, watch(given.url, keeper, given.since))
    except KeyboardInterrupt:
        return run(given.url, keeper.compare())


if __name__ == "__main__":
    sys.exit(main())
