"""Starknet versions, compared as numbers, and the versions at which a formula changed."""

import re
from typing import TypeAlias

from sequencer.model.refusals import Reason, Refused, shown

Version: TypeAlias = tuple[int, ...]
"""The numbers of a protocol version, for example (0, 13, 4)."""

BLOCK_HASH_0: Version = (0, 13, 2)
"""First version with the commitments and the block hash computed here."""

BLOCK_HASH_1: Version = (0, 13, 4)
"""First version whose block hash has the folded gas prices; empty signatures count as empty."""

STATE_ROOT_ALWAYS_COMBINED: Version = (0, 14, 0)
"""First version whose state root has the classes root even when that is 0."""

_VERSION_TEXT = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){2,3}", re.ASCII)


def parse_version(text: object) -> Version:
    """Read `0.13.4` or `0.13.1.1`. Refusal: BLOCK_VERSION_UNSUPPORTED."""
    if type(text) is not str or _VERSION_TEXT.fullmatch(text) is None:
        raise Refused(Reason.BLOCK_VERSION_UNSUPPORTED, f"not a Starknet version: {shown(text)}")
    return tuple(int(part) for part in text.split("."))
