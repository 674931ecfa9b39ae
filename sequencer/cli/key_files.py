"""`perpchain keys new` and `keys show`: files with private keys, and what others may know of them.

Promises
- A new key is in a file that its owner alone can read, and on the disk, before its public key is
  printed; no file is ever written over.
- A private key is printed by `keys show --private` alone.
"""

import secrets
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from sequencer.chain.account_contract import ACCOUNT
from sequencer.cli.stored import AsJson, fail, print_facts
from sequencer.config import leave_key, read_account_key, read_ethereum_key
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret
from sequencer.starknet.felt import format_felt


class KeyUse(StrEnum):
    """What a key is for."""

    OPERATOR = "operator"
    POSTER = "poster"
    TRADER = "trader"


_NEXT = {
    KeyUse.OPERATOR: 'in genesis: "operator": {{"public_key": "{key}"}}; then '
    "perpchain node CHAIN --genesis genesis.json --operator-key {file}",
    KeyUse.POSTER: 'in settlement.json: "key_file": "{file}", and "account": the address '
    "over there whose key this is",
    KeyUse.TRADER: "the account deploys itself with this key; money: perpchain deposit CHAIN "
    "--account {account} --amount 100",
}


def new_key(
    file: Annotated[Path, typer.Argument(help="The file to make; one that is there is left.")],
    use: Annotated[
        KeyUse, typer.Option("--for", help="What it is for; that changes what comes next.")
    ] = KeyUse.TRADER,
    as_json: AsJson = False,
) -> None:
    """Make a private key in a file for its owner alone, and show its public key and account.

    The key itself is not printed. Whoever loses the file loses what it signs for:
    keep a copy elsewhere.
    Example: perpchain keys new operator.key --for operator
    """
    from sequencer.starknet.felt_hash import CURVE_ORDER

    key = Secret(secrets.randbelow(CURVE_ORDER - 1) + 1)
    try:
        leave_key(file, key)
    except Refused as refused:
        words = f"{refused}; next: perpchain keys show {quote(str(file))}"
        fail("keys new", words, ExitCode.INPUT)
    except OSError as error:
        words = f"{file}: {error.strerror}; next: perpchain keys new FILE, in a folder of yours"
        fail("keys new", words, ExitCode.INPUT)
    facts = {"file": str(file), **_stark_facts(key)}
    step = _NEXT[use].format(key=facts["public_key"], account=facts["account"], file=file)
    print_facts({**facts, "next": step}, as_json)


def show_key(
    file: Annotated[Path, typer.Argument(help="A file with a private key in hexadecimal.")],
    ethereum: Annotated[
        bool, typer.Option("--ethereum", help="It is the key of an Ethereum address.")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="Print the private key as well.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the public key of a file with a private one, and the account that it has here.

    Example: perpchain keys show operator.key
    """
    try:
        key = read_ethereum_key(file) if ethereum else read_account_key(file)
        facts = _ethereum_facts(key) if ethereum else _stark_facts(key)
    except Refused as refused:
        words = f"{refused}; next: perpchain keys new FILE makes one"
        fail("keys show", words, ExitCode.INPUT)
    if private:
        facts["private_key"] = f"{key.value:#x}"
    print_facts({"file": str(file), **facts}, as_json)


def _stark_facts(key: Secret) -> dict[str, object]:
    """Return a public key, and the address that an account with it has when it deploys itself."""
    from sequencer.starknet.felt_hash import public_key
    from sequencer.starknet.names import contract_address

    own = public_key(key.value)
    address = contract_address(own, ACCOUNT.class_hash, (own,))
    return {"public_key": format_felt(own), "account": format_felt(address)}


def _ethereum_facts(key: Secret) -> dict[str, object]:
    from sequencer.starknet.ethereum_key import format_ethereum_address

    return {"ethereum_address": format_ethereum_address(int(wallet_of(key).address, 16))}


def wallet_of(key: Secret) -> Any:  # noqa: ANN401
    """Return the account of an Ethereum key as its library has it, which has no types.

    Refusal: PRIVATE_KEY_OUT_OF_RANGE.
    """
    from eth_account import Account

    from sequencer.starknet.ethereum_key import ETHEREUM_CURVE_ORDER

    if not 0 < key.value < ETHEREUM_CURVE_ORDER:
        words = "a private key of Ethereum is in 1 .. curve order - 1"
        raise Refused(Reason.PRIVATE_KEY_OUT_OF_RANGE, words)
    return Account.from_key(key.value.to_bytes(32, "big"))
