"""The lock contract on Ethereum: deposits made there, and what it says of them.

Laws
- Amounts are in 1e-6 of the token, as on the settlement chain.
"""

from typing import Any

import msgspec
from web3.types import EventData

from sequencer.model.bridge_limits import ETHEREUM_LOG_BLOCKS_MAX
from sequencer.settlement.ethereum import Abi, EthereumAccount, EthereumNode, asked, block_hash


class EthereumBlock(msgspec.Struct, frozen=True, gc=False):
    """A block by its number, and which one it is."""

    number: int
    hash: bytes


class EthereumDeposit(msgspec.Struct, frozen=True):
    """A deposit as it stands on Ethereum; `fee_wei` was paid for the message.

    `nonce` and `message_hash` are those of the message to Starknet; the same message may come to
    stand in another block.
    """

    nonce: int
    account: int
    amount: int
    payer: str
    fee_wei: int
    message_hash: bytes
    block: EthereumBlock
    transaction_hash: bytes


class EthereumLock:
    """One lock contract, to be read; it connects at the first question."""

    def __init__(self, web3: EthereumNode, address: str, abi: Abi) -> None:
        self._web3 = web3
        self._contract: Any = web3.eth.contract(web3.to_checksum_address(address), abi=abi)

    @property
    def address(self) -> int:
        """The lock's address as Starknet writes it."""
        return int(self._contract.address, 16)

    async def token(self) -> str:
        """Return the address of the token that is locked. EthereumError."""
        return str(await asked(self._contract.functions.token().call()))

    async def head(self) -> EthereumBlock:
        """Return the newest block. UNREACHABLE."""
        block = await asked(self._web3.eth.get_block("latest"))
        return EthereumBlock(int(block["number"]), bytes(block["hash"]))

    async def block_hash(self, number: int) -> bytes | None:
        """Return the hash of the block at a height, None where there is none. UNREACHABLE."""
        return await block_hash(self._web3, number)

    async def deposits(self, first: int, last: int) -> list[EthereumDeposit]:
        """List the deposits of some blocks, both included, in their order. UNREACHABLE."""
        found: list[EventData] = []
        for start in range(first, last + 1, ETHEREUM_LOG_BLOCKS_MAX):
            end = min(start + ETHEREUM_LOG_BLOCKS_MAX - 1, last)
            event = self._contract.events.Deposited()
            found += await asked(event.get_logs(from_block=start, to_block=end))
        return [_deposit(log) for log in found]

    async def deposit(
        self, payer: EthereumAccount, amount: int, account: int, fee_wei: int
    ) -> EthereumDeposit:
        """Lock an amount of the payer's tokens for an account of the appchain.

        The payer has allowed it before. Fails with EthereumError; REFUSED with the contract's or
        the token's code.
        """
        call = self._contract.functions.deposit(amount, account)
        receipt = await payer.call(call, fee_wei)
        (log,) = [log for log in receipt["logs"] if log["address"] == self._contract.address]
        return _deposit(self._contract.events.Deposited().process_log(log))


class EthereumToken:
    """A token of tests with a faucet, in the hands of one account."""

    def __init__(self, holder: EthereumAccount, address: str, abi: Abi) -> None:
        self._holder = holder
        self._contract = holder.contract(address, abi)

    async def mint(self, amount: int) -> None:
        """Take an amount from the faucet. EthereumError."""
        await self._holder.call(self._contract.functions.mint(self._holder.address, amount))

    async def approve(self, spender: int, amount: int) -> None:
        """Let somebody move an amount. EthereumError."""
        address = self._contract.w3.to_checksum_address(f"{spender:#042x}")
        await self._holder.call(self._contract.functions.approve(address, amount))

    async def balance(self, owner: str) -> int:
        """Return what somebody has. EthereumError."""
        return int(await asked(self._contract.functions.balanceOf(owner).call()))


def _deposit(log: EventData) -> EthereumDeposit:
    said = log["args"]
    return EthereumDeposit(
        nonce=int(said["nonce"]),
        account=int(said["account"]),
        amount=int(said["amount"]),
        payer=str(said["payer"]),
        fee_wei=int(said["fee"]),
        message_hash=bytes(said["messageHash"]),
        block=EthereumBlock(int(log["blockNumber"]), bytes(log["blockHash"])),
        transaction_hash=bytes(log["transactionHash"]),
    )
