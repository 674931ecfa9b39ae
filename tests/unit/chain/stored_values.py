"""Values of every kind that rows have, and what is read of bytes that may be none."""

from collections.abc import Callable
from typing import Any, get_args

import msgspec
from hypothesis import strategies as st

from sequencer.model.refusals import Reason, Refused

INTEGERS = st.one_of(st.integers(-(2**255), 2**255), st.sampled_from((0, 1, -1, 127, 128, -128)))


def rows_of(row_type: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    fields = msgspec.structs.fields(row_type)
    return st.builds(row_type, **{field.name: values_of(field.type) for field in fields})


def values_of(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401
    if kind is int:
        return INTEGERS
    if kind is str:
        return st.text(max_size=40)
    if kind is bool:
        return st.booleans()
    if get_args(kind):
        return st.lists(values_of(get_args(kind)[0]), max_size=3).map(tuple)
    if issubclass(kind, msgspec.Struct):
        return rows_of(kind)
    return st.sampled_from(list(kind))


def read_or_none(read: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Return what is read, or None where it is refused as malformed and as nothing else."""
    try:
        return read()
    except Refused as refusal:
        if refusal.reason is not Reason.ROW_MALFORMED:
            raise
        return None
