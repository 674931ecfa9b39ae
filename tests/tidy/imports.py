"""Who may import whom: rooms, libraries, cycles, places."""

import ast
import sys
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from tests.tidy.source import PURE_ROOMS, Finding, Import, Source, functions_of, imports_of, room_of

_EDGES = frozenset({"api", "feeds", "plugins", "settlement", "storage"})
_CORE = frozenset({"chain", "config", "engine", "exchange", "model", "ports", "starknet"})

# An arrow to a room opens what that room exposes in its signatures: engine sees the rows of
# exchange and the felts of starknet through chain.
ROOMS: dict[str, frozenset[str]] = {
    "sequencer": frozenset(),
    "model": frozenset(),
    "starknet": frozenset({"model"}),
    "exchange": frozenset({"model"}),
    "chain": frozenset({"exchange", "starknet", "model"}),
    "ports": frozenset({"model"}),
    "engine": frozenset({"chain", "exchange", "model", "ports", "starknet"}),
    "storage": frozenset({"model", "ports", "starknet"}),
    "settlement": frozenset({"model", "ports", "starknet"}),
    "feeds": frozenset({"model", "ports"}),
    "api": frozenset({"chain", "engine", "model", "ports", "starknet"}),
    "plugins": frozenset({"chain", "engine", "exchange", "model", "ports", "starknet"}),
    "config": frozenset({"model"}),
    "contracts": frozenset({"chain", "model", "starknet"}),
    "node": _CORE | _EDGES,
    "serve": _CORE | _EDGES | {"node"},
    "devnet": _CORE | _EDGES | {"contracts", "node", "serve"},
    "cli": _CORE | _EDGES | {"contracts", "devnet", "node", "serve"},
    "__main__": _CORE | _EDGES | {"cli", "node"},
}
UNRESTRICTED = frozenset({"scripts", "tests"})

LIBRARIES: dict[str, frozenset[str]] = {
    "settlement": frozenset({"aiohttp", "msgspec", "starknet_py", "web3"}),
    "storage": frozenset({"msgspec", "plyvel"}),
    "feeds": frozenset({"aiohttp", "msgspec"}),
    "api": frozenset({"aiohttp", "msgspec", "prometheus_client"}),
    "node": frozenset({"aiohttp", "msgspec"}),
    "devnet": frozenset({"aiohttp", "eth_account", "msgspec", "starknet_py", "structlog", "web3"}),
    "cli": frozenset({"aiohttp", "eth_account", "msgspec", "rich", "structlog", "typer"}),
    "__main__": frozenset({"msgspec", "rich", "typer"}),
}
_LIBRARIES_ELSEWHERE = frozenset({"msgspec"})

FILE_LIBRARIES: dict[str, frozenset[str]] = {
    "sequencer/starknet/felt_hash.py": frozenset(
        {"Crypto", "fast_stark_crypto", "starknet_pathfinder_crypto"}
    ),
    "sequencer/starknet/native.py": frozenset({"os", "perpchain_native"}),
    "sequencer/plugins/follow/node.py": frozenset({"aiohttp", "starknet_py"}),
    "sequencer/plugins/follow/heads.py": frozenset({"aiohttp"}),
    "sequencer/starknet/ethereum_key.py": frozenset({"eth_keys"}),
}

# The parts of the standard library that compute values and reach for nothing.
VALUE_MODULES = frozenset(
    {
        "__future__",
        "abc",
        "array",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "enum",
        "functools",
        "heapq",
        "itertools",
        "math",
        "operator",
        "re",
        "string",
        "struct",
        "types",
        "typing",
    }
)
_HASHING = frozenset({"hashlib"})
_VALUE_ROOMS = PURE_ROOMS | {"ports"}

_LATE_IMPORT_ROOMS = frozenset({"node", "serve", "cli", "__main__"})


def check_rooms(source: Source) -> list[Finding]:
    """Compare each import of our own code with the table of rooms."""
    room = source.room
    if room in UNRESTRICTED:
        return []
    if room not in ROOMS:
        return [Finding(source.path, 1, "rooms", f"room {room} is not in the table")]
    own = ROOMS.keys() | UNRESTRICTED
    allowed = ROOMS[room] | {room, "sequencer"}
    ours = [found for found in imports_of(source) if _is_ours(found)]
    targets = [(found.line, _target_room(found, own)) for found in ours]
    return [
        Finding(source.path, line, "rooms", f"{room} may not import {target}")
        for line, target in targets
        if target not in allowed
    ]


def _is_ours(found: Import) -> bool:
    return found.package == "sequencer" or found.package in ROOMS or found.package in UNRESTRICTED


def _target_room(found: Import, known: frozenset[str] | set[str]) -> str:
    target = room_of(found.full)
    return target if target in known else room_of(found.module)


def check_libraries(source: Source) -> list[Finding]:
    """Allow each room its own libraries, and the pure rooms only values of the standard one."""
    room = source.room
    if room in UNRESTRICTED:
        return []
    allowed = LIBRARIES.get(room, _LIBRARIES_ELSEWHERE) | FILE_LIBRARIES.get(source.path, set())
    return [
        Finding(source.path, found.line, "libraries", f"{room} may not import {found.package}")
        for found in imports_of(source)
        if not _is_ours(found) and not _may_use(room, found.package, allowed)
    ]


def _may_use(room: str, package: str, allowed: frozenset[str]) -> bool:
    if package not in sys.stdlib_module_names:
        return package in allowed
    if room not in _VALUE_ROOMS:
        return True
    hashing = _HASHING if room in {"starknet", "chain"} else frozenset()
    return package in VALUE_MODULES | hashing | allowed


def check_plyvel(source: Source) -> list[Finding]:
    """Keep the database library in one room, for scripts too: there is one writer."""
    if source.folder == "tests" or source.room == "storage":
        return []
    return [
        Finding(source.path, found.line, "plyvel", "plyvel is imported outside storage")
        for found in imports_of(source)
        if found.package == "plyvel"
    ]


def check_relative_imports(source: Source) -> list[Finding]:
    return [
        Finding(source.path, node.lineno, "relative-import", "write the absolute module name")
        for node in source.nodes
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]


def check_late_imports(source: Source) -> list[Finding]:
    """Refuse imports inside functions, except where starting up lazily is the point."""
    if source.room in _LATE_IMPORT_ROOMS:
        return []
    lines = {
        node.lineno
        for function in functions_of(source)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return [
        Finding(source.path, line, "late-import", "import at the top of the module")
        for line in sorted(lines)
    ]


def check_cycles(sources: Sequence[Source]) -> list[Finding]:
    """Report one cycle of modules that import each other, if there is any."""
    modules = {source.module: source for source in sources}
    graph = {
        name: {_target_module(found, modules) for found in imports_of(source)} - {"", name}
        for name, source in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return [Finding(modules[cycle[0]].path, 1, "cycle", " <- ".join(cycle))]
    return []


def _target_module(found: Import, modules: dict[str, Source]) -> str:
    return next((name for name in (found.full, found.module) if name in modules), "")
