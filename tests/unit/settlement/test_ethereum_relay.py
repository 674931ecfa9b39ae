"""What is handed over of deposits on Ethereum: what is confirmed, once, whatever happens."""

import asyncio
import random
from collections import Counter

import pytest

from sequencer.model.settlement import SettlementError, SettlementProblem
from sequencer.settlement.ethereum_lock import EthereumDeposit
from sequencer.settlement.ethereum_messages import HandedMessage
from sequencer.settlement.ethereum_relay import (
    L1_DEPOSIT_UNMADE,
    DepositRelay,
    DepositUnmade,
    RelayStep,
    run_relay,
)
from sequencer.settlement.ethereum_watcher import DepositWatcher
from tests.unit.settlement.ethereum_world import EthereumWorld, ethereum_world

DEPTH = 2


class Handler:
    """A settlement chain: it carries out a message as often as it is handed over, as a devnet."""

    def __init__(self) -> None:
        self.taken: list[HandedMessage] = []
        self.paused = False
        self.lost_answers = 0

    async def handed(self) -> tuple[HandedMessage, ...]:
        return tuple(self.taken)

    async def refusal(self, deposit: EthereumDeposit) -> str:
        return "DEPOSITS_PAUSED" if self.paused else ""

    async def hand_over(self, deposit: EthereumDeposit) -> int:
        hash_ = self.transaction_of(deposit)
        self.taken.append(HandedMessage(hash_, deposit.nonce, deposit.account, deposit.amount))
        if self.lost_answers:
            self.lost_answers -= 1
            raise SettlementError(SettlementProblem.OUTCOME_UNKNOWN, "the answer was lost")
        return hash_

    def transaction_of(self, deposit: EthereumDeposit) -> int:
        return hash((deposit.nonce, deposit.account, deposit.amount))

    @property
    def amounts(self) -> list[int]:
        return [message.amount for message in self.taken]


def relay(world: EthereumWorld, handler: Handler) -> DepositRelay:
    """Begin anew, as after a restart."""
    return DepositRelay(DepositWatcher(world.lock, 0, DEPTH), handler)


async def test_what_is_confirmed_is_handed_over_once_and_in_order() -> None:
    world, handler = await ethereum_world(), Handler()
    relaying = relay(world, handler)
    await world.deposit(1)
    await world.deposit(2)
    await relaying.step()
    assert handler.amounts == []
    world.mine(DEPTH - 1)
    await relaying.step()
    assert handler.amounts == [1]
    world.mine(1)
    for _ in range(3):
        await relaying.step()
    assert handler.amounts == [1, 2]


async def test_a_restart_hands_nothing_over_again_and_goes_on() -> None:
    world, handler = await ethereum_world(), Handler()
    await world.deposit(1)
    world.mine(DEPTH)
    await relay(world, handler).step()
    await world.deposit(2)
    world.mine(DEPTH)
    await relay(world, handler).step()
    await relay(world, handler).step()
    assert handler.amounts == [1, 2]


async def test_a_lost_answer_does_not_make_a_second_deposit() -> None:
    world, handler = await ethereum_world(), Handler()
    relaying = relay(world, handler)
    await world.deposit(1)
    await world.deposit(2)
    world.mine(DEPTH)
    handler.lost_answers = 1
    with pytest.raises(SettlementError):
        await relaying.step()
    await relaying.step()
    assert handler.amounts == [1, 2]


async def test_a_pause_holds_deposits_up_in_their_order() -> None:
    world, handler = await ethereum_world(), Handler()
    relaying = relay(world, handler)
    handler.paused = True
    await world.deposit(1)
    await world.deposit(2)
    world.mine(DEPTH)
    step = await relaying.step()
    assert step.refused == "DEPOSITS_PAUSED"
    assert [each.amount for each in step.waiting] == [1, 2]
    assert handler.amounts == []
    handler.paused = False
    await relaying.step()
    assert handler.amounts == [1, 2]


async def test_a_settlement_chain_that_went_back_is_told_again() -> None:
    world, handler = await ethereum_world(), Handler()
    relaying = relay(world, handler)
    for amount in (1, 2, 3):
        await world.deposit(amount)
    world.mine(DEPTH)
    await relaying.step()
    del handler.taken[1:]
    await relaying.step()
    assert handler.amounts == [1, 2, 3]


