"""`perpchain withdraw`: money from the appchain back to the settlement chain, in three steps."""

import asyncio
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.cli.money_options import (
    MAY_BE_SENT,
    ContractAddress,
    KeyFile,
    Place,
    Sender,
    SettlementOptions,
    SettlementUrl,
    done,
    felt_option,
    is_address,
    node_of,
    token_amount,
    token_text,
)
from sequencer.cli.quantities import decimal
from sequencer.cli.settlement import SettlementPath
from sequencer.cli.stored import AsJson, fail, plain, print_facts
from sequencer.config import read_account_key, read_limited
from sequencer.model.bridge_limits import CLAIM_FILE_BYTES_MAX, CLAIM_POLL_MS
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, Refused
from sequencer.model.units import MS_PER_SECOND, QUOTE_PER_TOKEN
from sequencer.starknet.felt import format_felt

if TYPE_CHECKING:
    from sequencer.settlement.appchain import Requested
    from sequencer.settlement.claiming import Chains
    from sequencer.settlement.connection import StarknetAccess
    from sequencer.settlement.proofs import Claim

withdraw = typer.Typer(
    name="withdraw",
    help="Withdraw money: request it, prove it, claim it.",
    no_args_is_help=True,
)
_ASKED_OF_CASH = re.compile(r"([0-9]+) of (-?[0-9]+)")
_HOW_TO_WAIT = "--wait waits for it, --advance lets a devnet's time pass"
_STOPPED = "stopped waiting; the withdrawal stands, and can be claimed when its block is final"

