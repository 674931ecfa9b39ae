"""Quantities as people read them."""

from sequencer.model.units import ONE


def decimal(units: int) -> str:
    """Write units of 1e-8 as a decimal number."""
    sign = "-" if units < 0 else ""
    return f"{sign}{abs(units) // ONE}.{abs(units) % ONE:08d}"