async def test_a_deposit_that_was_lost_is_never_handed_over() -> None:
    world, handler = await ethereum_world(), Handler()
    relaying = relay(world, handler)
    before = world.snapshot()
    await world.deposit(1)
    world.mine(DEPTH - 1)
    await relaying.step()
    world.revert(before)
    await world.deposit(2)
    world.mine(DEPTH)
    step = await relaying.step()
    assert [each.amount for each in step.lost] == [1]
    assert handler.amounts == [2]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_deposit_that_was_handed_over_and_is_gone_stops_the_relay(
    *, restarted: bool
) -> None:
    world, handler = await ethereum_world(), Handler()
    relaying = relay(world, handler)
    before = world.snapshot()
    await world.deposit(500, 77)
    world.mine(DEPTH)
    await relaying.step()
    world.revert(before)
    await world.deposit(2)
    world.mine(DEPTH)
    relaying = relay(world, handler) if restarted else relaying
    with pytest.raises(DepositUnmade) as caught:
        await relaying.step()
    assert str(caught.value).startswith(f"{L1_DEPOSIT_UNMADE}: Ethereum has lost message 0: 500 ")
    assert f"account {77:#x}" in str(caught.value)
    assert f"{handler.taken[0].transaction_hash:#x}" in str(caught.value)
    assert handler.amounts == [500]


async def test_an_unmade_deposit_that_comes_back_lets_the_relay_go_on_after_a_restart() -> None:
    world, handler = await ethereum_world(), Handler()
    before = world.snapshot()
    await world.deposit(1)
    world.mine(DEPTH)
    await relay(world, handler).step()
    world.revert(before)
    world.mine(DEPTH)
    with pytest.raises(DepositUnmade):
        await relay(world, handler).step()
    await world.deposit(1)
    await world.deposit(2)
    await relay(world, handler).step()
    world.mine(DEPTH)
    await relay(world, handler).step()
    assert handler.amounts == [1, 2]


async def test_a_confirmed_deposit_that_waited_and_is_gone_stops_the_relay_too() -> None:
    world, handler = await ethereum_world(), Handler()
    relaying = relay(world, handler)
    handler.paused = True
    before = world.snapshot()
    await world.deposit(9)
    world.mine(DEPTH)
    await relaying.step()
    world.revert(before)
    world.mine(1)
    with pytest.raises(DepositUnmade):
        await relaying.step()
    assert handler.amounts == []


@pytest.mark.parametrize("seed", range(3))
async def test_random_histories_hand_over_every_confirmed_deposit_exactly_once(seed: int) -> None:
    """Reorgs stay within the depth, restarts come at any moment, answers get lost."""
    world, handler, dice = await ethereum_world(), Handler(), random.Random(seed)
    relaying, amount, lost = relay(world, handler), 0, 0
    for _ in range(16):
        anchor = world.snapshot()
        for _ in range(dice.randrange(1, DEPTH + 1)):
            amount += 1
            await world.deposit(amount)
        handler.lost_answers = dice.randrange(2)
        handler.paused = dice.random() < 0.3
        lost += await stepped(relaying)
        if dice.random() < 0.5:
            world.revert(anchor)
        if dice.random() < 0.3:
            relaying = relay(world, handler)
        world.mine(dice.randrange(3))
        lost += await stepped(relaying)
    handler.paused, handler.lost_answers = False, 0
    world.mine(DEPTH)
    await relaying.step()
    live = await world.lock.deposits(0, (await world.lock.head()).number)
    assert handler.amounts == [each.amount for each in live]
    assert max(Counter(handler.amounts).values()) == 1
    assert lost > 0


async def stepped(relaying: DepositRelay) -> int:
    """Take a step, and count what was lost."""
    try:
        step: RelayStep = await relaying.step()
    except SettlementError:
        return 0
    return len(step.lost)


async def test_the_service_says_what_it_does_and_ends_with_an_unmade_deposit() -> None:
    world, handler = await ethereum_world(), Handler()
    said: list[str] = []
    told = asyncio.Event()

    def say(words: str) -> None:
        said.append(words)
        told.set()

    async def until(words: str) -> None:
        while not any(words in line for line in said):
            await told.wait()
            told.clear()

    before = world.snapshot()
    handler.paused = True
    await world.deposit(1)
    world.mine(DEPTH)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(run_relay(relay(world, handler), say))
        await until("the Ethereum leg waits: DEPOSITS_PAUSED")
        handler.paused = False
        await until("message 0 of Ethereum handed over: 1 (1e-6)")
        world.revert(before)
        await until(L1_DEPOSIT_UNMADE)
    assert said[-1].endswith("nothing more is handed over")
    assert said.count("the Ethereum leg waits: DEPOSITS_PAUSED") == 1
