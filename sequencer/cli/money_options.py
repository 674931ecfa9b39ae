"""Options of the commands that move money: which node, which settlement chain, whose key.

Promises
- The operator names a data folder, and everything else stands there. A stranger names a node's
  address, and the settlement chain and its contract; a key comes from a file or the environment.
- Whoever only reads needs no key.
"""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from sequencer.cli.stored import fail
from sequencer.config import SettlementConfig, find_clients, read_account_key, read_settlement
from sequencer.model.halts import ExitCode
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.model.settlement import SettlementError
from sequencer.model.units import parse_units
from sequencer.starknet.felt import parse_felt

if TYPE_CHECKING:
    from sequencer.settlement.connection import StarknetAccess

Place = Annotated[
    str,
    typer.Argument(metavar="PLACE", help="The node: its data folder, or its address, http://..."),
]
SettlementUrl = Annotated[
    str | None,
    typer.Option("--settlement-url", help="Where the settlement chain answers; with --contract."),
]
ContractAddress = Annotated[
    str | None, typer.Option("--contract", help="The settlement contract's address.")
]
Sender = Annotated[
    str | None,
    typer.Option("--sender", help="Who sends and pays over there; else as in settlement.json."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", help="The account's private key; else $PERPCHAIN_ACCOUNT_KEY."),
]

TOKEN_DECIMALS = 6

_T = TypeVar("_T")
_SCHEMES = ("http://", "https://")
_HOW_TO_NAME = "name a data folder with settlement.json, or --settlement-url and --contract"


class SettlementOptions:
    """Where the settlement chain is, as a command's options say."""

    def __init__(
        self, place: str, file: Path | None, url: str | None, contract: str | None
    ) -> None:
        self._folder = None if is_address(place) else Path(place)
        self._file = file
        self._url = url
        self._contract = contract

    def reader(self) -> tuple["StarknetAccess", int]:
        """Return an access that only reads, and the contract. Refusals: those of `sender`."""
        from sequencer.settlement.connection import reader_of

        url, contract = self._place()
        return reader_of(url), contract

    def sender(self, account: str | None, key: Path | None) -> tuple["StarknetAccess", int]:
        """Return the access of an account that sends, and the contract.

        Refusals: SETTLEMENT_ABSENT, PARAMETER_INVALID, and those of `read_settlement` and of keys.
        """
        from sequencer.settlement.connection import StarknetAccess

        url, contract = self._place()
        if account is not None:
            address = felt_option("--sender", account)
            return StarknetAccess(url, address, read_account_key(key)), contract
        kept = None if self._url else self._kept()
        if kept is None or key is not None:
            raise Refused(Reason.PARAMETER_INVALID, "whose key is it? --sender ADDRESS is missing")
        return StarknetAccess(url, kept.account, kept.key), contract

    def _place(self) -> tuple[str, int]:
        """Return the address of the chain, and of the contract."""
        named = None if self._contract is None else felt_option("--contract", self._contract)
        if self._url is not None:
            if not is_address(self._url):
                words = f"--settlement-url: {shown(self._url)} does not begin with http://"
                raise Refused(Reason.PARAMETER_INVALID, words)
            if named is None:
                raise Refused(Reason.SETTLEMENT_ABSENT, _HOW_TO_NAME)
            return self._url, named
        kept = self._kept()
        if kept is None:
            raise Refused(Reason.SETTLEMENT_ABSENT, _HOW_TO_NAME)
        return kept.url, kept.contract if named is None else named

    def _kept(self) -> SettlementConfig | None:
        folder = self._folder or Path()
        if self._file is None and self._folder is None:
            return None
        return read_settlement(folder, self._file)


def is_address(place: str) -> bool:
    """Say whether a place is the address of a node, not a folder."""
    return place.startswith(_SCHEMES)


def node_of(place: str) -> str:
    """Return the address of the node at a place. Refusal: NODE_NOT_RUNNING."""
    if is_address(place):
        return place
    found = find_clients(Path(place))
    if not found:
        words = f"no node that answers clients runs in {place}; or give its address, http://..."
        raise Refused(Reason.NODE_NOT_RUNNING, words)
    return found


def felt_option(name: str, text: str) -> int:
    """Read an address or an id, 0x... Refusal: PARAMETER_INVALID."""
    try:
        return parse_felt(text)
    except Refused as refused:
        raise Refused(Reason.PARAMETER_INVALID, f"{name}: {refused.detail}") from None


def token_amount(text: str) -> int:
    """Read an amount of the token in 1e-6. Refusal: AMOUNT_INVALID, for nothing, too."""
    amount = parse_units(text, TOKEN_DECIMALS)
    if amount == 0:
        raise Refused(Reason.AMOUNT_INVALID, "--amount: nothing to move")
    return amount


def token_text(amount: int) -> str:
    """Write 1e-6 of the token as a decimal number."""
    one = 10**TOKEN_DECIMALS
    return f"{amount // one}.{amount % one:0{TOKEN_DECIMALS}d}"


def done(command: str, work: Coroutine[None, None, _T]) -> _T:
    """Do a command's work; whatever fails ends it with one line and code 2."""
    try:
        return asyncio.run(work)
    except Refused as refused:
        fail(command, str(refused), ExitCode.INPUT)
    except SettlementError as error:
        words = f"{error.code}: the settlement chain refuses it, and nothing changed"
        fail(command, words if error.code else str(error), ExitCode.INPUT)
    except KeyboardInterrupt:
        raise typer.Exit(int(ExitCode.DIFFERS)) from None
