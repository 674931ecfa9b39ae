"""Options of the commands that move money: which node, which settlement chain, whose key.

Promises
- The operator names a data folder, and everything else stands there. A stranger names a node's
  address, and the settlement chain and its contract; a key comes from a file or the environment.
- Whoever only reads needs no key.
"""

import shlex
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from sequencer.cli.interrupts import Interrupts, interrupts_heard
from sequencer.cli.stored import fail, plain
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

MAY_BE_SENT = "stopped; it may have been sent: look before sending it again"
"""What is said where Ctrl-C breaks off a command that sends."""

_T = TypeVar("_T")
_SCHEMES = ("http://", "https://")
_INTERRUPTED = 130
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

        url, contract, _ = self._place()
        return reader_of(url), contract

    def sender(self, account: str | None, key: Path | None) -> tuple["StarknetAccess", int]:
        """Return the access of an account that sends, and the contract.

        Refusals: SETTLEMENT_ABSENT, PARAMETER_INVALID, and those of `read_settlement` and of keys.
        """
        from sequencer.settlement.connection import StarknetAccess

        # A key file that is missing is said first.
        given = None if key is None else read_account_key(key)
        url, contract, kept = self._place()
        if account is not None:
            address = felt_option("--sender", account)
            return StarknetAccess(url, address, given or read_account_key(None)), contract
        if kept is None or key is not None:
            raise Refused(Reason.PARAMETER_INVALID, "whose key is it? --sender ADDRESS is missing")
        return StarknetAccess(url, kept.account, kept.key), contract

    def sender_words(self, account: str | None, key: Path | None) -> str:
        """Return the options that name who sends, as `words` does for the chain."""
        if account is None and self._url is None and (self._file or self._folder):
            return ""
        file = "FILE" if key is None else shlex.quote(str(key))
        return f" --sender {account or 'ACCOUNT'} --key-file {file}"

    def words(self) -> str:
        """Return the options that name the same chain again, as a shell reads them.

        What only its owner can fill in is in capitals.
        """
        if self._url is None and self._file is not None:
            return f" --settlement {shlex.quote(str(self._file))}"
        if self._url is None and self._folder is not None:
            return "" if self._contract is None else f" --contract {self._contract}"
        url = "URL" if self._url is None else shlex.quote(self._url)
        return f" --settlement-url {url} --contract {self._contract or 'ADDRESS'}"

    def _place(self) -> tuple[str, int, SettlementConfig | None]:
        """Return the addresses of the chain and of the contract, and the file that says so."""
        named = None if self._contract is None else felt_option("--contract", self._contract)
        if self._url is not None:
            if not is_address(self._url):
                words = f"--settlement-url: {shown(self._url)} does not begin with http://"
                raise Refused(Reason.PARAMETER_INVALID, words)
            if named is None:
                raise Refused(Reason.SETTLEMENT_ABSENT, _HOW_TO_NAME)
            return self._url, named, None
        kept = self._kept()
        if kept is None:
            raise Refused(Reason.SETTLEMENT_ABSENT, _HOW_TO_NAME)
        return kept.url, kept.contract if named is None else named, kept

    def _kept(self) -> SettlementConfig | None:
        folder = self._folder or Path()
        if self._file is None and self._folder is None:
            return None
        if self._file is None:
            _require_running_devnet(folder)
        return read_settlement(folder, self._file)


def is_address(place: str) -> bool:
    """Say whether a place is the address of a node, not a folder."""
    return place.startswith(_SCHEMES)


def node_of(place: str) -> str:
    """Return the address of the node at a place. Refusal: NODE_NOT_RUNNING."""
    if is_address(place):
        return place
    _require_running_devnet(Path(place))
    found = find_clients(Path(place))
    if not found:
        words = f"no node that answers clients runs in {place}; or give its address, http://..."
        raise Refused(Reason.NODE_NOT_RUNNING, words)
    return found


def _require_running_devnet(folder: Path) -> None:
    """Refuse a folder that is none, and one of a devnet that has ended: both its chains have."""
    from devnet.devnet_folder import OPTIONS_FILE

    if not folder.exists():
        raise Refused(Reason.NODE_NOT_RUNNING, f"no folder {folder}")
    if (folder / OPTIONS_FILE).exists() and not find_clients(folder):
        again = f"perpchain devnet --data-dir {shlex.quote(str(folder))}"
        raise Refused(Reason.NODE_NOT_RUNNING, f"{folder}: its devnet is stopped; {again}")


def felt_option(name: str, text: str) -> int:
    """Read an address or an id, 0x... Refusal: PARAMETER_INVALID."""
    try:
        return parse_felt(text)
    except Refused as refused:
        raise Refused(Reason.PARAMETER_INVALID, f"{name}: {refused.detail}") from None


def token_amount(text: str) -> int:
    """Read an amount of the token in 1e-6. Refusal: AMOUNT_INVALID, for nothing, too."""
    try:
        amount = parse_units(text, TOKEN_DECIMALS)
    except Refused:
        words = f"{text!r:.60} is no amount: digits, at most {TOKEN_DECIMALS} behind the point"
        raise Refused(Reason.AMOUNT_INVALID, f"--amount: {words}") from None
    if amount == 0:
        raise Refused(Reason.AMOUNT_INVALID, "--amount: nothing to move")
    return amount


def token_text(amount: int) -> str:
    """Write 1e-6 of the token as a decimal number."""
    one = 10**TOKEN_DECIMALS
    return f"{amount // one}.{amount % one:0{TOKEN_DECIMALS}d}"


def done(
    command: str,
    work: Coroutine[None, None, _T],
    *,
    stopped: str = "",
    remedies: Mapping[str, str] | None = None,
) -> _T:
    """Do a command's work; whatever fails ends it with one line and code 2.

    Ctrl-C ends it with code 130 and what `stopped` says, if anything. `remedies` say by the
    settlement chain's code what helps.
    """
    with failing(command, remedies), stopping(command, stopped) as interrupts:
        return interrupts.run(work)


@contextmanager
def failing(command: str, remedies: Mapping[str, str] | None = None) -> Iterator[None]:
    """End a command that is refused with one line and code 2; `remedies` as in `done`."""
    try:
        yield
    except Refused as refused:
        fail(command, str(refused), ExitCode.INPUT)
    except SettlementError as error:
        words = f"{error.code}: the settlement chain refuses it, and nothing changed"
        remedy = (remedies or {}).get(error.code, "")
        words = f"{words}; {remedy}" if remedy else words
        fail(command, words if error.code else str(error), ExitCode.INPUT)


@contextmanager
def stopping(command: str, words: str) -> Iterator[Interrupts]:
    """End a command that Ctrl-C breaks off with code 130, and with words if there are any."""
    try:
        with interrupts_heard() as interrupts:
            yield interrupts
    except KeyboardInterrupt:
        if words:
            typer.echo(plain(f"perpchain {command}: {words}"), err=True)
        raise typer.Exit(_INTERRUPTED) from None
