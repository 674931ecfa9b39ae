"""How long files and functions may be."""

import ast
import math
import statistics
from collections.abc import Sequence

from tests.tidy.source import Finding, Function, Source, functions_of

FILE_LINES_MAX = 400
BODY_LINES_MAX = 50
BODY_LINES_MEDIAN_MAX = 8
BODY_LINES_P95_MAX = 30


def check_file_length(source: Source) -> list[Finding]:
    lines = len(source.text.splitlines())
    if lines <= FILE_LINES_MAX:
        return []
    return [Finding(source.path, lines, "file-length", f"{lines} lines, {FILE_LINES_MAX} allowed")]


def check_body_length(source: Source) -> list[Finding]:
    return [
        Finding(source.path, function.lineno, "body-length", f"{function.name}: {lines} lines")
        for function in functions_of(source)
        if (lines := body_lines(function)) > BODY_LINES_MAX
    ]


def body_lines(function: Function) -> int:
    """Count the lines from the first statement to the last, without the docstring."""
    body = function.body[1:] if has_docstring(function) else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def has_docstring(node: ast.Module | ast.ClassDef | Function) -> bool:
    return ast.get_docstring(node) is not None


def median_and_p95(sources: Sequence[Source]) -> tuple[float, int]:
    """Measure the bodies of all functions under sequencer; both are 0 while there are none."""
    lengths = sorted(
        body_lines(function)
        for source in sources
        if source.folder == "sequencer"
        for function in functions_of(source)
    )
    if not lengths:
        return 0.0, 0
    return statistics.median(lengths), lengths[math.ceil(0.95 * len(lengths)) - 1]


def check_body_statistics(sources: Sequence[Source]) -> list[Finding]:
    median, p95 = median_and_p95(sources)
    if median <= BODY_LINES_MEDIAN_MAX and p95 <= BODY_LINES_P95_MAX:
        return []
    bar = f"allowed {BODY_LINES_MEDIAN_MAX} and {BODY_LINES_P95_MAX}"
    return [Finding("sequencer", 0, "body-statistics", f"median {median}, p95 {p95}; {bar}")]
