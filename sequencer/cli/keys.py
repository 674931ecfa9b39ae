"""`perpchain keys`: files with keys, and an Ethereum address for an account."""

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from sequencer.cli.key_files import new_key, show_key, wallet_of
from sequencer.cli.money_options import is_address
from sequencer.cli.stored import AsJson, fail, print_facts
from sequencer.config import read_account_key, read_ethereum_key
from sequencer.model.commands import EthereumSignature, RegisterEthereumKey
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.model.secret import Secret
from sequencer.starknet.felt import Felt, decode_short_string, format_felt, parse_felt

if TYPE_CHECKING:
    from sequencer.settlement.account_calls import AccountCalls, Called

keys = typer.Typer(
    name="keys",
    help="Make and show keys, and bind an Ethereum address to an account.",
    no_args_is_help=True,
)

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_SIGNATURE = re.compile(r"0x(?P<r>[0-9a-fA-F]{64})(?P<s>[0-9a-fA-F]{64})(?P<v>[0-9a-fA-F]{2})")
_PARITIES = {0: False, 1: True, 27: False, 28: True}
_HALF_BITS = 128
_NOBODY = Secret(1)


class _Asked(msgspec.Struct, frozen=True):
    """What was typed, read. A key is None where it is not needed."""

    url: str
    account: Felt
    address: int
    account_key: Secret | None
    ethereum_key: Secret | None
    signature: EthereumSignature | None


keys.command("new")(new_key)
keys.command("show")(show_key)


