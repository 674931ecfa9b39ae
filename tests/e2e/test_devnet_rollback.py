"""A devnet whose operator goes back: prices, faucet and bots go on with the chain that follows."""

from pathlib import Path

import pytest
from starknet_py.net.client_errors import ClientError

from tests.e2e.devnet_process import client_devnet, eventually

ACCOUNT = "0x1234"
PAYMENT = {"account": ACCOUNT, "amount": "5"}


async def test_everything_goes_on_after_a_rollback(tmp_path: Path) -> None:
    with client_devnet(tmp_path, "--bots", "--block-time", "50ms") as devnet:
        perp = devnet.perp()

        async def cash() -> str:
            told = await perp.call("getAccount", {"account": ACCOUNT})
            return str(told["account"]["cash"])

        async def has_bids() -> bool:
            return bool((await perp.call("getBook", {"market": "BTC-USD-PERP"}))["bids"])

        opened = (await perp.call("getMode"))["height"]
        paid = await perp.call("faucet", PAYMENT)
        assert paid["height"] > opened
        await devnet.roll_back(opened)
        assert await cash() == "0"
        with pytest.raises(ClientError, match="HALTED"):
            await perp.call("faucet", PAYMENT)
        await devnet.reopen()
        again = await perp.call("faucet", PAYMENT)
        assert (again["epoch"], paid["epoch"]) == (1, 0)
        assert again["transaction_hash"] != paid["transaction_hash"]
        assert await cash() == "5"
        await eventually(has_bids)
        assert any("HALTED LATCH" in line for line in devnet.log)
