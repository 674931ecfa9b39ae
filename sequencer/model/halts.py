"""Why a node stops writing, and the exit codes by which whoever runs it learns of it.

Laws
- Codes and causes are part of the public interface: their meaning never changes.
"""

from enum import IntEnum, StrEnum

import msgspec


class HaltCause(StrEnum):
    """Why no block is made. A halt that is not final ends with an operator's mode command."""

    NOTE = "NOTE"
    LATCH = "LATCH"
    WITNESS_UNACKNOWLEDGED = "WITNESS_UNACKNOWLEDGED"
    START_CHECK = "START_CHECK"
    LAW_BROKEN = "LAW_BROKEN"
    WRITE_FAILED = "WRITE_FAILED"
    READ_FAILED = "READ_FAILED"
    WRITER_REPLACED = "WRITER_REPLACED"
    TICK_REFUSED = "TICK_REFUSED"
    DISK_LOW = "DISK_LOW"
    SETTLEMENT_UNREACHABLE = "SETTLEMENT_UNREACHABLE"
    SETTLEMENT_DIFFERS = "SETTLEMENT_DIFFERS"
    BLOCK_DIFFERS = "BLOCK_DIFFERS"
    DEPOSIT_UNMADE = "DEPOSIT_UNMADE"


class ExitCode(IntEnum):
    """How a node's process ends."""

    STOPPED = 0
    DIFFERS = 1
    INPUT = 2
    STORE_UNUSABLE = 10
    STORE_LOCKED = 11
    WRITER_REPLACED = 12
    START_CHECK = 13
    LAW_BROKEN = 14
    WRITE_FAILED = 15
    TICK_REFUSED = 16
    DISK_LOW = 17
    UNEXPECTED = 18
    READ_FAILED = 19
    SETTLEMENT_DIFFERS = 20


class Halt(msgspec.Struct, frozen=True):
    """A cause, and what was seen."""

    cause: HaltCause
    detail: str

    @property
    def is_final(self) -> bool:
        """Say whether only another start can end it."""
        return self.cause in _CODES

    @property
    def exit_code(self) -> ExitCode:
        """Return the code with which the process ends once it is told to stop."""
        return _CODES.get(self.cause, ExitCode.STOPPED)

    def __str__(self) -> str:
        return f"{self.cause.value}: {self.detail}"


_CODES = {
    HaltCause.START_CHECK: ExitCode.START_CHECK,
    HaltCause.LAW_BROKEN: ExitCode.LAW_BROKEN,
    HaltCause.WRITE_FAILED: ExitCode.WRITE_FAILED,
    HaltCause.READ_FAILED: ExitCode.READ_FAILED,
    HaltCause.WRITER_REPLACED: ExitCode.WRITER_REPLACED,
    HaltCause.TICK_REFUSED: ExitCode.TICK_REFUSED,
    HaltCause.DISK_LOW: ExitCode.DISK_LOW,
    HaltCause.SETTLEMENT_DIFFERS: ExitCode.SETTLEMENT_DIFFERS,
}
