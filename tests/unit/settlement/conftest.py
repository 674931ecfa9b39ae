"""A node on a free port for every test that asks for one."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.settlement.broken_node import BrokenNode, serving


@pytest.fixture
async def node() -> AsyncIterator[BrokenNode]:
    made = BrokenNode()
    async with serving(made):
        yield made
