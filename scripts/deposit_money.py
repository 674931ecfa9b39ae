"""Pay into the settlement contract, and see an account of the appchain credited.

    perpchain devnet --json              # at another terminal; the second line has URL and CONTRACT
    python scripts/deposit_money.py URL CONTRACT        # --url for another address of the appchain

The money is the test token's, from its faucet. Approval and deposit go in one transaction; the
appchain answers with a transaction of its own, whose hash the contract has said beforehand.
Exit codes: 0 credited, 1 not within two minutes, 2 refused, or nobody to ask.
"""

import asyncio
import sys
from contextlib import suppress

from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import TransactionFinalityStatus
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient

from scripts.clients.both_chains import run_with
from scripts.clients.devnet import CHECK_SECONDS, new_account
from scripts.clients.money import Settlement, shown

WAIT_SECONDS = 120


async def deposit(url: str, settlement: Settlement, amount: int) -> int:
    """Pay for a new account, and wait until it has the money; returns the exit code."""
    account = (await new_account(url, "1")).address
    payer = await settlement.open()
    mint = settlement.call("mint", payer.address, amount, 0, to=settlement.token)
    await settlement.send(payer, mint)
    has = shown(await settlement.balance(payer.address))
    print(f"{payer.address:#x} has {has} USDC on the settlement chain")

    receipt = await settlement.send(
        payer,
        settlement.call("approve", settlement.contract, amount, 0, to=settlement.token),
        settlement.call("deposit", account, amount),
    )
    nonce, message_hash = settlement.deposited(receipt)
    print(f"deposit {nonce}: {shown(amount)} USDC, to be credited by {message_hash:#x}")
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            height = await credited(FullNodeClient(url), message_hash)
    except TimeoutError:
        print("not credited yet; the deposit stands, and will be")
        return 1
    perp = RpcHttpClient(url, method_prefix="perp")
    told = await perp.call("getAccount", {"account": hex(account)})
    print(f"credited in block {height}: the account has {told['account']['cash']} USDC")
    return 0


async def credited(node: FullNodeClient, message_hash: int) -> int:
    """Wait for the appchain's transaction, which stands in a block once the money is there."""
    while True:
        with suppress(ClientError):  # Not yet there.
            receipt = await node.get_transaction_receipt(message_hash)
            if receipt.finality_status is not TransactionFinalityStatus.PRE_CONFIRMED:
                return receipt.block_number
        await asyncio.sleep(CHECK_SECONDS)


def main() -> int:
    """Read the command line, and deposit; returns the exit code."""
    return run_with("Deposit through the settlement contract.", "100", deposit)


if __name__ == "__main__":
    sys.exit(main())
