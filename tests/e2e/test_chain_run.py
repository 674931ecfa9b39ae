"""A few recorded seconds as blocks: exported, verified from the file alone, and tampered with."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from devnet.chain_run import ChainRun
from sequencer.chain.export import read_export, write_export
from sequencer.chain.replay import replay_chain
from sequencer.engine.lookup import live_blocks
from sequencer.model.refusals import Reason, Refused

ROOT = Path(__file__).parents[2]
HEAD = "0x449f47d31e8a523ec1d96b6861782dbe205c144285a3f0ca5fa3ff88648160a"


@cache
def exported() -> tuple[bytes, ...]:
    with TemporaryDirectory() as folder:
        chain_run = ChainRun(3, Path(folder) / "chain")
        chain_run.play()
        blocks = list(live_blocks(chain_run.store.view, 1))
        chain_run.store.close()
    assert len(blocks) > 10
    assert any(len(block.transactions) > 20 for block in blocks)
    return tuple(write_export(msgspec.json.encode(chain_run.genesis), blocks))


def verify_file(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/verify_chain.py", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_record_gives_the_same_head_on_every_machine() -> None:
    assert hex(replay_chain(*read_export(exported())).head.hash) == HEAD


def test_the_script_verifies_an_export(tmp_path: Path) -> None:
    path = tmp_path / "chain.jsonl"
    path.write_bytes(b"".join(exported()))
    done = verify_file(path)
    assert done.returncode == 0, done.stderr
    assert HEAD in done.stdout


def test_the_script_names_what_differs_or_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "chain.jsonl"
    lines = list(exported())
    path.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    done = verify_file(path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "BLOCK_DIFFERS" in done.stderr
    for content in (b"", b"{}\n", b"".join(lines[:3]) + b"{\n", b"".join(lines[:2]) + b"\xff\n"):
        path.write_bytes(content)
        done = verify_file(path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), content
    assert verify_file(tmp_path / "missing").returncode == 2


@pytest.mark.parametrize("position", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_changed_digit_never_verifies(position: float) -> None:
    lines = list(exported())[:9]
    line = bytearray(lines[8])
    start = line.index(b"0x", int(len(line) * position)) + 2
    line[start] = ord("1") if line[start] != ord("1") else ord("2")
    lines[8] = bytes(line)
    with pytest.raises(Refused) as caught:
        replay_chain(*read_export(lines))
    assert caught.value.reason in (Reason.BLOCK_DIFFERS, Reason.EXPORT_MALFORMED)


def test_lines_come_back() -> None:
    genesis, blocks = read_export(exported())
    again = write_export(msgspec.json.encode(genesis), blocks)
    assert tuple(again)[1:] == exported()[1:]
