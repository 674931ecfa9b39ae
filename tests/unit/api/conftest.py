"""What tests of whole nodes begin and end with."""

from collections.abc import Iterator

import pytest

from tests.unit.engine.desks import process_as_before


@pytest.fixture
def process() -> Iterator[None]:
    """Leave the process as it was before a node was in it."""
    with process_as_before():
        yield
