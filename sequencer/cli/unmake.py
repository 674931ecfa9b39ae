"""`perpchain unmake`: a credited deposit that the settlement chain has lost, paid by insurance."""

from typing import TYPE_CHECKING, Annotated

import typer

from sequencer.cli.confirming import Question, Yes, command_words, confirm, option_words
from sequencer.cli.money_options import KeyFile, Place, done, felt_option, is_address, node_of
from sequencer.cli.stored import AsJson, fail, print_facts
from sequencer.config import read_account_key
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Refused
from sequencer.starknet.felt import format_felt

if TYPE_CHECKING:
    from sequencer.settlement.account_calls import Called
    from sequencer.settlement.connection import StarknetAccess

_QUESTION = "Insurance pays that deposit, for good. Type its number once more"


def unmake(
    place: Place,
    nonce: Annotated[int, typer.Argument(min=0, help="The lost deposit's number.")],
    account: Annotated[str, typer.Option(help="The insurance account, 0x...")],
    key: KeyFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take back a deposit that the settlement chain has lost, at insurance's expense.

    The insurance account's key signs a transaction. Whoever has the money keeps
    it, and the number is free for the deposit that stands there now. That cannot
    be taken back: the number has to be typed once more, or --yes given.
    Example: perpchain unmake CHAIN 7 --account 0x1f5 --key-file insurance.key
    """
    try:
        from sequencer.settlement.connection import StarknetAccess

        sender = felt_option("--account", account)
        access = StarknetAccess(node_of(place), sender, read_account_key(key))
    except Refused as refused:
        fail("unmake", str(refused), ExitCode.INPUT)
    if not yes:
        again = (
            f"{command_words('unmake', place, nonce)}{option_words(account=account, key_file=key)}"
        )
        look = (
            command_words("unmake", "--help")
            if is_address(place)
            else command_words("status", place)
        )
        confirm("unmake", again, lambda: Question(_QUESTION, nonce, look))
    called = done("unmake", _unmade(access, nonce))
    facts: dict[str, object] = {
        "nonce": nonce,
        "block": called.height,
        "transaction": format_felt(called.transaction_hash),
    }
    print_facts(facts, as_json)


async def _unmade(access: "StarknetAccess", nonce: int) -> "Called":
    from sequencer.chain.calls import command_call
    from sequencer.model.commands import UnmakeDeposit
    from sequencer.settlement.account_calls import AccountCalls

    calls = AccountCalls(access)
    try:
        return await calls.call(*command_call(UnmakeDeposit(nonce)))
    finally:
        await calls.close()
