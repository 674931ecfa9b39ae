"""The harness can fail: a store or an engine that is wrong on purpose is found out by it."""

import json
from pathlib import Path

from scripts.crashing.sides import Simulated
from scripts.crashing.stories import first_post
from sequencer.model.settlement import Post
from sequencer.settlement.contract_rules import UpdateState
from tests.crash.programs import told_by

_CHANGES = {
    "nothing": ("batch.written", "pass"),
    "the witness is written first": (
        "batch.begins",
        """
def commit(self, puts, head, interval=None):
    self._guarded(lambda: self._witness.write(witness_of(head)))
    self._apply(puts)
    self._view = self._moved(head, interval)
    return head
ChainStore._commit = commit
""",
    ),
    "the head has a batch of its own": (
        "batch.written",
        """
def write(self, batch):
    is_head = lambda put: put[0] == keys.HEAD.key()
    whole(self, [*filter(is_head, batch)])
    reached("batch.written")
    whole(self, [*filterfalse(is_head, batch)])
whole, LevelStore.write = LevelStore.write, write
""",
    ),
    "a block is acknowledged before it is written": (
        "batch.begins",
        """
def make_blocks(self, count, keeping=None):
    for _ in range(count):
        closed = make_block(self._producer)
        head = self.store.head
        self.acknowledge(msgspec.structs.replace(head, height=head.height + 1))
        self._sealer.seal(closed, Extras())
Engine.make_blocks = make_blocks
""",
    ),
}
_PROGRAM = """
import json
import sys
import tempfile
from itertools import filterfalse
from pathlib import Path
import msgspec
from scripts.crashing.chain import make_block
from scripts.crashing.children import ask
from scripts.crashing.kills import Kills
from scripts.crashing.phases import PHASES, Engine
from sequencer.engine.sealer import Extras
from sequencer.storage import keys
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.leveldb import LevelStore
from sequencer.storage.reached import reached
from sequencer.storage.witness import witness_of

def changed(kills, point, change):
    exec(change, globals())
    return kills.hook(phase, point, 1)

found = {}
phase = next(each for each in PHASES if each.name == "narrow")
with tempfile.TemporaryDirectory() as folder:
    kills = Kills(Path(folder))
    kills.hook(phase, "nowhere", 1)
    for name, (point, change) in json.loads(sys.argv[1]).items():
        found[name] = ask(lambda: changed(kills, point, change), tuple[bool, str])
print(json.dumps(found))
"""


def test_what_is_wrong_is_found() -> None:
    found = told_by(_PROGRAM, json.dumps(_CHANGES))
    assert all(was_killed for was_killed, _ in found.values())
    right, witness, head, early = (words for _, words in found.values())
    assert right == ""
    assert "HEAD_BELOW_WITNESS" in witness
    assert "HEAD_INCONSISTENT" in head
    assert "acknowledged" in early


def test_a_reorg_over_there_takes_no_deposit_with_it(tmp_path: Path) -> None:
    side, first = Simulated(), first_post()
    side.begin(tmp_path, tmp_path, first, 1)
    assert (side.reorg(3), side.deposits()) == (0, 1)
    for height in (1, 2):
        newest = side.standing().newest
        side.chain.carry_out(UpdateState(0, newest, Post(height, height, height)), 7)
    assert (side.reorg(1), side.standing().newest.height) == (1, 1)
    assert (side.reorg(3), side.standing().newest) == (1, first)
    assert side.deposits() == 1
