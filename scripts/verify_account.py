"""Verify what an account holds, down to a block hash and to the root on the settlement chain.

    python scripts/verify_account.py 0x470a...                             # --url: another node
    python scripts/verify_account.py 0x470a... --settlement URL CONTRACT   # a devnet prints both

Nothing is taken from the node but hashes to check; what is trusted all the same is printed.
Exit codes: 0 proven, 1 something does not follow, 2 refused, or nobody to ask.
"""

import argparse
import sys

from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.client_models import Call
from starknet_py.net.full_node_client import FullNodeClient

from scripts.clients.devnet import URL, run
from scripts.clients.holdings import account_proof, proven, storage_proof
from scripts.clients.orders import shown
from scripts.clients.proofs import Unproven, block_hash, number


async def posted(url: str, contract: str) -> tuple[int, int]:
    """Read which block was posted last; returns its hash and its state root."""
    call = Call(number(contract), get_selector_from_name("get_state"), [])
    state_root, height, hash_ = await FullNodeClient(url).call_contract(call)
    print(f"posted:  block {height}, {hash_:#x}, state root {state_root:#x}")
    return hash_, state_root


async def verify(url: str, account: int, settlement: list[str]) -> None:
    """Prove cash and positions at one block by both kinds of proof. Raises Unproven."""
    expected = await posted(*settlement) if settlement else None
    block = {"block_hash": hex(expected[0])} if expected else "latest"
    told = await account_proof(url, account, block)
    header, hash_ = told["header"], block_hash(told["header"])
    if expected not in (None, (hash_, number(header["new_root"]))):
        raise Unproven(f"the node answers with another block: {hash_:#x}")
    found = proven(header, told, account)
    again = await storage_proof(url, account, {"block_hash": hex(hash_)})
    if proven(header, again, account) != found:
        raise Unproven("the two proofs say different things")
    print(f"proven:  block {header['block_number']}, {hash_:#x}, state root {header['new_root']}")
    for name, amount in found.items():
        print(f"  {shown(amount)} {name}")
    if expected:
        print("trusted: the settlement chain's node, and whoever posts: roots are not proven there")
    else:
        print("trusted: the node's word for the block hash, for no settlement chain was named")


async def checked(url: str, account: int, settlement: list[str]) -> int:
    """Verify, and say what does not follow; returns the exit code."""
    try:
        await verify(url, account, settlement)
    except Unproven as unproven:
        print(f"NOT PROVEN: {unproven}")
        return 1
    return 0


def main() -> int:
    """Read the command line, and verify; returns the exit code."""
    parser = argparse.ArgumentParser(description="Verify the proofs of an account.")
    parser.add_argument("account", type=number, help="its address, in hexadecimal")
    parser.add_argument("--url", default=URL, help=f"default: {URL}")
    parser.add_argument("--settlement", nargs=2, metavar=("URL", "CONTRACT"), default=[])
    given = parser.parse_args()
    return run(given.url, checked(given.url, given.account, given.settlement))


if __name__ == "__main__":
    sys.exit(main())
