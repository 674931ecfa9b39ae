"""What goes wrong on purpose, and how our settlement client takes it."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from starknet_py.net.client_errors import ClientError

from devnet.embedded.faults import read_fault
from devnet.starknet_devnet import predeployed_accounts
from sequencer.model.refusals import Reason
from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.connection import Patience
from sequencer.settlement.starknet import StarknetSettlement
from tests.contracts.settlement_world import GENESIS, access, deployed, post
from tests.strategies import refused
from tests.unit.devnet.embedded_world import (
    BOUNDS,
    Devnet,
    declare_settlement,
    number_of,
    pay,
)

UNKNOWN, UNREACHABLE = SettlementProblem.OUTCOME_UNKNOWN, SettlementProblem.UNREACHABLE
SHORT = Patience(read_ms=500, send_ms=500, receipt_ms=500, poll_ms=10)


@pytest.fixture
async def settlement(devnet: Devnet) -> AsyncIterator[StarknetSettlement]:
    """Give a client that has asked already, and that is in a hurry."""
    declare_settlement(devnet.chain)
    address = await deployed(devnet.url, 0, 1)
    _, operator, *_ = await predeployed_accounts(devnet.url)
    settlement = StarknetSettlement(access(devnet.url, operator), address, SHORT)
    await settlement.standing()
    yield settlement
    await settlement.close()


async def problem_of(settlement: StarknetSettlement) -> SettlementProblem:
    with pytest.raises(SettlementError) as caught:
        await settlement.update_state(0, GENESIS, post(6))
    return caught.value.problem


async def test_what_is_dropped_is_never_in_a_block(
    devnet: Devnet, settlement: StarknetSettlement
) -> None:
    height = devnet.chain.head.header.number
    await devnet.ask("setFault", drop=1)
    assert await problem_of(settlement) is UNKNOWN
    assert devnet.chain.head.header.number == height
    assert (await settlement.standing()).newest == GENESIS
    await settlement.update_state(0, GENESIS, post(6))
    assert (await settlement.standing()).newest == post(6)


async def test_a_dropped_one_is_checked_all_the_same(devnet: Devnet) -> None:
    account = devnet.account()
    await devnet.ask("setFault", drop=1)
    with pytest.raises(ClientError) as caught:
        await account.execute_v3(calls=pay(1), nonce=7, resource_bounds=BOUNDS)
    assert number_of(caught) == 52
    assert devnet.faults.standing.drop == 1


async def test_a_lost_answer_is_a_transaction_done(
    devnet: Devnet, settlement: StarknetSettlement
) -> None:
    await devnet.ask("setFault", lose=1)
    assert await problem_of(settlement) is UNKNOWN
    assert (await settlement.standing()).newest == post(6)
    with pytest.raises(SettlementError) as caught:
        await settlement.update_state(0, GENESIS, post(6))
    assert caught.value.code == "PREV_BLOCK_DIFFERS"


async def test_one_that_is_silent_answers_only_about_faults(
    devnet: Devnet, settlement: StarknetSettlement
) -> None:
    await devnet.ask("setFault", silent=1)
    with pytest.raises(SettlementError) as caught:
        await settlement.standing()
    assert caught.value.problem is UNREACHABLE
    waiting = asyncio.ensure_future(devnet.client.get_block_number())
    # Whoever comes after it and is answered shows that it would have been.
    await _set_fault(devnet, silent=1)
    assert not waiting.done()
    rpc = await _set_fault(devnet, silent=0)
    assert rpc["silent"] == 0
    assert await waiting == devnet.chain.head.header.number
    assert (await settlement.standing()).newest == GENESIS


async def _set_fault(devnet: Devnet, **faults: int) -> dict[str, object]:
    # A client of its own would first ask for the version, which is not answered.
    async with devnet.session() as session:
        called = {"jsonrpc": "2.0", "id": 1, "method": "devnet_setFault", "params": faults}
        async with session.post(devnet.url, json=called) as answered:
            told: dict[str, dict[str, object]] = await answered.json()
    return told["result"]


async def test_a_slow_one_is_late_with_what_it_has_done(devnet: Devnet) -> None:
    loop, account = asyncio.get_running_loop(), devnet.account()
    await devnet.ask("setFault", slow_ms=200)
    began = loop.time()
    await devnet.client.get_block_number()
    assert loop.time() - began >= 0.2
    await devnet.ask("setFault", slow_ms=0)
    signed = await account.sign_invoke_v3(pay(1), resource_bounds=BOUNDS)
    await devnet.ask("setFault", slow_ms=60_000)
    sending = asyncio.ensure_future(devnet.client.send_transaction(signed))
    async with asyncio.timeout(10):
        while devnet.chain.head.header.number == 0:
            await asyncio.wait([sending], timeout=0.01)
    assert not sending.done()
    sending.cancel()
    await _set_fault(devnet, slow_ms=0)
    assert await account.get_nonce() == 1


async def test_what_nobody_waits_for_is_not_done_by_one_that_was_silent(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, arrived = devnet.account(), asyncio.Event()
    signed = await account.sign_invoke_v3(pay(1), resource_bounds=BOUNDS)
    # Its first question is for the version: what comes now is the transaction.
    assert await devnet.client.get_block_number() == 0
    await devnet.ask("setFault", silent=1)
    until_speaking = devnet.faults.until_speaking

    async def heard() -> None:
        arrived.set()
        await until_speaking()

    monkeypatch.setattr(devnet.faults, "until_speaking", heard)
    sending = asyncio.ensure_future(devnet.client.send_transaction(signed))
    async with asyncio.timeout(10):
        await arrived.wait()
    sending.cancel()
    await _set_fault(devnet, silent=0)
    assert await devnet.client.get_block_number() == 0
    assert await account.get_nonce() == 0


async def test_a_connection_that_was_kept_is_cut_while_it_is_down(devnet: Devnet) -> None:
    async with devnet.session() as session:
        assert await asks_on(session, devnet.url)
        await devnet.ask("setFault", down_seconds=1)
        async with asyncio.timeout(10):
            while await asks_on(session, devnet.url):
                pass


async def asks_on(session: aiohttp.ClientSession, url: str) -> bool:
    called = {"jsonrpc": "2.0", "id": 1, "method": "starknet_blockNumber"}
    try:
        async with session.post(url, json=called) as answered:
            assert (await answered.json())["result"] == 0
    except aiohttp.ClientError:
        return False
    return True


async def test_one_that_is_down_refuses_and_comes_back(
    devnet: Devnet, settlement: StarknetSettlement
) -> None:
    await devnet.ask("setFault", down_seconds=1)
    async with asyncio.timeout(10):
        while await answers(settlement):
            pass
        assert await problem_of(settlement) is UNREACHABLE
        while not await answers(settlement):
            pass
    await settlement.update_state(0, GENESIS, post(6))
    assert (await settlement.standing()).newest == post(6)


async def answers(settlement: StarknetSettlement) -> bool:
    try:
        await settlement.standing()
    except SettlementError:
        return False
    return True


async def test_a_reorg_takes_the_newest_blocks_back(
    devnet: Devnet, settlement: StarknetSettlement
) -> None:
    await settlement.update_state(0, GENESIS, post(6))
    height = devnet.chain.head.header.number
    await settlement.update_state(0, post(6), post(7))
    await devnet.ask("increaseTime", time=5)
    told = await devnet.ask("setFault", reorg=2)
    aborted = told["aborted"]
    assert isinstance(aborted, list)
    assert (len(aborted), devnet.chain.head.header.number) == (2, height)
    assert (await settlement.standing()).newest == post(6)
    with pytest.raises(ClientError, match="Genesis block"):
        await devnet.ask("setFault", reorg=height + 1)


@pytest.mark.parametrize("text", ["", "slow", "slow_ms=", "slow_ms=-1", "drop=1.5", "silent=2"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with refused(Reason.PARAMETER_INVALID):
        read_fault(text)
