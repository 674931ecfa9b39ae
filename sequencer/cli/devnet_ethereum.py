"""What `perpchain devnet --ethereum` needs, looked for before anything is started.

Promises
- What is missing is named, with how to get it. anvil is fetched here, and only here, where Node is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sequencer.cli.devnet_settlement import choose_settlement
from sequencer.model.refusals import Reason, Refused

if TYPE_CHECKING:
    from devnet.appchain import SettlementOpener


def choose_ethereum(
    settlement: str, depth_blocks: int, say: Callable[[str], None]
) -> "SettlementOpener":
    """Return what opens a settlement chain with Ethereum. Refusal: SETTLEMENT_ABSENT.

    `depth_blocks` confirm a deposit there.
    """
    from devnet.ethereum_leg import EthereumOpener
    from devnet.ethereum_node import HOW_TO_GET, can_fetch_anvil, fetch_anvil, find_anvil
    from devnet.npm_packages import PackagesAbsent

    inner = choose_settlement(settlement, say)
    if inner is None or not inner.is_new:
        words = f"--ethereum needs a settlement chain of its own, not {settlement!r:.80}"
        raise Refused(Reason.SETTLEMENT_ABSENT, words)
    binary = find_anvil()
    if binary is None:
        if not can_fetch_anvil():
            raise Refused(Reason.SETTLEMENT_ABSENT, HOW_TO_GET)
        say("fetching anvil with npm, once")
        try:
            binary = fetch_anvil()
        except PackagesAbsent as absent:
            raise Refused(Reason.SETTLEMENT_ABSENT, f"{HOW_TO_GET}: {absent}") from None
    return EthereumOpener(inner, binary, depth_blocks)
