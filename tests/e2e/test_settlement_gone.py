"""A settlement chain that is gone: for a while, for good, or with a deposit that was credited.

Law: whatever becomes of it, nothing is lost or doubled once it is there again.
"""

import socket
from pathlib import Path

import pytest

from scripts.money.appchain import INSURANCE, facts_of, going_on, real_cast, refusal_of, until
from scripts.money.devnets import EMBEDDED, devnet_at
from scripts.money.settlement import contract_on
from scripts.simulating.cast import GAMBLERS, Cast
from sequencer.model.commands import OrderPolicy, SetMode, UnmakeDeposit
from sequencer.model.halts import HaltCause
from sequencer.model.refusals import Reason
from sequencer.model.rows import Mode
from sequencer.settlement.money import Payment
from tests.e2e.two_chains import SALT, Both, both

pytestmark = pytest.mark.usefixtures("process")

DOWN_SECONDS = 4
NAMED = "SETTLEMENT_UNREACHABLE"
UNMADE = HaltCause.DEPOSIT_UNMADE.value


@pytest.fixture
def cast() -> Cast:
    return real_cast()


def _answers(url: str) -> bool:
    """Say whether anybody listens there."""
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


async def test_it_is_down_for_a_while(cast: Cast, tmp_path: Path) -> None:
    with devnet_at(EMBEDDED, tmp_path / "log") as url:
        async with both(cast, url, tmp_path) as world:
            chain, collector = world.chain, world.chain.node.collector
            assert collector is not None
            await world.deposit(5, 7)
            await world.credited(2)
            await world.settled()
            await world.settlement.fault(down_seconds=DOWN_SECONDS)
            await until(lambda: collector.problem != "", "the collector notices")
            settler = chain.node.settler
            assert settler is not None
            await chain.block()
            await until(lambda: settler.status().problem != "", "the settler notices")
            settlement, deposits, lost = await world.told()
            assert settlement.startswith(NAMED)
            assert deposits.startswith(NAMED)
            assert lost == "none"
            # Trading goes on, and what was credited stays.
            await chain.stored()
            height = chain.height
            for _ in range(3):
                await chain.block()
            await chain.stored()
            assert chain.height == height + 3
            assert chain.state.system.mode is Mode.OPEN
            assert not chain.node.engine.gate.halts
            await until(lambda: not collector.problem, "it goes on")
            await world.deposit(9)
            await world.credited(3)
            await world.check()
            assert (await world.told())[0] == "at the head"


async def test_a_start_without_it_halts_by_name(cast: Cast, tmp_path: Path) -> None:
    with devnet_at(EMBEDDED, tmp_path / "log") as url:
        async with both(cast, url, tmp_path) as world:
            await world.deposit(5)
            await world.credited(1)
            await world.settled()
        async with contract_on(url, EMBEDDED, facts_of(tmp_path / "begun"), SALT) as settlement:
            await settlement.fault(down_seconds=DOWN_SECONDS)
            await until(lambda: not _answers(url), "it is down")
            async with going_on(cast, tmp_path / "chain", settlement.node) as chain:
                await until(lambda: bool(chain.node.engine.gate.halts), "it halts")
                (halt,) = chain.node.engine.gate.halts
                assert halt.cause is HaltCause.SETTLEMENT_UNREACHABLE
                assert not halt.is_final
                assert len(chain.state.deposits) == 1
                await until(lambda: _answers(url), "it is back")
                world = Both(chain, settlement)
                await chain.climb()
                await world.deposit(6)
                await world.credited(2)
                await world.check()


