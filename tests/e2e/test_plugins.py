"""Plugins beside processes: a devnet from anybody's folder, a node from a file, and their ends."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devnet.keys import devnet_key
from sequencer.model.plugins import PLUGINS_FOLDER
from tests.e2e import configured_node, local_devnet
from tests.e2e.commands import run, shown
from tests.e2e.devnet_process import ClientDevnet, client_devnet
from tests.e2e.local_devnet import PATIENCE_SECONDS, ROOT, LocalDevnet, seen
from tests.strategies import Unchecked

_OPTIONS = ("--settlement", "none", "--accounts", "2", "--block-time", "20ms")
_WATCH = """
import time
from pathlib import Path
from sequencer.plugins.protocol import Opinion, Plugin

class Watch(Plugin):
    def init(self, context):
        self.context = context
        context.say(f"begins with {context.done}")
        print("printed")

    def new_block(self, block, state_update, new_classes):
        self._note(f"+{block.header.number}")

    def revert_block(self, from_block, to_block, reverse_state_diff):
        self._note(f"-{from_block.block.header.number}")

    def reorg_done(self, reorg):
        self._note(f"={reorg.head_height} {reorg.kind.value} {reorg.reason}")

    def may_reorg(self, plan):
        return Opinion("paid out already", veto=True)

    def shutdown(self):
        self.context.say("ends")

    def _note(self, line):
        count = int(self.context.bucket.get(b"count") or b"0") + 1
        self.context.bucket.put(b"count", b"%d" % count)
        with (self.context.folder / "noted").open("a") as file:
            file.write(f"{count} {line}\\n")

class Stuck(Watch):
    def new_block(self, block, state_update, new_classes):
        super().new_block(block, state_update, new_classes)
        while block.header.number == 3:
            pass

class Broken(Watch):
    def new_block(self, block, state_update, new_classes):
        raise RuntimeError("no room")
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plugins in it, in which devnets and nodes are started."""
    (tmp_path / "watch.py").write_text(_WATCH)
    shutil.copy(ROOT / "devnet" / "genesis.json", tmp_path)
    (tmp_path / "operator.key").write_text(hex(devnet_key("operator")))
    monkeypatch.setattr(local_devnet, "ROOT", tmp_path)
    monkeypatch.setattr(configured_node, "ROOT", tmp_path)
    return tmp_path


@contextmanager
def devnet(folder: Path, *uses: str) -> Iterator[LocalDevnet]:
    options = [option for use in uses for option in ("--plugin", use)]
    with LocalDevnet(folder, *_OPTIONS, "--data-dir", str(folder / "data"), *options) as started:
        yield started
    assert seen(lambda: processes_in(folder) == [])


def processes_in(folder: Path) -> list[int]:
    """List the processes that have a folder as their own."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if (each / "cwd").readlink() == folder:
                found.append(int(each.name))
        except OSError:
            continue
    return found


def noted(folder: Path, name: str = "watch") -> list[str]:
    path = folder / "data" / PLUGINS_FOLDER / name / "noted"
    return path.read_text().splitlines() if path.exists() else []


def plugins_of(folder: Path) -> Unchecked:
    """List the plugins as the operator sees them."""
    return shown("plugin", "list", folder / "data")["plugins"]


def lines_of(count: int) -> list[str]:
    return [f"{number + 1} +{number}" for number in range(count)]


async def test_a_devnet_with_plugins_from_the_folder_where_it_is_started(elsewhere: Path) -> None:
    uses = ("watch:Watch", "watch:Stuck", "watch:Broken", "watch:Wach", "wach:Other")
    with devnet(elsewhere, *uses) as started:
        assert started.logged("plugin watch: begins with None"), started.log
        assert started.logged("plugin watch: printed")
        assert started.logged(
            "plugin broken is parked, PLUGIN_RAISED: new_block: RuntimeError: no room (watch.py:"
        )
        assert started.logged("plugin wach is parked, PLUGIN_INVALID: 'watch:Wach'")
        assert started.logged("plugin other is parked, PLUGIN_INVALID: 'wach:Other'")
        assert seen(lambda: len(noted(elsewhere, "stuck")) == 4)
        before = await started.call("starknet_blockNumber")
        assert seen(lambda: len(noted(elsewhere)) > before + 20)
        lines = plugins_of(elsewhere)
        states = {each["name"]: each["state"] for each in lines}
        assert states["watch"] == "RUNNING"
        assert [states[name] for name in ("broken", "wach", "other")] == ["PARKED"] * 3
        started.strike(signal.SIGINT, whole_group=True)
        assert started.process.wait(PATIENCE_SECONDS) == 0, started.log
        assert started.logged("plugin watch: ends")
    assert "Traceback" not in "\n".join(started.log)
    told = noted(elsewhere)
    assert told == lines_of(len(told))
    assert len(noted(elsewhere, "broken")) == 0
    # One that was stopped in the middle of a call begins there, or before it with the count that it
    # had, for calls become durable together; and one that is mended goes on.
    (elsewhere / "watch.py").write_text(_WATCH.replace("== 3", "< 0"))
    with devnet(elsewhere, "watch:Watch", "watch:Stuck") as again:
        assert seen(lambda: len(noted(elsewhere, "stuck")) > len(told) + 5), again.log
        assert again.end() == 0
    stuck = noted(elsewhere, "stuck")
    assert stuck[:4] == lines_of(4)
    first = int(stuck[4].split()[0])
    assert 1 <= first <= 4
    assert stuck[4:] == lines_of(first - 1 + len(stuck) - 4)[first - 1 :]


