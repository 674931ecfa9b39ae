"""What a node is told from outside: the only reader of the environment and of secret files.

Promises
- A key is never shown: not in an error, not in a representation, not in a command line.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from sequencer.model.admin_limits import ADMIN_FILE_BYTES_MAX
from sequencer.model.api_limits import ServerLimits
from sequencer.model.limits import (
    GENESIS_FILE_BYTES_MAX,
    KEY_FILE_BYTES_MAX,
    SETTLEMENT_FILE_BYTES_MAX,
)
from sequencer.model.plugins import PluginConfig
from sequencer.model.refusals import Reason, Refused
from sequencer.model.secret import Secret

KEY_VARIABLE = "PERPCHAIN_OPERATOR_KEY"
"""The environment variable with the operator's private key, where no file is named."""

ACCOUNT_KEY_VARIABLE = "PERPCHAIN_ACCOUNT_KEY"
"""The environment variable with the private key of an account that moves its own money, on either
chain, where no file is named."""

ETHEREUM_KEY_VARIABLE = "PERPCHAIN_ETHEREUM_KEY"
"""The environment variable with the private key of an Ethereum address, where no file is named."""

CACHE_VARIABLE = "XDG_CACHE_HOME"
"""The environment variable with the folder of the user's caches, where it is not ~/.cache."""

DEVNET_VARIABLE = "STARKNET_DEVNET_URL"
"""The environment variable with the address of a settlement devnet that runs already."""

ADMIN_FILE = "admin.json"
"""Where a running node is reached, in the data folder."""

CLIENTS_FILE = "clients.json"
"""Where a running node answers its clients, in the data folder."""

TOKEN_FILE = "admin.token"
"""What a client of the admin server has to show; only the node's own user can read the file."""

SETTLEMENT_FILE = "settlement.json"
SETTLEMENT_KEY_FILE = "settlement.key"
"""Where roots are posted, in the data folder, unless another file is named."""

_TOKEN_BITS = 256
_LOOPBACK = "127.0.0.1"
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_KEY_DIGITS_MAX = 64


class NodeConfig(msgspec.Struct, frozen=True):
    """A node's settings.

    `witness` None is the file beside the data folder; `genesis` None is no genesis file: then the
    chain must be there. `verify_root` works out the root from the rows at start also after a
    planned stop. `exit_on_halt` ends the process as soon as the chain halts for good, instead of
    serving reads. `admin_port` is where the operator's commands are taken on this machine,
    `api_port` where clients are answered at `api_host`; 0 is any free port, -1 nowhere.
    `api_limits` is what those clients may take. `plugins` have different names.
    """

    data_dir: Path
    operator_key: Secret
    genesis: str | None = None
    witness: Path | None = None
    block_interval_ms: int = 0
    verify_root: bool = False
    exit_on_halt: bool = False
    admin_port: int = -1
    api_host: str = "127.0.0.1"
    api_port: int = -1
    api_limits: ServerLimits = ServerLimits()
    plugins: Sequence[PluginConfig] = ()


def cache_folder() -> Path:
    """Return the folder for what can be made again: binaries that tests and devnets run."""
    caches = os.environ.get(CACHE_VARIABLE)
    return (Path(caches) if caches else Path.home() / ".cache") / "perpchain"


def devnet_url() -> str:
    """Return the address of a settlement devnet that the environment names, "" for none."""
    return os.environ.get(DEVNET_VARIABLE, "")


def environment_for_others() -> dict[str, str]:
    """Return the environment for a process that shall not have anybody's key."""
    keys = (KEY_VARIABLE, ACCOUNT_KEY_VARIABLE, ETHEREUM_KEY_VARIABLE)
    return {name: value for name, value in os.environ.items() if name not in keys}


def read_limited(path: Path, bytes_max: int) -> bytes:
    """Return a file's content. Refusal: FILE_UNREADABLE, which names neither device nor pipe."""
    try:
        if path.exists() and not path.is_file():
            raise Refused(Reason.FILE_UNREADABLE, f"{path}: not a file")
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise Refused(Reason.FILE_UNREADABLE, f"{path}: {error.strerror}") from None
    if len(content) > bytes_max:
        raise Refused(Reason.FILE_UNREADABLE, f"{path}: over {bytes_max} bytes")
    return content


