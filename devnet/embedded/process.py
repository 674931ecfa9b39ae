"""`python -m devnet.embedded`: an embedded devnet as a process of its own.

Promises
- Once it answers it says so in the words of starknet-devnet: `listening on 127.0.0.1:PORT`.
- SIGTERM and SIGINT end it; what it had answered by then is in its folder, if it has one.
- What is wrong with an option, a port or a folder is one line and exit code 2.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from contracts.natives import NATIVES
from devnet.embedded.faults import LIMITS, Faults, read_fault
from devnet.embedded.managing import set_fault
from devnet.embedded.node import all_methods, open_chain
from devnet.embedded.predeployed import ACCOUNTS
from devnet.embedded.server import EmbeddedServer
from devnet.stopping import interrupting
from sequencer.api.json_rpc import RpcError
from sequencer.engine.clock import SystemClock
from sequencer.model.refusals import Refused
from sequencer.model.units import MS_PER_SECOND
from sequencer.ports import StoreFailed

EXIT_USAGE = 2
HOST = "127.0.0.1"

_PORT_MAX = 65_535


def main(arguments: Sequence[str]) -> int:
    """Run a devnet until it is told to stop; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.data is not None and options.data.exists() and not options.data.is_dir():
            return _failed(f"{options.data} is no folder")
        faults = [read_fault(text) for text in options.fault]
        asyncio.run(_serve(options, dict(faults)))
    except Refused as refused:
        return _failed(refused.detail)
    except (RpcError, StoreFailed, OSError) as failure:
        return _failed(str(failure))
    return 0


async def _serve(options: argparse.Namespace, given: dict[str, int]) -> None:
    stopped = asyncio.Event()
    with (
        interrupting(stopped.set),
        closing(open_chain(NATIVES, options.data, options.accounts, _now)) as chain,
    ):
        faults = Faults()
        server = EmbeddedServer(all_methods(chain, faults), faults, HOST, options.port)
        set_fault(chain, faults, given)
        address = await server.start()
        sys.stdout.write(f"embedded devnet listening on {address}\n")
        sys.stdout.flush()
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(server.run())
                await stopped.wait()
                serving.cancel()
        finally:
            await server.close()


def _now() -> int:
    return SystemClock().now_ms() // MS_PER_SECOND


def _failed(words: str) -> int:
    sys.stderr.write(f"embedded devnet: {words}\n")
    return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    what = "A Starknet chain in Python, in the place of starknet-devnet; it runs no Cairo."
    parser = argparse.ArgumentParser("python -m devnet.embedded", description=what)
    number = _number(0, _PORT_MAX)
    parser.add_argument("--port", type=number, default=0, help="0 is a free one")
    accounts = _number(1, len(ACCOUNTS))
    many = f"how many there are, 1 .. {len(ACCOUNTS)}"
    parser.add_argument("--accounts", type=accounts, default=len(ACCOUNTS), help=many)
    parser.add_argument("--data", type=Path, help="a folder to keep the chain in")
    names = ", ".join(LIMITS)
    parser.add_argument("--fault", action="append", default=[], help=f"NAME=NUMBER of {names}")
    return parser


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r:.40} is not in {low} .. {high}")
        return int(text)

    return read
