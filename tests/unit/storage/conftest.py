"""A simulated disk for every test, and a chain before its genesis on it; some files begin later."""

import pytest

from sequencer.storage.chain_store import ChainStore
from sequencer.storage.simulated import SimulatedDisk
from tests.unit.storage.builders import simulated


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def store(disk: SimulatedDisk) -> ChainStore:
    return simulated(disk)
