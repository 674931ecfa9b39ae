"""The settlement chain of `perpchain devnet`: what was chosen, started only when it is asked for.

Promises
- Nothing of it is imported before the appchain answers: that takes a second.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sequencer.config import cache_folder, devnet_url, read_settlement
from sequencer.model.refusals import Reason, Refused
from sequencer.model.settlement import SettlementError
from sequencer.starknet.felt import format_felt

if TYPE_CHECKING:
    from devnet.appchain import OpenedSettlement
    from devnet.appchain_facts import AppchainFacts

AUTO, NONE, DEVNET, EMBEDDED = "auto", "none", "devnet", "embedded"

_BINARY = "starknet-devnet"
_HOW_TO_GET = f"no {_BINARY} here; `make devnet-real` installs it (20 minutes)"


class ChosenSettlement:
    """A settlement chain that is to be started, or found at an address.

    `is_new`: it is started here, and it is its own. What was chosen can be another name for it.
    """

    def __init__(self, name: str, *, is_new: bool, choice: str = "") -> None:
        self.name = name
        self.is_new = is_new
        self._choice = choice or name
        self._is_begun = self._is_stopped = False

    def open(
        self, folder: Path, facts: "AppchainFacts", salt: int, say: Callable[[str], None]
    ) -> "OpenedSettlement":
        """Return the chain with its contract, or why there is none."""
        from devnet.appchain import OpenedSettlement
        from devnet.backends import open_backend
        from devnet.starknet_devnet import DevnetFailed

        if self._is_stopped:
            return OpenedSettlement(problem="stopped")
        self._is_begun = True
        try:
            backend = asyncio.run(open_backend(self._choice, folder, facts, salt, say))
        except Refused as refused:
            return OpenedSettlement(problem=refused.detail)
        except (SettlementError, DevnetFailed, OSError) as failure:
            return OpenedSettlement(problem=str(failure))
        place = read_settlement(folder, None)
        if backend.settlement is None or place is None:
            return OpenedSettlement(problem=_HOW_TO_GET)
        contract = format_felt(place.contract)
        told = {"settlement_url": place.url, "settlement_contract": contract}
        return OpenedSettlement(backend.settlement, told)

    def stop(self, folder: Path) -> None:
        """Stop what was started, also in the middle of it."""
        self._is_stopped = True
        if self.is_new and self._is_begun:
            from devnet.left_behind import tidy_up

            tidy_up(folder, None)


def choose_settlement(choice: str, say: Callable[[str], None]) -> ChosenSettlement | None:
    """Return the chain that was chosen, None for none. Refusal: SETTLEMENT_ABSENT."""
    if choice == AUTO and devnet_url():
        choice = devnet_url()
    if choice == NONE:
        return None
    if choice.startswith(("http://", "https://")):
        return ChosenSettlement(choice, is_new=False)
    if choice not in (AUTO, DEVNET, EMBEDDED, _BINARY):
        words = f"{choice!r:.80} is none of {AUTO}, {NONE}, {DEVNET}, {EMBEDDED} and no address"
        raise Refused(Reason.SETTLEMENT_ABSENT, words)
    if choice == EMBEDDED:
        return ChosenSettlement(EMBEDDED, is_new=True)
    if _may_be_here():
        # A kept folder may have the chain of an embedded one, which goes on.
        return ChosenSettlement(_BINARY, is_new=True, choice=AUTO if choice == AUTO else _BINARY)
    if choice != AUTO:
        raise Refused(Reason.SETTLEMENT_ABSENT, _HOW_TO_GET)
    say(f"settlement: {EMBEDDED}, which runs no Cairo: {_HOW_TO_GET}")
    return ChosenSettlement(EMBEDDED, is_new=True)


def _may_be_here() -> bool:
    """Say whether there is a binary; its version is asked for when it is started."""
    cached = cache_folder().glob(f"{_BINARY}-*/bin/{_BINARY}")
    return shutil.which(_BINARY) is not None or any(cached)
