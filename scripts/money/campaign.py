"""Histories of money, one after the other on a devnet of their own.

Promises
- A seed says what is done; one that failed is played again alone by its number.

Laws
- Replaced by name, in a process of histories alone: how long the collector and the settler sleep
  between two looks.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from traceback import format_exception

from devnet.appchain_facts import AppchainFacts
from scripts.campaigning.seeds import Outcome
from scripts.money.appchain import Violated, begin, copy_of, facts_of, going_on, real_cast
from scripts.money.checks import check_all
from scripts.money.devnets import EMBEDDED, REAL, devnet_at
from scripts.money.history import History
from scripts.money.settlement import SettlementChain, contract_on
from scripts.simulating.cast import Cast
from sequencer.engine import deposits, settler
from sequencer.model.refusals import Refused
from sequencer.model.settlement import SettlementError

HISTORIES_WHOLE = 200
"""Histories of a whole campaign."""

HAPPENINGS = (
    "deposit",
    "deposit from Ethereum",
    "trade",
    "withdrawal",
    "made final",
    "claim paid",
    "second claim refused",
    "rollback",
    "undo",
    "withdrawal undone",
    "withdrawal restored",
    "undone withdrawal refused",
    "credit undone",
    "credited again after a rollback",
    "settlement reorg",
    "deposit lost before its credit",
    "deposit lost after its credit",
    "lost deposits sent again",
    "halted: DEPOSIT_UNMADE",
    "lost credit rolled back",
    "lost credit unmade",
    "doubled post refused",
    "post without its receipt",
    "restart",
    "deposit without its receipt",
)
"""What has to come about in a whole campaign, each at least once."""


_ACTS = (10, 20)
_LOOK_SECONDS = 0.04


def play(seeds: Sequence[int], backend: str = EMBEDDED) -> list[Outcome]:
    """Play histories one after the other on a devnet of their own."""
    return asyncio.run(_play(seeds, backend))


def play_real(seeds: Sequence[int]) -> list[Outcome]:
    """The same on a devnet that executes Cairo. Failure: DevnetFailed."""
    return play(seeds, REAL)


async def _play(seeds: Sequence[int], backend: str) -> list[Outcome]:
    _hurry()
    cast = real_cast()
    with tempfile.TemporaryDirectory(prefix="perpchain-money-") as name:
        folder = Path(name)
        begun = folder / "begun"
        begun.mkdir()
        await begin(cast, begun)
        facts = facts_of(begun)
        with devnet_at(backend, folder / "devnet.log") as url:
            return [
                await _play_one(seed, cast, facts, begun, folder / str(seed), (url, backend))
                for seed in seeds
            ]


async def _play_one(
    seed: int, cast: Cast, facts: AppchainFacts, begun: Path, folder: Path, devnet: tuple[str, str]
) -> Outcome:
    copy_of(begun, folder)
    async with contract_on(*devnet, facts, seed) as settlement:
        history = History(seed, settlement)
        violated = ""
        try:
            await _live(seed, history, cast, folder, settlement)
        except (ExceptionGroup, Violated, SettlementError, Refused) as error:
            violated = "".join(format_exception(error))
        counts = history.counts + settlement.counts + settlement.node.counts
        return Outcome(seed, violated, dict(counts), tuple(history.log))


async def _live(
    seed: int, history: History, cast: Cast, folder: Path, settlement: SettlementChain
) -> None:
    """Play a history through one or two lives of its node, and hold it against the laws."""
    random = Random(f"lives {seed}")
    lives = random.choice((1, 1, 2))
    for life in range(lives):
        async with going_on(cast, folder, settlement.node) as chain:
            history.attach(chain)
            if life:
                history.counts["restart"] += 1
            for _ in range(random.randrange(*_ACTS) // lives):
                await history.act()
            if life == lives - 1:
                await history.come_to_rest()
                await history.refuse_orphans()
                await check_all(chain, settlement, history)


def _hurry() -> None:
    """Have the node look and try again sooner."""
    for module in (deposits, settler):
        vars(module).update(_LOOK_SECONDS=_LOOK_SECONDS, SETTLE_BACKOFF_SECONDS_MAX=_LOOK_SECONDS)
