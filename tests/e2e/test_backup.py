"""`perpchain backup` of a node under load: restored elsewhere it goes on, or says why not."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any, NamedTuple

import msgspec
import pytest

from devnet.local_cast import make_local_cast
from scripts.clients.orders import limit_order, shown, units
from scripts.crashing.watched import interruptible
from sequencer.config import ADMIN_FILE, SETTLEMENT_FILE, SETTLEMENT_KEY_FILE
from sequencer.engine.exporting import export_lines
from sequencer.engine.lookup import find_block
from sequencer.model.halts import ExitCode
from sequencer.model.orders import Instruction, Order, OrderType, SelfTrade, Side
from sequencer.starknet.felt import as_bytes, format_hash
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.messages import order_hash
from sequencer.storage.folder import open_folder
from tests.e2e.commands import left, run
from tests.e2e.commands import shown as told_by
from tests.e2e.local_devnet import PATIENCE_SECONDS, ROOT, LocalDevnet, seen
from tests.e2e.node_process import Process, Start, starting
from tests.e2e.played_store import copy_store
from tests.e2e.prepared import INTERRUPTED, killed_at, prepared, signal_at

SEED = 11
ORDERS = 30
BASE = ("--seed", str(SEED), "--accounts", "2", "--bots", "--block-time", "20ms")


class Acknowledged(NamedTuple):
    """An order that the node has answered: its hash, and the block that holds it."""

    order: int
    height: int
    block: str


class Trader:
    """Sends orders of one account, signed over every field, and keeps what was answered."""

    def __init__(self, devnet: LocalDevnet) -> None:
        account = devnet.facts["accounts"][0]
        self._devnet = devnet
        self._address = int(account["address"], 16)
        self._key = int(account["private_key"], 16)
        self._chain_id = int(devnet.facts["chain_id_felt"], 16)
        self.answered: list[Acknowledged] = []

    async def send(self, count: int) -> None:
        """Send orders far below the price, one after the other."""
        facts = (await self._devnet.call("perp_getMarket", ["BTC-USD-PERP"]))["market"]
        increment = units(facts["price_increment"])
        price = units(facts["mark"]) * 9 // 10 // increment * increment
        for _ in range(count):
            now_ms = (await self._devnet.call("perp_getMode"))["time_ms"]
            fields = limit_order(self._address, "BTC-USD-PERP", "BUY", units("0.01"), price, now_ms)
            fields["client_id"] = len(self.answered) + 1
            order = Order(
                **{
                    **fields,
                    "side": Side.BUY,
                    "type": OrderType.LIMIT,
                    "instruction": Instruction.GTC,
                    "self_trade": SelfTrade.EXPIRE_TAKER,
                }
            )
            hash_ = order_hash(order, self._address, self._chain_id)
            amounts = {name: shown(fields[name]) for name in ("size", "price", "trigger_price")}
            felts = {name: hex(fields[name]) for name in ("account", "client_id", "pair_id")}
            wire = {**fields, **amounts, **felts, "replaces": "0x0"}
            signature = [hex(each) for each in sign(self._key, hash_)]
            told = await self._devnet.call(
                "perp_placeOrder", {"order": wire, "signature": signature}
            )
            assert "height" in told, told
            self.answered.append(Acknowledged(hash_, told["height"], told["block_hash"]))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start nodes with the devnet's operator, and leave none behind."""
    (tmp_path / "key").write_text(f"{make_local_cast(SEED, 2).roles.operator.key:#x}")
    with starting() as start_on:

        def begin(data: Path, *options: str) -> Process:
            with closing(open_folder(data)) as store:
                (tmp_path / "genesis.json").write_bytes(next(export_lines(store.view)))
            return start_on(data, *options)

        yield begin


async def backed_up(data: Path, directory: Path) -> dict[str, Any]:
    """Take a backup, as somebody else does while this process goes on."""
    return await asyncio.to_thread(told_by, "backup", data, directory)


def require_held(folder: Path, answered: list[Acknowledged], height: int) -> int:
    """Check that a chain has every order that was answered up to a height; returns how many."""
    held = [each for each in answered if each.height <= height]
    with closing(open_folder(folder)) as store:
        for each in held:
            mark = store.view.seen(as_bytes(each.order))
            assert mark is not None
            assert store.view.undone_by(mark.sequence) == 0
            block = find_block(store.view, str(each.height))
            assert int.from_bytes(block.block_hash, "big") == int(each.block, 16)
    return len(held)


