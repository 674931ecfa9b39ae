"""A private key on its way to what signs with it.

Promise: it is never shown, neither printed nor logged nor in an error.
"""


class Secret:
    """A private key that does not print."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(...)"