@pytest.mark.parametrize("use", ["watch:Watch", "watch:Stuck"])
def test_a_devnet_that_is_killed_leaves_no_plugin_behind(elsewhere: Path, use: str) -> None:
    name = use.partition(":")[2].lower()
    with devnet(elsewhere, use) as started:
        assert seen(lambda: len(noted(elsewhere, name)) > 3), started.log
        assert len(processes_in(elsewhere)) >= 2
        started.strike(signal.SIGKILL)
        started.process.wait(PATIENCE_SECONDS)
    with devnet(elsewhere, "watch:Watch") as started:
        assert started.facts
        assert seen(lambda: "5 +4" in noted(elsewhere)), started.log
        assert started.end() == 0


def test_two_plugins_of_one_name_are_refused_in_one_line(elsewhere: Path) -> None:
    with devnet(elsewhere, "watch:Watch", "watch:watch") as started:
        assert started.process.wait(PATIENCE_SECONDS) == 2
        assert started.logged("PLUGIN_INVALID: two plugins are called watch")
    assert len(started.log) == 1


async def test_a_rollback_is_told_and_can_be_vetoed(elsewhere: Path) -> None:
    options = ("--data-dir", str(elsewhere / "data"), "--plugin", "watch:Watch")
    with client_devnet(elsewhere, *options) as started:
        await halted_and_rolled_back(started, elsewhere)
        at = len(noted(elsewhere))
        await started.reopen()
        assert seen(lambda: len(noted(elsewhere)) > at + 3)
        assert noted(elsewhere)[at].endswith(" +6")


async def halted_and_rolled_back(started: ClientDevnet, folder: Path) -> None:
    data = folder / "data"
    assert seen(lambda: len(noted(folder)) > 10)
    await started.mode("halted", "--reason", "a price that was none")
    assert seen(lambda: plugins_of(folder)[0]["lag"] == 0)
    plan = shown("reorg", "plan", data, "--to", 5)
    words: list[Unchecked] = ["reorg", "apply", "--yes", data, str(plan["plan_id"])]
    words += ["--reason", "a drill", "--by", "olga"]
    refused = run(*words)
    assert refused.exit_code != 0
    assert "REORG_VETOED" in refused.stderr
    assert "paid out already" in refused.stderr
    shown(*words, "--override", "paid back by hand")
    assert seen(lambda: noted(folder)[-1].endswith(" =5 ROLLBACK a drill"))
    (listed,) = plugins_of(folder)
    assert (listed["state"], listed["height"], listed["lag"]) == ("RUNNING", 5, 0)


def test_a_node_with_plugins_in_its_file(elsewhere: Path) -> None:
    text = configured_node.FILE.format(port=0).replace('"chain"', '"data"')
    text += '[[plugins]]\nuse = "watch:Watch"\nname = "mine"\n[[plugins]]\nuse = "watch:Stuck"\n'
    (elsewhere / "node.toml").write_text(text)
    node = configured_node.start(elsewhere, "--json-logs", "--plugin", "watch:Broken")
    try:
        log = elsewhere / "log"
        assert seen(lambda: "plugin broken is parked, PLUGIN_RAISED" in log.read_text())
        assert seen(lambda: "plugin mine: begins with None" in log.read_text())
        assert seen(lambda: "1 +0" in noted(elsewhere, "mine"))
        began = time.monotonic()
        node.terminate()
        assert node.wait(PATIENCE_SECONDS) == 0
        assert time.monotonic() - began < 10
    finally:
        node.kill()
        node.wait()
    assert "Traceback" not in log.read_text()
    assert seen(lambda: processes_in(elsewhere) == [])


def test_a_plugin_that_cannot_be_named_is_one_line(elsewhere: Path) -> None:
    (elsewhere / "node.toml").write_text(
        'data_dir = "data"\noperator_key = "operator.key"\n[[plugins]]\nuse = "a:B"\nname = "."\n'
    )
    node: subprocess.Popen[bytes] = configured_node.start(elsewhere)
    assert node.wait(PATIENCE_SECONDS) == 2
    (line,) = (elsewhere / "log").read_text().splitlines()
    assert line.startswith("perpchain node: PLUGIN_INVALID: a name is 1 to 64 letters")