WithdrawalId = Annotated[str, typer.Argument(metavar="ID", help="The withdrawal's id, 0x...")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until its block is final.")]
Advance = Annotated[
    bool,
    typer.Option("--advance", help="Let a devnet's time pass until its block is final."),
]


@withdraw.command("request")
def request_withdrawal(
    place: Place,
    account: Annotated[str, typer.Option(help="The account that withdraws, 0x...")],
    recipient: Annotated[str, typer.Option(help="Who gets it on the settlement chain, 0x...")],
    amount: Annotated[str, typer.Option(help="How much, in USDC: 100 or 0.5.")],
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw from an account of the appchain, and show the withdrawal's id.

    The account's key signs a transaction, and the money leaves the account. While
    there is bad debt, the payout is less than what was asked for.
    Example: perpchain withdraw request CHAIN --account 0x5ab1 \
--recipient 0x64b4 --amount 5 --key-file account.key
    """
    try:
        from sequencer.settlement.connection import StarknetAccess

        sender = felt_option("--account", account)
        account_key = read_account_key(key)
        access = StarknetAccess(node_of(place), sender, account_key)
        receiver = felt_option("--recipient", recipient)
        quote = token_amount(amount) * QUOTE_PER_TOKEN
    except Refused as refused:
        fail("withdraw request", str(refused), ExitCode.INPUT)
    asking = _requested(access, receiver, quote)
    found = done("withdraw request", asking, stopped=MAY_BE_SENT)
    id_ = format_felt(found.withdrawal_id)
    facts: dict[str, object] = {
        "withdrawal_id": id_,
        "block": found.height,
        "account": format_felt(found.owed.account),
        "recipient": format_felt(found.owed.recipient),
        "requested": decimal(found.owed.requested),
        "payout": decimal(found.owed.payout),
        "transaction": format_felt(found.transaction_hash),
        "next": _proving(place, id_),
    }
    print_facts(facts, as_json)


@withdraw.command("prove")
def prove_withdrawal(
    place: Place,
    withdrawal_id: WithdrawalId,
    out: Annotated[
        Path | None, typer.Option(help="The file that is written; else withdrawal-ID.json.")
    ] = None,
    wait: Wait = False,
    advance: Advance = False,
    settlement: SettlementPath = None,
    settlement_url: SettlementUrl = None,
    contract: ContractAddress = None,
    sender: Sender = None,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the file that a withdrawal is claimed with, once its block is final.

    The proof is checked against the root that the settlement contract has made
    final. Until then it is refused as NOT_FINALIZED, which says how long it takes.
    A key is needed for --advance alone. The file needs no node of the appchain.
    Example: perpchain withdraw prove CHAIN 0x2c1f --wait
    """
    try:
        options = SettlementOptions(place, settlement, settlement_url, contract)
        access, address = options.sender(sender, key) if advance else options.reader()
        id_, node = felt_option("ID", withdrawal_id), node_of(place)
    except Refused as refused:
        fail("withdraw prove", str(refused), ExitCode.INPUT)
    looking = _found((node, access, address), id_, wait, advance)
    found = done("withdraw prove", looking, stopped=_STOPPED)
    file = out or Path(f"withdrawal-{format_felt(id_)[2:10]}.json")
    _write(file, found)
    named = "" if is_address(place) or settlement_url else f" {shlex.quote(place)}"
    claiming = f"perpchain withdraw claim{named} {shlex.quote(str(file))}{options.words()}"
    facts: dict[str, object] = {
        **_claim_facts(found),
        "block": found.height,
        "state_root": format_felt(found.state_root),
        "settlement_contract": format_felt(found.contract),
        "file": str(file),
        "next": f"{claiming}{options.sender_words(sender, key)}",
    }
    print_facts(facts, as_json)


@withdraw.command("claim")
def claim_withdrawal(
    place: Annotated[
        str,
        typer.Argument(
            metavar="PLACE|FILE", help="The node, its folder or its address; or what prove wrote."
        ),
    ],
    withdrawal: Annotated[
        str | None, typer.Argument(metavar="ID|FILE", help="The withdrawal's id, or that file.")
    ] = None,
    wait: Wait = False,
    advance: Advance = False,
    settlement: SettlementPath = None,
    settlement_url: SettlementUrl = None,
    contract: ContractAddress = None,
    sender: Sender = None,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Have a withdrawal paid to its recipient. Anybody may; it is paid once.

    By its id, a node of the appchain is asked for the proof. By the file that
    prove wrote, no such node is needed.
    Example: perpchain withdraw claim CHAIN 0x2c1f --wait
    """
    try:
        claim, id_ = _named(place, withdrawal)
        if claim is not None and contract is None and settlement_url is not None:
            contract = format_felt(claim.contract)
        options = SettlementOptions(place, settlement, settlement_url, contract)
        access, address = options.sender(sender, key)
        node = node_of(place) if claim is None else ""
    except Refused as refused:
        fail("withdraw claim", str(refused), ExitCode.INPUT)
    if claim is None:
        looking = _found((node, access, address), id_, wait, advance)
        claim = done("withdraw claim", looking, stopped=_STOPPED)
    paid = done("withdraw claim", _paid(access, address, claim), stopped=MAY_BE_SENT)
    print_facts({**_claim_facts(claim), **paid}, as_json)


async def _requested(access: "StarknetAccess", recipient: int, amount: int) -> "Requested":
    from sequencer.settlement.appchain import Appchain

    appchain = Appchain(access, EXCHANGE_ADDRESS)
    try:
        return await appchain.request(recipient, amount)
    except Refused as refused:
        raise _in_tokens(refused) from None
    finally:
        await appchain.close()


async def _found(
    place: tuple[str, "StarknetAccess", int], withdrawal_id: int, wait: bool, advance: bool
) -> "Claim":
    from sequencer.settlement.appchain import Appchain
    from sequencer.settlement.claiming import Chains
    from sequencer.settlement.connection import reader_of
    from sequencer.settlement.money import Purse
    from sequencer.settlement.starknet import StarknetSettlement

    node, access, address = place
    appchain = Appchain(reader_of(node), EXCHANGE_ADDRESS)
    chains = Chains(appchain, StarknetSettlement(access, address), Purse(access, address))
    try:
        return await _waited(chains, withdrawal_id, wait, advance)
    finally:
        await chains.appchain.close()
        await chains.settlement.close()
        await chains.purse.close()


async def _waited(chains: "Chains", withdrawal_id: int, wait: bool, advance: bool) -> "Claim":
    """Look again and again until there is a claim, if somebody waits for it."""
    from sequencer.settlement.claiming import Unfinalized, find_claim, make_final

    said = ""
    while isinstance(found := await find_claim(chains, withdrawal_id), Unfinalized):
        words = f"{found.words()}; {_HOW_TO_WAIT}"
        if not (wait or advance):
            raise Refused(Reason.NOT_FINALIZED, words)
        is_due = found.post is not None and not found.hold_until
        if advance and is_due:
            await make_final(chains.settlement, found)
            continue
        if not said:
            said = words
            typer.echo(plain(found.words() if advance else words), err=True)
        await asyncio.sleep(CLAIM_POLL_MS / MS_PER_SECOND)
    return found


async def _paid(access: "StarknetAccess", contract: int, claim: "Claim") -> dict[str, object]:
    from sequencer.settlement.claiming import require_payable
    from sequencer.settlement.money import Purse

    if claim.contract != contract:
        words = f"the file is for the contract {format_felt(claim.contract)}"
        raise Refused(Reason.CLAIM_OF_ANOTHER, words)
    purse = Purse(access, contract)
    try:
        await require_payable(purse, claim)
        sent = await purse.withdraw(claim)
        balance = await purse.balance(claim.recipient)
    finally:
        await purse.close()
    return {
        "transaction": format_felt(sent.transaction_hash),
        "l2_gas": sent.l2_gas,
        "recipient_has": token_text(balance),
    }


def _named(place: str, withdrawal: str | None) -> tuple["Claim | None", int]:
    """Return what is named: a claim from a file, or an id."""
    text = place if withdrawal is None else withdrawal
    if not is_address(text) and Path(text).is_file():
        from sequencer.settlement.claims import read_claim

        claim = read_claim(read_limited(Path(text), CLAIM_FILE_BYTES_MAX))
        return claim, claim.withdrawal_id
    if withdrawal is None:
        words = f"{text} is no file; or name a node and the withdrawal's id"
        raise Refused(Reason.FILE_UNREADABLE, words)
    if not withdrawal.startswith("0x"):
        raise Refused(Reason.FILE_UNREADABLE, f"{text}: no such file, and no id (0x...)")
    return None, felt_option("ID", withdrawal)


def _in_tokens(refused: Refused) -> Refused:
    """Say in USDC what the exchange says in units of quote."""
    amounts = _ASKED_OF_CASH.fullmatch(refused.detail.strip())
    if refused.reason is not Reason.CASH_INSUFFICIENT or amounts is None:
        return refused
    asked, cash = (decimal(int(text)) for text in amounts.groups())
    return Refused(refused.reason, f"{asked} USDC asked for, and the account has {cash}")


def _proving(place: str, id_: str) -> str:
    """Return the command that goes on, as it can be pasted; a devnet's time is let pass."""
    from sequencer.settlement.connection import is_devnet_at

    options = SettlementOptions(place, None, None, None)
    try:
        access, _ = options.reader()
        waiting = "--advance" if asyncio.run(is_devnet_at(access.url)) else "--wait"
    except Refused:
        waiting = "--wait"
    return f"perpchain withdraw prove {shlex.quote(place)} {id_}{options.words()} {waiting}"


def _claim_facts(claim: "Claim") -> dict[str, object]:
    return {
        "withdrawal_id": format_felt(claim.withdrawal_id),
        "recipient": format_felt(claim.recipient),
        "amount": token_text(claim.amount),
    }


def _write(file: Path, claim: "Claim") -> None:
    from sequencer.settlement.claims import write_claim

    try:
        file.write_bytes(write_claim(claim))
    except OSError as error:
        fail("withdraw prove", f"{file}: {error.strerror}", ExitCode.INPUT)
