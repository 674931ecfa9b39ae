"""What goes wrong on purpose: a settlement chain that is away, slow, forgetful or silent.

Laws
- A fault is there because somebody asked for it, and `devnet_setFault` works through all of them
  but one: a devnet that is down answers nobody.
"""

import asyncio

import msgspec

from sequencer.model.refusals import Reason, Refused

DOWN_SECONDS_MAX = 3_600
"""How long a devnet may be down."""

SLOW_MS_MAX = 600_000
"""How late an answer may come."""

COUNT_MAX = 1_000_000
"""Transactions that a fault may be about."""

LIMITS = {
    "down_seconds": DOWN_SECONDS_MAX,
    "slow_ms": SLOW_MS_MAX,
    "drop": COUNT_MAX,
    "lose": COUNT_MAX,
    "silent": 1,
    "reorg": COUNT_MAX,
}
"""The faults by name, each with the largest number that it takes."""


class Asked:
    """One request over HTTP. `is_lost`: what it did is done, and its answer goes astray."""

    def __init__(self) -> None:
        self.is_lost = False


class Standing(msgspec.Struct, frozen=True):
    """The faults that hold.

    Every answer comes `slow_ms` late. Of the next transactions `drop` are answered and never
    executed, and `lose` executed and not answered. `silent` 1: nothing is answered any more.
    """

    slow_ms: int = 0
    drop: int = 0
    lose: int = 0
    silent: int = 0


class Faults:
    """Which faults hold now."""

    def __init__(self) -> None:
        self.standing = Standing()
        self._down_seconds = 0
        self._going_down = asyncio.Event()
        self._speaking = asyncio.Event()
        self._speaking.set()

    def put(self, **numbers: int) -> None:
        """Set some of `Standing`; the others stay as they are."""
        self.standing = msgspec.structs.replace(self.standing, **numbers)
        if self.standing.silent:
            self._speaking.clear()
        else:
            self._speaking.set()

    def go_down(self, seconds: int) -> None:
        """Let the devnet be down for some time, from the answer on."""
        self._down_seconds = seconds
        self._going_down.set()

    def take_drop(self) -> None:
        """Count a transaction that is dropped."""
        self._take("drop")

    def take_lose(self) -> bool:
        """Say whether the answer to the transaction at hand is lost."""
        return self._take("lose")

    async def until_down(self) -> int:
        """Wait until somebody wants the devnet to be down, and return for how many seconds."""
        await self._going_down.wait()
        self._going_down.clear()
        return self._down_seconds

    async def until_speaking(self) -> None:
        """Wait while nothing is to be answered."""
        await self._speaking.wait()

    def _take(self, name: str) -> bool:
        left: int = getattr(self.standing, name)
        if left:
            self.put(**{name: left - 1})
        return bool(left)


def read_fault(text: str) -> tuple[str, int]:
    """Read NAME=NUMBER as on a command line. Refusal: PARAMETER_INVALID."""
    name, _, number = text.partition("=")
    if name not in LIMITS or not number.isdecimal() or int(number) > LIMITS[name]:
        words = ", ".join(f"{each} up to {most}" for each, most in LIMITS.items())
        raise Refused(Reason.PARAMETER_INVALID, f"{text!r:.80} is none of {words}")
    return name, int(number)
