"""Which settlement chain a run takes, and what becomes of a devnet that it started."""

from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from devnet import backends
from devnet.appchain_facts import AppchainFacts
from devnet.backends import Backend, open_backend, require_backend, stop_backend
from devnet.starknet_devnet import DevnetFailed, RunningDevnet
from sequencer.config import DEVNET_VARIABLE
from sequencer.model.records import NO_HASH, BlockRecord
from sequencer.model.refusals import Reason, Refused

FACTS = AppchainFacts(BlockRecord(0, 1, 0, NO_HASH, NO_HASH, 0, NO_HASH, NO_HASH, b""), 7, 0)
FILE = "devnet.json"
OLD = RunningDevnet("http://127.0.0.1:1", 7, "then")
NEW = RunningDevnet("http://127.0.0.1:2", 8, "now")


class Machine:
    """A machine with a devnet's binary, and the processes that were started and stopped on it."""

    def __init__(self) -> None:
        self.binary: Path | None = Path("starknet-devnet")
        self.started: list[str] = []
        self.running: set[RunningDevnet] = set()
        self.stopped: list[RunningDevnet] = []
        self.deployed_at: list[str] = []
        self.refused: Refused | None = None

    def start(self, binary: Path, log: Path, **told: object) -> RunningDevnet:
        self.started.append("starknet-devnet")
        return self._start(told["note"])

    def start_embedded(self, folder: Path, log: Path, **told: object) -> RunningDevnet:
        self.started.append("embedded")
        return self._start(told["note"])

    def _start(self, note: object) -> RunningDevnet:
        assert callable(note)
        note(msgspec.structs.replace(NEW, url=""))
        note(NEW)
        self.running.add(NEW)
        return NEW

    def stop(self, devnet: RunningDevnet) -> None:
        self.stopped.append(devnet)
        self.running.discard(devnet)

    async def contract(self, url: str, *_: object) -> None:
        self.deployed_at.append(url)
        if self.refused is not None:
            raise self.refused


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.delenv(DEVNET_VARIABLE, raising=False)
    monkeypatch.setattr(backends, "find_binary", lambda: machine.binary)
    monkeypatch.setattr(backends, "start_devnet", machine.start)
    monkeypatch.setattr(backends, "start_embedded", machine.start_embedded)
    monkeypatch.setattr(backends, "stop_devnet", machine.stop)
    monkeypatch.setattr(backends, "is_running", lambda devnet: devnet in machine.running)
    monkeypatch.setattr(backends, "_contract", machine.contract)
    return machine


async def opened(choice: str, folder: Path, said: list[str] | None = None) -> Backend:
    words: list[str] = [] if said is None else said
    return await open_backend(choice, folder, FACTS, 5, words.append)


def left_in(folder: Path) -> list[Path]:
    return [*folder.iterdir()]


def keep(folder: Path, devnet: RunningDevnet) -> None:
    (folder / FILE).write_bytes(msgspec.json.encode(devnet))


def kept(folder: Path) -> RunningDevnet:
    return msgspec.json.decode((folder / FILE).read_bytes(), type=RunningDevnet)


async def test_none_is_none(machine: Machine, tmp_path: Path) -> None:
    backend = await opened("none", tmp_path)
    assert (backend, backend.name) == (Backend(), "none")
    stop_backend(backend, tmp_path)
    assert not machine.stopped
    assert not machine.deployed_at


@pytest.mark.parametrize("choice", ["auto", "starknet-devnet"])
async def test_a_devnet_is_started_kept_and_stopped(
    machine: Machine, tmp_path: Path, choice: str
) -> None:
    backend = await opened(choice, tmp_path)
    assert (backend.devnet, backend.replaced) == (NEW, False)
    assert (kept(tmp_path), machine.started) == (NEW, ["starknet-devnet"])
    stop_backend(backend, tmp_path)
    assert machine.stopped == [NEW]
    assert left_in(tmp_path) == []


async def test_the_devnet_of_a_run_that_was_killed_is_found(
    machine: Machine, tmp_path: Path
) -> None:
    keep(tmp_path, OLD)
    machine.running.add(OLD)
    backend = await opened("auto", tmp_path)
    assert (backend.devnet, backend.replaced) == (OLD, False)
    assert machine.deployed_at == [OLD.url]
    stop_backend(backend, tmp_path)
    assert machine.stopped == [OLD]


