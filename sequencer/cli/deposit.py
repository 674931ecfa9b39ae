"""`perpchain deposit`: money from the settlement chain into an account of the appchain."""

from typing import TYPE_CHECKING, Annotated

import typer

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.cli.money_options import (
    MAY_BE_SENT,
    TOKEN_DECIMALS,
    ContractAddress,
    KeyFile,
    Place,
    Sender,
    SettlementOptions,
    SettlementUrl,
    done,
    failing,
    felt_option,
    node_of,
    stopping,
    token_amount,
    token_text,
)
from sequencer.cli.settlement import SettlementPath
from sequencer.cli.stored import AsJson, fail, print_facts
from sequencer.model.bridge_limits import DEPOSIT_MAX
from sequencer.model.halts import ExitCode
from sequencer.model.limits import ADDRESS_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import format_felt

if TYPE_CHECKING:
    from sequencer.model.settlement import SentDeposit
    from sequencer.settlement.connection import StarknetAccess
    from sequencer.settlement.money import Deposited, Payment

_REMEDIES = {"BALANCE_INSUFFICIENT": "on a devnet add --mint"}


def deposit(
    place: Place,
    account: Annotated[str, typer.Option(help="The appchain's account that gets it, 0x...")],
    amount: Annotated[str, typer.Option(help="How much, in USDC: 100 or 0.5.")],
    mint: Annotated[
        bool, typer.Option("--mint", help="Have the test token's faucet make the money, too.")
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

    The sender's money is made (--mint), approved and deposited in one transaction.
    The appchain credits it by itself; the message hash is that of its transaction
    there. Ctrl-C ends the waiting alone.
    Example: perpchain deposit CHAIN --account 0x5ab1 --amount 100 --mint --wait
    """
    try:
        from sequencer.settlement.money import Payment

        options = SettlementOptions(place, settlement, settlement_url, contract)
        access, address = options.sender(sender, key)
        payment = Payment(felt_option("--account", account), token_amount(amount))
        _require_taken(payment)
        node = node_of(place) if wait else ""
    except Refused as refused:
        fail("deposit", str(refused), ExitCode.INPUT)
    remedies = {} if mint else _REMEDIES
    paying = _deposited(access, address, payment, mint)
    made = done("deposit", paying, stopped=MAY_BE_SENT, remedies=remedies)
    (found,) = made.deposits
    facts: dict[str, object] = {
        "nonce": found.nonce,
        "account": format_felt(found.account),
        "amount": token_text(found.amount),
        "payer": format_felt(access.account_address),
        "transaction": format_felt(made.sent.transaction_hash),
        "message_hash": format_felt(found.message_hash),
    }
    if wait:
        _print_and_wait(facts, found, node, as_json)
    else:
        print_facts(facts, as_json)


def _print_and_wait(
    facts: dict[str, object], found: "SentDeposit", node: str, as_json: bool
) -> None:
    """Print what has happened, whatever becomes of the wait: the money has moved."""
    hash_ = format_felt(found.message_hash)
    stopped = f"deposit {found.nonce} stands, credited by {hash_}; stopped waiting"
    try:
        with failing("deposit"), stopping("deposit", stopped) as interrupts:
            if not as_json:
                print_facts(facts, as_json)
            credited = interrupts.run(_credited(node, found.message_hash))
    except typer.Exit:
        if as_json:
            print_facts(facts, as_json)
        raise
    block: dict[str, object] = {"credited_in_block": credited}
    print_facts({**facts, **block} if as_json else block, as_json)


def _require_taken(payment: "Payment") -> None:
    """Refuse what the contract would, before anything is sent."""
    if not 0 < payment.account <= ADDRESS_MAX:
        words = f"--account: {format_felt(payment.account)} is no address of an account"
        raise Refused(Reason.ACCOUNT_INVALID, words)
    if payment.amount > DEPOSIT_MAX:
        most = f"{DEPOSIT_MAX // 10**TOKEN_DECIMALS:,}"
        raise Refused(Reason.AMOUNT_INVALID, f"one deposit is at most {most} USDC")


async def _deposited(
    access: "StarknetAccess", contract: int, payment: "Payment", mint: bool
) -> "Deposited":
    from sequencer.settlement.money import Purse

    purse = Purse(access, contract)
    try:
        if mint:
            return await purse.deposit_minted(payment)
        (made,) = await purse.deposit([payment])
    finally:
        await purse.close()
    return made


async def _credited(node: str, message_hash: int) -> int:
    from sequencer.settlement.appchain import Appchain
    from sequencer.settlement.connection import reader_of

    appchain = Appchain(reader_of(node), EXCHANGE_ADDRESS)
    try:
        return await appchain.credited(message_hash)
    finally:
        await appchain.close()
