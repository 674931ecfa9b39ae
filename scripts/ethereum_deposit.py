"""Lock tokens on Ethereum, and see an account of the appchain credited.

    perpchain devnet --ethereum --json   # at another terminal; its second line has the three words
    python scripts/ethereum_deposit.py URL LOCK KEY     # --url for another address of the appchain

URL is `ethereum_url`, LOCK `ethereum_lock`, KEY `ethereum_private_key`, which anybody knows. The
money is the test token's, from its faucet. Once the deposit is deep enough its message goes to the
settlement contract, and from there the appchain credits the account.
Exit codes: 0 credited, 1 not within two minutes, 2 refused, or nobody to ask.
"""

import argparse
import asyncio
import sys
from typing import Any

from starknet_py.net.http_client import RpcHttpClient

from contracts.ethereum import load_ethereum_artifact
from scripts.clients.devnet import CHECK_SECONDS, URL, new_account, run
from scripts.clients.money import shown, units
from sequencer.model.secret import Secret
from sequencer.settlement.ethereum import (
    EthereumAccount,
    EthereumError,
    connect_ethereum,
    disconnect_ethereum,
)
from sequencer.settlement.ethereum_lock import EthereumLock, EthereumToken

WAIT_SECONDS = 120
FEE_WEI = 10**12


async def deposit(given: argparse.Namespace) -> int:
    """Deposit for a new account, and wait until it has the money; returns the exit code."""
    account = (await new_account(given.url, "1")).address
    node = connect_ethereum(given.ethereum)
    try:
        lock = EthereumLock(node, given.lock, load_ethereum_artifact("PerpchainLock").abi)
        payer = EthereumAccount(node, Secret(int(given.key, 16)))
        token = EthereumToken(payer, await lock.token(), load_ethereum_artifact("TestUsdc").abi)
        await token.mint(given.amount)
        await token.approve(lock.address, given.amount)
        sent = await lock.deposit(payer, given.amount, account, FEE_WEI)
        print(f"message {sent.nonce}: {shown(given.amount)} USDC in block {sent.block.number}")
    except EthereumError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        await disconnect_ethereum(node)
    perp, before = RpcHttpClient(given.url, method_prefix="perp"), 10**6
    for _ in range(int(WAIT_SECONDS / CHECK_SECONDS)):
        told: Any = (await perp.call("getAccount", {"account": hex(account)}))["account"]
        if units(told["cash"]) == before + given.amount:
            print(f"credited: the account has {told['cash']} USDC")
            return 0
        await asyncio.sleep(CHECK_SECONDS)
    print("not credited yet; what the devnet logs of Ethereum says why")
    return 1


def main() -> int:
    """Read the command line, and deposit; returns the exit code."""
    parser = argparse.ArgumentParser(description="Deposit on Ethereum.")
    parser.add_argument("ethereum", help="where Ethereum answers")
    parser.add_argument("lock", help="the lock contract's address")
    parser.add_argument("key", help="the private key of who pays")
    parser.add_argument("--amount", type=units, default="100", help="USDC; default: 100")
    parser.add_argument("--url", default=URL, help=f"default: {URL}")
    given = parser.parse_args()
    return run(given.url, deposit(given))


if __name__ == "__main__":
    sys.exit(main())
