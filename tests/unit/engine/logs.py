"""An operator's log in memory."""

from collections.abc import Sequence

from sequencer.engine.operator_log import OperatorLog
from sequencer.model.operator_log import LoggedCall
from sequencer.ports import StoreFailed, StoreProblem, Worker
from tests.unit.engine.builders import InlineWorker


class MemoryLogFile:
    """Entries in a list; one that `is_full` takes none."""

    def __init__(self) -> None:
        self.entries: list[LoggedCall] = []
        self.is_full = False

    @property
    def number(self) -> int:
        return len(self.entries)

    def append(self, calls: Sequence[LoggedCall]) -> int:
        if self.is_full:
            raise StoreFailed(StoreProblem.WRITE_FAILED, "no room")
        self.entries += calls
        return len(self.entries) - len(calls) + 1


def memory_log(file: MemoryLogFile | None = None, worker: Worker | None = None) -> OperatorLog:
    return OperatorLog(file or MemoryLogFile(), worker or InlineWorker())
