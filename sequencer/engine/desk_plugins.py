"""The operator's side of plugins: how they stand, what they say to a plan, what is done to them.

Promises
- A veto stops a rollback before anything is latched or dropped. An override goes over every veto,
  and stands with them in the rollback's record for ever.
- No plugin keeps the operator from halting the chain or from going back: one that is slow, mute or
  parked vetoes nothing, and nobody but whoever asked waits for its answer.

Laws
- Only beside a node that runs there are plugins to be asked, or to be told anything. Beside a
  stopped one the store says how far each had come.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sequencer.engine.deliveries import position_of
from sequencer.engine.desk_facts import Facts, override_words
from sequencer.engine.plan import Plan
from sequencer.engine.reach import Plugins, Reach
from sequencer.engine.rollback import Order, Override, require_reason
from sequencer.model.plugins import (
    HOST_BUCKET,
    READER_PREFIX,
    PluginOpinion,
    PluginStanding,
    PluginState,
)
from sequencer.model.refusals import Reason, Refused
from sequencer.ports import ChainView

_NOT_ASKED = "not asked: the node does not run; they are told of this when it starts"


def standings_of(reach: Reach, view: ChainView) -> Sequence[PluginStanding]:
    """Say how plugins stand: by the node that runs, else by the store. Failure: HEADERS_BROKEN."""
    if reach.running is None:
        return [*_stored_standings(view)]
    return () if reach.plugins is None else reach.plugins.standings()


def plugin_facts(standings: Iterable[PluginStanding]) -> list[Facts]:
    """Name what is known of each plugin."""
    return [msgspec.structs.asdict(each) | {"state": each.state.value} for each in standings]


def listed_plugins(reach: Reach) -> Facts:
    """List the plugins, and whether there is a node that tells them."""
    with reach.view() as view:
        node = "stopped" if reach.running is None else "running"
        return {"node": node, "plugins": plugin_facts(standings_of(reach, view))}


async def park_plugin(reach: Reach, name: str, reason: str) -> Facts:
    """Tell a plugin nothing more; returns how it stands.

    Refusals: NODE_NOT_RUNNING, PLUGIN_UNKNOWN; REASON_MISSING for words that are too long or not
    plain. There may be none.
    """
    if reason:
        require_reason(Order("", reason, 0))
    plugins = _require_plugins(reach)
    await plugins.park(name, reason)
    return _standing_facts(plugins, name)


async def unpark_plugin(reach: Reach, name: str) -> Facts:
    """Tell a plugin again what comes next. Refusals: NODE_NOT_RUNNING, PLUGIN_UNKNOWN."""
    plugins = _require_plugins(reach)
    await plugins.unpark(name)
    return _standing_facts(plugins, name)


async def rebuild_plugin(reach: Reach, name: str) -> Facts:
    """Tell a plugin everything anew. Refusals: NODE_NOT_RUNNING, PLUGIN_UNKNOWN."""
    plugins = _require_plugins(reach)
    await plugins.rebuild(name)
    return _standing_facts(plugins, name)


async def opinions_on(reach: Reach, plan: Plan) -> Sequence[PluginOpinion] | None:
    """Ask plugins what speaks against a plan; None for plugins whose node does not run."""
    if reach.plugins is not None:
        return await reach.plugins.opinions(plan)
    with reach.view() as view:
        return None if standings_of(reach, view) else ()


def require_override(order: Order, override: str) -> None:
    """Refuse with REASON_MISSING an override without words, or as `require_reason` does."""
    if override:
        require_reason(Order(order.who, override, order.at_ms))


def weigh(
    plan: Plan, opinions: Sequence[PluginOpinion] | None, order: Order, override: str
) -> Order:
    """Return the order with what it overrides. Refusal: REORG_VETOED, whose words end with the id.

    An override is kept, too, where there is nothing to go over: the operator said it.
    """
    vetoes = [each for each in opinions or () if each.veto]
    if override:
        return msgspec.structs.replace(order, override=Override(override, vetoes))
    if vetoes:
        said = "; ".join(f"{each.name} says: {each.words}" for each in vetoes)
        words = "nothing was done; only an override, with its own reason, goes over that"
        raise Refused(Reason.REORG_VETOED, f"{said}; {words}: plan {plan.plan_id.hex()}")
    return order


def opinion_facts(opinions: Sequence[PluginOpinion] | None, order: Order) -> Facts:
    """Say what plugins had to say to a rollback that was carried out; nothing without plugins."""
    facts: Facts = {}
    if order.override is not None:
        facts["override"] = override_words(order.override)
    if opinions is None:
        facts["plugins"] = _NOT_ASKED
    elif any(each.words for each in opinions):
        facts["plugins"] = [f"{each.name}: {each.words}" for each in opinions if each.words]
    return facts


def _require_plugins(reach: Reach) -> Plugins:
    if reach.plugins is None:
        raise Refused(Reason.NODE_NOT_RUNNING, "plugins are told by a node that runs")
    return reach.plugins


def _standing_facts(plugins: Plugins, name: str) -> Facts:
    return plugin_facts(each for each in plugins.standings() if each.name == name)[0]


def _stored_standings(view: ChainView) -> Iterator[PluginStanding]:
    """Yield how each plugin would stand at a start, those that came nowhere before they parked."""
    reasons = {key.decode(): value.decode() for key, value in view.bucket(HOST_BUCKET)}
    cursors = view.cursors()
    readers = [each for each in cursors if each.startswith(READER_PREFIX)]
    for name in sorted({*reasons, *(each.removeprefix(READER_PREFIX) for each in readers)}):
        cursor = cursors.get(READER_PREFIX + name)
        position, reason = position_of(view, cursor), reasons.get(name, "")
        # While it catches up its cursor is parked, too: then it holds nothing back.
        is_behind = cursor is None or cursor.parked
        state = PluginState.CATCHING_UP if is_behind else PluginState.RUNNING
        yield PluginStanding(
            name=name,
            state=PluginState.PARKED if reason else state,
            height=position.height,
            sequence=position.sequence,
            lag=view.head.sequence - position.sequence,
            reason=reason,
        )