async def test_one_that_is_gone_is_replaced(machine: Machine, tmp_path: Path) -> None:
    keep(tmp_path, OLD)
    backend = await opened("auto", tmp_path)
    assert (backend.devnet, backend.replaced) == (NEW, True)
    assert kept(tmp_path) == NEW


async def test_one_without_an_address_yet_is_stopped(machine: Machine, tmp_path: Path) -> None:
    early = msgspec.structs.replace(OLD, url="")
    keep(tmp_path, early)
    machine.running.add(early)
    backend = await opened("auto", tmp_path)
    assert (backend.devnet, backend.replaced) == (NEW, False)
    assert machine.stopped == [early]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[1]"])
async def test_damaged_words_about_one_are_nothing(
    machine: Machine, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert (await opened("auto", tmp_path)).devnet == NEW


async def test_one_that_takes_no_contract_is_stopped(machine: Machine, tmp_path: Path) -> None:
    machine.refused = Refused(Reason.SETTLEMENT_ABSENT, "planted")
    with pytest.raises(Refused, match="planted"):
        await opened("auto", tmp_path)
    assert machine.stopped == [NEW]
    assert left_in(tmp_path) == []


async def test_the_embedded_one_can_be_chosen(machine: Machine, tmp_path: Path) -> None:
    said: list[str] = []
    backend = await opened("embedded", tmp_path, said)
    assert (backend.devnet, machine.started, said) == (NEW, ["embedded"], [])
    stop_backend(backend, tmp_path)
    assert machine.stopped == [NEW]


@pytest.mark.parametrize("choice", ["auto", "embedded"])
async def test_an_embedded_one_that_is_gone_goes_on_with_its_chain(
    machine: Machine, tmp_path: Path, choice: str
) -> None:
    (tmp_path / "embedded" / "database").mkdir(parents=True)
    keep(tmp_path, OLD)
    backend = await opened(choice, tmp_path)
    assert (backend.devnet, backend.replaced) == (NEW, False)
    assert machine.started == ["embedded"]


async def test_another_one_that_is_chosen_knows_nothing_of_that_chain(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "embedded" / "database").mkdir(parents=True)
    keep(tmp_path, OLD)
    backend = await opened("starknet-devnet", tmp_path)
    assert (backend.devnet, backend.replaced) == (NEW, True)
    assert machine.started == ["starknet-devnet"]


async def test_without_a_binary(machine: Machine, tmp_path: Path) -> None:
    machine.binary = None
    said: list[str] = []
    assert (await opened("auto", tmp_path, said)).devnet == NEW
    assert machine.started == ["embedded"]
    assert "make devnet-real" in said[0]
    require_backend("auto")
    require_backend("embedded")
    (tmp_path / FILE).unlink()
    with pytest.raises(Refused, match="make devnet-real") as caught:
        require_backend("starknet-devnet")
    assert caught.value.reason is Reason.SETTLEMENT_ABSENT
    with pytest.raises(Refused, match="make devnet-real"):
        await opened("starknet-devnet", tmp_path)


@pytest.mark.parametrize("choice", ["", "nonsense", "127.0.0.1:5050", "ftp://127.0.0.1"])
def test_what_is_no_choice(machine: Machine, choice: str) -> None:
    with pytest.raises(Refused, match="is none of auto, none, embedded, starknet-devnet") as caught:
        require_backend(choice)
    assert caught.value.reason is Reason.SETTLEMENT_ABSENT


async def test_somebody_elses_is_never_stopped(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for choice in ("http://127.0.0.1:5050", "auto"):
        monkeypatch.setenv(DEVNET_VARIABLE, "http://127.0.0.1:5050")
        backend = await opened(choice, tmp_path)
        stop_backend(backend, tmp_path)
    assert machine.deployed_at == ["http://127.0.0.1:5050"] * 2
    assert (machine.stopped, left_in(tmp_path)) == ([], [])


async def test_one_that_does_not_start(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> NoReturn:
        raise DevnetFailed("planted")

    monkeypatch.setattr(backends, "start_devnet", failing)
    with pytest.raises(DevnetFailed, match="planted"):
        await opened("auto", tmp_path)
