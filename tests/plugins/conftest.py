"""What all tests of plugins in processes of their own begin and end with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.host_world import children, leave_out_earlier_children

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The probe is found from here, by processes as well."""
    monkeypatch.chdir(ROOT)
    leave_out_earlier_children()
    yield
    assert children() == []
