"""An embedded devnet of a test's own, which answers over HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.devnet.embedded_world import Devnet, running


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as devnet:
        yield devnet
