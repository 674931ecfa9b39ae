"""The history of a starknet-devnet, whose blocks are aborted and made again under equal hashes."""

import signal
import time
from itertools import count
from pathlib import Path
from random import Random

from tests.contracts.devnet import NEEDS_DEVNET
from tests.e2e.abortable_chain import Chain
from tests.e2e.follow_process import follow_process, until
from tests.e2e.history_compared import FILE, asked, live_views, require_blocks

pytestmark = NEEDS_DEVNET

HISTORY = ("--plugin", "history")
ACCOUNT = 0x100


async def _until_told(chain: Chain, path: Path) -> None:
    """Wait until a history has the last transaction of the chain, and nothing is under way."""
    query = (
        "SELECT t.hash FROM blocks b LEFT JOIN transactions t USING (height) "
        "ORDER BY b.height DESC, t.transaction_index DESC LIMIT 1"
    )
    last = await chain.block(await chain.height())
    hashes = [each["receipt"]["transaction_hash"] for each in last["transactions"]] or [None]
    await until(lambda: asked(path, query) == [(hashes[-1],)])
    await until(lambda: not asked(path, "SELECT 1 FROM reorgs WHERE NOT is_complete"))


async def _require_rebuilt_same(chain: Chain, folder: Path) -> None:
    path = folder / "plugin" / FILE
    assert await require_blocks(chain.url, path) > 1
    before = live_views(path)
    with follow_process(chain.url, folder, *HISTORY, "--once", "--rebuild") as following:
        following.summary(None)
    assert live_views(path) == before
    assert asked(path, "SELECT * FROM undone_blocks") == []


async def test_blocks_made_again_are_in_the_tables_and_those_before_stay_readable(
    chain: Chain, tmp_path: Path
) -> None:
    folder = tmp_path / "history"
    path = folder / "plugin" / FILE
    await chain.mint(ACCOUNT, 1)
    await chain.mint(ACCOUNT, 2)
    with follow_process(chain.url, folder, *HISTORY, "--once") as following:
        following.summary(None)
    before = asked(path, "SELECT * FROM blocks WHERE height = 2")
    (undone,) = asked(path, "SELECT hash FROM transactions WHERE height = 2")
    second = (await chain.block(2))["timestamp"] + 1
    await chain.abort(1)
    await until(lambda: time.time() > second)
    await chain.mint(ACCOUNT, 3)
    with follow_process(chain.url, folder, *HISTORY, "--once") as following:
        assert following.summary(None)["reverts"] == 1
    after = asked(path, "SELECT * FROM blocks WHERE height = 2")
    assert (after[0][1], after[0][3] != before[0][3]) == (before[0][1], True)
    assert asked(path, "SELECT hash FROM undone_transactions") == [undone]
    await _require_rebuilt_same(chain, folder)


async def test_the_tables_are_the_chain_s_after_aborts_and_kills(
    chain: Chain, tmp_path: Path
) -> None:
    folder, random, amounts = tmp_path / "history", Random(5), count(1)
    path = folder / "plugin" / FILE

    async def move() -> None:
        aborted = random.randrange(5)
        if 0 < aborted < await chain.height():
            await chain.abort(aborted)
        for _ in range(random.randrange(1, 6)):
            if random.random() < 0.2:
                await chain.empty()
            else:
                await chain.mint(ACCOUNT + random.randrange(3), next(amounts))

    for _ in range(6):
        await move()
        await move()
        with follow_process(chain.url, folder, *HISTORY) as following:
            await until(lambda: asked(path, "SELECT 1 FROM blocks LIMIT 1") != [])
            for _ in range(random.randrange(3)):
                await move()
            if random.random() < 0.5:
                await chain.transfer(0x777, next(amounts))
                await _until_told(chain, path)
            assert following.end(signal.SIGKILL)[0] == -signal.SIGKILL
    with follow_process(chain.url, folder, *HISTORY, "--once") as following:
        following.summary(None)
    assert asked(path, "SELECT 1 FROM undone_transactions") != []
    await _require_rebuilt_same(chain, folder)
