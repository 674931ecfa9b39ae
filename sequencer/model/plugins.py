"""How a plugin stands, and what it says to a plan: words of the host and of the operator."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

READER_PREFIX = "plugin:"
"""In front of a plugin's name in the name of its cursor in the outbox."""

HOST_BUCKET = "."
"""The bucket in which the host keeps why plugins are parked; no plugin can have this name."""

PLUGINS_FOLDER = "plugins"
"""The folder with a folder for each plugin, in the data folder."""


class PluginConfig(msgspec.Struct, frozen=True):
    """A plugin beside a node: `use` is MODULE:CLASS or the name of an entry point.

    `is_dry`: it is told everything from the first block on, and nothing of it is kept.
    """

    name: str
    use: str
    options: Mapping[str, str] = {}
    is_dry: bool = False


class ParkCause(StrEnum):
    """Why a plugin is told nothing any more."""

    PLUGIN_ABSENT = "PLUGIN_ABSENT"
    PLUGIN_DIED = "PLUGIN_DIED"
    PLUGIN_HANGS = "PLUGIN_HANGS"
    PLUGIN_INVALID = "PLUGIN_INVALID"
    PLUGIN_LAGS = "PLUGIN_LAGS"
    PLUGIN_NONSENSE = "PLUGIN_NONSENSE"
    PLUGIN_PARKED = "PLUGIN_PARKED"
    PLUGIN_RAISED = "PLUGIN_RAISED"


class PluginState(StrEnum):
    """Whether a plugin is told of the chain. Only a RUNNING one is waited for by anybody."""

    RUNNING = "RUNNING"
    CATCHING_UP = "CATCHING_UP"
    PARKED = "PARKED"


class PluginStanding(msgspec.Struct, frozen=True):
    """A plugin: how far it has come (-1: nowhere), how many commits it is behind, why parked."""

    name: str
    state: PluginState
    height: int
    sequence: int
    lag: int
    reason: str = ""


class PluginOpinion(msgspec.Struct, frozen=True):
    """What a plugin says to a rollback's plan; `words` also where it could not be asked."""

    name: str
    words: str
    veto: bool = False
