"""Runs that are killed at a moment of their story, and go on with the same command.

Laws
- The run that goes on ends with exit code 0 and has the blocks of one that was never killed.
- A devnet outlives the kill and is stopped at the end; where it is gone too, another takes over.
"""

import random
import signal
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from devnet.backends import NONE
from devnet.proof import EXPORT_FILE
from devnet.starknet_devnet import RunningDevnet, is_running, stop_devnet
from scripts.crashing.runs import RunProcess, cut_record, small_options

_DEVNET_FILE = "devnet.json"
_FIELDS = ("settlement_reverted_to", "head_root", "blocks", "orders", "fills", "volume")


class Moment(NamedTuple):
    """When a run is killed: some milliseconds at most after it has said some words."""

    words: str
    within_ms: int = 0


MOMENTS = (
    Moment("a new run", 3_000),
    Moment("the market opens"),
    Moment("block     2", 20),
    Moment("block    21", 50),
    Moment("block    35", 50),
    Moment("checkpoint"),
    Moment("the incident"),
    Moment("block    37", 20),
    Moment("block    45", 50),
    Moment("block    52", 50),
    Moment("the operator halts"),
    Moment("suggest", 20),
    Moment("plan", 1),
    Moment("plan", 10),
    Moment("plan", 50),
    Moment("applied", 200),
    Moment("the same faults"),
    Moment("OPEN again", 50),
    Moment("the market goes on", 500),
    Moment("the proof", 3_000),
)
"""From the start to the proof."""

DEVNET_MOMENTS = (
    Moment("settlement: starknet-devnet", 500),
    Moment("block    48", 300),
    Moment("plan", 100),
    Moment("settlement: put back", 50),
    Moment("the proof", 500),
)
"""The same with a settlement chain beside."""


class RunKills:
    """Kills small runs in a folder and compares them with one that was left alone."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._record = cut_record(folder / "record")
        self._count = 0
        with self._process(folder / "whole", NONE) as process:
            if process.end() != 0:
                raise RuntimeError(process.said)
            self.whole = process.summary

    def kill(self, moment: Moment, settlement: str = NONE, *, devnet_too: bool = False) -> str:
        """Kill a run and let it go on; returns what is wrong, "" where nothing is."""
        self._count += 1
        data = self._folder / f"killed-{self._count}"
        with self._process(data, settlement) as process:
            if not process.until(moment.words):
                return f"it never said {moment.words!r}:\n{process.said}"
            time.sleep(self._chance.uniform(0, moment.within_ms / 1_000))
            process.strike()
            if process.end() != -signal.SIGKILL:
                return f"it had ended already:\n{process.said}"
        devnet = devnet_of(data)
        if devnet is not None and devnet_too:
            stop_devnet(devnet)
        with self._process(data, settlement) as process:
            code = process.end()
            problems = [f"exit code {code}"] if code else self._differences(data, process)
        if devnet is not None and is_running(devnet):
            problems.append("its devnet is still there")
            stop_devnet(devnet)
        if devnet_too and "deployed again" not in process.said:
            problems.append("it does not say that another devnet took over")
        return "" if not problems else "; ".join([*problems, process.said])

    def _process(self, data: Path, settlement: str) -> RunProcess:
        return RunProcess(*small_options(self._record, settlement), "--data-dir", str(data))

    def _differences(self, data: Path, process: RunProcess) -> list[str]:
        summary = process.summary
        fields = _FIELDS if summary["settlement_backend"] == NONE else _FIELDS[1:]
        found = [name for name in fields if summary[name] != self.whole[name]]
        whole, killed = ((self._folder / "whole"), data)
        if (whole / EXPORT_FILE).read_bytes() != (killed / EXPORT_FILE).read_bytes():
            found.append("its export")
        if summary["settled_root"] not in (None, self.whole["head_root"]):
            found.append("the settled root")
        # The contract went back to the checkpoint's block, unless it was deployed after that.
        if summary["settled_root"] and summary["settlement_reverted_to"] is None:
            found.append("no word of the contract's revert")
        return [f"{name} differs" for name in found]


def devnet_of(data: Path) -> RunningDevnet | None:
    """Return the devnet that a run has left behind, None for none."""
    path = data / _DEVNET_FILE
    if not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=RunningDevnet)