async def test_it_starts_again_empty(cast: Cast, tmp_path: Path) -> None:
    """Without its contract it changes nothing here; with an empty one what was credited is lost."""
    with devnet_at(EMBEDDED, tmp_path / "log") as url:
        port = int(url.rpartition(":")[2])
        async with both(cast, url, tmp_path) as world:
            chain, collector = world.chain, world.chain.node.collector
            settler = chain.node.settler
            assert collector is not None
            assert settler is not None
            await world.deposit(5, 7)
            await world.credited(2)
            await world.settled()
            assert (await world.told())[0] == "at the head"
            await world.settlement.fault(down_seconds=3_600)
            with devnet_at(EMBEDDED, tmp_path / "again", port) as again:
                assert again == url
                await chain.block()
                name = "SETTLEMENT_CONTRACT_ABSENT"
                await until(lambda: collector.problem.startswith(name), "the collector says it")
                await until(lambda: settler.status().problem.startswith(name), "the settler, too")
                assert not chain.node.engine.gate.halts
                assert len(chain.state.deposits) == 2
                assert (await world.told())[2] == "none"
                await _empty_contract(world, url, tmp_path)


async def _empty_contract(world: Both, url: str, folder: Path) -> None:
    """Deploy the contract again, where it was and as it began; deposits are sent once more."""
    chain = world.chain
    async with contract_on(url, EMBEDDED, facts_of(folder / "begun"), SALT) as settlement:
        assert settlement.contract == world.settlement.contract
        await until(lambda: chain.unmade == [0, 1], "both are lost")
        halts = [str(halt) for halt in chain.node.engine.gate.halts]
        assert len(halts) == 1
        assert halts[0].startswith(f"{UNMADE}: deposit 0 of block ")
        assert (await world.told())[2] == "0, 1"
        assert len(chain.state.deposits) == 2
        # The same again is the same: nothing is credited twice, and nothing is lost any more.
        account = chain.cast.addresses[GAMBLERS[0]]
        await settlement.deposit([Payment(account, 5), Payment(account, 7)])
        await until(lambda: chain.unmade == [], "they stand there again")
        await chain.climb()
        assert chain.state.system.mode is Mode.OPEN
        await chain.block()
        assert len(chain.state.deposits) == 2
        again = Both(chain, settlement)
        await again.deposit(9)
        await again.credited(3)
        await again.check()


@pytest.mark.parametrize("way", ["rollback", "insurance", "again"])
async def test_a_credited_deposit_is_lost(cast: Cast, tmp_path: Path, way: str) -> None:
    with devnet_at(EMBEDDED, tmp_path / "log") as url:
        async with both(cast, url, tmp_path) as world:
            chain, settlement = world.chain, world.settlement
            await world.deposit(5)
            await world.credited(1)
            await chain.stored()
            kept = chain.height
            before = await settlement.height()
            await world.deposit(7)
            await world.credited(2)
            await chain.stored()
            credited = chain.height
            await settlement.reorg(await settlement.height() - before)
            await until(lambda: chain.unmade == [1], "it is lost")
            (halt,) = chain.node.engine.gate.halts
            assert halt.cause is HaltCause.DEPOSIT_UNMADE
            assert f"deposit 1 of block {credited}:" in str(halt)
            assert (await world.told())[2] == "1"
            # No way to OPEN leads past it.
            (refused,) = await chain.block(SetMode(Mode.CANCEL_ONLY, "reviewed"))
            assert not refused
            assert await chain.block(SetMode(Mode.POST_ONLY, "reviewed")) == [""]
            assert await chain.block(SetMode(Mode.OPEN, "reviewed")) == [Reason.DEPOSIT_UNMADE]
            if way == "rollback":
                await chain.stored()
                plan = await chain.desk.plan(str(kept), OrderPolicy.KEEP, ())
                order = chain.desk.order("olga", "a lost deposit")
                await chain.desk.apply(plan.plan_id.hex(), order)
                await world.deposit(8)
            elif way == "insurance":
                _, item = chain.invoke(INSURANCE, UnmakeDeposit(1))
                await chain.block()
                assert not await refusal_of(item)
                await world.deposit(8)
            else:
                await world.deposit(7)
            await until(lambda: chain.node.deposits.count == 2, "another one is there")
            await until(lambda: chain.unmade == [], "nothing is lost")
            await chain.climb()
            await chain.block()
            assert chain.state.system.mode is Mode.OPEN
            amounts = [row.amount for _, row in sorted(chain.state.deposits.items())]
            assert amounts == [500, 700 if way == "again" else 800]
            await world.check()
