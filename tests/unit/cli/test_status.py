"""What a person and a program are told of a mode: whether blocks are made comes first."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.test_plugin import serving, shown
from tests.unit.engine.desks import operated

pytestmark = pytest.mark.usefixtures("process")


def mode_of(page: str) -> str:
    (line,) = (line for line in page.splitlines() if line.startswith("mode "))
    return line.removeprefix("mode").strip()


async def test_a_chain_that_makes_no_block_is_halted_whatever_its_head_says(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with operated(tmp_path) as rig, serving(rig, data):
        await rig.blocks(3)
        recorded = mode_of(await shown("status", data))
        assert recorded == json.loads(await shown("status", data, "--json"))["mode"]
        await rig.halt()
        assert mode_of(await shown("status", data)) == "HALTED"
        await rig.back(rig.height - 2)
        page = await shown("status", data)
        assert mode_of(page) == f"HALTED (the head's block says {recorded})"
        told = json.loads(await shown("status", data, "--json"))
        assert told["mode"] == recorded
        assert told["halts"] == ["LATCH: latched by reorg 1"]
