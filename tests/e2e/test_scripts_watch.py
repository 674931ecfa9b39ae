"""The script that keeps a ledger: through rollbacks, an undo, restarts and a long absence."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.clients.ledger import Head, Ledger, Trade
from scripts.crashing.watched import Watched
from tests.e2e.commands import shown
from tests.e2e.devnet_process import ClientDevnet, client_devnet
from tests.e2e.local_devnet import PATIENCE_SECONDS, LocalDevnet
from tests.e2e.user_scripts import command, traded

MARKET = "BTC-USD-PERP"
BLOCKS_BACK_MAX = 32
FORGETFUL = f"""
from sequencer.model import api_limits
api_limits.SUBSCRIPTION_BLOCKS_BACK_MAX = {BLOCKS_BACK_MAX}
"""


class Watch:
    """The script that keeps a ledger, and what it says."""

    def __init__(self, *options: object) -> None:
        self._watched = Watched(command("watch_and_reconcile", *options))
        self.said, self.complaints = self._watched.printed, self._watched.said

    def hears(self, words: str, times: int = 1) -> None:
        """Wait until it has said something so often."""

        def heard() -> bool:
            return sum(words in line for line in self.said) >= times

        assert self._watched.until(heard, PATIENCE_SECONDS), (words, self.said, self.complaints)

    def ended(self) -> int:
        """Press Ctrl-C, and return the code."""
        self._watched.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Wait until it has ended, and return the code."""
        return self._watched.end(PATIENCE_SECONDS)

    def close(self) -> None:
        self._watched.close()


@contextmanager
def watching(*options: object) -> Iterator[Watch]:
    """Run the script until the test is done with it."""
    watch = Watch(*options)
    try:
        yield watch
    finally:
        watch.close()


async def test_a_ledger_lasts_through_rollbacks_and_an_undo(tmp_path: Path) -> None:
    with client_devnet(tmp_path) as devnet, watching("--url", devnet.http) as watch:
        await asyncio.to_thread(watch.hears, "subscribed")
        kept = await devnet.client().get_block_number()
        await asyncio.to_thread(traded, devnet.http)
        await asyncio.to_thread(watch.hears, "0.01 bought at")
        first = (await devnet.roll_back(kept))["halted_by_reorg"]
        await asyncio.to_thread(watch.hears, "with 1 trades")
        await devnet.undo(first)
        await asyncio.to_thread(watch.hears, "0.01 bought at", 2)
        await devnet.roll_back(kept, is_halted=True)
        await asyncio.to_thread(watch.hears, "with 1 trades", 2)
        await devnet.reopen()
        await asyncio.to_thread(traded, devnet.http)
        await asyncio.to_thread(watch.hears, "0.01 bought at", 3)
        assert await asyncio.to_thread(watch.ended) == 0, watch.said
        said = "\n".join(watch.said)
        assert said.count("told that blocks") == 2
        assert said.count(f"ROLLBACK to block {kept} by olga: 'a price that was none'") == 2
        assert "UNDO to block" in said
        assert "1 in the ledger, 1 in a fresh read: the same" in said
        (trade,) = (await devnet.perp().call("getTrades", {"market": MARKET}))["trades"]
        assert f"block {trade['height']}: {trade['size']} bought at {trade['price']}" in said


@contextmanager
def resumed(folder: Path, url: str, *options: str) -> Iterator[ClientDevnet]:
    """Run a devnet where another one was, which may be halted."""
    port = url.rpartition(":")[2]
    with LocalDevnet(folder, "--settlement", "none", "--port", port, *options) as devnet:
        assert devnet.facts["http"] == url, devnet.log
        yield ClientDevnet(devnet)
        assert devnet.end() == 0, devnet.log


async def test_a_ledger_lasts_while_its_blocks_are_undone_behind_its_back(tmp_path: Path) -> None:
    data = str(tmp_path / "kept")
    with client_devnet(tmp_path, "--data-dir", data) as devnet:
        url, kept = devnet.http, await devnet.client().get_block_number()
        watch = Watch("--url", url, "--since", kept)
        await asyncio.to_thread(watch.hears, "subscribed")
        await asyncio.to_thread(traded, url)
        await asyncio.to_thread(watch.hears, "0.01 bought at")
    try:
        await asyncio.to_thread(watch.hears, "trying again")
        with resumed(tmp_path, url, "--data-dir", data):
            # Nothing was undone: it goes on where it was.
            await asyncio.to_thread(watch.hears, "subscribed", 2)
        plan = await asyncio.to_thread(shown, "reorg", "plan", data, "--to", kept)
        words = (plan["plan_id"], "--reason", "a wrong price", "--by", "olga")
        await asyncio.to_thread(shown, "reorg", "apply", "--yes", data, *words)
        with resumed(tmp_path, url, "--data-dir", data) as devnet:
            await asyncio.to_thread(watch.hears, "subscribed", 3)
            await devnet.reopen()
            await asyncio.to_thread(traded, url)
            await asyncio.to_thread(watch.hears, "0.01 bought at", 2)
            assert await asyncio.to_thread(watch.ended) == 0, watch.said
            said = "\n".join(watch.said)
            assert f"ROLLBACK to block {kept} by olga: 'a wrong price'" in said
            assert "told that blocks" not in said
            assert "1 in the ledger, 1 in a fresh read: the same" in said
            assert watch.complaints == []
    finally:
        watch.close()


async def test_another_chain_is_no_continuation(tmp_path: Path) -> None:
    with client_devnet(tmp_path) as devnet:
        url = devnet.http
        watch = Watch("--url", url)
        await asyncio.to_thread(watch.hears, "subscribed")
    try:
        with resumed(tmp_path, url, "--seed", "2"):
            assert watch.end() == 1
            assert "another chain" in watch.said[-1]
    finally:
        watch.close()


async def test_a_ledger_begins_far_behind(tmp_path: Path) -> None:
    with client_devnet(tmp_path, "--block-time", "5ms", change=FORGETFUL) as devnet:
        await asyncio.to_thread(traded, devnet.http)
        node, perp = devnet.client(), devnet.perp()
        asked = {"account": "0x1234", "amount": "1"}
        while await node.get_block_number() <= BLOCKS_BACK_MAX:
            await perp.call("faucet", asked)
        with watching("--url", devnet.http, "--since", 0) as watch:
            await asyncio.to_thread(watch.hears, "subscribed")
            assert "block 0 is too far back" in watch.said[1]
            assert await asyncio.to_thread(watch.ended) == 0, watch.said
            assert "1 in the ledger, 1 in a fresh read: the same" in watch.said[-1]


def test_a_ledger_goes_back() -> None:
    ledger = Ledger(Head(10, 0xA))
    for number in (11, 12, 13):
        ledger.add(Head(number, number), [Trade(number, 5, -7)])
    assert ledger.go_back(Head(12, 12)) == (1, 1)
    assert ledger.tip == Head(12, 12)
    assert ledger.go_back(Head(12, 12)) == (0, 0)
    # Below what it began with, it begins anew.
    assert ledger.go_back(Head(9, 9)) == (2, 2)
    assert (ledger.heads, ledger.trades) == ([Head(9, 9)], [])
