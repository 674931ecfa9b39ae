"""The settlement contract and its token by plain calls of starknet-py, amounts in 1e-6 USDC."""

from typing import Any

from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import RpcHttpClient
from starknet_py.net.signer.key_pair import KeyPair

from scripts.clients.devnet import CHECK_SECONDS
from scripts.clients.proofs import number

ONE = 10**6
EVENT = get_selector_from_name("LogDeposit")
FEES = ResourceBoundsMapping(
    l1_gas=ResourceBounds(1_000, 10**14),
    l2_gas=ResourceBounds(30_000_000, 10**11),
    l1_data_gas=ResourceBounds(20_000, 10**13),
)


class Settlement:
    """The contract on its chain, and an account that a devnet has for everybody to use."""

    def __init__(self, url: str, contract: str) -> None:
        self.client, self.contract = FullNodeClient(url), number(contract)
        self.devnet = RpcHttpClient(url, method_prefix="devnet")

    async def open(self) -> Account:
        """Look which token the contract takes, and return the devnet's last account."""
        self.token, *_ = await self.view("get_bridge")
        facts: Any = (await self.devnet.call("getPredeployedAccounts"))[-1]
        return Account(
            address=facts["address"],
            client=self.client,
            key_pair=KeyPair.from_private_key(facts["private_key"]),
            chain=number(await self.client.get_chain_id()),
        )

    def call(self, name: str, *felts: int, to: int = 0) -> Call:
        """Call the contract, or somebody else."""
        return Call(to or self.contract, get_selector_from_name(name), list(felts))

    async def view(self, name: str, *felts: int, to: int = 0) -> list[int]:
        """Ask the contract, or somebody else."""
        return await self.client.call_contract(self.call(name, *felts, to=to))

    async def balance(self, owner: int) -> int:
        """Return how much of the token somebody has on the settlement chain."""
        low, _ = await self.view("balance_of", owner, to=self.token)
        return low

    async def send(self, account: Account, *calls: Call) -> Any:  # noqa: ANN401
        """Send calls in one transaction; all of them are carried out, or none."""
        sent = await account.execute_v3(calls=list(calls), resource_bounds=FEES)
        return await self.client.wait_for_tx(sent.transaction_hash, check_interval=CHECK_SECONDS)

    def deposited(self, receipt: Any) -> tuple[int, int]:  # noqa: ANN401
        """Return a deposit's nonce, and the hash of the appchain's transaction that credits it."""
        (event,) = [each for each in receipt.events if each.keys[0] == EVENT]
        return event.keys[1], event.data[2]


def units(text: str) -> int:
    """Read whole USDC, or with up to 6 decimals, as 1e-6."""
    whole, _, rest = text.partition(".")
    return int(whole) * ONE + int(rest.ljust(6, "0") or 0)


def shown(amount: int) -> str:
    """Write 1e-6 as decimal text."""
    return f"{amount // ONE}.{amount % ONE:06d}".rstrip("0").rstrip(".")
