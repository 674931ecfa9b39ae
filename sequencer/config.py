"""What a node is told from outside: the only reader of the environment and of secret files.

Promises
- A key is never shown: not in an error, not in a representation, not in a command line.
"""

import os
from pathlib import Path

import msgspec

from sequencer.model.limits import GENESIS_FILE_BYTES_MAX, KEY_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused

KEY_VARIABLE = "PERPCHAIN_OPERATOR_KEY"
"""The environment variable with the operator's private key, where no file is named."""

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_KEY_DIGITS_MAX = 64


class Secret:
    """A private key that does not print."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(...)"


class NodeConfig(msgspec.Struct, frozen=True):
    """A node's settings. `witness` None is the file beside the data folder; `genesis` None is no
    genesis file: then the chain must be there. `verify_root` works out the root from the rows at
    start also after a planned stop. `exit_on_halt` ends the process as soon as the chain halts for
    good, instead of serving reads."""

    data_dir: Path
    operator_key: Secret
    genesis: str | None = None
    witness: Path | None = None
    block_interval_ms: int = 0
    verify_root: bool = False
    exit_on_halt: bool = False


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
    if path is not None:
        text = read_limited(path, KEY_FILE_BYTES_MAX).decode("ascii", "replace")
        origin = str(path)
    else:
        text, origin = os.environ.get(KEY_VARIABLE, ""), f"${KEY_VARIABLE}"
    digits = text.strip().removeprefix("0x")
    if not digits or len(digits) > _KEY_DIGITS_MAX or not set(digits) <= _HEX_DIGITS:
        words = f"{origin} holds no private key in hexadecimal"
        raise Refused(Reason.PRIVATE_KEY_OUT_OF_RANGE, words)
    return Secret(int(digits, 16))
