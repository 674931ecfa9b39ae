"""Random commands over markets, modes and prices at their bounds: laws, undo, determinism."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer.exchange.invariants import recount
from sequencer.model.refusals import Refusal
from sequencer.model.rows import Guard, Mode
from tests.exchange_world import ACTIONS, Action, World

ROOT = Path(__file__).parents[2]
ELAPSED_MS = st.sampled_from((200, 1_000, 1_000, 1_000, 5_000, 30_000, 30_001, 301_000))
PRICE_BPS = st.sampled_from((0, 0, 1, -3, 20, -45, 120, -180, 499, -499, 500, -500, 501, -900))
TRADER, MARKET, FLAG = st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)
LIMIT_OR_MARKET = st.sampled_from((0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7))
ORDER_BPS = st.sampled_from((0, 0, 1, -1, 5, -5, 10, -10, 400, -400, 500, -500, 501, -501))
LOTS = st.sampled_from((1, 10, 100, 1_000, 5_000, 20_000, 80_000, 120_000))

ORDER = st.tuples(
    st.just("order"),
    st.tuples(TRADER, MARKET, FLAG, LIMIT_OR_MARKET, LOTS, ORDER_BPS, st.integers(0, 200), FLAG),
)
TICK = st.tuples(
    st.just("tick"), st.tuples(ELAPSED_MS, PRICE_BPS, PRICE_BPS, st.sampled_from((0, 0, 0, 1, 2)))
)
OTHER: st.SearchStrategy[tuple[str, tuple[Any, ...]]] = st.one_of(
    st.tuples(st.just("cancel"), st.tuples(st.integers(0, 50))),
    st.tuples(st.just("cancel_all"), st.tuples(TRADER)),
    st.tuples(st.just("mode"), st.tuples(st.integers(0, 3), st.sampled_from((0, 1_000)))),
    st.tuples(st.just("deposit"), st.tuples(TRADER, st.integers(0, 10**6))),
    st.tuples(st.just("withdraw"), st.tuples(TRADER, st.integers(-1, 250_000))),
    st.tuples(st.just("isolate"), st.tuples(TRADER, MARKET, st.integers(-100_000, 100_000))),
    st.tuples(st.just("transfer"), st.tuples(TRADER, TRADER, st.integers(-1, 250_000))),
    st.tuples(st.just("market"), st.tuples(MARKET, st.integers(0, 6))),
    st.tuples(st.just("seed"), st.tuples(MARKET)),
    st.tuples(st.just("reopen"), st.tuples(st.integers(0, 2))),
)
ACTION = st.one_of(ORDER, ORDER, ORDER, TICK, TICK, OTHER)


def snapshot(world: World) -> dict[str, dict[Any, Any]]:
    return {table.value: dict(rows) for table, rows in world.state.rows.items()}


@settings(derandomize=True, max_examples=150)
@given(st.lists(ACTION, max_size=60))
def test_laws_hold_and_a_journal_undoes_everything(actions: list[Action]) -> None:
    world = World()
    before, mark = snapshot(world), world.journal.mark()
    for action in actions:
        rows, events = snapshot(world), len(world.events)
        world.play([action])
        if len(world.events) == events + 1 and isinstance(world.events[-1], Refusal):
            assert snapshot(world) == rows
    world.journal.undo(mark)
    assert snapshot(world) == before
    recount(world.state)


def random_actions(seed: int, count: int) -> list[Action]:
    """Make a long run of actions that mostly trades in OPEN."""
    generator = random.Random(seed)
    pick = generator.choice
    actions: list[Action] = []
    for index in range(count):
        if index % 4 == 0:
            moves = (pick((0, 5, -5, 60, -60, 300, -300)), pick((0, 5, -5, 60, -60)))
            actions.append(("tick", (1_000, *moves, 0)))
        kind = pick((0, 0, 0, 1, 3, 5, 7))
        lots, bps = pick((10, 1_000, 20_000, 60_000)), pick((0, 0, 3, -3, 30, -30))
        order = (generator.randrange(4), pick((0, 1)), pick((0, 1)), kind, lots, bps)
        actions.append(("order", (*order, generator.randrange(200), pick((0, 0, 1)))))
    return actions


def test_a_long_run_trades_liquidates_and_stays_lawful() -> None:
    # So few accounts hold everything that one unhealthy one would trip the wire.
    world = World(guards_off=(Guard.TRIPWIRE,), tokens=40_000)
    world.play(random_actions(7, 1_200))
    kinds = {type(event).__name__ for event in world.events}
    wanted = {"Fill", "OrderTriggered", "Liquidated", "FundingPaid", "OrderClosed", "Refusal"}
    assert wanted <= kinds, wanted - kinds
    assert world.state.system.mode is Mode.OPEN


def test_two_processes_with_other_hash_seeds_agree() -> None:
    prints = [fingerprint_elsewhere(hash_seed) for hash_seed in ("0", "1", "12345")]
    assert len(set(prints)) == 1
    assert len(prints[0]) == 64


def fingerprint_elsewhere(hash_seed: str) -> str:
    program = (
        "from tests.properties.test_exchange_properties import World, random_actions\n"
        "world = World()\n"
        "world.play(random_actions(11, 300))\n"
        "print(world.fingerprint())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_an_undone_and_repeated_run_equals_a_straight_one() -> None:
    actions = random_actions(13, 200)
    straight = World()
    straight.play(actions)
    repeated = World()
    for action in actions:
        number, prices = repeated.number, dict(repeated.prices)
        mark, events = repeated.journal.mark(), len(repeated.events)
        repeated.play([action])
        repeated.journal.undo(mark)
        del repeated.events[events:]
        repeated.number, repeated.prices = number, prices
        repeated.play([action])
    assert repeated.fingerprint() == straight.fingerprint()


def test_every_action_is_drawn() -> None:
    assert set(ACTIONS) == {
        "order", "cancel", "cancel_all", "tick", "mode", "deposit", "withdraw",
        "isolate", "transfer", "market", "seed", "reopen",
    }  # fmt: skip
