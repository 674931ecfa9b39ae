"""State diffs cut down to what was asked for."""

import msgspec

from sequencer.starknet.felt import Felt
from sequencer.starknet.state import StateDiff


def of_contracts(diff: StateDiff, addresses: frozenset[Felt]) -> StateDiff:
    """Keep what a diff says of some contracts, and all declarations."""
    return msgspec.structs.replace(
        diff,
        storage={each: slots for each, slots in diff.storage.items() if each in addresses},
        nonces={each: nonce for each, nonce in diff.nonces.items() if each in addresses},
        classes={each: class_ for each, class_ in diff.classes.items() if each in addresses},
    )
