"""Money in and out of the settlement contract, as one who has some moves it.

Promises
- What goes in one transaction is carried out whole, or not at all. Of several transactions those
  before the one that failed stay.
- Deposits get their nonces in the order in which they were given.

Laws
- Amounts are integers of 1e-6 of the token.
"""

from collections.abc import Sequence

import msgspec
from starknet_py.net.client_models import Call, TransactionReceiptWithBlockInfo

from sequencer.model.bridge_limits import DEPOSITS_TOGETHER, FAUCET_MAX, MINTS_TOGETHER
from sequencer.model.settlement import (
    Post,
    Sent,
    SentDeposit,
    SettlementError,
    SettlementProblem,
)
from sequencer.settlement.connection import Connection, Patience, StarknetAccess
from sequencer.settlement.contract import Contract, sent_of
from sequencer.settlement.proofs import Claim, proof_calldata
from sequencer.starknet.names import selector

_LOG_DEPOSIT = selector("LogDeposit")
_DEPOSIT_EVENT_FELTS = 7
_BRIDGE_FELTS = 4
_STATE_FELTS = 4
_FINALIZED = 2
_U128_BITS = 128
_U128_MAX = 2**_U128_BITS - 1


class Bridge(msgspec.Struct, frozen=True):
    """What the contract was built for; `l1_bridge` 0 is no L1."""

    token: int
    exchange: int
    chain_id: int
    l1_bridge: int


class Payment(msgspec.Struct, frozen=True):
    """Money for an account of the appchain, in 1e-6 of the token."""

    account: int
    amount: int


class Deposited(msgspec.Struct, frozen=True):
    """A transaction with deposits that was carried out, as its events tell of them."""

    sent: Sent
    deposits: tuple[SentDeposit, ...]


class PostedState(msgspec.Struct, frozen=True):
    """What the contract knows of a block. `status` is 0 where it is not posted, 1, or 2 (final)."""

    post: Post
    posted_at: int
    status: int

    @property
    def is_posted(self) -> bool:
        """Say whether it is posted, and was not taken back."""
        return self.status != 0

    @property
    def is_final(self) -> bool:
        """Say whether it can be paid from."""
        return self.status == _FINALIZED


class Purse:
    """One account's way to the token and, through the contract, to the appchain.

    All fail with SettlementError; `code` is the contract's own word, or the token's. Refusal on
    construction: PRIVATE_KEY_OUT_OF_RANGE.
    """

    def __init__(
        self, access: StarknetAccess, contract_address: int, patience: Patience | None = None
    ) -> None:
        self.account = access.account_address
        self._connection = Connection(access, patience)
        self._contract = Contract(self._connection, contract_address)
        self._bridge: Bridge | None = None

    async def bridge(self) -> Bridge:
        """Read what the contract was built for; that never changes."""
        if self._bridge is None:
            self._bridge = Bridge(*await self._contract.view_of(_BRIDGE_FELTS, "get_bridge"))
        return self._bridge

    async def balance(self, account: int) -> int:
        """Return what an account of the settlement chain has of the token."""
        token = await self._token()
        low, high = await token.view_of(2, "balance_of", account)
        return low | high << _U128_BITS

    async def is_paid(self, withdrawal_id: int) -> bool:
        """Say whether a withdrawal was paid."""
        (paid,) = await self._contract.view_of(1, "is_paid", withdrawal_id)
        return paid != 0

    async def state_at(self, height: int) -> PostedState:
        """Read what was posted at a height, and whether it is final."""
        felts = await self._contract.view_of(_STATE_FELTS, "state_at", height)
        state_root, block_hash, posted_at, status = felts
        return PostedState(Post(height, state_root, block_hash), posted_at, status)

    async def mint(self, recipient: int, amount: int) -> Sequence[Sent]:
        """Have the test token's faucet make money, by as many calls as that takes.

        ENTRYPOINT_NOT_FOUND reads as CONTRACT_ABSENT: a token of worth has no faucet.
        """
        token = await self._token()
        whole, rest = divmod(amount, FAUCET_MAX)
        parts = [FAUCET_MAX] * whole + [rest] * (rest > 0)
        calls = [token.call("mint", recipient, part, 0) for part in parts]
        return [
            sent_of(await token.invoke_all(calls[place : place + MINTS_TOGETHER]))
            for place in range(0, len(calls), MINTS_TOGETHER)
        ]

    async def deposit(self, payments: Sequence[Payment]) -> Sequence[Deposited]:
        """Pay into accounts of the appchain: approval and deposits, so many in a transaction."""
        token = await self._token()
        done: list[Deposited] = []
        for place in range(0, len(payments), DEPOSITS_TOGETHER):
            together = payments[place : place + DEPOSITS_TOGETHER]
            done.append(await self._deposit(token, together))
        return done

    async def deposit_minted(self, payment: Payment) -> Deposited:
        """Have the test token's faucet make the money and pay it in, in one transaction.

        What is refused leaves no money behind. A token of worth has no faucet, as for `mint`.
        """
        token = await self._token()
        made = token.call("mint", self.account, payment.amount, 0)
        return await self._deposit(token, [payment], [made])

    async def withdraw(self, claim: Claim) -> Sent:
        """Have a withdrawal paid to its recipient; anybody may ask for it."""
        return await self._contract.invoke(
            "withdraw",
            claim.height,
            claim.withdrawal_id,
            claim.recipient,
            claim.amount,
            *proof_calldata(claim.proof),
        )

    async def pause_deposits(self) -> Sent:
        """Take no deposits any more; the owner may."""
        return await self._contract.invoke("pause_deposits")

    async def resume_deposits(self) -> Sent:
        """Take deposits again; the owner may."""
        return await self._contract.invoke("resume_deposits")

    async def pause_withdrawals(self, seconds: int) -> Sent:
        """Pay nothing for a time; the owner may, for three days at most."""
        return await self._contract.invoke("pause_withdrawals", seconds)

    async def resume_withdrawals(self) -> Sent:
        """Pay again; the owner may."""
        return await self._contract.invoke("resume_withdrawals")

    async def close(self) -> None:
        """Let go of the connection. Can be repeated."""
        await self._connection.close()

    async def _deposit(
        self, token: Contract, payments: Sequence[Payment], before: Sequence[Call] = ()
    ) -> Deposited:
        total = sum(payment.amount for payment in payments)
        low, high = total & _U128_MAX, total >> _U128_BITS
        calls = [*before, token.call("approve", self._contract.address, low, high)]
        calls += [self._contract.call("deposit", each.account, each.amount) for each in payments]
        receipt = await self._contract.invoke_all(calls)
        deposits = self._deposits_of(receipt)
        if len(deposits) != len(payments):
            words = f"{len(payments)} deposits sent, and the receipt tells of {len(deposits)}"
            raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, words)
        return Deposited(sent_of(receipt), tuple(deposits))

    def _deposits_of(self, receipt: TransactionReceiptWithBlockInfo) -> list[SentDeposit]:
        felts = [
            [*event.keys, *event.data]
            for event in receipt.events
            if event.from_address == self._contract.address and event.keys[0] == _LOG_DEPOSIT
        ]
        if any(len(event) != _DEPOSIT_EVENT_FELTS for event in felts):
            raise self._contract.absent("LogDeposit has other fields")
        return [
            SentDeposit(nonce, account, amount, message_hash, chain_hash)
            for _, nonce, account, _, amount, message_hash, chain_hash in felts
        ]

    async def _token(self) -> Contract:
        return Contract(self._connection, (await self.bridge()).token)
