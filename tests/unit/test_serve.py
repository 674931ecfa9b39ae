"""How a served node ends, where its data folder cannot be written any more."""

import errno
from pathlib import Path

import pytest

from sequencer.config import ADMIN_FILE, NodeConfig
from sequencer.model.secret import Secret
from sequencer.node import Given
from sequencer.serve import commanded
from tests.unit.chain.network import PRIVATE
from tests.unit.engine.builders import genesis_text
from tests.unit.engine.desks import operated

pytestmark = pytest.mark.usefixtures("process")


async def test_files_that_cannot_be_taken_away_hide_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(folder: Path) -> None:
        raise OSError(errno.EROFS, "read-only", str(folder))

    monkeypatch.setattr("sequencer.serve.forget_admin", read_only)
    config = NodeConfig(tmp_path / "data", Secret(PRIVATE["op"]), genesis_text(), admin_port=0)
    async with (
        operated(tmp_path) as rig,
        commanded(config, rig.node, Given()) as (_, services),
    ):
        for service in services:
            service.close()
        assert (config.data_dir / ADMIN_FILE).exists()
