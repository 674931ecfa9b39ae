"""The faucet of a local devnet: the method `perp_faucet {account, amount?}`.

Promises
- It pays collateral by a signed token transfer of an account of its own, also to an address that
  nothing is deployed at yet, and answers once the block is durable.
- What one call pays and how many wait is limited by name.

Laws
- A call that cannot be carried out sends nothing: the chain's own refusals are asked for first.
"""

import asyncio

from devnet.orders import NO_FEES, sign_invoke
from devnet.traders import Player
from sequencer.api.json_rpc import Method, Methods, Parameter
from sequencer.api.perp_rpc.errors import recorded_error, refused_error
from sequencer.api.perp_rpc.wire import Fields, decimal, place_fields
from sequencer.api.starknet_rpc.values import read_address
from sequencer.chain.calls import write_calls
from sequencer.chain.token_contract import TOKEN_ADDRESS
from sequencer.engine.items import Applied
from sequencer.engine.service import Service
from sequencer.model.devnet_limits import FAUCET_TOKENS, FAUCET_TOKENS_MAX, FAUCET_WAITING_MAX
from sequencer.model.limits import JSON_DEPTH_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.model.rows import Mode
from sequencer.model.units import parse_units
from sequencer.starknet.felt import Felt, as_bytes, format_felt
from sequencer.starknet.names import selector
from sequencer.starknet.transactions import InvokeV3, Terms

METHOD = "perp_faucet"

_TOKEN_DECIMALS = 6
_TOKEN_ONE = 10**_TOKEN_DECIMALS
_U128 = 2**128
_TRANSFER = selector("transfer")


class Faucet:
    """Pays from one account. Amounts in 1e-6 of the token."""

    def __init__(self, service: Service, payer: Player) -> None:
        self._service = service
        self._payer = payer
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def pay(self, account: Felt, amount: int) -> Applied:
        """Transfer, and wait for the block, which may hold a refusal of the chain's.

        Refusals: BUSY, MODE_FORBIDS, ACCOUNT_INVALID, and those of admission.
        """
        mode = self._service.newest.system.mode
        if self._waiting >= FAUCET_WAITING_MAX:
            raise Refused(Reason.BUSY, f"{FAUCET_WAITING_MAX} calls of the faucet are waiting")
        if mode is not Mode.OPEN:
            raise Refused(Reason.MODE_FORBIDS, f"money moves in OPEN alone; it is {mode.value}")
        if not account or account == self._payer.address:
            raise Refused(Reason.ACCOUNT_INVALID, f"{account:#x} is paid nothing")
        self._waiting += 1
        try:
            # A nonce counts as taken once its transaction was let in.
            async with self._turn:
                admission = self._service.admission
                item = admission.transaction(self._transfer(account, amount))
                await admission.accepted(item)
            # Whoever asked may go: what was admitted is counted until it is answered.
            return await asyncio.shield(item.answer)
        finally:
            self._waiting -= 1

    def _transfer(self, account: Felt, amount: int) -> InvokeV3:
        payer, service = self._payer, self._service
        data = (account, amount % _U128, amount // _U128)
        calldata = write_calls(((TOKEN_ADDRESS, _TRANSFER, data),))
        nonce = service.admission.next_nonce(payer.address)
        # A tip is free here. After a rollback the same transfer has to be another transaction.
        terms = Terms(nonce, NO_FEES, tip=service.clock.now_ms())
        unsigned = InvokeV3(payer.address, calldata, terms)
        return sign_invoke(unsigned, payer, service.latest.system.chain_id)


def faucet_methods(service: Service, payer: Player) -> Methods:
    """Return the faucet's method, to be answered beside those of the node."""
    faucet = Faucet(service, payer)

    async def run(_caller: object, account: Felt, amount: int) -> Fields:
        try:
            applied = await faucet.pay(account, amount)
        except Refused as refused:
            raise refused_error(service.views.view.head, refused) from None
        if applied.refusal:
            raise recorded_error(applied)
        place = place_fields(applied.height, as_bytes(applied.block_hash), applied.epoch)
        return {
            **place,
            "transaction_hash": format_felt(applied.receipt.transaction_hash),
            "account": format_felt(account),
            "amount": decimal(amount, _TOKEN_DECIMALS),
        }

    parameters = (
        Parameter("account", read_address),
        Parameter("amount", _read_amount, FAUCET_TOKENS * _TOKEN_ONE),
    )
    return {METHOD: Method(METHOD, parameters, run, depth_max=JSON_DEPTH_MAX)}


def _read_amount(value: object) -> int:
    """Read an amount of the token, in 1e-6. Refusal: AMOUNT_INVALID."""
    if not isinstance(value, str):
        raise Refused(Reason.AMOUNT_INVALID, f'text like "2500.5", not {shown(value)}')
    amount = parse_units(value, _TOKEN_DECIMALS)
    if not 0 < amount <= FAUCET_TOKENS_MAX * _TOKEN_ONE:
        raise Refused(Reason.AMOUNT_INVALID, f"over 0, and {FAUCET_TOKENS_MAX} at most")
    return amount