def read_genesis_text(path: Path) -> str:
    """Return a genesis file as text. Refusals: FILE_UNREADABLE, GENESIS_INVALID."""
    try:
        return read_limited(path, GENESIS_FILE_BYTES_MAX).decode()
    except UnicodeDecodeError as error:
        raise Refused(Reason.GENESIS_INVALID, f"{path}: {error}") from None


def read_operator_key(path: Path | None) -> Secret:
    """Read the operator's private key, hexadecimal, from a file or the environment.

    Refusals: FILE_UNREADABLE, PRIVATE_KEY_OUT_OF_RANGE; neither shows what was read.
    """
    return _read_key(path, KEY_VARIABLE, "private key")


def read_account_key(path: Path | None) -> Secret:
    """Read the private key of an account that moves its money, as `read_operator_key` does."""
    return _read_key(path, ACCOUNT_KEY_VARIABLE, "private key")


def read_ethereum_key(path: Path | None) -> Secret:
    """Read the private key of an Ethereum address, as `read_operator_key` does."""
    return _read_key(path, ETHEREUM_KEY_VARIABLE, "Ethereum private key")


class SettlementConfig(msgspec.Struct, frozen=True):
    """Where roots are posted: a Starknet node, the contract there, and the account that posts."""

    url: str
    contract: int
    account: int
    key: Secret


