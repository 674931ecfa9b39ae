"""Whatever a plugin does has the effect that has a name, and no other."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sequencer.model.plugin_limits import PLUGIN_CLOSING_SECONDS_MAX, PLUGIN_LINES_WAITING_MAX
from sequencer.model.plugins import HOST_BUCKET, PluginState
from sequencer.plugins.host.host import HostLimits
from tests.plugins.host_world import (
    LOOK_SECONDS,
    PATIENCE_SECONDS,
    Hosted,
    children,
    hosted,
    is_there,
    probe,
    rolled_chain,
    straight,
    until,
)
from tests.plugins.probe import PIDS

HARMS = [
    ("raise", "PLUGIN_RAISED: {}: ValueError: a second?[31m line x"),
    ("interrupt", "PLUGIN_RAISED: KeyboardInterrupt"),
    ("leave", "PLUGIN_RAISED: {}: SystemExit: goodbye (probe.py:"),
    ("memory", "PLUGIN_RAISED: {}: MemoryError (probe.py:"),
    ("recur", "PLUGIN_RAISED: {}: RecursionError: "),
    ("hang", "PLUGIN_HANGS: {} of block 2 took over 1 s"),
    ("spin", "PLUGIN_HANGS: {} of block 2 took over 1 s"),
    ("lock", "PLUGIN_HANGS: {} of block 2 took over 1 s"),
    ("hold", "PLUGIN_HANGS: {} of block 2 took over 1 s"),
    ("exit", "PLUGIN_DIED: {} of block 2: its process ended with code 3"),
    ("kill", "PLUGIN_DIED: {} of block 2: its process ended with code -9"),
    ("segfault", "PLUGIN_DIED: {} of block 2: its process ended with code -11"),
    ("fork away", "PLUGIN_HANGS: {} of block 2 took over 1 s"),
    ("close", "PLUGIN_DIED: {} of block 2: its process ended with code"),
    ("answer", "PLUGIN_NONSENSE: {} of block 2: its answer cannot be read: "),
    ("return", "PLUGIN_NONSENSE: {} returned a value of type dict instead of nothing"),
    ("fill", "PLUGIN_RAISED: {}: BucketFull: 1677"),
    ("types", "PLUGIN_RAISED: {}: TypeError: a bucket holds bytes under bytes"),
    ("changing", "PLUGIN_RAISED: {}: TypeError: a bucket holds bytes under bytes"),
    ("long", "PLUGIN_RAISED: {}: ValueError: a key of 256 bytes, 255 allowed"),
]
HARMLESS = ["change", "print", "say", "children", "fork", "thread"]


async def require_parked(rig: Hosted, words: str, calls: int) -> None:
    """Expect a plugin that took some calls, stands there and is parked, and one that goes on."""
    reason = await rig.parked()
    assert reason.startswith(words), reason
    assert len(reason) < 550
    standing, cursor, told = rig.standing(), rig.cursor(), straight(rig.chain.store.view)
    assert rig.hosts.standings()[0] == standing
    assert standing.lag == len({each.split(".")[0] for each in told[calls:]})
    if calls:
        assert cursor is not None
        assert cursor.parked
        assert rig.bucket()[b"count"] == b"%d" % calls
    else:
        assert (cursor, rig.bucket()) == (None, {})
    assert [line for line in rig.said if "is parked" in line] == [
        f"plugin probe is parked, {reason}"
    ]
    await rig.told_all("other")
    rig.act()
    await rig.told_all("other")
    assert rig.calls("other") == straight(rig.chain.store.view)
    assert rig.standing().lag == standing.lag + 1


@pytest.mark.parametrize(("harm", "words"), HARMS)
async def test_a_plugin_that_fails_is_parked_where_it_stands_and_no_other_is(
    tmp_path: Path, harm: str, words: str
) -> None:
    chain = rolled_chain()
    configs = (probe(in_="new_block", at="3.0", do=harm), probe("other"))
    async with hosted(chain, tmp_path, *configs) as rig:
        await require_parked(rig, words.format("new_block"), calls=2)
        reason = rig.standing().reason
        for each in rig.noted(file=PIDS):
            os.kill(int(each), signal.SIGKILL)
    # A restart does not try again, and one that is better by now goes on exactly there.
    async with hosted(chain, tmp_path, probe(), probe("other")) as rig:
        await rig.told_all("other")
        assert rig.standing().reason == reason
        assert not rig.said
        await rig.hosts.unpark("probe")
        await rig.told_all()
        told = straight(chain.store.view)
        tries = rig.calls().count("3.0 new_block 2") - 1
        assert rig.calls() == told[:2] + ["3.0 new_block 2"] * tries + told[2:]
        assert rig.bucket() == rig.bucket("other")
        assert dict(chain.store.view.bucket(HOST_BUCKET)) == {}
        cursor = rig.cursor()
        assert cursor is not None
        assert cursor == rig.cursor("other")
        assert not cursor.parked


METHODS = [("init", "-", 0), ("revert_block", "9.1", 9), ("reorg_done", "10.2", 13)]
CAUSES = [("raise", "RAISED"), ("spin", "HANGS"), ("kill", "DIED")]


@pytest.mark.parametrize(
    ("method", "at", "calls", "harm", "cause"),
    [
        (*method, *cause)
        for method in METHODS
        for cause in CAUSES
        if method[2] or cause[0] != "spin"
    ],
)
async def test_every_method_can_fail(
    tmp_path: Path, method: str, at: str, calls: int, harm: str, cause: str
) -> None:
    configs = (probe(in_=method, at=at, do=harm), probe("other"))
    async with hosted(rolled_chain(), tmp_path, *configs) as rig:
        await require_parked(rig, f"PLUGIN_{cause}: {method}", calls)


async def test_what_never_begins_is_parked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All together, for what hangs is waited for as long as a slow machine may take to begin."""
    (tmp_path / "early.py").write_text("while True: pass")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    uses = {"endless": "tests.plugins.probe:Endless", "early": "early:Early"}
    configs = [probe("init", in_="init", do="spin"), probe("other")]
    configs += [probe(name, use=use) for name, use in uses.items()]
    limits = HostLimits(call_seconds_max=1, start_seconds_max=8)
    async with hosted(rolled_chain(), tmp_path / "data", *configs, limits=limits) as rig:
        await rig.told_all("other")
        for name in ("init", *uses):
            assert (await rig.parked(name)).startswith("PLUGIN_HANGS: init took over 8 s")
            assert (rig.cursor(name), rig.bucket(name)) == (None, {})
        rig.act()
        await rig.told_all("other")
        assert rig.calls("other") == straight(rig.chain.store.view)


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("probe:Late", "PLUGIN_RAISED: new_block: Late.new_block is async"),
        ("probe:Unmade", "PLUGIN_RAISED: OSError: no way (probe.py:"),
        ("probe:Absent", "PLUGIN_INVALID: 'tests.plugins.probe:Absent'"),
        ("probe:PIDS", "PLUGIN_INVALID: "),
        ("prob:Probe", "PLUGIN_INVALID: "),
    ],
)
async def test_a_plugin_that_cannot_be_begun_is_parked(
    tmp_path: Path, use: str, words: str
) -> None:
    configs = (probe(use=f"tests.plugins.{use}"), probe("other"))
    async with hosted(rolled_chain(), tmp_path, *configs) as rig:
        await require_parked(rig, words, calls=0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ValueError('early')", "PLUGIN_INVALID: 'early:Early': ValueError"),
        ("import os; os._exit(7)", "PLUGIN_DIED: init: its process ended with code 7"),
        ("class Early(", "PLUGIN_INVALID: 'early:Early': SyntaxError"),
        ("import sys; sys.exit()", "PLUGIN_INVALID: 'early:Early': SystemExit"),
    ],
)
async def test_a_module_that_cannot_be_imported_parks_its_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    (tmp_path / "early.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    config = probe(use="early:Early")
    async with hosted(rolled_chain(), tmp_path / "data", config) as rig:
        assert (await rig.parked()).startswith(words), rig.said


@pytest.mark.parametrize("harm", HARMLESS)
async def test_what_harms_nobody_parks_nobody(tmp_path: Path, harm: str) -> None:
    config = probe(in_="new_block", at="3.0", do=harm)
    limits = HostLimits(call_seconds_max=20)
    async with hosted(rolled_chain(), tmp_path, config, limits=limits) as rig:
        await rig.told_all()
        assert rig.calls() == straight(rig.chain.store.view)
        assert b"thread" not in rig.bucket()
        begun = [int(line) for line in rig.noted(file=PIDS)]
        assert len(begun) == (harm == "children")
    for each in begun:
        await until(lambda each=each: not is_there(each))  # type: ignore[misc]
    # Lines are counted where there are too many of them.
    assert len(rig.said) <= 2 * PLUGIN_LINES_WAITING_MAX
    if harm in ("say", "print"):
        assert any("more lines are not shown" in line for line in rig.said)
        assert all(len(line) < 550 for line in rig.said)


@pytest.mark.parametrize("harm", ["raise", "hang", "hold", "kill"])
async def test_an_end_that_fails_is_cut_off_and_parks_nobody(tmp_path: Path, harm: str) -> None:
    chain = rolled_chain()
    async with hosted(chain, tmp_path, probe(in_="shutdown", do=harm)) as rig:
        await rig.told_all()
        began = time.monotonic()
    assert time.monotonic() - began < PLUGIN_CLOSING_SECONDS_MAX + 3
    async with hosted(chain, tmp_path, probe()) as rig:
        await rig.told_all()
        assert rig.standing().state is PluginState.RUNNING
        assert rig.calls() == straight(chain.store.view)


async def test_a_process_that_dies_once_is_given_another_one(tmp_path: Path) -> None:
    config = probe(in_="revert_block", at="9.1", do="kill", once="")
    async with hosted(rolled_chain(), tmp_path, config) as rig:
        await rig.told_all()
        told = straight(rig.chain.store.view)
        assert rig.calls() == told[:10] + told[9:]
        assert rig.noted().count("9.0 init -1") == 1
        assert rig.bucket()[b"count"] == b"%d" % len(told)
        assert [line for line in rig.said if "once more" in line] == [
            "plugin probe: PLUGIN_DIED: revert_block of block 6: its process ended with code -9; "
            "once more"
        ]


@pytest.mark.parametrize("lines", range(4))
async def test_a_plugin_that_is_killed_at_any_moment_counts_every_call_once(
    tmp_path: Path, lines: int
) -> None:
    """Each process is killed once it has noted so many calls: 0 is before it has begun."""
    chain, killed = rolled_chain(), set[int]()
    async with hosted(chain, tmp_path, probe(in_="new_block", do="slow"), probe("other")) as rig:
        await rig.told_all("other")
        for _ in range(5):
            noted = len(rig.noted())

            def is_time(noted: int = noted) -> bool:
                is_there = bool(set(children()) - killed)
                return is_there and len(rig.noted()) >= noted + lines

            await until_unparked(rig, is_time)
            killed.update(children())
            for process_id in killed & set(children()):
                os.kill(process_id, signal.SIGKILL)
        await until_unparked(rig, lambda: not (rig.standing().lag or rig.standing("other").lag))
        told = straight(chain.store.view)
        assert rig.bucket() == rig.bucket("other")
        assert rig.bucket()[b"count"] == b"%d" % len(told)
        require_repeats(told, rig.noted())


async def until_unparked(rig: Hosted, holds: Callable[[], bool]) -> None:
    """Wait until something holds, and take whoever is parked back meanwhile."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            for name in ("probe", "other"):
                if rig.standing(name).state is PluginState.PARKED:
                    await rig.hosts.unpark(name)
            await asyncio.sleep(LOOK_SECONDS)


def require_repeats(told: list[str], noted: list[str]) -> None:
    """Expect calls in order, repeated only from behind what a process said is durable."""
    place = 0
    for line in noted:
        key, method, _ = line.split()
        if method == "init":
            durable = (
                -1
                if key == "None"
                else next(at for at, each in enumerate(told) if each.startswith(f"{key} "))
            )
            assert durable < place
            place = durable + 1
        else:
            assert line == told[place]
            place += 1
    assert place == len(told)
