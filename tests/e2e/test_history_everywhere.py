"""The history beside our own node and beside a follower: the same tables, those of the chain."""

import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from starknet_py.net.client_models import StarknetBlock

from tests.e2e.devnet_process import ClientDevnet, client_devnet
from tests.e2e.follow_process import follow_process, until
from tests.e2e.history_compared import (
    FILE,
    asked,
    live_views,
    require_blocks,
    require_events,
    require_trades,
)

HISTORY = ("--plugin", "history")
FIRST_TRADES, MORE_TRADES = 12, 4
REASON = "a price that was none"


class Tables:
    """The history of a devnet with bots, and the one of whoever follows it."""

    def __init__(self, devnet: ClientDevnet, folder: Path) -> None:
        self.devnet, self.folder = devnet, folder / "followed"
        self.hosted = folder / "chain" / "plugins" / "history" / FILE
        self.followed = self.folder / "plugin" / FILE

    async def until_trades(self, path: Path, count: int) -> None:
        """Wait until a history has so many live trades."""
        await until(lambda: len(asked(path, "SELECT 1 FROM trades")) >= count)

    async def until_both_at(self, height: int) -> None:
        """Wait until both stand at a block of the chain, with no reorg under way."""
        block = await self.devnet.client().get_block(block_number=height)
        assert isinstance(block, StarknetBlock)
        for path in (self.hosted, self.followed):
            await until(partial(_stands_at, path, hex(block.block_hash)))

    async def until_same(self) -> None:
        """Wait until both have been told everything of a chain that rests, and compare them."""
        await self.until_both_at(await self.devnet.client().get_block_number())
        self.require_same()

    def require_same(self) -> None:
        """Compare all live views of both."""
        hosted, followed = live_views(self.hosted), live_views(self.followed)
        for name, rows in hosted.items():
            assert followed[name] == rows, name

    async def require_chain(self) -> None:
        """Compare the followed tables with what the node answers."""
        url = self.devnet.http
        assert await require_blocks(url, self.followed) > 1
        assert await require_events(url, self.devnet.exchange, self.followed)
        assert await require_trades(url, self.followed) >= MORE_TRADES

    def reorgs(self, path: Path) -> list[tuple[str, str, int]]:
        """Return the reorgs that a history has, in order."""
        columns = "kind, reason, head_height"
        assert asked(path, "SELECT 1 FROM reorgs WHERE NOT is_complete") == []
        rows = asked(path, f"SELECT {columns} FROM reorgs ORDER BY reorg_id")
        return [(kind, reason, height) for kind, reason, height in rows]

    def height_of_trade(self, number: int) -> int:
        """Return the height of a block that has a trade."""
        query = "SELECT height FROM trades ORDER BY height, transaction_index, event_index"
        height: int = asked(self.hosted, query)[number][0]
        return height


def _stands_at(path: Path, block_hash: str) -> bool:
    last = asked(path, "SELECT hash FROM blocks ORDER BY height DESC LIMIT 1")
    return last == [(block_hash,)] and not asked(path, "SELECT 1 FROM reorgs WHERE NOT is_complete")


@pytest.fixture
async def tables(tmp_path: Path) -> AsyncIterator[Tables]:
    options = ("--bots", "--block-time", "50ms", "--data-dir", str(tmp_path / "chain"))
    with client_devnet(tmp_path, *options, *HISTORY) as devnet:
        yield Tables(devnet, tmp_path)


async def test_both_have_the_chain_s_tables_through_reorgs(tables: Tables) -> None:
    devnet = tables.devnet
    with follow_process(devnet.http, tables.folder, *HISTORY) as following:
        await tables.until_trades(tables.hosted, FIRST_TRADES)
        kept = tables.height_of_trade(FIRST_TRADES // 2)
        await tables.until_trades(tables.followed, FIRST_TRADES)
        first = (await devnet.roll_back(kept))["halted_by_reorg"]
        await tables.until_same()
        assert tables.reorgs(tables.followed) == [("ROLLBACK", REASON, kept)]
        undone = asked(
            tables.followed, "SELECT height, undone_by, undone_reason FROM undone_trades"
        )
        assert {row[1:] for row in undone} == {(1, REASON)}
        assert min(undone)[0] > kept
        assert isinstance(first, int)
        await devnet.undo(first)
        await tables.until_same()
        assert asked(tables.followed, "SELECT * FROM undone_trades") == []
        assert following.end(signal.SIGKILL)[0] == -signal.SIGKILL
    await devnet.roll_back(kept, is_halted=True)
    await devnet.reopen()
    before = len(asked(tables.hosted, f"SELECT 1 FROM trades WHERE height <= {kept}"))
    await tables.until_trades(tables.hosted, before + MORE_TRADES)
    await devnet.mode("halted", "--reason", "the end")
    await _require_caught_up(tables, kept)


async def _require_caught_up(tables: Tables, kept: int) -> None:
    url = tables.devnet.http
    with follow_process(url, tables.folder, *HISTORY, "--once") as following:
        assert following.summary(None)["reorgs"] == 1
    await tables.until_same()
    await tables.require_chain()
    assert tables.reorgs(tables.followed) == [("ROLLBACK", REASON, kept)] * 2
    before, undone = live_views(tables.followed), "SELECT * FROM undone_trades"
    assert asked(tables.followed, undone) != []
    with follow_process(url, tables.folder, *HISTORY, "--once", "--rebuild") as following:
        assert following.summary(None)["reverts"] == 0
    assert live_views(tables.followed) == before
    assert tables.reorgs(tables.followed) == []
    assert asked(tables.followed, undone) == []
