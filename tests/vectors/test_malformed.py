"""Published files with one part replaced by something else: findings or a refusal, nothing else."""

import json
from collections import Counter
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest

from sequencer.model.refusals import Refused
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.published import read_published
from sequencer.starknet.recompute import check_files
from tests.strategies import Unchecked

FOLDER = Path(__file__).parent / "starknet"
FILES = sorted(path.name for path in FOLDER.glob("*.json"))
CUT = object()
"""Stands for leaving the part out."""

JUNK: tuple[Unchecked, ...] = (
    CUT,
    None,
    True,
    -1,
    0,
    2**64,
    2**252,
    1.5,
    "",
    "x",
    "0x",
    "0x0",
    "0x1",
    hex(2**251),
    hex(FELT_PRIME),
    [],
    [[]],
    [None],
    ["0x1"],
    {},
    {"": {}},
    {"V3": []},
    {"0x1": None},
    {"0x1": "0x1"},
)

Steps = tuple[str | int, ...]


def parts_of(content: Unchecked, path: Steps = ()) -> Iterator[Steps]:
    """Yield the path of every part, the whole included."""
    yield path
    steps = content.keys() if isinstance(content, dict) else range(len(content))
    for step in steps:
        if isinstance(content[step], dict | list):
            yield from parts_of(content[step], (*path, step))
        else:
            yield (*path, step)


def one_of_each_kind(content: Unchecked) -> dict[str, Steps]:
    """Take one part per shape of path: what holds for one list's item holds for the others."""
    kinds: dict[str, Steps] = {}
    for path in parts_of(content):
        steps = ("#" if str(step).startswith("0x") or step == 0 else step for step in path)
        kinds.setdefault("/".join(step for step in steps if isinstance(step, str)), path)
    return kinds


def thinned(content: Unchecked) -> Unchecked:
    """Keep two items of each shape of a list: the others would only be hashed again and again."""
    if not isinstance(content, dict | list):
        return content
    kept: list[tuple[str | int, Unchecked]] = []
    seen: Counter[object] = Counter()
    for step, item in content.items() if isinstance(content, dict) else enumerate(content):
        label = "#" if isinstance(step, int) or step.startswith("0x") else step
        kind = (item.get("type"), item.get("version")) if isinstance(item, dict) else ()
        shape = frozenset(one_of_each_kind(item)) if isinstance(item, dict | list) else ()
        seen[label, kind, shape] += 1
        if seen[label, kind, shape] <= 2:
            kept.append((step, thinned(item)))
    return dict(kept) if isinstance(content, dict) else [item for _, item in kept]


def replaced(content: Unchecked, path: Steps, value: Unchecked) -> Unchecked:
    if not path:
        return value
    step, *rest = path
    whole = copy(content)
    if value is CUT and not rest:
        del whole[step]
    else:
        whole[step] = replaced(content[step], tuple(rest), value)
    return whole


@pytest.mark.parametrize("name", FILES)
def test_junk_in_any_place_is_answered(name: str) -> None:
    content = thinned(json.loads((FOLDER / name).read_text()))
    # Entries of a list have nothing to do with each other, and each is of another kind.
    for document in [[entry] for entry in content] if isinstance(content, list) else [content]:
        for path in one_of_each_kind(document).values():
            for junk in JUNK[0 if path else 1 :]:
                assert_answered(name, replaced(document, path, junk), f"{path} = {junk!r}")


def assert_answered(name: str, content: Unchecked, what: str) -> None:
    try:
        list(check_files({name: read_published(content)}, None))
    except Refused as refused:
        if "\n" in refused.detail:
            raise AssertionError(f"{what}: more than one line") from refused
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error
