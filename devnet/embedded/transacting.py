"""Transactions of the embedded chain, as Starknet's methods: sent, and looked up.

Promises
- What is sent is in a block when it is answered, but where a fault drops it.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

import msgspec

from devnet.embedded.chain import Chain
from devnet.embedded.classes import Classes
from devnet.embedded.faults import Asked, Faults
from devnet.embedded.reading import find_block
from sequencer.api.json_rpc import Method, Parameter
from sequencer.api.starknet_rpc.broadcast import Broadcast, read_deploy_account, read_invoke
from sequencer.api.starknet_rpc.errors import (
    INDEX_INVALID,
    TRANSACTION_NOT_FOUND,
    VERSION_UNSUPPORTED,
    from_refused,
    starknet_error,
)
from sequencer.api.starknet_rpc.values import (
    BLOCK_ID,
    NUMBER_MAX,
    TRANSACTION_FLAGS,
    BlockId,
    read_felt,
    read_integer,
    read_l1_hash,
)
from sequencer.api.starknet_rpc.wire import (
    ACCEPTED_ON_L2,
    Fields,
    execution_fields,
    receipt_fields,
    sent_fields,
    transaction_fields,
)
from sequencer.chain.block import Block
from sequencer.model.refusals import Refused
from sequencer.starknet.block import Receipt
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.transactions import Transaction

_Add: TypeAlias = Callable[[Asked, Broadcast], Awaitable[Fields]]


class _Found(msgspec.Struct, frozen=True):
    """A transaction where it is."""

    block: Block
    transaction: Transaction
    receipt: Receipt


class Sender:
    """Takes transactions, and meets with the faults that hold."""

    def __init__(self, chain: Chain, faults: Faults) -> None:
        self._chain = chain
        self._faults = faults

    async def add(self, caller: Asked, broadcast: Broadcast) -> Fields:
        """Take a transaction of an account."""
        transaction = broadcast.transaction
        if broadcast.is_query:
            raise starknet_error(VERSION_UNSUPPORTED, "a version for estimates alone")
        try:
            if self._faults.standing.drop:
                hash_ = self._chain.check(transaction)
                self._faults.take_drop()
            else:
                hash_ = self._chain.send(transaction)
                caller.is_lost = self._faults.take_lose()
        except Refused as refused:
            raise from_refused(refused) from None
        return sent_fields(transaction, hash_)


def transaction_methods(chain: Chain, classes: Classes, faults: Faults) -> Sequence[Method]:
    """Return the methods about transactions."""
    add = Sender(chain, faults).add
    one = (Parameter("transaction_hash", read_felt),)
    placed = (BLOCK_ID, Parameter("index", read_integer(0, NUMBER_MAX)), TRANSACTION_FLAGS)
    of_l1 = (Parameter("transaction_hash", read_l1_hash),)
    index = partial(_by_index, chain)
    return (
        _adding("starknet_addInvokeTransaction", Parameter("invoke_transaction", read_invoke), add),
        _adding(
            "starknet_addDeclareTransaction",
            Parameter("declare_transaction", classes.read_declare),
            add,
        ),
        _adding(
            "starknet_addDeployAccountTransaction",
            Parameter("deploy_account_transaction", read_deploy_account),
            add,
        ),
        Method("starknet_getTransactionStatus", one, partial(_status, chain)),
        Method("starknet_getTransactionReceipt", one, partial(_receipt, chain)),
        Method(
            "starknet_getTransactionByHash", (*one, TRANSACTION_FLAGS), partial(_by_hash, chain)
        ),
        Method("starknet_getTransactionByBlockIdAndIndex", placed, index),
        Method("starknet_getMessagesStatus", of_l1, _messages_status),
    )


def _adding(name: str, parameter: Parameter, add: _Add) -> Method:
    async def run(caller: Asked, **given: Broadcast) -> Fields:
        (broadcast,) = given.values()
        return await add(caller, broadcast)

    return Method(name, (parameter,), run, is_large=True)


def _find(chain: Chain, hash_: Felt) -> _Found:
    place = chain.place_of(hash_)
    block = None if place is None else chain.block(place[0])
    if place is None or block is None:
        raise starknet_error(TRANSACTION_NOT_FOUND)
    return _Found(block, block.transactions[place[1]], block.receipts[place[1]])


async def _status(chain: Chain, _: object, transaction_hash: Felt) -> Fields:
    found = _find(chain, transaction_hash)
    outcome = execution_fields(found.receipt, "failure_reason")
    return {"finality_status": ACCEPTED_ON_L2, **outcome}


async def _receipt(chain: Chain, _: object, transaction_hash: Felt) -> Fields:
    found = _find(chain, transaction_hash)
    return {
        **receipt_fields(found.transaction, found.receipt, ACCEPTED_ON_L2),
        "block_hash": format_felt(found.block.hash),
        "block_number": found.block.header.number,
    }


async def _by_hash(
    chain: Chain, _: object, transaction_hash: Felt, response_flags: frozenset[str]
) -> Fields:
    found = _find(chain, transaction_hash)
    facts = bool(response_flags)
    return transaction_fields(found.transaction, transaction_hash, proof_facts=facts)


async def _by_index(
    chain: Chain, _: object, block_id: BlockId, index: int, response_flags: frozenset[str]
) -> Fields:
    block = find_block(chain, block_id)
    if block is None or index >= len(block.transactions):
        raise starknet_error(INDEX_INVALID)
    facts = bool(response_flags)
    hash_ = block.receipts[index].transaction_hash
    return transaction_fields(block.transactions[index], hash_, proof_facts=facts)


async def _messages_status(_: object, transaction_hash: int) -> Fields:
    raise starknet_error(TRANSACTION_NOT_FOUND, f"no messages of {transaction_hash:#x}")
