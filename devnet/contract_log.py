"""What the settlement contract said of roots, in its own words: its events, read over RPC.

Promises
- Every post, hold, release, revert and finality is there, in the order of that chain.
- Where the events cannot be read, the words say why, and nothing is made up.
"""

from collections.abc import Sequence

import aiohttp
import msgspec
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import EmittedEvent
from starknet_py.net.full_node_client import FullNodeClient

from sequencer.starknet.felt import Felt
from sequencer.starknet.names import selector

POSTED, REVERTED, FINAL, HELD, RELEASED = "posted", "reverted", "final", "held", "released"

_KINDS = {
    selector("LogStateUpdate"): POSTED,
    selector("LogStateReverted"): REVERTED,
    selector("LogStateFinalized"): FINAL,
    selector("LogHold"): HELD,
    selector("LogRelease"): RELEASED,
}
_CHUNK = 1_000
_NO_ANSWER = (aiohttp.ClientError, OSError, ClientError, ValueError, LookupError)


class Logged(msgspec.Struct, frozen=True):
    """One event. `height` is the block of our chain, -1 for a hold; `from_height` only of a revert.

    `root` and `block_hash` are what the contract says of that block, 0 where it says nothing.
    `plan` is the felt of the plan that holds finality, 0 elsewhere.
    """

    kind: str
    settlement_block: int
    height: int = -1
    root: Felt = 0
    block_hash: Felt = 0
    from_height: int = -1
    plan: Felt = 0


class ContractLog(msgspec.Struct, frozen=True):
    """The contract's address and events. `problem` says why they are not all there, "" if so."""

    contract: Felt = 0
    logged: Sequence[Logged] = ()
    problem: str = ""


async def read_log(url: str, contract: Felt) -> ContractLog:
    """Read all that a contract said of roots."""
    client = FullNodeClient(url)
    try:
        found = await client.get_events(
            contract,
            [[*_KINDS]],
            from_block_number=0,
            to_block_number="latest",
            follow_continuation_token=True,
            chunk_size=_CHUNK,
        )
        logged = tuple(logged_of(event) for event in found.events)
    except _NO_ANSWER as error:
        return ContractLog(contract, (), f"{type(error).__name__}: {error!s:.200}")
    return ContractLog(contract, logged)


def logged_of(event: EmittedEvent) -> Logged:
    """Read an event. Errors: LookupError, ValueError for one that is none of the contract's."""
    kind, block, data = _KINDS[event.keys[0]], event.block_number or 0, event.data
    match kind:
        case "posted" | "final":
            root, height, block_hash = data
            return Logged(kind, block, height, root, block_hash)
        case "reverted":
            from_height, height, root, _ = data
            return Logged(kind, block, height, root, from_height=from_height)
        case _:
            return Logged(kind, block, plan=event.keys[1])
