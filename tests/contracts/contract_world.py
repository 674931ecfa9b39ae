"""A settlement contract and its token on a devnet, called as felts by three accounts.

Law: a test of a World says the same of every chain that carries the contract.
"""

import re
from collections.abc import Sequence
from itertools import count, pairwise

from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call, TransactionReceipt
from starknet_py.net.http_client import RpcHttpClient

from contracts.artifacts import load_artifact
from devnet.embedded.predeployed import DEPLOYERS
from scripts.money.devnets import l1_message
from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.starknet.felt import encode_short_string
from sequencer.starknet.names import contract_address, selector
from tests.contracts.devnet import Devnet, is_done, send

DELAY = 3_600
DAY = 86_400
ROOT, HASH, GENESIS = 0xA005, 0xB005, 5
PLAN, REASON = 0x91A4, 0x4EA5
CHAIN_ID = encode_short_string("PERPCHAIN_TEST")
L1_BRIDGE = 0xE7
_SALTS = count(1)
_SPELLED = re.compile(r"\('([^']*)'\)")


def root(block: int) -> int:
    return 0xA000 + block


def block_hash(block: int) -> int:
    return 0xB000 + block


def posting(epoch: int, before: int, block: int) -> tuple[int, ...]:
    return epoch, before, root(before), block, root(block), block_hash(block)


def event(name: str, *felts: int) -> list[int]:
    return [selector(name), *felts]


class World:
    """One chain; its contract and token are there after `deploy`."""

    def __init__(self, url: str, accounts: Sequence[Account]) -> None:
        self.devnet = Devnet(url)
        self.owner, self.operator, self.stranger = accounts
        self.contract = self.token = 0
        self._rpc = RpcHttpClient(url, method_prefix="devnet")

    async def deploy(self, **changes: int) -> None:
        """Deploy a token of the contract's own, and the contract."""
        self.token, refusal = await self.create("usdc", ())
        assert not refusal
        self.contract, refusal = await self.create("settlement", self.genesis(**changes))
        assert not refusal

    def genesis(self, **changes: int) -> Sequence[int]:
        """Return the constructor's calldata."""
        fields = {
            "owner": self.owner.address,
            "operator": self.operator.address,
            "state_root": ROOT,
            "block_number": GENESIS,
            "block_hash": HASH,
            "finality_delay": DELAY,
            "drill": 0,
            "token": self.token,
            "exchange": EXCHANGE_ADDRESS,
            "chain_id": CHAIN_ID,
            "l1_bridge": L1_BRIDGE,
        }
        assert changes.keys() <= fields.keys()
        return list((fields | changes).values())

    async def create(self, name: str, felts: Sequence[int]) -> tuple[int, str]:
        """Deploy one; returns its address and the constructor's refusal, "" for none."""
        class_hash, salt = load_artifact(name).class_hash, next(_SALTS)
        calldata = [class_hash, salt, 0, len(felts), *felts]
        call = Call(DEPLOYERS[0], selector("deployContract"), calldata)
        receipt = await send(self.stranger, call)
        return contract_address(salt, class_hash, felts, 0), refusal_of(receipt)

    async def done(self, by: Account, name: str, *felts: int) -> list[list[int]]:
        """Send a call that is accepted; returns the contract's events, keys and data in one."""
        return events_of(await self._accepted(by, self.contract, name, *felts), self.contract)

    async def refused(self, code: str, by: Account, name: str, *felts: int) -> None:
        receipt = await send(by, Call(self.contract, selector(name), list(felts)))
        assert refusal_of(receipt) == code, receipt.revert_reason

    async def together(self, by: Account, made: Sequence[tuple[str, int, int]]) -> list[list[int]]:
        """Send calls in one transaction; returns the contract's events, none where it failed."""
        calls = [Call(self.contract, selector(name), list(felts)) for name, *felts in made]
        receipt = await send(by, calls)
        return events_of(receipt, self.contract)

    async def view(self, name: str, *felts: int) -> list[int]:
        """Ask at the newest block."""
        return await self._ask(self.contract, name, *felts)

    async def status(self, block: int) -> int:
        """Return what became of a block: 0 not posted, 1 live, 2 final."""
        return (await self.view("state_at", block))[3]

    async def post(self, epoch: int, *blocks: int) -> None:
        for before, block in pairwise(blocks):
            await self.done(self.operator, "update_state", *posting(epoch, before, block))

    async def fund(self, who: Account, amount: int) -> None:
        """Give somebody tokens that the contract may take."""
        await self.token_done(who, "mint", who.address, amount, 0)
        await self.token_done(who, "approve", self.contract, amount, 0)

    async def token_done(self, by: Account, name: str, *felts: int) -> list[list[int]]:
        return events_of(await self._accepted(by, self.token, name, *felts), self.token)

    async def balance(self, address: int) -> int:
        low, high = await self._ask(self.token, "balance_of", address)
        return high << 128 | low

    async def message(self, sender: int, *payload: int) -> tuple[list[list[int]], str]:
        """Send `deposit_from_l1` as a bridge does; returns its events, and its refusal."""
        message = l1_message(sender, self.contract, payload, next(_SALTS))
        told = await self._rpc.call("postmanSendMessageToL2", message)
        hash_ = int(told["transaction_hash"], 16)
        receipt = await self.devnet.client.get_transaction_receipt(hash_)
        return events_of(receipt, self.contract), refusal_of(receipt)

    async def _ask(self, contract: int, name: str, *felts: int) -> list[int]:
        call = Call(contract, selector(name), list(felts))
        return await self.devnet.client.call_contract(call, block_number="latest")

    async def _accepted(
        self, by: Account, contract: int, name: str, *felts: int
    ) -> TransactionReceipt:
        receipt = await send(by, Call(contract, selector(name), list(felts)))
        assert is_done(receipt), receipt.revert_reason
        return receipt


def events_of(receipt: TransactionReceipt, contract: int) -> list[list[int]]:
    """Return a contract's events, each as keys and data in one list."""
    found = (each for each in receipt.events if each.from_address == contract)
    return [[*each.keys, *each.data] for each in found]


def refusal_of(receipt: TransactionReceipt) -> str:
    """Return the first code that a contract gave, "" for a call that was carried out."""
    if is_done(receipt):
        return ""
    reason = str(receipt.revert_reason)
    spelled = _SPELLED.findall(reason)
    return str(spelled[0]) if spelled else reason
