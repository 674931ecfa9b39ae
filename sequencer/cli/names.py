"""How names of the chain are typed: in either case, with hyphens or underscores."""

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

import typer

_Name = TypeVar("_Name", bound=StrEnum)


def named(kinds: type[_Name]) -> Callable[[str | _Name], _Name]:
    """Return what reads a typed name; one that is not known ends the command with all of them."""

    def read(text: str | _Name) -> _Name:
        try:
            return kinds(text.upper().replace("-", "_"))
        except ValueError:
            names = ", ".join(typed_names(kinds))
            raise typer.BadParameter(f"{text!r:.40} is none of {names}") from None

    return read


def typed_names(kinds: type[StrEnum]) -> list[str]:
    """Return names as they are typed."""
    return [kind.value.lower().replace("_", "-") for kind in kinds]
