"""The operator's commands that a block records: modes, guards, and harm in drills.

Promises
- The answer comes once the block is durable, and names it.
- What is refused anyway is refused before there is anything of it in a block.

Laws
- Only a running node makes such a block: NODE_NOT_RUNNING.
"""

from sequencer.engine.desk_facts import Facts, mode_above
from sequencer.engine.items import Applied
from sequencer.engine.reach import Reach, Running
from sequencer.engine.rollback import Order, require_plain, require_reason
from sequencer.model.commands import Command, Fault, SetGuard, SetMode
from sequencer.model.refusals import Reason, Refused
from sequencer.model.rows import Mode
from sequencer.starknet.felt import format_felt


def require_running(reach: Reach) -> Running:
    """Return the node that runs. Refusal: NODE_NOT_RUNNING."""
    if reach.running is None:
        raise Refused(Reason.NODE_NOT_RUNNING, "only a running node makes the block for it")
    return reach.running


async def change_mode(reach: Reach, command: SetMode) -> Facts:
    """Change the mode; returns the block that recorded it.

    Refusals: NODE_NOT_RUNNING, REASON_MISSING for a halt without one, and the chain's own; the
    words of MODE_ORDER end with the mode that comes next.
    """
    running = require_running(reach)
    if command.mode is Mode.HALTED:
        require_reason(Order("", command.reason, 0))
    require_plain(command.reason, Reason.REASON_MISSING)
    try:
        applied = await recorded(running, command)
    except Refused as refused:
        if refused.reason is not Reason.MODE_ORDER:
            raise
        with reach.view() as view:
            words = f"{refused.detail}; next comes {mode_above(view).value}"
        raise Refused(Reason.MODE_ORDER, words) from None
    return {"mode": command.mode.value, **place_of_block(applied)}


async def switch_guard(reach: Reach, command: SetGuard, reason: str) -> Facts:
    """Switch a guard; returns the block that recorded it. The reason is in the operator's log.

    Refusals: NODE_NOT_RUNNING, REASON_MISSING for one that is switched off without, NOT_A_DRILL,
    and the chain's own.
    """
    running = require_running(reach)
    if not command.on:
        require_reason(Order("", reason, 0))
        _require_drill(running, f"{command.guard.value} is switched off in drills only")
    require_plain(reason, Reason.REASON_MISSING)
    applied = await recorded(running, command)
    return {"guard": command.guard.value, "on": command.on, **place_of_block(applied)}


async def do_harm(reach: Reach, command: Fault) -> Facts:
    """Do harm; returns the block that recorded it.

    Refusals: NODE_NOT_RUNNING, NOT_A_DRILL, and the chain's own; HALTED where it broke a law, so
    that there is no such block.
    """
    running = require_running(reach)
    _require_drill(running, "faults exist in drills only")
    return {"fault": command.kind.value, **place_of_block(await recorded(running, command))}


def _require_drill(running: Running, words: str) -> None:
    if not running.engine.writer.state.system.drill:
        raise Refused(Reason.NOT_A_DRILL, words)


async def recorded(running: Running, command: Command) -> Applied:
    """Have the writer execute a command of the operator. Refusals: the chain's own."""
    applied = await running.engine.writer.operate(command).answer
    if applied.refusal:
        words = (applied.receipt.revert_reason or "").partition(": ")[2]
        raise Refused(Reason(applied.refusal), words)
    return applied


def place_of_block(applied: Applied) -> Facts:
    """Say which block recorded a command."""
    block = format_felt(applied.block_hash)
    return {"height": applied.height, "block": block, "epoch": applied.epoch}
