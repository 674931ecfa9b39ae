"""A node as a process of its own that takes what it is started with from a file."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.local_devnet import ROOT

FILE = """
data_dir = "chain"
genesis = "genesis.json"
operator_key = "operator.key"
block_interval_ms = 20
[api]
port = {port}
[admin]
port = -1
[limits]
connections_max = 50
"""
"""What is in it; `port` is where clients are answered."""


def start(folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Start a node by `node.toml` in a folder; it logs there."""
    command = [sys.executable, "-m", "sequencer", "node", "--config", str(folder / "node.toml")]
    log = (folder / "log").open("wb")
    with log:
        return subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
