"""`perpchain follow` at a starknet-devnet whose blocks are aborted and made again."""

import signal
import time
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

from tests.contracts.devnet import NEEDS_DEVNET, running
from tests.e2e.abortable_chain import Chain
from tests.e2e.follow_process import call_lines, follow_process, require_same, until, until_told

pytestmark = NEEDS_DEVNET


async def test_aborted_blocks_are_taken_back_while_it_follows(chain: Chain, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    with follow_process(chain.url, folder) as following:
        for account in range(5):
            await chain.mint(0x100 + account, 10 + account)
        await chain.transfer(0x777, 5)
        await until_told(chain.url, folder)
        await chain.abort(4)
        await until_told(chain.url, folder)
        await chain.mint(0x100, 99)
        await chain.transfer(0x778, 6)
        await until_told(chain.url, folder)
        await chain.abort(1)
        await chain.transfer(0x777, 8)
        await chain.empty()
        await until_told(chain.url, folder)
        summary = following.summary()
    assert summary["reorgs"] >= 2
    await require_same(chain.url, folder)


async def test_blocks_aborted_while_it_was_away_are_taken_back(
    chain: Chain, tmp_path: Path
) -> None:
    folder = tmp_path / "ledger"
    for account in range(8):
        await chain.mint(0x100 + account % 3, 10 + account)
    with follow_process(chain.url, folder, "--once") as following:
        assert following.summary(None)["height"] == 8
    await chain.abort(6)
    for account in range(9):
        await chain.mint(0x100 + account % 4, 1)
    with follow_process(chain.url, folder, "--once") as following:
        summary = following.summary(None)
    assert (summary["reverts"], summary["blocks"], summary["height"]) == (6, 9, 11)
    await require_same(chain.url, folder)


async def test_other_blocks_with_the_same_hashes_are_found(chain: Chain, tmp_path: Path) -> None:
    """Blocks made again have the hashes of those before, and the one on top is equal throughout."""
    folder = tmp_path / "ledger"
    await chain.mint(0x100, 1)
    await chain.mint(0x100, 2)
    await chain.empty()
    with follow_process(chain.url, folder, "--once") as following:
        following.summary(None)
    before = [await chain.block(height) for height in range(4)]
    await chain.abort(2)
    await chain.mint(0x100, 3)
    await chain.empty()
    after = [await chain.block(height) for height in range(4)]
    assert [block["block_hash"] for block in after] == [block["block_hash"] for block in before]
    assert after[2]["transactions"] != before[2]["transactions"]
    with follow_process(chain.url, folder, "--once") as following:
        assert following.summary(None)["reverts"] == 2
    await require_same(chain.url, folder)


async def test_another_devnet_at_the_address_is_refused(chain: Chain, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    await chain.mint(0x100, 1)
    with follow_process(chain.url, folder, "--once") as following:
        following.summary(None)
    # A devnet that starts in the same second has the same block 0.
    second = (await chain.block(0))["timestamp"] + 1
    await until(lambda: time.time() > second)
    with running(tmp_path / "other.log") as url:
        with follow_process(url, folder, "--once") as following:
            code, _, error = following.end(None)
        assert (code, error.splitlines()[-1].split(":")[1]) == (22, " FOLLOW_CHAIN_OTHER")
        assert "Traceback" not in error
        with follow_process(url, folder, "--once", "--rebuild") as following:
            assert following.summary(None)["blocks"] == 1
        await require_same(url, folder)


async def test_killed_at_any_moment_it_goes_on(chain: Chain, tmp_path: Path) -> None:
    """Kill it ten times while blocks come and go: each call is made once, and none is left out."""
    folder, random, amounts = tmp_path / "ledger", Random(11), count(1)

    async def move() -> int:
        """Abort some blocks and make others, which no block before was equal to."""
        aborted, made = random.randrange(4), random.randrange(1, 6)
        if 0 < aborted < await chain.height():
            await chain.abort(aborted)
        for _ in range(made):
            await chain.mint(0x100 + random.randrange(4), next(amounts))
        return made

    for _ in range(10):
        lines = len(call_lines(folder)) + random.randrange(1, 1 + await move())
        with follow_process(chain.url, folder) as following:
            await until(partial(_has_lines, folder, lines))
            if random.random() < 0.5:
                await move()
            assert following.end(signal.SIGKILL)[0] == -signal.SIGKILL
    with follow_process(chain.url, folder, "--once") as following:
        following.summary(None)
    assert any(" -" in line for line in call_lines(folder))
    await require_same(chain.url, folder)


def _has_lines(folder: Path, lines: int) -> bool:
    return len(call_lines(folder)) >= lines
