"""A rollback's plan as a page that can be read under stress.

Promises
- Everything that the plan holds stands on it, and the last line is what to type next.
- Nothing is rounded; what is long is on a line of its own.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from sequencer.cli.page import wrapped
from sequencer.cli.plan_words import (
    account_lines,
    money_lines,
    opinion_lines,
    security_lines,
    setting_lines,
    settlement_lines,
)
from sequencer.cli.quantities import duration, moment
from sequencer.engine.plan import Plan
from sequencer.model.plugins import PluginOpinion, PluginStanding
from sequencer.model.units import MS_PER_SECOND
from sequencer.starknet.felt import format_felt

_BESIDE_A_NODE = 2
"""How much longer the root takes beside a node, which gives it half a processor."""


class Around(msgspec.Struct, frozen=True):
    """What stands on the page and is no part of the plan.

    `now_ms` is the wall clock, -1 where ages are not asked for. `options` are those of the plan
    that the next command needs, too. `plugins` are as they stand. `planning_seconds` is how long
    the plan took, -1 where it is an old one.
    """

    now_ms: int = -1
    options: str = ""
    plugins: Sequence[PluginStanding] = ()
    planning_seconds: int = -1


_NOTHING = Around()


def describe(
    plan: Plan,
    data_dir: Path,
    opinions: Sequence[PluginOpinion] | None = (),
    around: Around = _NOTHING,
) -> Iterator[str]:
    """Yield the page: what stays, what goes, who is hit most, what cannot be undone, what next.

    `opinions` are those of plugins; None for plugins that could not be asked.
    """
    impact = plan.impact
    yield f"PLAN {plan.plan_id.hex()}"
    yield from _headed("WHAT STAYS", _staying(plan, around))
    yield from _headed(f"WHAT GOES: {_trading(plan)}", _going(plan, around))
    yield from _headed("WHO IS HIT MOST", account_lines(impact))
    yield from _headed("MONEY IN AND OUT", money_lines(impact))
    yield from _headed("WHAT CANNOT BE UNDONE", _irrevocable(plan))
    yield from _headed("WHAT THE SETTLEMENT CHAIN WILL BE TOLD", settlement_lines(plan))
    yield from _headed("KEYS AND GUARDS", security_lines(plan))
    yield from _headed("MARKETS AND OTHER SETTINGS", setting_lines(impact))
    yield from _headed("WHAT PLUGINS SAY", _opinions(opinions, around))
    yield from _headed("HOW LONG IT TAKES", _lasting(around))
    step = f"perpchain reorg apply {shlex.quote(str(data_dir))} {plan.plan_id.hex()}"
    step = f"{step} --reason '...'{around.options}"
    is_vetoed = any(each.veto for each in opinions or ())
    yield from _headed(
        "THE NEXT COMMAND", iter([f"  {step} --override '...'" if is_vetoed else f"  {step}"])
    )


def _headed(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield ""
    yield title
    yield from lines


def _opinions(opinions: Sequence[PluginOpinion] | None, around: Around) -> Iterator[str]:
    yield from opinion_lines(opinions, around.plugins, is_new=around.planning_seconds >= 0)


def _staying(plan: Plan, around: Around) -> Iterator[str]:
    height = plan.target_height
    age = _age(plan.target_time_seconds, around)
    yield from wrapped(f"block {height} and all below it; it was made {age}")
    yield f"    hash {format_felt(plan.target_hash)}"
    yield f"    root {format_felt(plan.target_root)}"
    yield from wrapped("its root was worked out again from its rows: equal")
    orders = f"{plan.orders_kept} orders survive ({plan.policy.value})"
    yield from wrapped(f"{orders}, {plan.orders_cancelled} do not")
    yield from wrapped(f"the oldest block that one can still go back to is {plan.oldest_height}")


def _going(plan: Plan, around: Around) -> Iterator[str]:
    impact = plan.impact
    head = f"block {plan.head_height}, the head, was made {_age(plan.head_time_seconds, around)}"
    yield from wrapped(f"blocks {plan.target_height + 1} to {plan.head_height}; {head}")
    yield f"    hash {format_felt(plan.head_hash)}"
    yield f"    root {format_felt(plan.head_root)}"
    filled = impact.orders_closed - impact.cancels
    for count, words in (
        (impact.blocks, "blocks"),
        (impact.transactions, "transactions"),
        (impact.orders_opened, "orders opened"),
        (impact.orders_closed, f"orders closed: {filled} filled, {impact.cancels} cancelled"),
        (impact.fills, "trades"),
        (impact.liquidations, "liquidations"),
        (impact.funding_ticks, "moves of funding indices"),
        (impact.funding_payments, "funding payments"),
    ):
        yield f"    {count:>9,} {words}"
    if impact.unread:
        words = f"{impact.unread} of the blocks cannot be read: what they did is not counted here"
        yield from wrapped(f"UNREAD {words}", hanging=7)
    if not impact.is_compared:
        words = "the state at the head cannot be read: no account is compared, no key listed"
        yield from wrapped(f"UNREAD {words}", hanging=7)


def _irrevocable(plan: Plan) -> Iterator[str]:
    for nonce in plan.impact.lost:
        words = f"deposit nonce {nonce} stays credited, and the settlement chain has lost it"
        yield from wrapped(f"LOST   {words}", hanging=7)
    yield from wrapped(
        "what was told to readers and plugins cannot be untold; they are told of this"
    )
    yield from wrapped(
        "what somebody did elsewhere because of it: mails, trades on other markets, payouts"
    )
    yield from wrapped(
        "once a block has followed, this rollback; until then `reorg undo` takes it back"
    )


def _lasting(around: Around) -> Iterator[str]:
    yield from wrapped("going back is one batch: milliseconds, however many blocks go")
    seconds = around.planning_seconds
    if seconds >= 0:
        took = duration(seconds) if seconds else "under a second"
        again = duration(max(_BESIDE_A_NODE * seconds, 1))
        words = f"this page took {took}, most of it for the target's root"
        yield from wrapped(f"{words}; `open` waits for that root once more, about {again}")


def _trading(plan: Plan) -> str:
    if plan.head_time_seconds < 0 or plan.target_time_seconds < 0:
        return "how much trading, nobody can read"
    return f"{duration(plan.head_time_seconds - plan.target_time_seconds)} of trading"


def _age(seconds: int, around: Around) -> str:
    if seconds < 0:
        return "at a time that cannot be read"
    words = f"at {moment(seconds)}"
    if around.now_ms < 0:
        return words
    return f"{words}, {duration(around.now_ms // MS_PER_SECOND - seconds)} ago"
