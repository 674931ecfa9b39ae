"""What the operator's log keeps of a call.

Laws
- Names and values are part of a file that is kept for ever: their meaning never changes.
"""

from enum import StrEnum

import msgspec


class LogEvent(StrEnum):
    """What an entry says: a call begins, it has ended, it only looked, or a torn line was cut."""

    INTENT = "INTENT"
    OUTCOME = "OUTCOME"
    LOOK = "LOOK"
    CUT = "CUT"


class NodeKind(StrEnum):
    """Who carried a call out: a node that runs, or a command beside a stopped one."""

    RUNNING = "running"
    STOPPED = "stopped"


class LoggedCall(msgspec.Struct, frozen=True):
    """A call, or how one ended.

    `params` is JSON. `outcome` is `ok` or a stable code, "" for an intent; `intent` is the number
    of the entry whose outcome this is, 0 for any other.
    """

    event: LogEvent
    method: str
    params: bytes = b"{}"
    outcome: str = ""
    intent: int = 0