@keys.command("register")
def register(
    url: Annotated[str, typer.Argument(help="Where a node answers JSON-RPC over HTTP.")],
    account: Annotated[str, typer.Option(help="The account's address.")],
    key_file: Annotated[
        Path | None, typer.Option(help="The account's Stark key; else $PERPCHAIN_ACCOUNT_KEY.")
    ] = None,
    ethereum_key_file: Annotated[
        Path | None, typer.Option(help="The address's key; else $PERPCHAIN_ETHEREUM_KEY.")
    ] = None,
    ethereum_address: Annotated[
        str, typer.Option(help="The address, where a wallet has its key.")
    ] = "",
    print_message: Annotated[
        bool, typer.Option("--print-message", help="Print what a wallet has to sign, and end.")
    ] = False,
    signature: Annotated[
        str, typer.Option(help="What the wallet has signed: 0x, r, s and v, 65 bytes.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Bind an Ethereum address to an account, for ever: both keys sign.

    Keys are read from files or the environment, in hexadecimal, never from the
    command line. Where a wallet has the Ethereum key, --print-message prints
    EIP-712 typed data for it, and --signature takes back what it signed.
    Example: perpchain keys register http://127.0.0.1:5050 --account 0x... \
--key-file stark.key --ethereum-key-file ethereum.key
    """
    try:
        given = _read_signature(signature) if signature else None
        by_wallet = given is not None or (print_message and bool(ethereum_address))
        _require_files(key_file, ethereum_key_file)
        ethereum_key = None if by_wallet else _ethereum_key(ethereum_key_file, print_message)
        asked = _Asked(
            url=_read_url(url),
            account=parse_felt(account),
            address=_address(ethereum_address, ethereum_key),
            account_key=None if print_message else read_account_key(key_file),
            ethereum_key=ethereum_key,
            signature=given,
        )
        if print_message:
            _print_message(asyncio.run(_message(asked)))
            return
        facts = asyncio.run(_registered(asked))
    except Refused as refused:
        fail("keys register", str(refused), ExitCode.INPUT)
    print_facts(facts, as_json)


def _print_message(message: dict[str, Any]) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(message)).decode())


def _calls(asked: _Asked) -> "AccountCalls":
    # Half a second of imports, for those alone who ask a node.
    from sequencer.settlement.account_calls import AccountCalls
    from sequencer.settlement.connection import StarknetAccess

    return AccountCalls(StarknetAccess(asked.url, asked.account, asked.account_key or _NOBODY))


async def _message(asked: _Asked) -> dict[str, Any]:
    calls = _calls(asked)
    try:
        return _typed_data(asked, await calls.chain_id(), await calls.public_key())
    finally:
        await calls.close()


def _typed_data(asked: _Asked, chain_id: Felt, stark_key: Felt) -> dict[str, Any]:
    from sequencer.starknet.ethereum_key import registration_message

    return registration_message(chain_id, asked.account, stark_key, asked.address)


async def _registered(asked: _Asked) -> dict[str, object]:
    from sequencer.chain.calls import command_call

    calls = _calls(asked)
    try:
        chain_id, stark_key = await calls.chain_id(), await calls.public_key()
        command = _command(asked, chain_id, stark_key)
        called = await calls.call(*command_call(command))
    finally:
        await calls.close()
    return _facts(asked, chain_id, stark_key, called)


def _command(asked: _Asked, chain_id: Felt, stark_key: Felt) -> RegisterEthereumKey:
    """Make what is sent, and check it as the chain will.

    Refusals: PRIVATE_KEY_OUT_OF_RANGE, SIGNATURE_INVALID, ETHEREUM_SIGNATURE_INVALID.
    """
    from sequencer.chain.ethereum_binding import require_ethereum_signature
    from sequencer.starknet.felt_hash import public_key

    if asked.account_key is None or public_key(asked.account_key.value) != stark_key:
        words = f"the private key is not that of account {format_felt(asked.account)}"
        raise Refused(Reason.SIGNATURE_INVALID, words)
    signature = asked.signature or _sign(asked, _typed_data(asked, chain_id, stark_key))
    command = RegisterEthereumKey(asked.account, asked.address, signature)
    require_ethereum_signature(command, stark_key, chain_id)
    return command


def _sign(asked: _Asked, message: dict[str, Any]) -> EthereumSignature:
    from eth_account.messages import encode_typed_data

    signed = wallet_of(asked.ethereum_key or _NOBODY).sign_message(
        encode_typed_data(full_message=message)
    )
    return _halves(signed.r, signed.s, _PARITIES[signed.v])


def _facts(asked: _Asked, chain_id: Felt, stark_key: Felt, called: "Called") -> dict[str, object]:
    from sequencer.starknet.ethereum_key import format_ethereum_address

    return {
        "ethereum_address": format_ethereum_address(asked.address),
        "account": format_felt(asked.account),
        "stark_key": format_felt(stark_key),
        "chain_id": decode_short_string(chain_id),
        "block": called.height,
        "transaction_hash": format_felt(called.transaction_hash),
    }


def _require_files(*paths: Path | None) -> None:
    """Name a key file that is missing before anything else that is."""
    for path in paths:
        if path is not None and not path.exists():
            raise Refused(Reason.FILE_UNREADABLE, f"{path}: no such file")


def _ethereum_key(path: Path | None, for_message: bool) -> Secret:
    try:
        key = read_ethereum_key(path)
    except Refused as refused:
        if path is not None or not for_message:
            raise
        words = f"--print-message needs --ethereum-address; or {refused.detail}"
        raise Refused(Reason.PARAMETER_INVALID, words) from None
    wallet_of(key)
    return key


def _address(text: str, key: Secret | None) -> int:
    """Return the address that is named, or else that of the key; a key has to fit the name."""
    if text and _ADDRESS.fullmatch(text) is None:
        words = f"--ethereum-address takes 0x and 40 digits, not {shown(text)}"
        raise Refused(Reason.PARAMETER_INVALID, words)
    if key is None:
        if not text:
            raise Refused(Reason.PARAMETER_INVALID, "--signature needs --ethereum-address, too")
        return int(text, 16)
    own = int(wallet_of(key).address, 16)
    if text and int(text, 16) != own:
        raise Refused(Reason.PARAMETER_INVALID, f"{text} is not the address of the Ethereum key")
    return own


def _read_signature(text: str) -> EthereumSignature:
    found = _SIGNATURE.fullmatch(text)
    parity = None if found is None else _PARITIES.get(int(found["v"], 16))
    if found is None or parity is None:
        words = f"--signature takes 0x, r, s and v (27 or 28), 65 bytes, not {shown(text)}"
        raise Refused(Reason.ETHEREUM_SIGNATURE_INVALID, words)
    return _halves(int(found["r"], 16), int(found["s"], 16), parity)


def _halves(r: int, s: int, parity: bool) -> EthereumSignature:
    low = (1 << _HALF_BITS) - 1
    return EthereumSignature(r & low, r >> _HALF_BITS, s & low, s >> _HALF_BITS, parity)


def _read_url(text: str) -> str:
    if not is_address(text):
        words = f"{shown(text)} is no address that begins with http:// or https://"
        raise Refused(Reason.PARAMETER_INVALID, words)
    return text
