"""The operator's commands beside a store whose node is stopped."""

from pathlib import Path

import pytest

from sequencer.engine.recovery import NODE, NODE_STOPPED, PLANNED_STOP, was_planned
from sequencer.engine.rollback import resume
from sequencer.engine.settling import SETTLER
from sequencer.model.commands import OrderPolicy
from sequencer.model.records import Cursor, Latch
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.model.settlement import Post, Sent, SettlementError, SettlementProblem
from sequencer.settlement.simulated import SimulatedSettlement
from tests.unit.engine.builders import ManualClock
from tests.unit.engine.desks import ORDER, contract_at, denied, desk_beside
from tests.unit.engine.rolling import Chain, post_at


async def settled(chain: Chain, *heights: int) -> SimulatedSettlement:
    """Return a settlement chain on which blocks are posted."""
    contract = contract_at(chain.store, ManualClock())
    for height in heights:
        standing = await contract.standing()
        await contract.update_state(standing.epoch, standing.newest, post_at(chain, height))
    return contract


async def test_what_needs_a_node_is_refused_by_name(chain: Chain, tmp_path: Path) -> None:
    desk = desk_beside(chain.store, tmp_path)
    with denied(Reason.NODE_NOT_RUNNING):
        await desk.mode(Mode.HALTED, "x", 0, 1)
    with denied(Reason.NODE_NOT_RUNNING):
        await desk.create_checkpoint("x", "latest", "olga", replace=False, settled=True)


@pytest.mark.parametrize("by", [NODE, NODE_STOPPED])
@pytest.mark.parametrize("replace", [True, False])
async def test_nobody_but_the_node_says_that_it_stopped_as_planned(
    chain: Chain, tmp_path: Path, by: str, replace: bool
) -> None:
    desk = desk_beside(chain.store, tmp_path)
    assert not was_planned(chain.store.view)
    with denied(Reason.PARAMETER_INVALID):
        await desk.create_checkpoint(PLANNED_STOP, "latest", by, replace=replace, settled=False)
    assert not was_planned(chain.store.view)


@pytest.mark.parametrize("by", [NODE, NODE_STOPPED])
async def test_a_checkpoint_of_the_nodes_own_makes_room(
    chain: Chain, tmp_path: Path, by: str
) -> None:
    chain.store.create_checkpoint(chain.store.head.height, "auto", by)
    desk = desk_beside(chain.store, tmp_path)
    await desk.create_checkpoint("noon", "latest", "olga", replace=False, settled=False)
    (*_, newest) = chain.store.view.checkpoints()
    assert (newest.label, newest.pinned_by) == ("noon", "olga")


async def test_status_names_what_would_halt_a_start(chain: Chain, tmp_path: Path) -> None:
    status = await desk_beside(chain.store, tmp_path, note="LAW_BROKEN: planted").status()
    assert (status["node"], status["mode"], status["height"]) == ("stopped", "OPEN", 7)
    assert status["halts"] == ["NOTE: LAW_BROKEN: planted"]
    assert status["settlement"] == "not asked: the node does not run"
    chain.store.latch(Latch(0, OrderPolicy.KEEP))
    status = await desk_beside(chain.store, tmp_path).status()
    assert status["halts"] == ["LATCH: halted by an order to go back that undid nothing"]
    assert status["halted_by_reorg"] == "no reorg: nothing was undone"
    chain.store.acknowledged = False
    assert len(await _halts(chain, tmp_path)) == 2


async def test_status_lists_the_newest_checkpoints(chain: Chain, tmp_path: Path) -> None:
    chain.blocks(8)
    for height in range(1, 13):
        chain.store.create_checkpoint(height, f"number {height}", "olga")
    desk = desk_beside(chain.store, tmp_path)
    status, whole = await desk.status(), await desk.checkpoints()
    shown, every = status["checkpoints"], whole["checkpoints"]
    assert isinstance(shown, list)
    assert isinstance(every, list)
    assert shown == every[2:]
    assert len(every) == 12


async def _halts(chain: Chain, tmp_path: Path) -> list[object]:
    halts = (await desk_beside(chain.store, tmp_path).status())["halts"]
    assert isinstance(halts, list)
    return halts


async def test_a_stopped_command_finishes_the_job(chain: Chain, tmp_path: Path) -> None:
    contract = await settled(chain, 4, 6, 7)
    desk = desk_beside(chain.store, tmp_path, contract)
    plan = await desk.plan("5", OrderPolicy.KEEP, ())
    assert (plan.zone.name, plan.zone.post_height) == ("ABOVE_FINALIZED", 4)
    told = await desk.apply(plan.plan_id.hex(), ORDER)
    assert told["settlement"] == "put back to block 4"
    assert (told["height"], told["open"]) == (5, [])
    standing = await contract.standing()
    assert (standing.newest.height, standing.hold, standing.epoch) == (4, 0, 1)
    cursor = chain.store.view.cursor(SETTLER)
    assert cursor is not None
    assert cursor.effect == chain.store.view.effect_of(1)
    assert (await desk.undo(1, ORDER))["height"] == 7


async def test_a_contract_that_cannot_be_told_is_left_to_the_node(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = await settled(chain, 4, 7)
    desk = desk_beside(chain.store, tmp_path, contract)
    plan = await desk.plan("5", OrderPolicy.KEEP, ())

    async def silent(epoch: int, post: Post, reason_hash: int) -> Sent:
        raise SettlementError(SettlementProblem.UNREACHABLE, "fell silent")

    monkeypatch.setattr(contract, "revert_state_to", silent)
    await _attached(chain)
    told = await desk.apply(plan.plan_id.hex(), ORDER)
    assert str(told["settlement"]).startswith("not told yet, the node does it when it starts")
    assert told["height"] == 5
    assert "COMMITTED to block 5" in str(told["open"])
    assert (await contract.standing()).hold != 0


async def _attached(chain: Chain) -> None:
    """Give the settler its cursor, as a node's first start with it does."""
    head = chain.store.head
    cursor = Cursor(head.next_effect - 1, head.sequence, head.block_hash)
    chain.store.advance_cursor(SETTLER, cursor)


async def test_a_chain_that_is_posted_wants_to_know_where(chain: Chain, tmp_path: Path) -> None:
    desk = desk_beside(chain.store, tmp_path)
    plan = await desk.plan("5", OrderPolicy.KEEP, ())
    await _attached(chain)
    with denied(Reason.SETTLEMENT_ABSENT):
        await desk.plan("5", OrderPolicy.KEEP, ())
    with denied(Reason.SETTLEMENT_ABSENT):
        await desk.apply(plan.plan_id.hex(), ORDER)
    assert chain.head.latch is None


async def test_what_is_open_is_listed_and_resumed(chain: Chain, tmp_path: Path) -> None:
    desk = desk_beside(chain.store, tmp_path)
    plan = await desk.plan("5", OrderPolicy.KEEP, ())
    told = await desk.apply(plan.plan_id.hex(), ORDER)
    assert told["root"] == "worked out again from the rows: equal"
    assert (await desk.open_reorgs())["open"] == (await desk.resume())["open"]
    assert not resume(chain.store)
