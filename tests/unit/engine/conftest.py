"""What several files of this room begin with."""

import pytest

from tests.unit.engine.rolling import Chain


@pytest.fixture
def chain() -> Chain:
    """A chain at block 7; some files have another one."""
    chain = Chain()
    chain.blocks(3)
    return chain
