"""A devnet whose operator goes back: prices, faucet and bots go on with the chain that follows."""

import asyncio
from pathlib import Path
from typing import Any

from tests.e2e.local_devnet import LocalDevnet
from tests.e2e.test_store_commands import run, shown

ACCOUNT = "0x1234"
LOOKS_MAX = 200


def ask(devnet: LocalDevnet, method: str, params: object = ()) -> dict[str, Any]:
    told: dict[str, Any] = asyncio.run(devnet.call(method, params))
    return told


def pay(devnet: LocalDevnet) -> dict[str, Any]:
    return ask(devnet, "perp_faucet", [ACCOUNT, "5"])


def go_back(data: str, height: int) -> None:
    shown("mode", data, "halted", "--reason", "a drill")
    plan_id = shown("reorg", "plan", data, "--to", height)["plan_id"]
    assert shown("reorg", "apply", data, plan_id, "--reason", "a drill")["height"] == height


def reopen(data: str) -> None:
    """Go up again; OPEN is refused until prices and the root are there."""
    shown("mode", data, "cancel-only")
    shown("mode", data, "post-only")
    assert any(run("mode", data, "open").exit_code == 0 for _ in range(LOOKS_MAX))


def test_everything_goes_on_after_a_rollback(tmp_path: Path) -> None:
    options = ("--settlement", "none", "--bots", "--block-time", "50ms")
    with LocalDevnet(tmp_path, *options) as devnet:
        data = devnet.facts["data_dir"]
        assert devnet.logged("mode=OPEN")
        opened = ask(devnet, "perp_getMode")["height"]
        paid = pay(devnet)
        assert paid["height"] > opened
        go_back(data, opened)
        assert ask(devnet, "perp_getAccount", [ACCOUNT])["account"]["cash"] == "0"
        assert pay(devnet)["data"]["code"] == "HALTED"
        reopen(data)
        again = pay(devnet)
        assert (again["epoch"], paid["epoch"]) == (1, 0)
        assert again["transaction_hash"] != paid["transaction_hash"]
        assert ask(devnet, "perp_getAccount", [ACCOUNT])["account"]["cash"] == "5"
        book: dict[str, Any] = {"bids": []}
        while not book["bids"]:
            book = ask(devnet, "perp_getBook", ["BTC-USD-PERP"])
        assert devnet.end() == 0
    assert any("HALTED LATCH" in line for line in devnet.log)
