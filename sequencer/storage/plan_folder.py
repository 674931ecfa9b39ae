"""Plans of rollbacks as files in the data folder.

Laws
- A file is named by the plan's id; whether it still holds that plan, its reader has to prove.
- A plan is whole or absent, also where two processes keep the same one at once.
"""

from pathlib import Path

from sequencer.model.limits import PLAN_FILE_BYTES_MAX
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.sync import replace_durably

PLANS_FOLDER = "plans"
"""The folder of plans, in the data folder."""

_ID_DIGITS = 64
_ID_DIGITS_MIN = 8


class PlanFolder:
    """The plans of a data folder."""

    __slots__ = ("_folder",)

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / PLANS_FOLDER

    def save(self, plan_id: str, content: bytes) -> None:
        """Keep a plan, in place of the same one. Failure: WRITE_FAILED."""
        try:
            self._folder.mkdir(exist_ok=True)
            replace_durably(self._folder / f"{plan_id}.json", content)
        except OSError as error:
            words = f"{PLANS_FOLDER}: {error.strerror or error}"
            raise StoreFailed(StoreProblem.WRITE_FAILED, words) from error

    def find(self, beginning: str) -> tuple[str, bytes]:
        """Return a plan's id and content by the first 8 or more digits. Refusal: PLAN_UNKNOWN."""
        digits = len(beginning)
        sound = _ID_DIGITS_MIN <= digits <= _ID_DIGITS and beginning.isascii()
        named = self._folder.glob(f"{beginning}*.json") if sound and beginning.isalnum() else ()
        found = sorted(named)
        if len(found) != 1:
            raise Refused(Reason.PLAN_UNKNOWN, f"{len(found)} plans begin with {beginning:.64}")
        return found[0].stem, _read(found[0])


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(PLAN_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Refused(Reason.PLAN_UNKNOWN, f"{path.name}: {error.strerror}") from None
    if len(content) > PLAN_FILE_BYTES_MAX:
        raise Refused(Reason.PLAN_UNKNOWN, f"{path.name}: over {PLAN_FILE_BYTES_MAX} bytes")
    return content