async def test_a_backup_under_load_goes_on_elsewhere(tmp_path: Path, start: Start) -> None:
    data, copy, aside = tmp_path / "devnet", tmp_path / "copy", tmp_path / "aside"
    with LocalDevnet(tmp_path, *BASE, "--settlement", "none", "--data-dir", str(data)) as devnet:
        assert devnet.logged("mode=OPEN"), devnet.log
        trader = Trader(devnet)
        await trader.send(ORDERS)
        during = asyncio.create_task(trader.send(ORDERS))
        told = await backed_up(data, copy)
        await during
        await trader.send(5)
        devnet.strike(signal.SIGKILL)
        devnet.process.wait()
    heights = [each.height for each in trader.answered]
    height = told["height"]
    assert heights[ORDERS - 1] <= height < heights[-1]
    assert left(copy) == ["database", "writer"]
    copytree(copy, aside)
    assert require_held(copy, trader.answered, height) >= ORDERS
    with closing(open_folder(data)) as store:
        block = find_block(store.view, str(height))
        assert format_hash(block.block_hash) == told["block"]
    assert run("verify", "--full", copy).exit_code == 0
    node = start(copy)
    assert [each.partition(":")[0] for each in halts_of(copy)] == ["WITNESS_UNACKNOWLEDGED"]
    assert told_by("status", copy)["block"] == told["block"]
    assert told_by("mode", copy, "cancel-only")["height"] == height + 1
    node.at_height(height + 3)
    assert node.end() == ExitCode.STOPPED
    assert require_held(copy, trader.answered, height) >= ORDERS
    # In the place of the chain that went on, whose witness knows better, nobody takes it.
    rmtree(data)
    copytree(aside, data)
    older = run("verify", data)
    assert older.exit_code == ExitCode.STORE_UNUSABLE
    assert "HEAD_BELOW_WITNESS: the store ends at " in older.stderr


def halts_of(data: Path) -> list[str]:
    halts = told_by("status", data)["halts"]
    assert isinstance(halts, list)
    return halts


async def test_one_whose_roots_are_posted_asks_the_contract_first(
    tmp_path: Path, start: Start
) -> None:
    data, copy = tmp_path / "devnet", tmp_path / "copy"
    with LocalDevnet(
        tmp_path, *BASE, "--settlement", "embedded", "--data-dir", str(data)
    ) as devnet:
        assert devnet.logged("mode=OPEN"), devnet.log
        trader = Trader(devnet)
        await trader.send(3)
        told = await backed_up(data, copy)
        assert left(copy) == ["database", SETTLEMENT_FILE, "writer"]
        # Without the key that posts it does not start at all.
        assert SETTLEMENT_KEY_FILE in (await asyncio.to_thread(refused_start, copy))
        (copy / SETTLEMENT_KEY_FILE).write_bytes((data / SETTLEMENT_KEY_FILE).read_bytes())
        label = ("checkpoint", "create", data, "later", "--settled")
        await asyncio.to_thread(told_by, *label)
        node = start(copy)
        halts = await asyncio.to_thread(halts_of, copy)
        assert any(each.startswith("SETTLEMENT_DIFFERS: no block of this") for each in halts)
        done = await asyncio.to_thread(run, "mode", copy, "cancel-only")
        assert (done.exit_code, "SETTLEMENT_DIFFERS" in done.stderr) == (2, True)
        assert await asyncio.to_thread(node.end) == ExitCode.SETTLEMENT_DIFFERS
        assert devnet.end() == 0
    with closing(open_folder(copy)) as store:
        assert store.head.height == told["height"]


