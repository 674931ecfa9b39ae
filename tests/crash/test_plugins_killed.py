"""A node with plugins and the plugins' own processes are killed; `make crash` does it a hundred
times. What is wrong on purpose is found out.
"""

import json
import re
from pathlib import Path

from scripts.crashing.nodes import ROOT
from scripts.crashing.plugins import MUST
from tests.crash.programs import crash, told_by

_FIGURES = re.compile(r"plugins +(\d+) runs +(\d+) points +(\d+) killed")
_PROGRAM = """
import json
import sys
import tempfile
from pathlib import Path
from scripts.crashing import plugins_story
from scripts.crashing.checking import Violation
from scripts.crashing.traps import Trap

def play(folder, script):
    story = plugins_story.PluginStory(folder, 3)
    try:
        for window, hits in script:
            story.play(window, [Trap(*hit) for hit in hits])
        story.finish()
    except (Violation, RuntimeError) as violation:
        return story.counts["nodes"], str(violation)
    finally:
        story.end()
    return story.counts["nodes"], ""

def wired(traps, folder, together):
    wire(traps, folder, together)
    exec(change, {})

script, change, wire = json.loads(sys.argv[1]), sys.argv[2], plugins_story.wire_plugins
plugins_story.wire_plugins = wired
plugins_story._USES.update(json.loads(sys.argv[3]))
with tempfile.TemporaryDirectory() as folder:
    print(json.dumps(play(Path(folder) / "run", script)))
"""
Script = list[tuple[str, list[tuple[str, int]]]]
_BEGUN: Script = [("start", []), ("trade", []), ("mark", []), ("trade", [])]


def played(
    script: Script, change: str = "", uses: dict[str, str] | None = None, path: Path = ROOT
) -> tuple[int, str]:
    """Play windows in a process of its own, which forks: kills of nodes, and what was wrong.

    `change` is executed in each node, and plugins of `path` are used for some of ours.
    """
    words = (json.dumps(script), change, json.dumps(uses or {}))
    kills, wrong = told_by(_PROGRAM, *words, path=path)
    return kills, wrong


def test_what_plugins_hold_is_what_the_chain_says_after_ten_kills() -> None:
    printed = crash("--only", "plugins", "--points", "10", "--seed", "3")
    found = _FIGURES.search(printed)
    assert found is not None
    _, points, killed = map(int, found.groups())
    assert killed >= points >= 10
    for name in MUST:
        assert re.search(rf"\b{name} [1-9]", printed), printed


def test_a_place_that_moves_before_the_plugin_is_told_is_found() -> None:
    change = """
from functools import partial
from sequencer.engine.deliveries import cursor_of
from sequencer.plugins.host import host
from sequencer.plugins.host.calls import next_call
whole = host.Host._deliver
async def deliver(self, process):
    around = self._around
    with around.views.at_head() as view:
        call = next_call(view, self._position, self._reverser)
        if call is not None:
            cursor = cursor_of(view, call.after, parked=False)
            move = partial(host.move_cursor, around.store, self._reader, cursor)
            await around.views.change(around.worker, move)
    return await whole(self, process)
host.Host._deliver = deliver
"""
    script: Script = [*_BEGUN, ("apply", [("asks recorder revert_block", 1)]), ("stop", [])]
    kills, words = played(script, change)
    assert kills == 1
    # By the history itself, or by whoever reads what the recorder was told.
    assert "told all up to" in words or "calls were made" in words


def test_a_bucket_with_a_batch_of_its_own_is_found() -> None:
    change = """
from sequencer.plugins.host import host
from sequencer.storage.reached import reached
whole = host.move_cursor
def move_cursor(store, reader, cursor, buckets=()):
    before = store.view.cursor(reader)
    if before is not None and buckets and reader.endswith("recorder"):
        whole(store, reader, before, buckets)
        reached("between")
    whole(store, reader, cursor, buckets)
host.move_cursor = move_cursor
"""
    script: Script = [*_BEGUN, ("apply", [("between", 1)]), ("stop", [])]
    kills, words = played(script, change)
    assert kills == 1
    assert "the bucket is not that of" in words


def test_a_history_that_forgets_what_it_was_told_is_found(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("""
from sequencer.plugins.shipped import history_file
from sequencer.plugins.shipped.history import History
history_file.is_recorded = lambda recorded, key: False
""")
    script: Script = [*_BEGUN, ("apply", [("told history revert_block", 2)]), ("stop", [])]
    kills, words = played(script, uses={"history": "planted:History"}, path=tmp_path)
    assert kills == 1
    assert "is not the record's last one" in words
