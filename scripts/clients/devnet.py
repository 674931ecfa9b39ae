"""What scripts for a devnet have in common: where it is, new accounts, errors in one line."""

import asyncio
import sys
from collections.abc import Coroutine

import aiohttp
from starknet_py.hash.address import compute_address
from starknet_py.net.account.account import Account
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import ResourceBounds, ResourceBoundsMapping
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient
from starknet_py.net.signer.key_pair import KeyPair
from starknet_py.net.websockets.errors import WebsocketClientError
from starknet_py.transaction_errors import TransactionFailedError

URL = "http://127.0.0.1:5050"
NO_FEES = ResourceBoundsMapping(*[ResourceBounds(0, 0)] * 3)
CHECK_SECONDS = 0.2


def run(url: str, work: Coroutine[None, None, int]) -> int:
    """Run a script to its end; returns its exit code, 2 for an error that it says in one line."""
    try:
        return asyncio.run(work)
    except (aiohttp.ClientError, OSError) as error:
        words = f"no answer: {error}; is `perpchain devnet` at {url}?"
    except ClientError as error:
        # Codes of JSON-RPC come as numbers, whatever the type says; those of HTTP come as text.
        is_http = isinstance(error.code, str)
        words = f"{url} is no Starknet node: HTTP {error.code}" if is_http else error.message
    except (TransactionFailedError, WebsocketClientError) as error:
        words = str(error)
    except (ValueError, LookupError, TypeError) as error:
        words = f"no answer of perpchain's: {error!r}; is {url} right?"
    print(" ".join(words.split()), file=sys.stderr)
    return 2


async def new_account(url: str, amount: str) -> Account:
    """Have the faucet pay to the address of a new key, and deploy the account there.

    A devnet that has just started pays as soon as it is OPEN.
    """
    perp = RpcHttpClient(url, method_prefix="perp")
    class_hash = int((await perp.call("chainInfo"))["classes"]["Account"], 16)
    pair = KeyPair.generate()
    address = compute_address(class_hash=class_hash, constructor_calldata=[pair.public_key], salt=0)
    await _until_open(perp)
    await perp.call("faucet", {"account": hex(address), "amount": amount})
    deployed = await Account.deploy_account_v3(
        address=address,
        class_hash=class_hash,
        salt=0,
        key_pair=pair,
        client=FullNodeClient(url),
        resource_bounds=NO_FEES,
    )
    await deployed.wait_for_acceptance(check_interval=CHECK_SECONDS)
    print(f"account {address:#x} has {amount} USDC, its private key is {pair.private_key:#x}")
    account: Account = deployed.account
    return account


async def _until_open(perp: RpcHttpClient) -> None:
    """Wait until the exchange takes orders: some seconds after a devnet's start, 20 at most."""
    for _ in range(100):
        if (await perp.call("getMode"))["mode"] == "OPEN":
            return
        await asyncio.sleep(CHECK_SECONDS)
