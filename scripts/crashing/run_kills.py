"""Runs that are killed at a moment of their story, and go on with the same command.

Laws
- The run that goes on ends with exit code 0 and has the blocks of one that was never killed.
- A devnet outlives the kill and is stopped at the end. Where it is gone too, another takes over as
  long as no deposit was credited; after that the run ends with DEPOSIT_UNMADE.
"""

import random
import signal
import time
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import msgspec

from devnet.backends import EMBEDDED, NONE
from devnet.embedded.place import CHAIN_FOLDER
from devnet.proof import EXPORT_FILE
from devnet.starknet_devnet import DEVNET_FILE, RunningDevnet, is_running, stop_devnet
from scripts.crashing.runs import RunProcess, cut_record, small_options

_FIELDS = ("settlement_reverted_to", "head_root", "blocks", "orders", "fills", "volume")
_MONEY_FIELDS = ("deposits", "deposited", "withdrawal_claimed", "contract_balance_matches")
_CREDITED = "block    10"
"""What a run says when its deposits are credited, in blocks that are on the disk."""


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
    Moment("settlement: ", 500),
    Moment("the money comes in", 200),
    Moment("wait in the inbox", 100),
    Moment("block    48", 300),
    Moment("plan", 100),
    Moment("settlement: put back", 50),
    Moment("the proof", 500),
    Moment("is final", 100),
)
"""The same with a settlement chain beside."""

GONE_MOMENTS = (Moment("the money comes in", 100), Moment("plan", 100))
"""Where the settlement chain is gone, too: before any deposit was credited, and after."""


class RunKills:
    """Kills small runs in a folder and compares them with one that was left alone."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._record = cut_record(folder / "record")
        self._count = 0
        self.whole = self._whole(NONE)

    @cached_property
    def settled(self) -> dict[str, Any]:
        """Return the summary of a run with a settlement chain that was left alone."""
        return self._whole(EMBEDDED)

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
            is_credited = _CREDITED in process.said
        devnet = devnet_of(data)
        if devnet is not None and devnet_too:
            stop_devnet(devnet)
            rmtree(data / CHAIN_FOLDER, ignore_errors=True)
        with self._process(data, settlement) as process:
            code = process.end()
        if devnet_too and is_credited:
            unmade = code == 1 and "perpchain run: DEPOSIT_UNMADE: " in process.said
            problems = [] if unmade else [f"exit code {code}, not DEPOSIT_UNMADE"]
        else:
            problems = [f"exit code {code}"] if code else self._differences(data, process)
            if devnet_too and "deployed again" not in process.said:
                problems.append("it does not say that another devnet took over")
        if devnet is not None and is_running(devnet):
            problems.append("its devnet is still there")
            stop_devnet(devnet)
        return "" if not problems else "; ".join([*problems, process.said])

    def _whole(self, settlement: str) -> dict[str, Any]:
        with self._process(self._folder / f"whole-{settlement}", settlement) as process:
            if process.end() != 0:
                raise RuntimeError(process.said)
            return process.summary

    def _process(self, data: Path, settlement: str) -> RunProcess:
        return RunProcess(*small_options(self._record, settlement), "--data-dir", str(data))

    def _differences(self, data: Path, process: RunProcess) -> list[str]:
        summary = process.summary
        is_settled = summary["settlement_backend"] != NONE
        whole = self.settled if is_settled else self.whole
        fields = (*_FIELDS[1:], *_MONEY_FIELDS) if is_settled else _FIELDS
        found = [name for name in fields if summary[name] != whole[name]]
        export = self._folder / f"whole-{EMBEDDED if is_settled else NONE}" / EXPORT_FILE
        if export.read_bytes() != (data / EXPORT_FILE).read_bytes():
            found.append("its export")
        if summary["settled_root"] not in (None, whole["head_root"]):
            found.append("the settled root")
        # The contract went back to the checkpoint's block.
        if is_settled and summary["settlement_reverted_to"] is None:
            found.append("no word of the contract's revert")
        return [f"{name} differs" for name in found]


def devnet_of(data: Path) -> RunningDevnet | None:
    """Return the devnet that a run has left behind, None for none."""
    path = data / DEVNET_FILE
    if not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=RunningDevnet)
