"""What tests of the follower begin with: a node with a chain, and nobody who waits for long."""

from collections.abc import AsyncIterator

import pytest

from sequencer.plugins.follow import follower, look, patience
from tests.unit.plugins.fake_node import FakeNode, served


@pytest.fixture(params=[True, False], ids=["true-hashes", "devnet-hashes"])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[FakeNode]:
    async with served(FakeNode(has_true_hashes=request.param)) as node:
        node.grow(20)
        yield node


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FOLLOW_WAIT_MS_MAX", 5)
    monkeypatch.setattr(patience, "FOLLOW_WAIT_MS_MIN", 1)
    monkeypatch.setattr(follower, "FOLLOW_POLL_MS", 5)
    monkeypatch.setattr(look, "FOLLOW_POLL_MS", 5)
