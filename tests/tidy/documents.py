"""Docstrings, annotations, packages, and what no text of the project may contain."""

import ast
import re
from collections.abc import Sequence

from tests.tidy.sizes import has_docstring
from tests.tidy.source import Definition, Finding, Function, Source, functions_of

_DOCUMENTED_FOLDERS = frozenset({"contracts", "devnet", "scripts", "sequencer"})
_ANNOTATED_FOLDERS = frozenset({"scripts", "sequencer"})
_PACKAGE_FOLDERS = frozenset({"contracts", "devnet", "sequencer"})

# Written with character classes so that this file does not contain what it looks for.
_FORBIDDEN_TEXT = {
    "open-task": re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b"),
    "absolute-path": re.compile(r"(?<![\w.])/(?:wor[k]|hom[e]|roo[t]|User[s])/"),
    "registry-host": re.compile(
        r"\bpypi[.]org|files[.]pythonhosted|crates[.]io/|registry[.](?:npmjs|yarnpkg)"
    ),
}


def check_module_docstring(source: Source) -> list[Finding]:
    if source.folder not in _DOCUMENTED_FOLDERS or has_docstring(source.tree):
        return []
    return [Finding(source.path, 1, "module-docstring", "say what the module promises")]


def check_docstrings(source: Source) -> list[Finding]:
    """Ask for a docstring on each public function and class at the top level of a room."""
    if source.folder != "sequencer":
        return []
    return [
        Finding(source.path, node.lineno, "docstring", f"{node.name} has no docstring")
        for node in source.tree.body
        if isinstance(node, Definition) and not node.name.startswith("_")
        if not has_docstring(node)
    ]


def check_annotations(source: Source) -> list[Finding]:
    if source.folder not in _ANNOTATED_FOLDERS:
        return []
    methods = {
        member
        for node in source.nodes
        if isinstance(node, ast.ClassDef)
        for member in node.body
        if isinstance(member, Function) and not _is_static(member)
    }
    return [
        Finding(source.path, function.lineno, "annotations", f"{function.name}: {missing}")
        for function in functions_of(source)
        if (missing := ", ".join(_unannotated(function, bound=function in methods)))
    ]


def _is_static(function: Function) -> bool:
    return any(ast.unparse(decorator) == "staticmethod" for decorator in function.decorator_list)


def _unannotated(function: Function, *, bound: bool) -> list[str]:
    arguments = function.args
    positional = (arguments.posonlyargs + arguments.args)[1 if bound else 0 :]
    rest = [arg for arg in (arguments.vararg, arguments.kwarg) if arg is not None]
    names = [arg.arg for arg in positional + arguments.kwonlyargs + rest if arg.annotation is None]
    return names if function.returns is not None else [*names, "return"]


def check_packages(sources: Sequence[Source]) -> list[Finding]:
    """Ask for `__init__.py` in each folder with code: a folder without is not installed."""
    paths = {source.path for source in sources}
    folders = {
        source.path.rpartition("/")[0] for source in sources if source.folder in _PACKAGE_FOLDERS
    }
    return [
        Finding(f"{folder}/__init__.py", 0, "package", "the folder has no __init__.py")
        for folder in sorted(folders)
        if f"{folder}/__init__.py" not in paths
    ]


def check_text(path: str, text: str) -> list[Finding]:
    """Look for marks of unfinished work, absolute paths and registry hosts in any text."""
    return [
        Finding(path, text.count("\n", 0, match.start()) + 1, rule, match.group())
        for rule, pattern in _FORBIDDEN_TEXT.items()
        for match in pattern.finditer(text)
    ]
