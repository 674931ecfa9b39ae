"""The hash wheels as the judge of signatures, in a process of their own.

    PERPCHAIN_HASHES=wheels python -m scripts.fuzzing.wheel_judge

There the check of signatures is the one that a node without the native core has, whatever is
installed; and the libraries may say loudly what they do not like.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from sequencer.starknet.felt_hash import verify_many
from sequencer.starknet.native import HASHES

_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = ("env", "PERPCHAIN_HASHES=wheels", sys.executable, "-m", "scripts.fuzzing.wheel_judge")
_COUNT_BYTES = 4
_END_SECONDS_MAX = 20


SIGNATURE_BYTES = 128
"""Bytes of public key, message hash, r and s."""


class WheelJudge:
    """The process, and how to ask it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=_END_SECONDS_MAX)

    def verdicts(self, signatures: Sequence[bytes]) -> list[bool]:
        """Ask for the verdicts over encoded signatures."""
        if not signatures:
            return []
        sent, told = self._process.stdin, self._process.stdout
        if sent is None or told is None:
            raise SystemExit("the judge has no pipes")
        sent.write(len(signatures).to_bytes(_COUNT_BYTES, "big") + b"".join(signatures))
        sent.flush()
        answer = told.read(len(signatures))
        if len(answer) != len(signatures):
            raise SystemExit("the judge with the wheels has ended")
        return [verdict == 1 for verdict in answer]


def fields_of(signature: bytes) -> tuple[int, int, int, int]:
    """Read public key, message hash, r and s."""
    key, message_hash, r, s = (
        int.from_bytes(signature[start : start + 32], "big")
        for start in range(0, SIGNATURE_BYTES, 32)
    )
    return key, message_hash, r, s


def _serve(asked: BinaryIO, told: BinaryIO) -> None:
    if HASHES != "wheels":
        raise SystemExit("this judge is for the wheels alone")
    while count := int.from_bytes(asked.read(_COUNT_BYTES), "big"):
        signatures = [asked.read(SIGNATURE_BYTES) for _ in range(count)]
        told.write(bytes(verify_many([fields_of(each) for each in signatures])))
        told.flush()


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
