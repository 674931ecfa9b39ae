"""The appchain as one who moves money sees it: deposits that arrive, withdrawals, their proofs.

It asks a node for what any node of the chain can say, by Starknet's own methods alone.

Promises
- Nothing that a node says of a proof is believed: nodes are put in order by their own hashes.
"""

import asyncio

import msgspec
from starknet_py.net.client_models import Call, TransactionReceiptWithBlockInfo

from sequencer.model.bridge_limits import CLAIM_POLL_MS, CREDIT_SECONDS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import SettlementError
from sequencer.model.units import MS_PER_SECOND
from sequencer.settlement.account_calls import AccountCalls, asked
from sequencer.settlement.claims import TextNode, nodes_of
from sequencer.settlement.connection import ACCEPTED, Connection, Patience, Rejected, StarknetAccess
from sequencer.settlement.proofs import WithdrawalProof, ordered_path, withdrawal_slot
from sequencer.settlement.refusals import RpcCode
from sequencer.starknet.deposits import withdrawal_id_of
from sequencer.starknet.felt import Felt, format_felt, parse_felt
from sequencer.starknet.names import selector

_ROW_FELTS = 4
_NO_SUCH_STATE = (RpcCode.BLOCK_NOT_FOUND, RpcCode.PROOF_UNSUPPORTED)


class Owed(msgspec.Struct, frozen=True):
    """A withdrawal as the exchange keeps it. Amounts in 1e-8 quote; `payout` is what is paid."""

    account: Felt
    recipient: Felt
    requested: int
    payout: int


class Requested(msgspec.Struct, frozen=True):
    """A withdrawal that a block holds."""

    withdrawal_id: Felt
    owed: Owed
    height: int
    transaction_hash: Felt


class _Leaf(msgspec.Struct, frozen=True):
    nonce: str
    class_hash: str
    storage_root: str


class _Named(msgspec.Struct, frozen=True):
    """A trie node beside the hash that somebody claims for it."""

    node: TextNode


class _ContractsProof(msgspec.Struct, frozen=True):
    nodes: list[_Named]
    contract_leaves_data: list[_Leaf]


class _Roots(msgspec.Struct, frozen=True):
    contracts_tree_root: str
    classes_tree_root: str


class _Proof(msgspec.Struct, frozen=True):
    contracts_proof: _ContractsProof
    contracts_storage_proofs: list[list[_Named]]
    global_roots: _Roots


