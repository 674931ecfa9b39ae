"""The schema of the store: every kind of key has a byte of its own, and says what it holds."""

import ast

from tests.tidy.source import Finding, Source, dotted

_SCHEMA = "sequencer/storage/keys.py"


def check_key_kinds(source: Source) -> list[Finding]:
    """Ask of each `NAME = Kind(b"X", ...)` for one byte, nobody else's, and a docstring below."""
    if source.path != _SCHEMA:
        return []
    findings: list[Finding] = []
    seen: set[bytes] = set()
    for node, following in zip(source.tree.body, [*source.tree.body[1:], None], strict=True):
        prefix = _prefix(node)
        if prefix is None:
            continue
        if len(prefix) != 1 or prefix in seen:
            message = f"{prefix!r} is not one byte of its own"
            findings.append(Finding(source.path, node.lineno, "key-kinds", message))
        if not _is_docstring(following):
            message = f"say what {prefix!r} holds"
            findings.append(Finding(source.path, node.lineno, "key-kinds", message))
        seen.add(prefix)
    return findings


def _prefix(node: ast.stmt) -> bytes | None:
    match node:
        case ast.Assign(
            value=ast.Call(func=function, args=[ast.Constant(value=bytes(prefix)), *_])
        ) if dotted(function) == "Kind":
            return prefix
        case _:
            return None


def _is_docstring(node: ast.stmt | None) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False
