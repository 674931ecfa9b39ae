"""Metrics as Prometheus reads them: names, kinds, values, and nothing that is secret."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sequencer.api.metrics import Metrics
from sequencer.engine.desk import Desk
from sequencer.model.halts import Halt, HaltCause
from sequencer.model.rows import Guard, Mode
from tests.unit.api.test_admin import TOKEN, serving
from tests.unit.chain.network import MARKET
from tests.unit.engine.builders import turns
from tests.unit.engine.desks import desk_beside, operated
from tests.unit.engine.rolling import Chain
from tests.unit.engine.toy_plugins import FINE, VETO, WARNING, told

pytestmark = pytest.mark.usefixtures("process")


def read(text: bytes) -> dict[str, float]:
    """Read the text format; a name with its labels stands for a sample."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation.endswith(".")
        assert family.name.startswith(("perpchain_", "process_"))
        for sample in family.samples:
            key = ",".join((sample.name, *sample.labels.values()))
            assert key not in found
            found[key.removeprefix("perpchain_")] = sample.value
    return found


async def test_a_node_tells_its_figures(tmp_path: Path) -> None:
    async with operated(tmp_path, settled=True, drill=True) as rig, asyncio.TaskGroup() as group:
        metrics = Metrics(rig.desk, lambda: {"api_connections": 7, "api_requests_total": 9})
        running = group.create_task(metrics.run())
        await turns()
        await rig.blocks(3)
        await rig.desk.guard(Guard.QUORUM, "drill", on=False)
        await rig.idle()
        found = read(metrics.text())
        running.cancel()
        height = rig.height
    assert (found["height"], found["epoch"], found["mode,CANCEL_ONLY"]) == (height, 0, 1)
    assert [found[f"mode,{mode}"] for mode in Mode].count(0) == 3
    assert {guard for guard in Guard if found[f"guard_off,{guard}"]} == {Guard.QUORUM}
    assert (found["halted"], found["drill"], found["settled_height"]) == (0, 1, height)
    assert (found["insurance_cash_quote"], found["collateral_quote"]) == (1_000, 201_000.5)
    assert found[f"index_price_quote,{MARKET}"] == 60_000
    assert found[f"price_age_seconds,{MARKET}"] > 0
    assert found["commit_seconds_count"] >= 4
    assert (found["api_connections"], found["api_requests_total"]) == (7, 9)
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert found["disk_free_bytes"] > 0
    assert [found[f"deposits_{name}"] for name in ("next_nonce", "pending", "unmade")] == [0, 0, 0]
    assert found["deposits_failing"] == 0


async def test_every_cause_of_a_halt_is_there_before_it_comes(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        metrics = Metrics(rig.desk, dict)
        await rig.block()
        assert all(read(metrics.text())[f"halt,{cause}"] == 0 for cause in HaltCause)
        rig.node.engine.halt(Halt(HaltCause.DISK_LOW, "planted"))
        found = read(metrics.text())
    assert (found["halted"], found["halt,DISK_LOW"], found["halt,LATCH"]) == (1, 1, 0)


async def test_each_plugin_has_a_lag_and_may_be_parked(tmp_path: Path) -> None:
    async with operated(tmp_path) as rig:
        await rig.block()
        assert not [name for name in read(Metrics(rig.desk, dict).text()) if "plugin" in name]
        with told(rig, FINE, WARNING, VETO) as plugins:
            await plugins.park("feed", "its host is away")
            text = Metrics(rig.desk, dict).text()
    found = {name: value for name, value in read(text).items() if name.startswith("plugin_")}
    assert found == {
        "plugin_lag,books": 0,
        "plugin_lag,feed": 1,
        "plugin_lag,bridge": 2,
        "plugin_parked,books": 0,
        "plugin_parked,feed": 1,
        "plugin_parked,bridge": 0,
    }
    assert b'perpchain_plugin_lag{plugin="bridge"} 2.0' in text
    assert b"its host is away" not in text


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    found = read(Metrics(desk_beside(Chain().store, tmp_path), dict).text())
    assert (found["height"], found["store_readable"], found["mode,OPEN"]) == (4, 1, 1)
    assert not {"halted", "settled_height", "accounts", "disk_free_bytes"} & found.keys()


def test_a_store_that_cannot_be_read_leaves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_beside(Chain().store, tmp_path)
    monkeypatch.setattr(desk, "figures", lambda: None)
    found = read(Metrics(desk, lambda: {"api_requests_total": 3}).text())
    assert (found["store_readable"], found["api_requests_total"]) == (0, 3)
    assert "height" not in found


async def test_the_server_counts_its_requests_and_shows_no_token(desk: Desk) -> None:
    async with serving(desk) as client:
        await client.raw(b"", {"Authorization": ""})
        await client.call("admin_status")
        status, text = await client.raw(b"", method="GET", path="/metrics")
        again = read((await client.raw(b"", method="GET", path="/metrics"))[1])
    found = read(text)
    assert status == 200
    assert (found["admin_requests_total"], found["admin_unauthorized_total"]) == (2, 1)
    assert (again["admin_requests_total"], again["operator_log_entries"]) == (3, 1)
    assert f"{TOKEN.value:x}".encode() not in text