class Appchain:
    """A node of the appchain. `exchange` is the address of the contract that owes withdrawals.

    Refusals of all: NODE_UNREACHABLE.
    """

    def __init__(
        self, access: StarknetAccess, exchange: Felt, patience: Patience | None = None
    ) -> None:
        self._access = access
        self._exchange = exchange
        self._patience = patience
        self._connection = Connection(access, patience)

    async def head(self) -> int:
        """Return the height of the newest block."""
        told = await asked(self._connection.read_json("blockNumber", {}))
        if not isinstance(told, int):
            raise Refused(Reason.NODE_UNREACHABLE, "this is no Starknet node")
        return told

    async def chain_id(self) -> Felt:
        """Return the chain's id."""
        found = await asked(self._connection.read(lambda client: client.get_chain_id()))
        return parse_felt(found)

    async def owed(self, withdrawal_id: Felt, height: int) -> Owed | None:
        """Return a withdrawal as it was after a block, None where there was none yet."""
        call = Call(self._exchange, selector("get_withdrawal"), [withdrawal_id])
        felts = await asked(
            self._connection.read(lambda client: client.call_contract(call, block_number=height))
        )
        if len(felts) != _ROW_FELTS:
            raise Refused(Reason.NODE_UNREACHABLE, "this is no node of a perpchain")
        owed = Owed(*felts)
        return owed if owed.payout else None

    async def height_of(self, withdrawal_id: Felt, low: int) -> int:
        """Return the block of a withdrawal that is not there yet after block `low`, 0 or higher.

        Refusal: WITHDRAWAL_UNKNOWN.
        """
        high = await self.head()
        if await self.owed(withdrawal_id, high) is None:
            words = f"{withdrawal_id:#x} is in no block of the live chain; a rollback may have"
            raise Refused(Reason.WITHDRAWAL_UNKNOWN, f"{words} undone it")
        # Rows of withdrawals stay for ever, so the blocks that have it are all above its own.
        while high - low > 1:
            middle = (low + high) // 2
            if await self.owed(withdrawal_id, middle) is None:
                low = middle
            else:
                high = middle
        return high

    async def proof(self, withdrawal_id: Felt, height: int) -> WithdrawalProof:
        """Return the proof of a withdrawal after a block, its nodes in order.

        Refusals: PROOF_EMPTY, PROOF_NODE, PROOF_LENGTH, PROOF_ABSENT; BLOCK_UNKNOWN where the
        node keeps that block's tries no more.
        """
        slot = withdrawal_slot(withdrawal_id)
        address = format_felt(self._exchange)
        wanted = {"contract_address": address, "storage_keys": [format_felt(slot)]}
        parameters: dict[str, object] = {
            "block_id": {"block_number": height},
            "contract_addresses": [address],
            "contracts_storage_keys": [wanted],
        }
        try:
            answer = await self._connection.read_json("getStorageProof", parameters)
            told = msgspec.convert(answer, _Proof)
        except Rejected as rejected:
            if rejected.code not in _NO_SUCH_STATE:
                raise Refused(Reason.NODE_UNREACHABLE, str(rejected)) from None
            words = f"the node has no proof at block {height}: {rejected}"
            raise Refused(Reason.BLOCK_UNKNOWN, words) from None
        except SettlementError as error:
            raise _unreachable(error) from None
        except msgspec.ValidationError as error:
            raise Refused(Reason.PROOF_NODE, f"the node's answer is no proof: {error}") from None
        return _ordered(told, self._exchange, slot)

    async def credited(self, message_hash: Felt) -> int:
        """Wait until a deposit is credited; returns the block. Refusal: BUSY if that takes long."""
        try:
            async with asyncio.timeout(CREDIT_SECONDS_MAX):
                while True:
                    receipt = await self._receipt(message_hash)
                    if receipt is not None and receipt.finality_status in ACCEPTED:
                        return receipt.block_number
                    await asyncio.sleep(CLAIM_POLL_MS / MS_PER_SECOND)
        except TimeoutError:
            words = f"not credited in {CREDIT_SECONDS_MAX} s; the deposit stands, and will be"
            raise Refused(Reason.BUSY, words) from None

    async def request(self, recipient: Felt, amount: int) -> Requested:
        """Withdraw from the account of the access; `amount` in 1e-8 quote.

        Refusals: those of the exchange and the node, by their codes; OUTCOME_UNKNOWN.
        """
        account = self._access.account_address
        calls = AccountCalls(self._access, self._patience)
        try:
            data = (account, recipient, amount)
            called = await calls.call(self._exchange, selector("withdraw"), data)
        finally:
            await calls.close()
        withdrawal_id = withdrawal_id_of(called.transaction_hash)
        owed = await self.owed(withdrawal_id, called.height)
        if owed is None:
            words = f"{called.transaction_hash:#x} was in block {called.height}, and is undone"
            raise Refused(Reason.OUTCOME_UNKNOWN, words)
        return Requested(withdrawal_id, owed, called.height, called.transaction_hash)

    async def close(self) -> None:
        """Let go of the connection. Can be repeated."""
        await self._connection.close()

    async def _receipt(self, transaction_hash: Felt) -> TransactionReceiptWithBlockInfo | None:
        try:
            return await self._connection.read(
                lambda client: client.get_transaction_receipt(transaction_hash)
            )
        except Rejected:
            return None
        except SettlementError as error:
            raise _unreachable(error) from None


def _ordered(told: _Proof, exchange: Felt, slot: Felt) -> WithdrawalProof:
    try:
        (leaf,), (storage,) = (
            told.contracts_proof.contract_leaves_data,
            told.contracts_storage_proofs,
        )
        classes_root = parse_felt(told.global_roots.classes_tree_root)
        contracts_root = parse_felt(told.global_roots.contracts_tree_root)
        class_hash, nonce = parse_felt(leaf.class_hash), parse_felt(leaf.nonce)
        storage_root = parse_felt(leaf.storage_root)
    except (ValueError, Refused) as error:
        raise Refused(Reason.PROOF_NODE, f"the node's answer is no proof: {error}") from None
    contracts = nodes_of([each.node for each in told.contracts_proof.nodes])
    slots = nodes_of([each.node for each in storage])
    return WithdrawalProof(
        classes_root=classes_root,
        class_hash=class_hash,
        nonce=nonce,
        contract_nodes=ordered_path(contracts_root, exchange, contracts),
        storage_nodes=ordered_path(storage_root, slot, slots),
    )


def _unreachable(error: SettlementError) -> Refused:
    return Refused(Reason.NODE_UNREACHABLE, error.detail)
