"""The scripts for users that trade and verify: on a devnet, where nobody answers, and lied to."""

import asyncio
import random
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, web

from scripts.clients.holdings import account_proof, proven, storage_proof
from scripts.clients.orders import shown, units
from scripts.clients.proofs import Unproven, block_hash
from tests.e2e.devnet_process import ClientDevnet, needs_devnet
from tests.e2e.local_devnet import ROOT, LocalDevnet
from tests.e2e.user_scripts import called, finished, traded, traders_of
from tests.strategies import Unchecked

LINES_MAX = 80
NAMES = ("fund_and_trade", "verify_account", "watch_and_reconcile")
MOVING = ("deposit_money", "withdraw_money")
"""Those that have a settlement chain, too: tests of money run them."""

MARKET = "BTC-USD-PERP"
FLIPS_SEED = 20_240_808


def test_each_file_is_short() -> None:
    files = [ROOT / "scripts" / f"{name}.py" for name in (*NAMES, *MOVING)]
    files += sorted((ROOT / "scripts" / "clients").glob("*.py"))
    lengths = {file.name: len(file.read_text().splitlines()) for file in files}
    assert len(lengths) > len(NAMES) + len(MOVING)
    assert {name: count for name, count in lengths.items() if count >= LINES_MAX} == {}


