"""Which versions of its own rules this build can execute. The version in force is a row.

Laws
- A change of rules is a new version and an operator's command, so that a block is executed again by
  the rules that made it, or not at all.
"""

from sequencer.exchange.state import State
from sequencer.model.refusals import Reason, Refused

RULES_VERSIONS = (1,)
"""Versions of the rules that this build executes."""


def require_rules(state: State) -> None:
    """Refuse with RULES_VERSION_UNKNOWN a state that goes on by rules which are not here."""
    require_version(state.system.rules_version)


def require_version(version: int) -> None:
    """Refuse with RULES_VERSION_UNKNOWN a version that this build does not execute."""
    if version not in RULES_VERSIONS:
        words = f"rules {version}; this build executes {RULES_VERSIONS}"
        raise Refused(Reason.RULES_VERSION_UNKNOWN, words)
