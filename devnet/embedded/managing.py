"""The methods of starknet-devnet itself: accounts, minting, blocks, time, messages, faults.

Promises
- Whatever cannot be done is answered as there: error -1, with the reason in its message.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from devnet.embedded.chain import TIME_MAX, Chain
from devnet.embedded.faults import LIMITS, Faults
from devnet.embedded.minting import AMOUNT_MAX, balance_of, mint
from devnet.embedded.predeployed import ACCOUNTS, BALANCE, CHAIN_NAME, FEE_TOKENS, FRI, SEED, WEI
from devnet.embedded.reading import find_block, state_of
from devnet.embedded.state import View
from sequencer.api.json_rpc import Method, Parameter, RpcError
from sequencer.api.starknet_rpc.values import (
    PRE_CONFIRMED,
    BlockId,
    read_address,
    read_block_id,
    read_felt,
    read_felts,
    read_integer,
)
from sequencer.api.starknet_rpc.wire import Fields
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.felt import Felt, format_felt
from sequencer.starknet.transactions import L1Handler

_T = TypeVar("_T")

_FAILED = -1
_NEWEST = BlockId(tag=PRE_CONFIRMED)


def managing_methods(chain: Chain, faults: Faults) -> Sequence[Method]:
    """Return the methods of a devnet."""
    return (*_money_methods(chain), *_block_methods(chain), _fault_method(chain, faults))


def _money_methods(chain: Chain) -> Sequence[Method]:
    unit = Parameter("unit", _read_unit, FRI)
    address = Parameter("address", read_address)
    balance = (address, unit, Parameter("block_tag", read_block_id, _NEWEST))
    minted = (address, Parameter("amount", read_integer(1, AMOUNT_MAX)), unit)
    listed = (Parameter("with_balance", _read_switch, default=False),)
    return (
        Method("devnet_getConfig", (), partial(_config, chain)),
        Method("devnet_getPredeployedAccounts", listed, partial(_accounts, chain)),
        Method("devnet_getAccountBalance", balance, partial(_balance, chain)),
        Method("devnet_mint", minted, partial(_mint, chain)),
    )


def _block_methods(chain: Chain) -> Sequence[Method]:
    starting = (Parameter("starting_block_id", read_block_id),)
    seconds = Parameter("time", read_integer(0, TIME_MAX))
    set_time = (seconds, Parameter("generate_block", _read_switch, default=True))
    message = (
        Parameter("l2_contract_address", read_address),
        Parameter("entry_point_selector", read_felt),
        Parameter("l1_contract_address", read_felt),
        Parameter("payload", read_felts),
        Parameter("paid_fee_on_l1", read_felt, 0),
        Parameter("nonce", read_felt),
    )
    return (
        Method("devnet_createBlock", (), partial(_create_block, chain)),
        Method("devnet_abortBlocks", starting, partial(_abort_blocks, chain)),
        Method("devnet_setTime", set_time, partial(_set_time, chain)),
        Method("devnet_increaseTime", (seconds,), partial(_increase_time, chain)),
        Method("devnet_postmanSendMessageToL2", message, partial(_send_message, chain)),
    )


def _fault_method(chain: Chain, faults: Faults) -> Method:
    parameters = [Parameter(name, read_integer(0, most), None) for name, most in LIMITS.items()]
    return Method("devnet_setFault", parameters, partial(_set_fault, chain, faults))


async def _config(chain: Chain, _: object) -> Fields:
    return {
        "embedded": True,
        "cairo_executed": False,
        "seed": SEED,
        "total_accounts": chain.rules.accounts,
        "predeployed_accounts_initial_balance": str(BALANCE),
        "chain_id": CHAIN_NAME,
        "block_generation_on": "transaction",
        "state_archive": "full",
        "classes": {twin.name: format_felt(hash_) for hash_, twin in chain.twins.items()},
    }


async def _accounts(chain: Chain, _: object, with_balance: bool) -> list[Fields]:
    listed: list[Fields] = []
    for account in ACCOUNTS[: chain.rules.accounts]:
        fields: Fields = {
            "initial_balance": str(BALANCE),
            "address": format_felt(account.address),
            "public_key": format_felt(account.public_key),
            "private_key": format_felt(account.private_key),
        }
        if with_balance:
            named = (("eth", WEI), ("strk", FRI))
            fields["balance"] = {
                name: _amount(chain.state, account.address, unit) for name, unit in named
            }
        listed.append(fields)
    return listed


async def _balance(chain: Chain, _: object, address: Felt, unit: str, block_tag: BlockId) -> Fields:
    return _amount(state_of(chain, block_tag), address, unit)


def _amount(state: View, address: Felt, unit: str) -> Fields:
    return {"amount": str(balance_of(state, FEE_TOKENS[unit], address)), "unit": unit}


async def _mint(chain: Chain, _: object, address: Felt, amount: int, unit: str) -> Fields:
    hash_ = _tried(lambda: mint(chain, FEE_TOKENS[unit], address, amount))
    balance = _amount(chain.state, address, unit)["amount"]
    return {"new_balance": balance, "unit": unit, "tx_hash": format_felt(hash_)}


async def _create_block(chain: Chain, _: object) -> Fields:
    return {"block_hash": format_felt(chain.create_block().hash)}


async def _abort_blocks(chain: Chain, _: object, starting_block_id: BlockId) -> Fields:
    block = find_block(chain, starting_block_id)
    if block is None:
        block = chain.create_block()
    aborted = _tried(lambda: chain.abort_from(block.header.number))
    return {"aborted": [format_felt(hash_) for hash_ in aborted]}


async def _set_time(chain: Chain, _: object, time: int, generate_block: bool) -> Fields:
    _tried(lambda: chain.set_time(time, makes_block=generate_block))
    block_hash = format_felt(chain.head.hash) if generate_block else None
    return {"block_timestamp": time, "block_hash": block_hash}


async def _increase_time(chain: Chain, _: object, time: int) -> Fields:
    _tried(lambda: chain.increase_time(time))
    return {"timestamp_increased_by": time, "block_hash": format_felt(chain.head.hash)}


async def _send_message(
    chain: Chain,
    _: object,
    l2_contract_address: Felt,
    entry_point_selector: Felt,
    l1_contract_address: Felt,
    payload: Sequence[Felt],
    paid_fee_on_l1: Felt,
    nonce: Felt,
) -> Fields:
    calldata = (l1_contract_address, *payload)
    message = L1Handler(l2_contract_address, entry_point_selector, calldata, nonce)
    return {"transaction_hash": format_felt(_tried(lambda: chain.send(message)))}


async def _set_fault(chain: Chain, faults: Faults, _: object, **given: int | None) -> Fields:
    return set_fault(chain, faults, {name: n for name, n in given.items() if n is not None})


def set_fault(chain: Chain, faults: Faults, given: Mapping[str, int]) -> Fields:
    """Let some faults hold, by their names in LIMITS; returns all that hold.

    Error: -1 for a reorg that is deeper than the chain.
    """
    numbers = dict(given)
    depth, seconds = numbers.pop("reorg", 0), numbers.pop("down_seconds", 0)
    aborted: Sequence[Felt] = ()
    if depth:
        aborted = _tried(lambda: chain.abort_from(chain.head.header.number + 1 - depth))
    faults.put(**numbers)
    if seconds:
        faults.go_down(seconds)
    return {
        **msgspec.structs.asdict(faults.standing),
        "down_seconds": seconds,
        "aborted": [format_felt(hash_) for hash_ in aborted],
    }


def _tried(act: Callable[[], _T]) -> _T:
    try:
        return act()
    except Refused as refused:
        raise RpcError(_FAILED, refused.detail) from None


def _read_unit(value: object) -> str:
    if not isinstance(value, str) or value not in FEE_TOKENS:
        raise Refused(Reason.PARAMETER_INVALID, f"{shown(value)} is neither {FRI} nor {WEI}")
    return value


def _read_switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(Reason.PARAMETER_INVALID, f"{shown(value)} is neither true nor false")
    return value
