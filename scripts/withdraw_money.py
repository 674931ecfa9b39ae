"""Withdraw from the appchain, prove it, and have it paid by the settlement contract.

    perpchain devnet --json              # at another terminal; the second line has URL and CONTRACT
    python scripts/withdraw_money.py URL CONTRACT       # --url for another address of the appchain

Time passes on a devnet when somebody says so: the finality delay of an hour takes no hour here.
Exit codes: 0 paid, 1 the proof does not follow, 2 refused, or nobody to ask.
"""

import sys

from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.client_models import Call

from scripts.clients.both_chains import run_with
from scripts.clients.devnet import CHECK_SECONDS, NO_FEES, new_account
from scripts.clients.money import Settlement, shown
from scripts.clients.proofs import Unproven
from scripts.clients.withdrawals import final_height, owed_proof, withdrawal_id


async def withdraw(url: str, settlement: Settlement, amount: int) -> int:
    """Withdraw to an account of the settlement chain; returns the exit code."""
    account, recipient = await new_account(url, "1000"), await settlement.open()
    _, exchange, *_ = await settlement.view("get_bridge")
    call = Call(
        exchange,
        get_selector_from_name("withdraw"),
        [account.address, recipient.address, amount * 100],
    )
    sent = await account.execute_v3(call, resource_bounds=NO_FEES)
    receipt = await account.client.wait_for_tx(sent.transaction_hash, check_interval=CHECK_SECONDS)
    id_ = withdrawal_id(sent.transaction_hash)
    print(f"withdrawal {id_:#x} of {shown(amount)} USDC is in block {receipt.block_number}")

    height, root = await final_height(settlement, recipient, receipt.block_number)
    print(f"block {height} is final on the settlement chain, state root {root:#x}")
    try:
        proof = await owed_proof(url, exchange, height, root, (id_, recipient.address, amount))
    except Unproven as unproven:
        print(f"NOT PROVEN: {unproven}")
        return 1
    before = await settlement.balance(recipient.address)
    claim = settlement.call("withdraw", height, id_, recipient.address, amount, *proof)
    await settlement.send(recipient, claim)
    paid = await settlement.balance(recipient.address) - before
    print(f"paid {shown(paid)} USDC to {recipient.address:#x}, by a proof of {len(proof)} felts")
    return 0


def main() -> int:
    """Read the command line, and withdraw; returns the exit code."""
    return run_with("Withdraw through the settlement contract.", "25", withdraw)


if __name__ == "__main__":
    sys.exit(main())
