"""Constructs that are forbidden, and the few files in which one of them is the job."""

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.tidy.source import PURE_ROOMS, Finding, Source, dotted

_INTEGER_MATH = frozenset({"comb", "factorial", "gcd", "isqrt", "lcm", "perm", "prod"})
_WALL_CLOCK = frozenset(
    {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
)

# Which core hashes is settled when the first module that hashes is imported, before any
# configuration is read.
_ENVIRONMENT_READERS = frozenset({"sequencer/config.py", "sequencer/starknet/native.py"})

# Files that may catch everything, how often, and why.
BROAD_EXCEPT: dict[str, tuple[int, str]] = {
    "sequencer/serve.py": (99, "the outermost place: it writes the reason down and exits"),
    "sequencer/plugins/calling.py": (1, "code of others runs here, and its failure is an answer"),
    "sequencer/starknet/felt_hash.py": (1, "the curve library panics on keys it cannot decode"),
}


class Ban(NamedTuple):
    """A construct (`hit`) that is forbidden wherever `applies` says so."""

    rule: str
    message: str
    applies: Callable[[Source], bool]
    hit: Callable[[ast.AST], bool]


def _in_pure_room(source: Source) -> bool:
    return source.room in PURE_ROOMS


def _in_sequencer(source: Source) -> bool:
    return source.folder == "sequencer"


def _in_code(source: Source) -> bool:
    return source.folder != "tests"


def _is_name(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _is_call(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func) in names


def _imports_name(node: ast.AST, module: str, *names: str) -> bool:
    return (
        isinstance(node, ast.ImportFrom)
        and node.module == module
        and any(alias.name in names for alias in node.names)
    )


def _is_float(node: ast.AST) -> bool:
    literal = isinstance(node, ast.Constant) and isinstance(node.value, float | complex)
    return literal or _is_name(node, "float", "complex")


def _is_division(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)


def _is_float_math(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "math":
        return any(alias.name not in _INTEGER_MATH for alias in node.names)
    return (
        isinstance(node, ast.Attribute)
        and _is_name(node.value, "math")
        and node.attr not in _INTEGER_MATH
    )


def _is_async(node: ast.AST) -> bool:
    waits = isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith)
    return waits or (isinstance(node, ast.comprehension) and bool(node.is_async))


def _asks_outside(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in {"print", "open", "input"}
    return dotted(node).partition(".")[0] in {"time", "random", "datetime"} and isinstance(
        node, ast.Attribute
    )


def _reads_wall_clock(node: ast.AST) -> bool:
    if _imports_name(node, "time", "time", "time_ns"):
        return True
    return isinstance(node, ast.Attribute) and (
        dotted(node).removeprefix("datetime.datetime.") in _WALL_CLOCK
        or dotted(node).removeprefix("datetime.") in _WALL_CLOCK
    )


def _reads_environment(node: ast.AST) -> bool:
    named = isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv"}
    return named or _imports_name(node, "os", "environ", "getenv")


def _decodes_json(node: ast.AST) -> bool:
    return _is_call(node, "json.loads", "json.load") or _imports_name(node, "json", "load", "loads")


def _writes_batch(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "write_batch"
    )


def _is_global(node: ast.AST) -> bool:
    return isinstance(node, ast.Global)


def _evaluates(node: ast.AST) -> bool:
    return _is_call(node, "eval", "exec", "__import__")


BANS = (
    Ban("float", "integers only", _in_pure_room, _is_float),
    Ban("division", "use // and say which way it rounds", _in_pure_room, _is_division),
    Ban("float-math", "only the integer functions of math", _in_pure_room, _is_float_math),
    Ban("async", "pure rooms do not wait", _in_pure_room, _is_async),
    Ban("asks-outside", "the core is given, it never asks", _in_pure_room, _asks_outside),
    Ban("global", "state is passed, not shared", _in_pure_room, _is_global),
    Ban("evaluate", "no code from strings", _in_code, _evaluates),
    Ban(
        "json",
        "use the strict decoder",
        lambda source: _in_sequencer(source) and source.path != "sequencer/api/strict_json.py",
        _decodes_json,
    ),
    Ban(
        "wall-clock",
        "only clock.py reads the wall clock",
        lambda source: _in_sequencer(source) and not source.path.endswith("/clock.py"),
        _reads_wall_clock,
    ),
    Ban(
        "environment",
        "only config.py reads the environment, and native.py one variable",
        lambda source: _in_sequencer(source) and source.path not in _ENVIRONMENT_READERS,
        _reads_environment,
    ),
    Ban(
        "write-batch",
        "only storage writes",
        lambda source: _in_code(source) and source.room != "storage",
        _writes_batch,
    ),
)


def check_bans(source: Source) -> list[Finding]:
    bans = [ban for ban in BANS if ban.applies(source)]
    hits = [(ban, node) for node in source.nodes for ban in bans if ban.hit(node)]
    return [
        Finding(source.path, getattr(node, "lineno", 0), ban.rule, ban.message)
        for ban, node in hits
    ]


def check_broad_except(source: Source) -> list[Finding]:
    """Refuse to catch everything, by handler or by `suppress`, except in the named files."""
    if source.folder != "sequencer":
        return []
    allowed, _reason = BROAD_EXCEPT.get(source.path, (0, ""))
    lines = sorted(_broad_handlers(source))
    return [
        Finding(source.path, line, "broad-except", "name the errors that are expected")
        for line in lines[allowed:]
    ]


def _broad_handlers(source: Source) -> Iterator[int]:
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _is_broad(node.type)):
            yield node.lineno
        elif _is_call(node, "suppress", "contextlib.suppress") and isinstance(node, ast.Call):
            yield from (node.lineno for argument in node.args if _is_broad(argument))


def _is_broad(caught: ast.expr) -> bool:
    members = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(_is_name(member, "Exception", "BaseException") for member in members)


def check_tasks(source: Source) -> list[Finding]:
    """Refuse tasks without an owner: only a TaskGroup in sight may create one."""
    if source.folder != "sequencer":
        return []
    groups = _task_groups(source)
    return [
        Finding(source.path, node.lineno, "task", "create tasks in a TaskGroup")
        for node in source.nodes
        if isinstance(node, ast.Call) and _starts_task(node.func, groups)
    ]


def _starts_task(function: ast.expr, groups: set[str]) -> bool:
    match function:
        case ast.Attribute(value=ast.Name(id=owner), attr="create_task"):
            return owner not in groups
        case ast.Attribute(value=ast.Attribute(attr=owner), attr="create_task"):
            return owner not in groups
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in {"create_task", "ensure_future"}
        case _:
            return False


def _task_groups(source: Source) -> set[str]:
    names: set[str] = set()
    for node in source.nodes:
        match node:
            case ast.withitem(context_expr=ast.Call(func=made), optional_vars=ast.Name(id=name)):
                found = [name] if _is_task_group(made) else []
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                found = [name] if _is_task_group(annotation) else []
            case ast.AnnAssign(target=target, annotation=annotation):
                name = dotted(target).rpartition(".")[2]
                found = [name] if _is_task_group(annotation) else []
            case _:
                found = []
        names.update(found)
    return names


def _is_task_group(node: ast.expr) -> bool:
    return dotted(node) in {"TaskGroup", "asyncio.TaskGroup"}
