"""What tests of commands on a node begin and end with."""

from collections.abc import Iterator

import pytest

from tests.unit.engine.desks import process_as_before


@pytest.fixture
def process() -> Iterator[None]:
    """Leave the process as it was before a node was in it."""
    with process_as_before():
        yield


@pytest.fixture
def no_keys_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no key in the environment."""
    for name in ("OPERATOR", "ACCOUNT", "ETHEREUM"):
        monkeypatch.delenv(f"PERPCHAIN_{name}_KEY", raising=False)
