"""What tests of whole nodes and of the operator's desk begin and end with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sequencer.engine.desk import Desk
from tests.unit.engine.desks import desk_beside, process_as_before
from tests.unit.engine.rolling import Chain


@pytest.fixture
def process() -> Iterator[None]:
    """Leave the process as it was before a node was in it."""
    with process_as_before():
        yield


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give the desk of a node that is stopped, at block 4."""
    return desk_beside(Chain().store, tmp_path)
