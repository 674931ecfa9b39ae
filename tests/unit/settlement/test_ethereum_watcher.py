"""Deposits on a chain whose newest blocks are replaced."""

from collections.abc import Iterable

from sequencer.model.bridge_limits import ETHEREUM_HEADS_MAX
from sequencer.settlement.ethereum_lock import EthereumBlock, EthereumDeposit
from sequencer.settlement.ethereum_watcher import DepositWatcher
from tests.unit.settlement.ethereum_world import EthereumWorld, ethereum_world

DEPTH = 3


def watcher(world: EthereumWorld, depth: int = DEPTH) -> DepositWatcher:
    return DepositWatcher(world.lock, 0, depth)


def amounts(deposits: Iterable[EthereumDeposit]) -> list[int]:
    return [each.amount for each in deposits]


async def test_a_deposit_is_confirmed_at_its_depth_and_not_before() -> None:
    world = await ethereum_world()
    watching = watcher(world)
    await world.deposit(1)
    for blocks in range(DEPTH):
        seen = await watching.look()
        assert (amounts(seen.confirmed), amounts(seen.pending)) == ([], [1]), blocks
        world.mine(1)
    seen = await watching.look()
    assert (amounts(seen.confirmed), amounts(seen.pending)) == ([1], [])
    assert seen == await watching.look()
    assert seen == await watcher(world).look()


async def test_a_depth_of_none_confirms_at_once() -> None:
    world = await ethereum_world()
    await world.deposit(1)
    assert amounts((await watcher(world, 0).look()).confirmed) == [1]


async def test_a_reorg_before_the_depth_loses_the_deposit() -> None:
    world = await ethereum_world()
    watching = watcher(world)
    await world.deposit(1)
    world.mine(DEPTH)
    before = world.snapshot()
    await world.deposit(2)
    world.mine(DEPTH - 1)
    seen = await watching.look()
    assert (amounts(seen.confirmed), amounts(seen.pending)) == ([1], [2])
    world.revert(before)
    world.mine(DEPTH + 3)
    seen = await watching.look()
    assert (amounts(seen.confirmed), amounts(seen.pending)) == ([1], [])
    assert (amounts(seen.lost), amounts(seen.unmade)) == ([2], [])
    assert (await watching.look()).lost == ()


async def test_a_reorg_after_the_depth_unmakes_the_deposit() -> None:
    world = await ethereum_world()
    watching = watcher(world)
    await world.deposit(1)
    before = world.snapshot()
    await world.deposit(2)
    world.mine(DEPTH)
    assert amounts((await watching.look()).confirmed) == [1, 2]
    world.revert(before)
    world.mine(1)
    seen = await watching.look()
    assert (amounts(seen.confirmed), amounts(seen.pending)) == ([], [1])
    assert (amounts(seen.lost), amounts(seen.unmade)) == ([], [2])


async def test_a_longer_branch_of_the_same_numbers_is_told_apart_by_its_hashes() -> None:
    world = await ethereum_world()
    watching = watcher(world)
    before = world.snapshot()
    await world.deposit(1)
    world.mine(2)
    first = await watching.look()
    world.revert(before)
    await world.deposit(2)
    world.mine(2)
    second = await watching.look()
    assert second.head.number == first.head.number
    assert second.head.hash != first.head.hash
    assert (amounts(second.pending), amounts(second.lost)) == ([2], [1])
    assert first.pending[0].nonce == second.pending[0].nonce


async def test_a_message_that_moved_to_another_block_waits_anew_and_is_not_lost() -> None:
    world = await ethereum_world()
    watching = watcher(world)
    before = world.snapshot()
    await world.deposit(1)
    world.mine(DEPTH)
    assert amounts((await watching.look()).confirmed) == [1]
    world.revert(before)
    world.mine(2)
    await world.deposit(1)
    seen = await watching.look()
    assert (amounts(seen.confirmed), amounts(seen.pending)) == ([], [1])
    assert (seen.lost, seen.unmade) == ((), ())
    world.revert(before)
    world.mine(1)
    # It was confirmed once, whatever came between.
    assert amounts((await watching.look()).unmade) == [1]


async def test_a_chain_that_became_shorter_is_followed() -> None:
    world = await ethereum_world()
    watching = watcher(world)
    await world.deposit(1)
    await watching.look()
    before = world.snapshot()
    await world.deposit(2)
    world.mine(5)
    await watching.look()
    world.revert(before)
    seen = await watching.look()
    assert (amounts(seen.pending), amounts(seen.unmade)) == ([1], [2])
    await world.deposit(3)
    seen = await watching.look()
    assert amounts(seen.pending) == [1, 3]


async def test_whoever_begins_anew_sees_what_another_saw() -> None:
    world = await ethereum_world()
    watching = watcher(world)
    before = world.snapshot()
    for amount in (1, 2, 3):
        await world.deposit(amount)
        await watching.look()
    world.revert(before)
    for amount in (4, 5):
        await world.deposit(amount)
        world.mine(DEPTH)
    old, new = await watching.look(), await watcher(world).look()
    assert (old.head, old.confirmed, old.pending) == (new.head, new.confirmed, new.pending)
    assert amounts(old.lost) == [1, 2, 3]


async def test_a_chain_that_changes_while_it_is_read_is_read_again() -> None:
    world = await ethereum_world()
    before = world.snapshot()
    await world.deposit(1)

    class Turning:
        """The lock of a chain that has a reorg between two questions."""

        head, block_hash = world.lock.head, world.lock.block_hash
        turns = 0

        async def deposits(self, first: int, last: int) -> list[EthereumDeposit]:
            found = await world.lock.deposits(first, last)
            if self.turns == 0:
                world.revert(before)
                await world.deposit(2)
            self.turns += 1
            return found

    turning = Turning()
    seen = await DepositWatcher(turning, 0, DEPTH).look()
    assert turning.turns == 2
    assert (amounts(seen.pending), seen.lost) == ([2], ())


class Growing:
    """A chain of empty blocks that is one block longer at each look, until all of them change."""

    def __init__(self) -> None:
        self.number = self.questions = self.branch = 0

    async def head(self) -> EthereumBlock:
        self.number += 1
        return EthereumBlock(self.number, self._hash(self.number))

    async def block_hash(self, number: int) -> bytes:
        self.questions += 1
        return self._hash(number)

    async def deposits(self, first: int, last: int) -> list[EthereumDeposit]:
        self.first = first
        return []

    def _hash(self, number: int) -> bytes:
        return bytes([self.branch]) + number.to_bytes(31, "big")


async def test_the_heads_that_are_remembered_have_a_limit() -> None:
    chain = Growing()
    watching = DepositWatcher(chain, 5, DEPTH)
    for _ in range(ETHEREUM_HEADS_MAX + 10):
        await watching.look()
    chain.branch, chain.questions = 1, 0
    await watching.look()
    # All that it remembers is asked about, and then it reads from the lock's first block on.
    assert chain.questions == ETHEREUM_HEADS_MAX + 1
    assert chain.first == 5
