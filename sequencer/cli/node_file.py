"""`perpchain node --config FILE.toml`: all of a node's options in one file.

Promises
- A name that means nothing is refused, with its place; so is a value of another kind.
- A path that is not absolute counts from the file's own folder. Keys of accounts stand in files of
  their own, never here.
"""

from operator import attrgetter
from pathlib import Path

import msgspec

from sequencer.config import read_limited
from sequencer.model.api_limits import NODE_FILE_BYTES_MAX, ServerLimits
from sequencer.model.refusals import Reason, Refused

LOOPBACK = "127.0.0.1"
PORT_MAX = 65_535
BLOCK_INTERVAL_MS_MAX = 60_000

_LIMIT_MAX = 2**40


class ApiSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[api]`: where clients are answered. Port 0 is any free one, -1 is nowhere."""

    host: str = LOOPBACK
    port: int = 0


class AdminSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[admin]`: where the operator's commands are taken, on this machine alone."""

    port: int = 0


class SettlementSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[settlement]`: the file that says where roots are posted."""

    file: Path | None = None


class PluginSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[plugins]]`: a plugin; `use` is MODULE:CLASS or the name of an entry point."""

    use: str
    name: str = ""
    dry_run: bool = False
    options: dict[str, str] = {}


class LimitsSection(ServerLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[limits]`: what clients may take, by the names of `ServerLimits`."""


class NodeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. What is not in it is as it is without a file."""

    data_dir: Path | None = None
    genesis: Path | None = None
    operator_key: Path | None = None
    witness: Path | None = None
    block_interval_ms: int = 0
    verify_root: bool = False
    exit_on_halt: bool = False
    api: ApiSection = ApiSection()
    admin: AdminSection = AdminSection()
    settlement: SettlementSection = SettlementSection()
    limits: LimitsSection = LimitsSection()
    plugins: list[PluginSection] = []


RANGES: dict[str, tuple[int, int]] = {
    "block_interval_ms": (0, BLOCK_INTERVAL_MS_MAX),
    "api.port": (-1, PORT_MAX),
    "admin.port": (-1, PORT_MAX),
    **{f"limits.{name}": (1, _LIMIT_MAX) for name in LimitsSection.__struct_fields__},
}
"""What numbers may be, by their place in the file."""


def read_node_file(path: Path) -> NodeFile:
    """Read a node's file, its paths made whole. Refusals: FILE_UNREADABLE, PARAMETER_INVALID."""
    content = read_limited(path, NODE_FILE_BYTES_MAX)
    try:
        stated = msgspec.toml.decode(content, type=NodeFile, dec_hook=to_path)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(Reason.PARAMETER_INVALID, f"{path}: {error}") from None
    for name, (low, high) in RANGES.items():
        value = attrgetter(name)(stated)
        if not low <= value <= high:
            words = f"{path}: {name} is {value}, {low} to {high} allowed"
            raise Refused(Reason.PARAMETER_INVALID, words)
    return placed_in(stated, path.parent)


def to_path(kind: type, value: object) -> Path:
    """Read the path of a file, as msgspec asks for it. Error: ValueError."""
    if kind is not Path or not isinstance(value, str) or not value:
        raise ValueError("expected the path of a file")
    return Path(value)


def placed_in(stated: NodeFile, folder: Path) -> NodeFile:
    """Make paths count from a folder."""

    def placed(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    return msgspec.structs.replace(
        stated,
        data_dir=placed(stated.data_dir),
        genesis=placed(stated.genesis),
        operator_key=placed(stated.operator_key),
        witness=placed(stated.witness),
        settlement=SettlementSection(placed(stated.settlement.file)),
    )
