"""What tests of the methods that read begin with."""

import pytest

from tests.unit.api.starknet_rpc.reading import Ledger, full_ledger


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    """Give a chain with everything in it; whoever moves it makes one of its own."""
    return full_ledger()
