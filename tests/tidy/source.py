"""What the rules look at: the files of the project, parsed, and the room that each one is in.

Promises: checkers take values of this module and return findings; only `read_sources`,
`read_texts` and `entry_points` touch the disk.
"""

import ast
import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("contracts", "devnet", "scripts", "sequencer", "tests")
PURE_ROOMS = frozenset({"model", "starknet", "exchange", "chain"})

_SKIPPED = frozenset({"__pycache__", "build", "dist", "node_modules", "target"})

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


class Finding(NamedTuple):
    """One broken rule at one place."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.message}"


class Import(NamedTuple):
    """One imported name: `import a.b` has no name, `from a.b import c` has name c."""

    module: str
    name: str | None
    line: int

    @property
    def full(self) -> str:
        return self.module if self.name is None else f"{self.module}.{self.name}"

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Source:
    """One Python file of the project; `path` is relative to the root, with slashes."""

    path: str
    text: str
    tree: ast.Module

    @property
    def folder(self) -> str:
        return self.path.partition("/")[0]

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def room(self) -> str:
        return room_of(self.module)

    @cached_property
    def nodes(self) -> Sequence[ast.AST]:
        return tuple(ast.walk(self.tree))


def parse(path: str, text: str) -> Source:
    return Source(path, text, ast.parse(text, filename=path))


def room_of(module: str) -> str:
    """Name the room of a dotted module: the second part under sequencer, else the first."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] or first if first == "sequencer" else first


def imports_of(source: Source) -> list[Import]:
    found: list[Import] = []
    for node in source.nodes:
        if isinstance(node, ast.Import):
            found += [Import(alias.name, None, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            found += [Import(module, alias.name, node.lineno) for alias in node.names]
    return found


def functions_of(source: Source) -> list[Function]:
    return [node for node in source.nodes if isinstance(node, Function)]


def dotted(node: ast.AST) -> str:
    """Write `a.b.c` for a chain of attributes on a name, and the empty string for the rest."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def walk_files(root: Path) -> Iterator[Path]:
    """Yield the project's files in order, without environments, caches and build output."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if _belongs(name))
        if "pyvenv.cfg" in files:
            names.clear()
            continue
        yield from (Path(folder, file) for file in sorted(files))


def _belongs(name: str) -> bool:
    hidden = name.startswith(".") and name != ".ci"
    return not hidden and name not in _SKIPPED and not name.endswith(".egg-info")


def read_sources() -> list[Source]:
    folders = [ROOT / name for name in CODE_FOLDERS if (ROOT / name).is_dir()]
    paths = [path for folder in folders for path in walk_files(folder) if path.suffix == ".py"]
    return [parse(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths]


def read_texts() -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every file that is UTF-8 text."""
    for path in walk_files(ROOT):
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


def entry_points() -> set[tuple[str, str]]:
    """Read the (module, name) pairs that pyproject.toml installs as commands and as plugins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [project.get("scripts", {}), *project.get("entry-points", {}).values()]
    targets = [str(target).partition(":") for group in groups for target in group.values()]
    return {(module, function) for module, _, function in targets}
