"""The chains of all tests here, each started once; contracts are each test's own."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from contracts.artifacts import load_artifact
from tests.contracts.contract_world import World
from tests.contracts.devnet import BACKENDS, Devnet, declare, running


@pytest.fixture(scope="session")
def chain_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Give the address of a chain with both classes declared, by its backend."""
    with ExitStack() as started:

        @cache
        def start(backend: str) -> str:
            log = tmp_path_factory.mktemp("devnet") / "log"
            address = started.enter_context(running(log, backend))
            asyncio.run(_declare_all(address))
            return address

        yield start


@pytest.fixture(scope="session", params=BACKENDS)
def url(request: pytest.FixtureRequest, chain_on: Callable[[str], str]) -> str:
    """Give the address of a chain: a test that asks for it runs on both backends."""
    return chain_on(request.param)


@pytest.fixture
async def world(url: str) -> World:
    """Give the chain, nothing deployed yet."""
    return World(url, await Devnet(url).accounts())


async def _declare_all(url: str) -> None:
    owner, *_ = await Devnet(url).accounts()
    for name in ("settlement", "usdc"):
        artifact = load_artifact(name)
        assert await declare(owner, artifact) == artifact.class_hash
