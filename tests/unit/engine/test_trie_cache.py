"""The cache of tries: whatever it has forgotten, it is the tries of the head."""

from random import Random

import pytest

from sequencer.chain.block import seal_block
from sequencer.chain.commitment import EXCHANGE_ADDRESS, ROWS_TRIE
from sequencer.chain.genesis import open_genesis, read_genesis
from sequencer.chain.tries import Tries
from sequencer.engine import trie_cache
from sequencer.engine.recovery import recover
from sequencer.engine.sealer import Extras, Sealer
from sequencer.engine.trie_cache import TrieCache
from sequencer.model.commands import SetMode
from sequencer.model.rows import Mode
from sequencer.starknet.state import CLASSES_TRIE, CONTRACTS_TRIE
from sequencer.starknet.trie import Position
from tests.unit.chain.network import START_MS, address_of
from tests.unit.engine.builders import Rig, genesis_disk, genesis_text, reports

ADDRESSES = (EXCHANGE_ADDRESS, address_of("alice"), address_of("op"), 0x123)
BLOCKS = 12


class Compared:
    """A chain that is sealed twice: over a cache with a store, and over tries in memory."""

    def __init__(self) -> None:
        self.rig = Rig(genesis_disk())
        self.cache = self.fresh_cache()
        self.whole = Tries()
        self.places: set[tuple[int, Position]] = {(0x123, (0, 0)), (ROWS_TRIE, (3, 1))}
        _, closed = open_genesis(read_genesis(genesis_text().encode()))
        self.whole.apply(seal_block(closed, 0, self.whole)[1])

    def fresh_cache(self) -> TrieCache:
        return TrieCache(lambda: self.rig.store.view)

    def block(self) -> None:
        store, closed = self.rig.store, self.rig.producer.close()
        parent = int.from_bytes(store.head.block_hash, "big")
        block, committed = seal_block(closed, parent, self.whole)
        assert seal_block(closed, parent, self.cache) == (block, committed)
        assert Sealer(store, self.cache).seal(closed, Extras()).block == block
        self.whole.apply(committed)
        for trie, changes in committed.nodes.items():
            self.places |= {(trie, position) for position in changes}

    def compare(self, cache: TrieCache) -> None:
        for trie, position in sorted(self.places):
            assert cache.reader(trie)(position) == self.whole.reader(trie)(position)
        for address in ADDRESSES:
            assert cache.leaf(address) == self.whole.leaf(address)


@pytest.fixture(params=[2, 12, 100_000])
def compared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Compared:
    monkeypatch.setattr(trie_cache, "TRIE_NODES_CACHED", request.param)
    return Compared()


async def test_it_is_the_tries_of_the_head_over_many_blocks(compared: Compared) -> None:
    rig, random = compared.rig, Random(7)
    producer = rig.producer
    for number in range(1, BLOCKS):
        producer.tick(START_MS + number * 1_000, reports(second=number))
        if number == 4:
            producer.operate(SetMode(Mode.POST_ONLY))
            producer.operate(SetMode(Mode.OPEN))
        rig.clock.ms = rig.state.system.time_ms
        if number > 4:
            known = list(rig.state.orders)
            signed = [rig.bid(number * 10 + each) for each in range(random.randrange(3))]
            cancels = [rig.cancel("alice", each) for each in random.sample(known, len(known) // 2)]
            producer.carry([*signed, *cancels], frozenset())
            transfer = rig.transfer(nonce=number - 5)
            producer.apply(transfer, rig.hash_of(transfer))
        compared.block()
        compared.compare(compared.cache)
    assert CONTRACTS_TRIE in {trie for trie, _ in compared.places}
    assert rig.state.orders
    assert any(compared.whole.reader(trie)(at) is None for trie, at in compared.places)


async def test_nodes_are_held_for_two_generations_at_most(compared: Compared) -> None:
    cache = compared.cache
    exchange, empty = cache.reader(EXCHANGE_ADDRESS), cache.reader(0x123)
    root = exchange((0, 0))
    for path in range(200):
        assert empty((200, path)) is None
        held = sum(len(nodes.younger) + len(nodes.older) for nodes in cache._tries.values())
        assert held <= 2 * cache._room
    # The other trie may have been dropped whole, and is read again all the same.
    assert root is not None
    assert exchange((0, 0)) == root


async def test_after_a_restart_it_is_read_from_the_store(compared: Compared) -> None:
    for number in range(1, 4):
        compared.rig.producer.tick(START_MS + number * 1_000, reports(second=number))
        compared.block()
    compared.compare(compared.fresh_cache())
    again = Rig(compared.rig.disk)
    assert not recover(again.store, full=True).halts
    compared.compare(TrieCache(lambda: again.store.view))


async def test_a_commit_that_fails_leaves_it_as_it_was(compared: Compared) -> None:
    rig, leaf = compared.rig, compared.cache.leaf(EXCHANGE_ADDRESS)
    rig.producer.tick(START_MS + 1_000, reports(second=1))
    closed = rig.producer.close()
    rig.store.close()
    with pytest.raises(Exception, match="STORE_CLOSED"):
        Sealer(rig.store, compared.cache).seal(closed, Extras())
    assert compared.cache.leaf(EXCHANGE_ADDRESS) == leaf
    assert CLASSES_TRIE not in {trie for trie, _ in compared.places}
