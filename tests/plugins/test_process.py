"""A plugin's process as its node sees it: asked one thing at a time, and ended for good."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sequencer.config import KEY_VARIABLE, environment_for_others
from sequencer.model.plugins import ParkCause
from sequencer.plugins.host.messages import Begin, Taken
from sequencer.plugins.host.process import Parks, PluginProcess
from tests.plugins.host_world import begin, children, until
from tests.unit.engine.builders import turns

START_SECONDS = 30

_CURIOUS = f"""
import os

class Curious:
    def init(self, context):
        print(os.environ.get({KEY_VARIABLE!r}), os.environ.get("PLUGIN_SETTING"))

    def new_block(self, block, state_update, new_classes): ...

    def revert_block(self, from_block, to_block, reverse_state_diff): ...
"""


@asynccontextmanager
async def started(said: list[str]) -> AsyncIterator[PluginProcess]:
    process = await PluginProcess.start(said.append, environment_for_others())
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(process.listen())
        try:
            yield process
        finally:
            await process.end()
            await process.end()
            assert listening.done() or listening.cancel()
    assert children() == []


async def test_it_answers_and_ends(tmp_path: Path) -> None:
    said: list[str] = []
    async with started(said) as process:
        assert isinstance(await process.ask(begin(tmp_path), START_SECONDS, "init"), Taken)
    assert said == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_one_that_is_dead_is_known_to_be(tmp_path: Path, number: signal.Signals) -> None:
    said: list[str] = []
    async with started(said) as process:
        await process.ask(begin(tmp_path), START_SECONDS, "init")
        os.kill(children()[0], number)
        with pytest.raises(Parks, match=f"init: its process ended with code -{number}") as caught:
            await process.ask(begin(tmp_path), START_SECONDS, "init")
        assert caught.value.cause is ParkCause.PLUGIN_DIED


async def test_one_that_hangs_is_not_waited_for_again(tmp_path: Path) -> None:
    async with started([]) as process:
        with pytest.raises(Parks, match="PLUGIN_HANGS: init took over 3 s"):
            await process.ask(begin(tmp_path, in_="init", do="spin"), 3, "init")
        began = time.monotonic()
    assert time.monotonic() - began < 2


_LOUD = """
import sys, time
from sequencer.plugins.protocol import Plugin

class Loud(Plugin):
    def init(self, context):
        self.context = context
        for text in ("first ", "half\\n\\n", "\\x1b[31mred\\nlast without an end"):
            sys.stderr.write(text)
            sys.stderr.flush()
            time.sleep(0.1)

    def new_block(self, block, state_update, new_classes):
        pass

    def revert_block(self, from_block, to_block, reverse_state_diff):
        pass

    def shutdown(self):
        self.context.say("ends")
"""


async def test_what_it_prints_comes_in_whole_lines_and_what_it_says_last_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    (tmp_path / "loud.py").write_text(_LOUD)
    monkeypatch.chdir(tmp_path)
    async with started(said) as process:
        loud = Begin("loud", "loud:Loud", {}, str(tmp_path), b"\x01", None, False, [])
        await process.ask(loud, START_SECONDS, "init")
    assert sorted(said) == ["?[31mred", "ends", "first half", "last without an end"]


async def test_an_end_that_is_cut_short_leaves_nothing(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        process = await PluginProcess.start(lambda _: None, environment_for_others())
        group.create_task(process.listen())
        await process.ask(begin(tmp_path, in_="shutdown", do="hang"), START_SECONDS, "init")
        ending = group.create_task(process.end())
        await turns()
        ending.cancel()
    await until(lambda: children() == [])


async def test_no_plugin_gets_the_key_of_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "0x1234")
    monkeypatch.setenv("PLUGIN_SETTING", "kept")
    (tmp_path / "curious.py").write_text(_CURIOUS)
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    async with started(said) as process:
        curious = Begin("curious", "curious:Curious", {}, str(tmp_path), b"\x01", None, False, [])
        await process.ask(curious, START_SECONDS, "init")
    assert said == ["None kept"]
