"""What tests of whole nodes and of the operator's desk begin and end with."""

from pathlib import Path

import pytest

from sequencer.engine.desk import Desk
from tests.unit.engine.desks import desk_beside
from tests.unit.engine.rolling import Chain


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give the desk of a node that is stopped, at block 4."""
    return desk_beside(Chain().store, tmp_path)
