"""A node that posts to a simulated settlement chain is killed while it goes back; `make crash` does
that hundreds of times, also with a real devnet. What is wrong on purpose is found out.
"""

import json

from tests.crash.programs import told_by

_PROGRAM = """
import json
import sys
import tempfile
from pathlib import Path
from scripts.crashing import commands
from scripts.crashing.checking import Violation
from scripts.crashing.sides import Simulated
from scripts.crashing.stories import first_post
from scripts.crashing.traps import Trap, set_faults
from scripts.crashing.windows import Story

def play(folder, script, change):
    side, wire = Simulated(), Simulated.wire
    def wired(traps):
        wire(side, traps)
        exec(change, {})
    side.wire = wired
    story, kills = Story(folder, side, first_post(), 1), []
    try:
        for window, hits in script:
            if window == "undo":
                set_faults(folder, "receipts_lost")
            kills.append(sum(story.play(window, [Trap(name, 1) for name in hits])))
        story.finish()
    except (Violation, RuntimeError) as violation:
        return kills, str(violation)
    finally:
        story.end()
    return kills, ""

script, change, commands.PATIENCE_SECONDS = json.loads(sys.argv[1]), sys.argv[2], float(sys.argv[3])
with tempfile.TemporaryDirectory() as folder:
    print(json.dumps(play(Path(folder) / "run", script, change)))
"""
Script = list[tuple[str, list[str]]]
_HALTED: Script = [("start", []), ("stays", []), ("goes", []), ("halt", []), ("plan", [])]
_REOPENED: Script = [("reopen", []), ("stop", [])]


def played(script: Script, change: str = "", seconds: float = 30.0) -> tuple[list[int], str]:
    """Play windows in a process of its own, which forks: kills in each, and what was wrong."""
    kills, wrong = told_by(_PROGRAM, json.dumps(script), change, str(seconds))
    return kills, wrong


def test_what_was_under_way_is_finished_or_was_never_begun() -> None:
    script = [
        ("start", ["chain.opened"]),
        ("stays", []),
        ("goes", ["sent UpdateState"]),
        ("halt", []),
        ("plan", []),
        ("apply", ["sends HoldFinality", "sent HoldFinality", "witness.written"]),
        ("undo", ["undo begins", "recovery begins"]),
        ("plan", []),
        ("apply", ["sent RevertState"]),
        ("undo", []),
        ("resume", ["resume begins"]),
        ("reopen", ["witness.written"]),
        ("final", ["sends Finalize"]),
        ("stop", []),
    ]
    kills, words = played(script)
    assert words == ""
    assert kills == [len(hits) for _, hits in script]


def test_finality_that_is_not_held_is_found() -> None:
    change = """
from sequencer.engine import desk_rollback
async def forgotten(*arguments):
    pass
desk_rollback.hold_finality = forgotten
"""
    _, words = played([*_HALTED, ("apply", []), *_REOPENED], change)
    assert "takes posts back, held for 0x0" in words


def test_a_hold_that_stays_is_found() -> None:
    change = """
from sequencer.engine import settling
async def forgotten(*arguments):
    return ""
settling.release_aborted = forgotten
"""
    _, words = played([*_HALTED, ("apply", ["rollback begins"])], change, 3.0)
    assert "waited in vain" in words


def test_a_rollback_that_is_half_is_found() -> None:
    change = """
from itertools import filterfalse
from sequencer.storage import keys
from sequencer.storage.leveldb import LevelStore
from sequencer.storage.reached import reached
whole = LevelStore.write
def write(self, batch):
    is_head = lambda put: put[0] == keys.HEAD.key()
    whole(self, [*filterfalse(is_head, batch)])
    if any(put[0] == keys.INCIDENT.key(1) for put in batch):
        reached("half")
    whole(self, [*filter(is_head, batch)])
LevelStore.write = write
"""
    _, words = played([*_HALTED, ("apply", ["half"])], change)
    assert "after a kill in apply" in words
