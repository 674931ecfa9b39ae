"""What somebody types about plugins and what is printed, on a node that runs and beside one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sequencer.api.admin import AdminServer
from sequencer.cli.application import application
from sequencer.config import forget_admin, leave_admin
from sequencer.engine.deliveries import Position, cursor_of
from sequencer.engine.recovery import begin_chain
from sequencer.engine.rollback import Override, read_details
from sequencer.model.plugins import HOST_BUCKET, READER_PREFIX
from sequencer.model.secret import Secret
from sequencer.storage.folder import open_folder
from tests.unit.engine.builders import genesis_text
from tests.unit.engine.desks import Operated, operated
from tests.unit.engine.logs import memory_log
from tests.unit.engine.toy_plugins import FINE, OTHER_VETO, VETO, WARNING, told

pytestmark = pytest.mark.usefixtures("process")

TOKEN = Secret(0xABC)


def typed(*arguments: object) -> Result:
    return CliRunner().invoke(application, [*map(str, arguments)])


async def run(*arguments: object) -> Result:
    """Run a command in a thread: it asks the node of this one."""
    return await asyncio.to_thread(typed, *arguments)


async def shown(*arguments: object) -> str:
    done = await run(*arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


async def refused(*arguments: object) -> str:
    done = await run(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr


@asynccontextmanager
async def serving(rig: Operated, folder: Path) -> AsyncIterator[None]:
    """Take commands for a desk, as a node that runs does."""
    server = AdminServer(rig.desk, TOKEN, memory_log())
    leave_admin(folder, await server.start(), TOKEN)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run())
        try:
            yield
        finally:
            running.cancel()
            forget_admin(folder)


async def test_a_plugin_is_parked_unparked_and_rebuilt(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with operated(tmp_path) as rig:
        with told(rig, FINE, WARNING) as plugins:
            async with serving(rig, data):
                page = await shown("plugin", "list", data)
                assert page.splitlines() == [
                    "node     running",
                    "plugins  books RUNNING at block 7, 0 commits behind",
                    "plugins  feed RUNNING at block 7, 1 commits behind",
                ]
                parked = await shown("plugin", "park", data, "feed", "--reason", "its host is away")
                step = f"perpchain plugin unpark {data} feed"
                assert parked.splitlines()[-2:] == [
                    "reason    PLUGIN_PARKED: its host is away",
                    f"next      {step}",
                ]
                line = "feed PARKED at block 7, 1 commits behind: PLUGIN_PARKED: its host is away"
                assert f" {line}; next: {step}\n" in await shown("status", data)
                facts = json.loads(await shown(*step.split()[1:], "--json"))
                assert (facts["name"], facts["state"]) == ("feed", "CATCHING_UP")
                assert facts["next"] == f"perpchain plugin list {data}"
                await shown("plugin", "rebuild", data, "books")
                line = "books CATCHING_UP before block 0, 9 commits behind"
                assert line in await shown(*facts["next"].split()[1:])
                words = await refused("plugin", "park", data, "fed")
                assert words.startswith("perpchain plugin park: PLUGIN_UNKNOWN: no fed; next: ")
                assert words.endswith(f"; next: perpchain plugin list {data}\n")
        calls = [("park", "feed", "its host is away"), ("unpark", "feed"), ("rebuild", "books")]
        assert plugins.calls == calls


async def test_a_veto_names_the_command_that_goes_over_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with operated(tmp_path) as rig:
        await rig.blocks(3)
        await rig.halt()
        with told(rig, VETO, OTHER_VETO, WARNING):
            async with serving(rig, data):
                page = (await shown("reorg", "plan", data, "--to", 1)).splitlines()
                at = page.index("WHAT PLUGINS SAY")
                assert page[at + 1 : at + 4] == [
                    f"  VETO   bridge: {VETO.words}",
                    f"  VETO   tax: {OTHER_VETO.words}",
                    f"  WARNS  feed: {WARNING.words}",
                ]
                plan_id = page[-1].split()[4]
                assert page[-1].endswith(f"{plan_id} --reason '...' --override '...'")
                words = await refused("reorg", "apply", "--yes", data, plan_id[:8], "--reason", "x")
                assert "REORG_VETOED: bridge says: block 2 was paid out; tax says: " in words
                step = f"reorg apply {data} {plan_id}"
                assert words.endswith(f"next: perpchain {step} --reason '...' --override '...'\n")
                assert rig.node.store.head.epoch == 0
                over = ("--reason", "x", "--override", "paid back by hand")
                assert "over the veto of bridge (" in await shown(*step.split(), "--yes", *over)
                assert "paid back by hand; over the" in await shown("reorg", "list", data)
        assert rig.height == 1
        (record,) = rig.node.store.view.incidents()
        assert read_details(record).override == Override("paid back by hand", [VETO, OTHER_VETO])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a chain at block 0 whose plugin could not be told more."""
    data = tmp_path / "data"
    store = open_folder(data, create=True)
    begin_chain(store, genesis_text())
    view = store.view
    cursor = cursor_of(view, Position(view.head.sequence, view.block(0)), parked=True)
    why = [(HOST_BUCKET, b"feed", b"PLUGIN_RAISED: \x1b[2J")]
    store.advance_cursor(READER_PREFIX + "feed", cursor, why)
    store.close()
    return data


def test_beside_a_stopped_node_there_is_only_a_look(folder: Path) -> None:
    step = f"perpchain plugin unpark {folder} feed"
    line = f"feed PARKED at block 0, 0 commits behind: PLUGIN_RAISED: \\x1b[2J; next: {step}"
    assert typed("plugin", "list", folder).stdout == f"node     stopped\nplugins  {line}\n"
    assert f" {line}\n" in typed("status", folder).stdout
    (facts,) = json.loads(typed("status", folder, "--json").stdout)["plugins"]
    assert facts == {
        "name": "feed",
        "state": "PARKED",
        "height": 0,
        "sequence": 1,
        "lag": 0,
        "reason": "PLUGIN_RAISED: \x1b[2J",
    }
    for command in ("park", "unpark", "rebuild"):
        done = typed("plugin", command, folder, "feed")
        assert (done.exit_code, done.stdout) == (2, "")
        words = (
            f"NODE_NOT_RUNNING: plugins are told by a node that runs; next: perpchain node {folder}"
        )
        assert done.stderr == f"perpchain plugin {command}: {words}\n"
