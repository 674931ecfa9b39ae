"""Laws: what must hold whatever anybody sends. A broken one stops the writer."""

from enum import StrEnum


class Law(StrEnum):
    """Laws by name, as operators meet them in a halt."""

    CONSERVATION = "CONSERVATION"
    ZERO_SUM = "ZERO_SUM"
    FUNDING_INDEX = "FUNDING_INDEX"
    PRICE = "PRICE"
    HEALTH = "HEALTH"
    BOOK = "BOOK"
    INSURANCE = "INSURANCE"
    SOLVENCY = "SOLVENCY"
    EXACT_NOTIONAL = "EXACT_NOTIONAL"
    DUST = "DUST"
    SLOT_RANGE = "SLOT_RANGE"
    DEPOSIT = "DEPOSIT"
    DERIVED = "DERIVED"


class LawBroken(Exception):
    """An impossible state: the law, and what was seen with account, market or amount."""

    def __init__(self, law: Law, detail: str) -> None:
        super().__init__(f"{law.value}: {detail}")
        self.law = law
        self.detail = detail


def check(holds: bool, law: Law, detail: str) -> None:
    """Raise LawBroken where a law does not hold. Unlike assert it cannot be switched off."""
    if not holds:
        raise LawBroken(law, detail)
