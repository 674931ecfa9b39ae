"""The chain of the tests that ask for its `url`: each of them runs on both backends."""

import asyncio
from collections.abc import Iterator

import pytest

from contracts.artifacts import load_artifact
from tests.contracts.contract_world import World
from tests.contracts.devnet import BACKENDS, Devnet, declare, running


@pytest.fixture(scope="session", params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a chain with both classes declared; contracts are each test's own."""
    with running(tmp_path_factory.mktemp("devnet") / "log", request.param) as address:
        asyncio.run(_declare_all(address))
        yield address


@pytest.fixture
async def world(url: str) -> World:
    """Give the chain, nothing deployed yet."""
    return World(url, await Devnet(url).accounts())


async def _declare_all(url: str) -> None:
    owner, *_ = await Devnet(url).accounts()
    for name in ("settlement", "usdc"):
        artifact = load_artifact(name)
        assert await declare(owner, artifact) == artifact.class_hash