@pytest.mark.parametrize("name", [*NAMES, *MOVING])
def test_nobody_there_is_one_line(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for url in (nobody, "nonsense"):
            given = (url, "0x5") if name in MOVING else arguments(name)
            require_one_line(called(name, *given, "--url", url), "perpchain devnet")


@pytest.mark.parametrize("name", NAMES)
async def test_somebody_else_is_one_line(name: str) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html></html>", content_type="text/html")

    async with serving(page) as url:
        done = await asyncio.to_thread(called, name, *arguments(name), "--url", url)
        require_one_line(done, "no answer of perpchain's")
        done = await asyncio.to_thread(called, name, *arguments(name), "--url", f"{url}/absent")
        require_one_line(done, "HTTP 404")


def arguments(name: str) -> list[str]:
    return ["0x5"] if name == "verify_account" else []


def require_one_line(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done
    (line,) = done.stderr.splitlines()
    assert words in line


async def test_two_accounts_trade(devnet: ClientDevnet) -> None:
    done = await finished("fund_and_trade", "--url", devnet.http)
    (seller, buyer), said = traders_of(done)
    perp = devnet.perp()
    (trade,) = (await perp.call("getTrades", {"account": buyer}))["trades"]
    assert (trade["maker"], trade["taker"], trade["side"]) == (seller, buyer, "BUY")
    bought = f"bought {trade['size']} at {trade['price']} for a fee of {trade['taker_fee']}"
    assert f"{trade['height']}: FILLED" in said
    assert bought in said
    paid = units("10000") - units(trade["taker_fee"])
    for name, address, size in (("seller", seller, "-0.01"), ("buyer", buyer, "0.01")):
        account = (await perp.call("getAccount", {"account": address}))["account"]
        assert [each["size"] for each in account["positions"]] == [size]
        assert units(account["cash"]) == (paid if name == "buyer" else units("10000"))
        assert f"the {name} has {account['cash']} USDC and {size} {MARKET}" in said
    unknown = ("--url", devnet.http, "--market", "DOGE")
    done = await asyncio.to_thread(called, "fund_and_trade", *unknown)
    require_one_line(done, "MARKET_UNKNOWN")


@pytest.mark.parametrize("text", ["0", "0.00000001", "61829.7", "-3", "1000000"])
def test_amounts_are_exact(text: str) -> None:
    assert shown(units(text)) == text


async def test_an_account_is_verified(devnet: ClientDevnet) -> None:
    (seller, _), _ = await asyncio.to_thread(traded, devnet.http)
    done = await finished("verify_account", seller, "--url", devnet.http)
    assert (done.returncode, done.stderr) == (0, "")
    held = (await devnet.perp().call("getAccount", {"account": seller}))["account"]
    for words in (f"{held['cash']} USDC", f"-0.01 {MARKET}", "0 ETH-USD-PERP", "the node's word"):
        assert words in done.stdout
    block = int(done.stdout.split()[2].rstrip(","))
    live: Unchecked = await devnet.client().get_block(block_number=block)
    assert f"{live.block_hash:#x}" in done.stdout
    assert f"{live.new_root:#x}" in done.stdout


Steps = tuple[str | int, ...]


def leaves(told: Unchecked, path: Steps = ()) -> Iterator[Steps]:
    """Name every value of an answer that a proof is made of."""
    if isinstance(told, Mapping):
        for name, value in told.items():
            yield from leaves(value, (*path, name))
    elif isinstance(told, list):
        for at, value in enumerate(told):
            yield from leaves(value, (*path, at))
    else:
        yield path


def flipped(told: Unchecked, path: Steps, choice: random.Random) -> Unchecked:
    """Return an answer in which one value is another one, by a bit where it is a number."""
    changed = deepcopy(told)
    inside = changed
    for step in path[:-1]:
        inside = inside[step]
    value = inside[path[-1]]
    if isinstance(value, int):
        inside[path[-1]] = value ^ 1
    elif value.startswith("0x"):
        inside[path[-1]] = hex(int(value, 16) ^ 1 << choice.randrange(250))
    else:
        inside[path[-1]] = f"{value}1"
    return changed


async def test_every_bit_of_a_proof_counts(devnet: ClientDevnet) -> None:
    (seller, _), _ = await asyncio.to_thread(traded, devnet.http)
    choice = random.Random(FLIPS_SEED)
    for account in (int(seller, 16), 0xDEAD):
        whole = await account_proof(devnet.http, account, "latest")
        names = ("contracts_root", "classes_root", "leaf", "contracts_proof", "storage_proof")
        header, own = whole["header"], {name: whole[name] for name in names}
        block = {"block_hash": header["block_hash"]}
        public = await storage_proof(devnet.http, account, block)
        amounts = proven(header, own, account)
        assert (amounts["USDC"] > 0) is (amounts[MARKET] < 0) is (account != 0xDEAD)
        assert proven(header, public, account) == amounts
        for path in leaves(header):
            with pytest.raises(Unproven):
                block_hash(flipped(header, path, choice))
        with pytest.raises(Unproven):
            proven(flipped(header, ("new_root",), choice), public, account)
        for path in counted(public):
            with pytest.raises(Unproven):
                proven(header, flipped(public, path, choice), account)
        # The exchange's own proof has slots of which nothing is read here.
        unread = [
            path for path in counted(own) if reads(header, flipped(own, path, choice), account)
        ]
        assert {path[0] for path in unread} <= {"storage_proof"}
        assert len(unread) < len(list(counted(own))) // 2


def counted(told: Unchecked) -> Iterator[Steps]:
    """Name what is read: nodes and leaves, and not the names that an answer gives them."""
    unread = ("node_hash", "contract_address")
    return (path for path in leaves(told) if path[-1] not in unread)


def reads(header: Unchecked, told: Unchecked, account: int) -> bool:
    try:
        proven(header, told, account)
    except Unproven:
        return False
    return True


@asynccontextmanager
async def serving(answer: Unchecked) -> AsyncIterator[str]:
    """Answer requests on a port of our own."""
    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        server: Unchecked = site._server
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def lying(url: str, method: str, path: Steps) -> AsyncIterator[str]:
    """Pass requests on, and change one bit of the answers of one method."""

    async def answer(request: web.Request) -> web.Response:
        asked, kind = await request.read(), {"Content-Type": "application/json"}
        async with (
            ClientSession(headers=kind) as session,
            session.post(url, data=asked) as response,
        ):
            told = msgspec.json.decode(await response.read())
        if msgspec.json.decode(asked)["method"] == method:
            told = flipped(told, ("result", *path), random.Random(FLIPS_SEED))
        return web.Response(body=msgspec.json.encode(told), content_type="application/json")

    async with serving(answer) as there:
        yield there


LIES: list[tuple[str, Steps, str]] = [
    ("perp_accountProof", ("header", "timestamp"), "claims another hash"),
    ("perp_accountProof", ("exchange", "storage_root"), "does not stand so"),
    ("perp_accountProof", ("storage_proof", 0, "node", "left"), "no node"),
    ("starknet_getStorageProof", ("contracts_storage_proofs", 0, 0, "node", "right"), "no node"),
]


@pytest.mark.parametrize(("method", "path", "words"), LIES)
async def test_a_node_that_lies_is_found_out(
    devnet: ClientDevnet, method: str, path: Steps, words: str
) -> None:
    async with lying(devnet.http, method, path) as url:
        account = devnet.facts["accounts"][0]["address"]
        done = await asyncio.to_thread(called, "verify_account", account, "--url", url)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("NOT PROVEN: ")
    assert words in done.stdout


@needs_devnet
async def test_what_was_posted_is_compared(tmp_path: Path) -> None:
    with LocalDevnet(tmp_path, "--settlement", "devnet") as devnet:
        url, posted = str(devnet.facts["http"]), devnet.line(1)
        there, contract = posted["settlement_url"], posted["settlement_contract"]
        assert devnet.logged("mode=OPEN")
        (_, buyer), _ = await asyncio.to_thread(traded, url)
        asked = (buyer, "--url", url, "--settlement")
        done = await finished("verify_account", *asked, there, contract)
        assert (done.returncode, done.stderr) == (0, ""), done
        lines = [line.partition("block ")[2] for line in done.stdout.splitlines()]
        assert lines[0] == lines[1]
        assert "roots are not proven there" in done.stdout
        for at, code, words in ((0, 1, "another block"), (2, 2, "BLOCK_UNKNOWN")):
            # The state root, and the hash by which the node is asked.
            async with lying(there, "starknet_call", (at,)) as liar:
                done = await asyncio.to_thread(called, "verify_account", *asked, liar, contract)
            assert (done.returncode, words in done.stdout + done.stderr) == (code, True), done
        assert devnet.end() == 0
