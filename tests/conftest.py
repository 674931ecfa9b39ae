"""Settings for every test: property tests are never judged by the clock. And a node's process."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.process_state import process_as_before

MORE_WORKERS = 2
"""Workers beside those for each core: many tests wait, for prices or for processes of theirs."""

settings.register_profile("perpchain", deadline=None, database=None)
settings.load_profile("perpchain")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Say how many workers `-n auto` is."""
    return (os.cpu_count() or 1) + MORE_WORKERS


@pytest.fixture
def process() -> Iterator[None]:
    """Leave the process as it was before a node was in it."""
    with process_as_before():
        yield
