"""`perpchain deposit`: money from the settlement chain into an account of the appchain."""

from typing import TYPE_CHECKING, Annotated

import typer

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.cli.money_options import (
    ContractAddress,
    KeyFile,
    Place,
    Sender,
    SettlementOptions,
    SettlementUrl,
    done,
    felt_option,
    node_of,
    token_amount,
    token_text,
)
from sequencer.cli.settlement import SettlementPath
from sequencer.cli.stored import AsJson, fail, print_facts
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Refused
from sequencer.starknet.felt import format_felt

if TYPE_CHECKING:
    from sequencer.settlement.connection import StarknetAccess
    from sequencer.settlement.money import Deposited, Payment


def deposit(
    place: Place,
    account: Annotated[str, typer.Option(help="The appchain's account that gets it, 0x...")],
    amount: Annotated[str, typer.Option(help="How much, in USDC: 100 or 0.5.")],
    mint: Annotated[
        bool, typer.Option("--mint", help="Have the test token's faucet make the money first.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the appchain has credited it.")
    ] = False,
    settlement: SettlementPath = None,
    settlement_url: SettlementUrl = None,
    contract: ContractAddress = None,
    sender: Sender = None,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Pay into the settlement contract, for an account of the appchain.

    The sender's money is approved and deposited in one transaction. The appchain
    credits it by itself; the message hash is that of its transaction there.
    Example: perpchain deposit CHAIN --account 0x5ab1 --amount 100 --mint --wait
    """
    try:
        from sequencer.settlement.money import Payment

        options = SettlementOptions(place, settlement, settlement_url, contract)
        access, address = options.sender(sender, key)
        payment = Payment(felt_option("--account", account), token_amount(amount))
        node = node_of(place) if wait else ""
    except Refused as refused:
        fail("deposit", str(refused), ExitCode.INPUT)
    made = done("deposit", _deposited(access, address, payment, mint))
    (found,) = made.deposits
    facts: dict[str, object] = {
        "nonce": found.nonce,
        "account": format_felt(found.account),
        "amount": token_text(found.amount),
        "payer": format_felt(access.account_address),
        "transaction": format_felt(made.sent.transaction_hash),
        "message_hash": format_felt(found.message_hash),
    }
    credited = done("deposit", _credited(node, found.message_hash)) if wait else None
    if isinstance(credited, int):
        facts["credited_in_block"] = credited
    print_facts(facts, as_json)
    if isinstance(credited, Refused):
        # The money has moved: its facts come first.
        fail("deposit", str(credited), ExitCode.INPUT)


async def _deposited(
    access: "StarknetAccess", contract: int, payment: "Payment", mint: bool
) -> "Deposited":
    from sequencer.settlement.money import Purse

    purse = Purse(access, contract)
    try:
        if mint:
            await purse.mint(access.account_address, payment.amount)
        (made,) = await purse.deposit([payment])
    finally:
        await purse.close()
    return made


async def _credited(node: str, message_hash: int) -> int | Refused:
    from sequencer.settlement.appchain import Appchain
    from sequencer.settlement.connection import reader_of

    appchain = Appchain(reader_of(node), EXCHANGE_ADDRESS)
    try:
        return await appchain.credited(message_hash)
    except Refused as refused:
        return refused
    finally:
        await appchain.close()