def refused_start(data: Path) -> str:
    command = [sys.executable, "-m", "sequencer", "node", str(data)]
    command += ["--operator-key", str(data.parent / "key")]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 2, done.stderr
    return done.stderr.decode()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a devnet that was stopped."""
    folder = tmp_path_factory.mktemp("origin")
    data = folder / "devnet"
    with LocalDevnet(folder, *BASE, "--settlement", "none", "--data-dir", str(data)) as devnet:
        assert devnet.logged("mode=OPEN"), devnet.log
        assert devnet.end() == 0
    return data


@pytest.fixture
def stopped(origin: Path, tmp_path: Path) -> Path:
    """Give a folder whose node is stopped."""
    return copy_store(origin, tmp_path / "devnet")


def test_a_command_that_dies_beside_a_stopped_node_leaves_no_chain(
    stopped: Path, tmp_path: Path
) -> None:
    before = left(tmp_path)
    points = [("copy.written", 1), ("copy.written", 2), ("database.made", 1)]
    points += [("folder.whole", 1), ("folder.whole", 2), ("folder.placed", 1)]
    for point, number in points:
        assert killed_at(point, number, "backup", stopped, tmp_path / "copy") == -signal.SIGKILL
        assert left(tmp_path) == sorted([*before, "copy.partial"]), point
        assert run("verify", tmp_path / "copy.partial").exit_code == ExitCode.STORE_UNUSABLE
    # In its place already: nothing is missing but the last sync.
    assert killed_at("folder.placed", 2, "backup", stopped, tmp_path / "copy") == -signal.SIGKILL
    assert run("verify", "--full", tmp_path / "copy").exit_code == 0
    assert run("backup", stopped, tmp_path / "copy").exit_code == 2
    told = told_by("backup", stopped, tmp_path / "other")
    assert told["checked"] == "ok"
    assert run("verify", stopped).exit_code == 0


@pytest.mark.parametrize("point", ["copy.written", "folder.whole"])
def test_a_node_that_dies_with_it_leaves_no_copy_and_loses_nothing(
    stopped: Path, tmp_path: Path, start: Start, point: str
) -> None:
    before = left(tmp_path)
    node = prepared(
        ["node", stopped, "--operator-key", tmp_path / "key"],
        [Path(os.devnull)] * 2,
        signal_at(point, 1, signal.SIGKILL),
    )
    try:
        assert seen((stopped / ADMIN_FILE).exists)
        done = run("backup", stopped, tmp_path / "copy")
        node.join(PATIENCE_SECONDS)
        assert node.exitcode == -signal.SIGKILL
    finally:
        node.kill()
        node.join()
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "OUTCOME_UNKNOWN" in done.stderr
    assert left(tmp_path) == before
    assert run("verify", stopped).exit_code == 0
    again = start(stopped)
    assert told_by("backup", stopped, tmp_path / "copy")["checked"] == "ok"
    assert again.end() == ExitCode.STOPPED


def test_whatever_ends_the_command_leaves_nothing(stopped: Path, tmp_path: Path) -> None:
    before = left(tmp_path)
    for point, kind in (
        ("copy.written", signal.SIGINT),
        ("folder.whole", signal.SIGINT),
        ("copy.written", signal.SIGTERM),
        ("folder.whole", signal.SIGHUP),
    ):
        code = killed_at(point, 1, "backup", stopped, tmp_path / "copy", kind=kind)
        assert code == INTERRUPTED
        assert left(tmp_path) == before


def _asking(command: list[str]) -> "subprocess.Popen[bytes]":
    with interruptible():
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


async def test_a_running_node_forgets_a_backup_that_nobody_waits_for(tmp_path: Path) -> None:
    data, copy = tmp_path / "devnet", tmp_path / "copy"
    with LocalDevnet(tmp_path, *BASE, "--settlement", "none", "--data-dir", str(data)) as devnet:
        assert devnet.logged("mode=OPEN"), devnet.log
        command = [sys.executable, "-m", "sequencer", "backup", str(data), str(copy)]
        for number in (signal.SIGINT, signal.SIGKILL):
            asking = _asking(command)
            partial = tmp_path / "copy.partial"
            assert await asyncio.to_thread(seen, partial.exists)
            asking.send_signal(number)
            _, said = await asyncio.to_thread(asking.communicate, timeout=PATIENCE_SECONDS)
            assert b"Traceback" not in said
            assert asking.returncode != 0
            assert not copy.exists()
        # The node is not busy for long with what was left, and the next one takes it away.
        assert await asyncio.to_thread(seen, lambda: run("backup", data, copy).exit_code == 0)
        assert left(tmp_path) == ["copy", "devnet", "devnet.witness"]
        devnet.strike(signal.SIGKILL)
        devnet.process.wait()
    assert run("verify", "--full", copy).exit_code == 0
    assert msgspec.json.decode(run("verify", data, "--json").stdout)["ok"]
