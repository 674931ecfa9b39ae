"""What whole programs are tested on: runs that were played, stores, nodes, devnets.

A run is played once for all workers of a test run.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from scripts.crashing.runs import MAIN, SMALL, RunProcess, cut_record, small_options
from tests.contracts.devnet import running
from tests.e2e.abortable_chain import Chain
from tests.e2e.devnet_process import ClientDevnet, client_devnet
from tests.e2e.finished_run import Finished
from tests.e2e.node_process import Start, starting, write_node_files
from tests.e2e.played_store import copy_store, played

Play = Callable[[str, str, tuple[str, ...]], Finished]
"""Plays a program with options under a name; the second time it is there already."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Give a folder that all workers have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "runs"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def alone(shared: Path, name: str) -> Iterator[None]:
    """Keep other workers from making the same thing."""
    with (shared / f"{name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def play(shared: Path) -> Play:
    def played(name: str, program: str, options: tuple[str, ...]) -> Finished:
        data, kept = shared / name, shared / f"{name}.json"
        with alone(shared, name):
            if not kept.exists():
                with RunProcess(*options, "--data-dir", str(data), program=program) as process:
                    assert process.end() == 0, process.said
                finished = Finished(data, process.summary, process.lines)
                kept.write_bytes(msgspec.json.encode(finished, enc_hook=str))
            return msgspec.json.decode(
                kept.read_bytes(), type=Finished, dec_hook=lambda kind, value: kind(value)
            )

    return played


@pytest.fixture(scope="session")
def record(shared: Path) -> Path:
    """Give the record of a small run."""
    folder = shared / "record"
    with alone(shared, "record"):
        return folder if folder.exists() else cut_record(folder)


@pytest.fixture(scope="session")
def small(play: Play, record: Path) -> Finished:
    """Give a small run that has ended."""
    return play("small", SMALL + MAIN, small_options(record))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a stopped node's folder, alone with its witness in the test's own."""
    origin, _ = played()
    return copy_store(origin, tmp_path / "chain")


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """Give a starknet-devnet's chain, where that is installed: tests that ask for it are marked."""
    with running(tmp_path / "devnet.log") as url:
        yield Chain(url)


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientDevnet]:
    """Give a devnet that all tests of a module share, whatever they do to it."""
    with client_devnet(tmp_path_factory.mktemp("devnet")) as devnet:
        yield devnet


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give a folder for a node's chain, beside what the node begins with."""
    write_node_files(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def start(data: Path) -> Iterator[Start]:
    """Start nodes on the folder, and leave none behind."""
    with starting() as start:
        yield partial(start, data)
