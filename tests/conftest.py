"""Settings for every test: property tests are never judged by the clock."""

import os

import pytest
from hypothesis import settings

MORE_WORKERS = 2
"""Workers beside those for each core: many tests wait, for prices or for processes of theirs."""

settings.register_profile("perpchain", deadline=None, database=None)
settings.load_profile("perpchain")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Say how many workers `-n auto` is."""
    return (os.cpu_count() or 1) + MORE_WORKERS
