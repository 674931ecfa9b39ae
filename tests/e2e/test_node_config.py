"""`perpchain node --config`: the same node from a file, and the command line wins."""

import socket
from pathlib import Path

import aiohttp
import msgspec
import pytest

from devnet.keys import devnet_key
from tests.e2e.configured_node import FILE, start
from tests.e2e.local_devnet import PATIENCE_SECONDS, ROOT, seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "genesis.json").write_bytes((ROOT / "devnet" / "genesis.json").read_bytes())
    (tmp_path / "operator.key").write_text(hex(devnet_key("operator")))
    (tmp_path / "node.toml").write_text(FILE.format(port=0))
    return tmp_path


def logged(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "log").read_bytes().splitlines()
    return [msgspec.json.decode(line) for line in lines if line.endswith(b"}")]


def address(folder: Path) -> str:
    """Wait for the address at which it answers."""

    def found() -> list[str]:
        words = [str(event["event"]) for event in logged(folder)]
        return [each.split()[-1] for each in words if each.startswith("clients at ")]

    assert seen(lambda: bool(found())), (folder / "log").read_text()
    return found()[0]


async def chain_id(url: str) -> str:
    request = {"jsonrpc": "2.0", "id": 1, "method": "starknet_chainId"}
    async with aiohttp.ClientSession() as session, session.post(url, json=request) as response:
        told: dict[str, str] = msgspec.json.decode(await response.read())
    return told["result"]


async def test_a_node_answers_from_a_file(folder: Path) -> None:
    node = start(folder, "--json-logs")
    try:
        assert await chain_id(address(folder)) == hex(int.from_bytes(b"PERPCHAIN_DEVNET", "big"))
        node.terminate()
        assert node.wait(PATIENCE_SECONDS) == 0
    finally:
        node.kill()
        node.wait()
    assert (folder / "chain").is_dir()
    assert not any("commands at" in str(event["event"]) for event in logged(folder))
    assert all(event["level"] == "info" for event in logged(folder))


async def test_what_stands_on_the_command_line_wins(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (folder / "node.toml").write_text(FILE.format(port=taken.getsockname()[1]))
        node = start(
            folder, str(folder / "other"), "--port", "0", "--admin-port", "0", "--json-logs"
        )
        try:
            assert await chain_id(address(folder))
            node.terminate()
            assert node.wait(PATIENCE_SECONDS) == 0
        finally:
            node.kill()
            node.wait()
    assert (folder / "other").is_dir()
    assert not (folder / "chain").exists()
    assert any("commands at" in str(event["event"]) for event in logged(folder))


def test_a_port_that_is_taken_is_the_callers_mistake_and_not_the_stores(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        node = start(folder, "--port", str(taken.getsockname()[1]))
        assert node.wait(PATIENCE_SECONDS) == 2
    last = (folder / "log").read_text().splitlines()[-1]
    assert last.startswith("perpchain node: no place to answer at: ")
    assert "address already in use" in last


def test_a_wrong_name_is_one_line(folder: Path) -> None:
    (folder / "node.toml").write_text("[api]\nprot = 5\n")
    node = start(folder)
    assert node.wait(PATIENCE_SECONDS) == 2
    (line,) = (folder / "log").read_text().splitlines()
    assert line.startswith("perpchain node: PARAMETER_INVALID: ")
    assert "Object contains unknown field `prot` - at `$.api`" in line
    assert line.endswith(f"; next: perpchain config check {folder / 'node.toml'}")
