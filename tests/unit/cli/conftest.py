"""What tests of commands on a node begin and end with."""

import pytest


@pytest.fixture
def no_keys_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no key in the environment."""
    for name in ("OPERATOR", "ACCOUNT", "ETHEREUM"):
        monkeypatch.delenv(f"PERPCHAIN_{name}_KEY", raising=False)