class _SettlementFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A settlement file. `key_file` is beside it, unless its path is absolute."""

    url: str
    contract: str
    account: str
    key_file: str


def read_settlement(folder: Path, path: Path | None) -> SettlementConfig | None:
    """Read where roots are posted, from a file or else from the one in the data folder.

    None where no file is named and none is there. Refusals: FILE_UNREADABLE, SETTLEMENT_INVALID,
    PRIVATE_KEY_OUT_OF_RANGE.
    """
    if path is None and not (folder / SETTLEMENT_FILE).exists():
        return None
    path = path or folder / SETTLEMENT_FILE
    try:
        content = msgspec.json.decode(
            read_limited(path, SETTLEMENT_FILE_BYTES_MAX), type=_SettlementFile
        )
        contract, account = int(content.contract, 16), int(content.account, 16)
        is_http = urlsplit(content.url).scheme in ("http", "https")
    except (msgspec.MsgspecError, ValueError) as error:
        raise Refused(Reason.SETTLEMENT_INVALID, f"{path}: {error}") from None
    if not is_http or contract <= 0 or account <= 0:
        raise Refused(Reason.SETTLEMENT_INVALID, f"{path}: an address is missing")
    key = _read_secret(path.parent / content.key_file, "private key")
    return SettlementConfig(content.url, contract, account, key)


def leave_settlement(folder: Path, config: SettlementConfig) -> None:
    """Leave in a data folder where its roots are posted; the key for its owner alone.

    Error: OSError.
    """
    (folder / SETTLEMENT_KEY_FILE).unlink(missing_ok=True)
    _write_secret(folder / SETTLEMENT_KEY_FILE, config.key)
    contract, account = hex(config.contract), hex(config.account)
    content = _SettlementFile(config.url, contract, account, SETTLEMENT_KEY_FILE)
    _replace(folder / SETTLEMENT_FILE, content)


def forget_settlement(folder: Path) -> None:
    """Take away what `leave_settlement` left. Error: OSError."""
    for name in (SETTLEMENT_FILE, SETTLEMENT_KEY_FILE):
        (folder / name).unlink(missing_ok=True)


class ServerPlace(msgspec.Struct, frozen=True):
    """Where a server of a node listens, and in which process."""

    url: str
    pid: int

    @property
    def port(self) -> int:
        """Return its port on this machine, 0 where the address is of another one."""
        parts = urlsplit(self.url)
        return parts.port or 0 if parts.hostname == _LOOPBACK else 0


def new_token() -> Secret:
    """Make what clients of an admin server have to show."""
    return Secret(secrets.randbits(_TOKEN_BITS))


def leave_admin(folder: Path, url: str, token: Secret) -> None:
    """Leave in a data folder where its node is reached, and the token. Error: OSError."""
    forget_admin(folder)
    _write_secret(folder / TOKEN_FILE, token)
    _replace(folder / ADMIN_FILE, ServerPlace(url, os.getpid()))


def leave_clients(folder: Path, url: str) -> None:
    """Leave in a data folder where its node answers clients. Error: OSError."""
    _replace(folder / CLIENTS_FILE, ServerPlace(url, os.getpid()))


def find_clients(folder: Path) -> str:
    """Return where the node of a data folder answers clients, "" where none says so.

    Refusal: FILE_UNREADABLE for a file that is there and cannot be read.
    """
    if not (folder / CLIENTS_FILE).exists():
        return ""
    try:
        content = read_limited(folder / CLIENTS_FILE, ADMIN_FILE_BYTES_MAX)
        place = msgspec.json.decode(content, type=ServerPlace)
    except (msgspec.MsgspecError, ValueError):
        return ""
    return place.url if _is_alive(place.pid) else ""


def forget_clients(folder: Path) -> None:
    """Take away what `leave_clients` left. Error: OSError."""
    (folder / CLIENTS_FILE).unlink(missing_ok=True)


def find_admin(folder: Path) -> tuple[ServerPlace, Secret] | None:
    """Return where the node of a data folder is reached, None where none says so.

    What a killed node left is found as well, unless its process is gone. Refusal: FILE_UNREADABLE
    for files that are there and cannot be read.
    """
    if not (folder / ADMIN_FILE).exists():
        return None
    try:
        content = read_limited(folder / ADMIN_FILE, ADMIN_FILE_BYTES_MAX)
        place = msgspec.json.decode(content, type=ServerPlace)
        if not place.port or not _is_alive(place.pid):
            return None
        return place, _read_secret(folder / TOKEN_FILE, "token")
    except (msgspec.MsgspecError, ValueError):
        return None
    except Refused:
        # A node that starts or stops just now has taken them away.
        if (folder / ADMIN_FILE).exists():
            raise
        return None


def forget_admin(folder: Path) -> None:
    """Take away what `leave_admin` left. Error: OSError."""
    for name in (ADMIN_FILE, TOKEN_FILE):
        (folder / name).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    if pid <= 0:  # A group of processes, or all of them.
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _replace(path: Path, content: msgspec.Struct) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(content))
    fresh.replace(path)


def leave_key(path: Path, key: Secret) -> None:
    """Write a private key to a new file that its owner alone can read, and let it last.

    Refusal: FILE_EXISTS for a file that is there, whatever it is. Error: OSError.
    """
    try:
        _write_secret(path, key)
    except FileExistsError:
        words = f"{path} is there already, and no key is ever written over"
        raise Refused(Reason.FILE_EXISTS, words) from None
    for written in (path, path.absolute().parent):
        descriptor = os.open(written, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_secret(path: Path, secret: Secret) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secret.value:064x}\n")


def _read_key(path: Path | None, variable: str, kind: str) -> Secret:
    if path is not None:
        return _read_secret(path, kind)
    text = os.environ.get(variable, "")
    if not text:
        words = f"${variable} is not set; or give a file with the {kind}"
        raise Refused(Reason.PRIVATE_KEY_OUT_OF_RANGE, words)
    return _secret_of(text, f"${variable}", kind)


def _read_secret(path: Path, kind: str) -> Secret:
    text = read_limited(path, KEY_FILE_BYTES_MAX).decode("ascii", "replace")
    return _secret_of(text, str(path), kind)


def _secret_of(text: str, origin: str, kind: str) -> Secret:
    digits = text.strip().removeprefix("0x")
    if not digits or len(digits) > _KEY_DIGITS_MAX or not set(digits) <= _HEX_DIGITS:
        words = f"{origin} holds no {kind} in hexadecimal"
        raise Refused(Reason.PRIVATE_KEY_OUT_OF_RANGE, words)
    return Secret(int(digits, 16))
