"""Top-level public names of sequencer that nothing but a test uses.

A use is a mention outside the definition itself, in the same module or, resolved through
imports, in another module of the product or of scripts.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence, Set

from tests.tidy.source import Definition, Finding, Source, dotted

_PROTOCOL = "the protocol is whole, and held to published values, before the rooms that call it"
_OF_PROTOCOL = dict.fromkeys(
    (
        "sequencer.starknet.typed_data:message_hash",
        "sequencer.starknet.typed_data:type_hash",
    ),
    _PROTOCOL,
)
_CHAIN = "the engine, the store and the RPC call it; they stand on this room and come after it"
_OF_CHAIN = dict.fromkeys(
    (
        "sequencer.chain.block:build_block",
        "sequencer.chain.slots:row_of",
    ),
    _CHAIN,
)
# "module:name" -> why it stays although only tests use it.
KEPT: dict[str, str] = _OF_PROTOCOL | _OF_CHAIN

_USERS = frozenset({"contracts", "devnet", "scripts", "sequencer"})

Reference = tuple[str, str]


def check_dead(
    sources: Sequence[Source],
    entries: Set[Reference],
    kept: Mapping[str, str] = KEPT,
) -> list[Finding]:
    """Report unused public names, and permissions in `kept` that are not needed any more."""
    users = [source for source in sources if source.folder in _USERS]
    modules = {source.module for source in users}
    used = {reference for source in users for reference in _references(source, modules)} | entries
    dead = {
        f"{source.module}:{name}": Finding(source.path, line, "dead", f"nothing uses {name}")
        for source in users
        if source.folder == "sequencer"
        for name, line in _public_names(source).items()
        if (source.module, name) not in used
    }
    stale = [
        Finding("tests/tidy/dead.py", 0, "dead", f"{key} need not be kept by name")
        for key in kept.keys() - dead.keys()
    ]
    return [finding for key, finding in dead.items() if key not in kept] + stale


def _public_names(source: Source) -> dict[str, int]:
    return {
        name: node.lineno
        for name, node in _definitions(source.tree.body)
        if not name.startswith("_")
    }


def _definitions(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node
            case ast.Assign(targets=targets):
                names = [name for target in targets for name in ast.walk(target)]
                yield from ((name.id, node) for name in names if isinstance(name, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node
            case ast.If() | ast.Try():
                handlers = node.handlers if isinstance(node, ast.Try) else []
                inner = [*node.body, *node.orelse, *(s for h in handlers for s in h.body)]
                yield from _definitions(inner)


def _references(source: Source, modules: Set[str]) -> Iterator[Reference]:
    aliases: dict[str, str] = {}
    for node in source.nodes:
        if isinstance(node, ast.Import):
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
            aliases |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    yield from _through_modules(source, aliases, modules)
    yield from ((source.module, name) for name in _own_uses(source))


def _through_modules(
    source: Source, aliases: Mapping[str, str], modules: Set[str]
) -> Iterator[Reference]:
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and (chain := dotted(node.value)):
            first, dot, rest = chain.partition(".")
            owner = aliases.get(first, first) + dot + rest
            if owner in modules:
                yield owner, node.attr


def _own_uses(source: Source) -> Iterator[str]:
    """Yield names that are read outside their own definition, or registered by a decorator."""
    definitions: dict[str, list[ast.stmt]] = {}
    for name, node in _definitions(source.tree.body):
        definitions.setdefault(name, []).append(node)
    reads: dict[str, set[ast.AST]] = {}
    for read in source.nodes:
        if isinstance(read, ast.Name) and isinstance(read.ctx, ast.Load):
            reads.setdefault(read.id, set()).add(read)
    for name, nodes in definitions.items():
        registered = any(isinstance(node, Definition) and _is_registered(node) for node in nodes)
        if registered or _is_read_outside(reads.get(name, set()), nodes):
            yield name


def _is_read_outside(reads: Set[ast.AST], definitions: Sequence[ast.stmt]) -> bool:
    return not reads <= {inner for node in definitions for inner in ast.walk(node)}


def _is_registered(node: Definition) -> bool:
    """Recognise `@app.command(...)`: a called attribute that puts the function in a table."""
    return any(
        isinstance(decorator, ast.Call)
        and dotted(decorator.func).endswith((".command", ".callback"))
        for decorator in node.decorator_list
    )
