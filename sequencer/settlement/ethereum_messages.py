"""Messages from Ethereum to the settlement contract, as its chain has them and takes them.

Promises
- What is there is read from the chain each time that the contract's deposits have changed: a
  settlement chain that went back has the less, and one that was begun anew has nothing.
- A message is only handed over where the chain does not have it, not even in the block that is
  being made; whether the contract would take it is asked first.

Laws
- The postman hands over one message by its number. Its other way, to flush, hands over everything
  that Ethereum has, whether confirmed or not and whether handed over before or not, and a devnet
  carries out a message as often as it is handed over.
"""

import msgspec
from starknet_py.net.client_models import TransactionExecutionStatus

from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.connection import Connection, Rejected, reader_of
from sequencer.settlement.contract import Contract
from sequencer.settlement.ethereum_lock import EthereumDeposit
from sequencer.settlement.refusals import RpcCode, refusal_of_revert
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import L1Handler, transaction_hash

HANDLER = "deposit_from_l1"

_EVENT = "LogDeposit"
_EVENT_FELTS = 4
_EVENTS_TOGETHER = 1_000
_MONEY_FELTS = 6
_PAUSED = "DEPOSITS_PAUSED"


class HandedMessage(msgspec.Struct, frozen=True):
    """A message that the settlement contract took; `nonce` is the message's, not the deposit's."""

    transaction_hash: int
    nonce: int
    account: int
    amount: int


class _Handler(msgspec.Struct, frozen=True):
    """What is read of the transaction of a message."""

    nonce: str
    calldata: list[str]


class SettlementMessages:
    """The handler of one settlement contract for one lock, on a devnet."""

    def __init__(self, url: str, contract: int, lock: int) -> None:
        self._connection = Connection(reader_of(url))
        self._contract = Contract(self._connection, contract)
        self._lock = lock
        self._chain_id = 0
        self._transactions: dict[tuple[int, int, int], int] = {}
        self._known: tuple[int, tuple[HandedMessage, ...]] | None = None

    async def handed(self) -> tuple[HandedMessage, ...]:
        """List the messages of the lock that the contract took. SettlementError."""
        await self._look_where()
        deposit_hash, _ = await self._deposits()
        if self._known is None or self._known[0] != deposit_hash:
            self._known = (deposit_hash, await self._read_handed())
        return self._known[1]

    async def refusal(self, deposit: EthereumDeposit) -> str:
        """Return the code with which the contract would refuse a message now, "" if it takes it.

        A node that cannot try a message is only asked for a pause. SettlementError: no answer.
        """
        _, is_paused = await self._deposits()
        if is_paused:
            return _PAUSED
        message = {
            "from_address": f"{self._lock:#042x}",
            "to_address": hex(self._contract.address),
            "entry_point_selector": hex(selector(HANDLER)),
            "payload": [hex(deposit.account), hex(deposit.amount)],
        }
        try:
            await self._connection.read_json(
                "estimateMessageFee", {"message": message, "block_id": "latest"}
            )
        except Rejected as rejected:
            if rejected.code == RpcCode.METHOD_NOT_FOUND:
                return ""
            if rejected.code != RpcCode.CONTRACT_ERROR:
                raise _unreachable(rejected) from None
            # The library prints what the node says as Python does, with its quotes escaped.
            return refusal_of_revert(str(rejected).replace("\\'", "'")).code
        return ""

    async def hand_over(self, deposit: EthereumDeposit) -> int:
        """Have a message carried out, unless it was; returns its transaction's hash.

        SettlementError. OUTCOME_UNKNOWN: look before anything else; `hand_over` does.
        """
        await self._look_where()
        hash_ = self.transaction_of(deposit)
        if await self._stands(hash_):
            return hash_
        message: dict[str, object] = {
            "l2_contract_address": hex(self._contract.address),
            "entry_point_selector": hex(selector(HANDLER)),
            "l1_contract_address": hex(self._lock),
            "payload": [hex(deposit.account), hex(deposit.amount)],
            "paid_fee_on_l1": hex(deposit.fee_wei),
            "nonce": hex(deposit.nonce),
        }
        try:
            await self._connection.send_devnet("postmanSendMessageToL2", message)
        except Rejected as rejected:
            raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, str(rejected)) from None
        return hash_

    def transaction_of(self, deposit: EthereumDeposit) -> int:
        """Return the hash of the transaction that a message makes, once the chain was asked."""
        said = (deposit.nonce, deposit.account, deposit.amount)
        if said not in self._transactions:
            calldata = (self._lock, deposit.account, deposit.amount)
            handler = L1Handler(self._contract.address, selector(HANDLER), calldata, deposit.nonce)
            self._transactions[said] = transaction_hash(handler, self._chain_id)
        return self._transactions[said]

    async def close(self) -> None:
        """Let go of the connection. Can be repeated."""
        await self._connection.close()

    async def _deposits(self) -> tuple[int, bool]:
        """Return the hash of all deposits, and whether more are taken only later."""
        felts = await self._contract.view_of(_MONEY_FELTS, "get_money")
        _, deposit_hash, _, _, is_paused, _ = felts
        return deposit_hash, is_paused != 0

    async def _read_handed(self) -> tuple[HandedMessage, ...]:
        """Read the events of the lock's deposits, and what message each came from."""
        keys: list[list[int | str]] = [[selector(_EVENT)]]
        try:
            told = await self._connection.read(
                lambda client: client.get_events(
                    self._contract.address,
                    keys,
                    from_block_number=0,
                    to_block_number="latest",
                    follow_continuation_token=True,
                    chunk_size=_EVENTS_TOGETHER,
                )
            )
            # A devnet lists a message that was refused and then taken once for either block.
            hashes = dict.fromkeys(
                int(event.transaction_hash)
                for event in told.events
                if len(event.data) == _EVENT_FELTS and event.data[0] == self._lock
            )
            return tuple([await self._message(hash_) for hash_ in hashes])
        except Rejected as rejected:
            raise _unreachable(rejected) from None

    async def _message(self, hash_: int) -> HandedMessage:
        try:
            asked: dict[str, object] = {"transaction_hash": hex(hash_)}
            told = await self._connection.read_json("getTransactionByHash", asked)
            found = msgspec.convert(told, type=_Handler)
            _, account, amount = (int(felt, 16) for felt in found.calldata)
            return HandedMessage(hash_, int(found.nonce, 16), account, amount)
        except ValueError:
            raise self._contract.absent(
                f"transaction {hash_:#x} is no message from Ethereum"
            ) from None

    async def _stands(self, hash_: int) -> bool:
        """Say whether a message was carried out, also in the block that is being made."""
        try:
            receipt = await self._connection.read(
                lambda client: client.get_transaction_receipt(hash_)
            )
        except Rejected as rejected:
            if rejected.code == RpcCode.TRANSACTION_NOT_FOUND:
                return False
            raise _unreachable(rejected) from None
        return receipt.execution_status is not TransactionExecutionStatus.REVERTED

    async def _look_where(self) -> None:
        """Learn the chain's id, which the hash of a message depends on."""
        if self._chain_id:
            return
        try:
            told = await self._connection.read(lambda client: client.get_chain_id())
        except Rejected as rejected:
            raise _unreachable(rejected) from None
        self._chain_id = int(told, 16)


def _unreachable(rejected: Rejected) -> SettlementError:
    return SettlementError(SettlementProblem.UNREACHABLE, str(rejected))
