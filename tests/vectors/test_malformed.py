"""Published files with one part replaced by something else: findings or a refusal, nothing else."""

import json
from collections.abc import Iterator
from copy import deepcopy
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


def one_of_each_kind(content: Unchecked) -> list[Steps]:
    """Take one part per shape of path: what holds for one list's item holds for the others."""
    kinds: dict[str, Steps] = {}
    for path in parts_of(content):
        steps = ("#" if str(step).startswith("0x") or step == 0 else step for step in path)
        kinds.setdefault("/".join(step for step in steps if isinstance(step, str)), path)
    return list(kinds.values())


def replaced(content: Unchecked, path: Steps, value: Unchecked) -> Unchecked:
    if not path:
        return value
    whole = deepcopy(content)
    place = whole
    for step in path[:-1]:
        place = place[step]
    if value is CUT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return whole


@pytest.mark.parametrize("name", FILES)
def test_junk_in_any_place_is_answered(name: str) -> None:
    content = json.loads((FOLDER / name).read_text())
    # Entries of a list have nothing to do with each other, and each is of another kind.
    for document in [[entry] for entry in content] if isinstance(content, list) else [content]:
        for path in one_of_each_kind(document):
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
