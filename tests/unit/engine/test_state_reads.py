"""Single facts of stored states, against whole states and every diff that there ever was."""

import pytest

from sequencer.chain.commitment import EXCHANGE_ADDRESS
from sequencer.chain.slots import ROWS_ROOT_SLOT
from sequencer.chain.tries import tries_of_rows
from sequencer.engine import state_reads
from sequencer.engine.lookup import read_block, rows_at
from sequencer.engine.state_reads import contract_at, last_change, slot_at
from sequencer.exchange.state import Table
from sequencer.model.commands import RegisterPublisher
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.orders import Side
from sequencer.model.records import BlockRecord, History
from sequencer.model.refusals import Reason
from sequencer.ports import StoreRefused
from sequencer.starknet.felt import Felt
from sequencer.starknet.trie_node import Binary, Edge, Node, decode_node
from tests.strategies import refused
from tests.unit.chain.network import address_of, key_of
from tests.unit.engine.rolling import Act, Chain, deposit, drill_disk

ALICE, BOB = address_of("alice"), address_of("bob")
NEVER = (1, 2**250, 2**251 - 1)

Slots = dict[tuple[Felt, Felt], int]


def trade(chain: Chain, client_id: int, maker: Side = Side.BUY) -> tuple[Act, Act]:
    other = Side.SELL if maker is Side.BUY else Side.BUY
    first = chain.rig.order("alice", maker, 60_000, client_id)
    return first, chain.rig.order("bob", other, 60_000, client_id)


def branched() -> Chain:
    """A chain whose positions open, close and open again, on branches that come and go."""
    chain = Chain(drill_disk())
    for client_id, maker in enumerate((Side.BUY, Side.SELL, Side.BUY), 1):
        chain.act(*trade(chain, client_id, maker))
        chain.act()
    chain.act(deposit(1, ALICE, 1_000_000))
    chain.back(7)
    chain.undo(1)
    chain.back(8)
    chain.reopen()
    chain.act(deposit(1, BOB, 2_000_000))
    chain.act(RegisterPublisher("Delta", key_of(77)))
    chain.back(10)
    chain.reopen()
    chain.act(deposit(2, BOB, 3_000_000))
    return chain


def records_of(chain: Chain) -> list[BlockRecord]:
    view = chain.store.view
    found = [
        view.block_at(height, sequence)
        for height in range(chain.head.height + 9)
        for sequence in range(chain.head.sequence + 1)
    ]
    return [record for record in found if record is not None]


def changes_of(chain: Chain, record: BlockRecord) -> Slots:
    """Return the height that last changed each slot, from every diff of a branch."""
    heights: Slots = {}
    branch: BlockRecord | None = record
    while branch is not None:
        diff, height = read_block(chain.store.view, branch).diff, branch.height
        for address, slots in diff.storage.items():
            for key in slots:
                heights.setdefault((address, key), height)
        above = branch.parent_sequence
        branch = chain.store.view.block_at(height - 1, above) if height else None
    return heights


@pytest.fixture(scope="module")
def chain() -> Chain:
    chain = branched()
    assert len(records_of(chain)) > chain.head.height + 5
    return chain


def test_contracts_are_those_of_the_whole_state(chain: Chain) -> None:
    for record in records_of(chain):
        contracts = rows_at(chain.store.view, record)[Table.CONTRACT]
        state = chain.store.view.state_at(record)
        assert {each: contract_at(state, each) for each in contracts} == contracts
        assert contract_at(state, 7) is None


def leaves_of(node_at: dict[tuple[int, int], bytes]) -> dict[int, Felt]:
    """Walk a whole trie."""
    leaves, places = {}, [(0, 0)] if (0, 0) in node_at else []
    while places:
        depth, path = places.pop()
        node = decode_node(node_at[depth, path])
        children = [(depth + 1, path << 1 | turn, felt) for turn, felt in _turns(node)]
        if isinstance(node, Edge):
            children = [(depth + node.length, path << node.length | node.path, node.child)]
        for below, way, felt in children:
            if below == TRIE_HEIGHT_MAX:
                leaves[way] = felt
            else:
                places.append((below, way))
    return leaves


def _turns(node: Node) -> list[tuple[int, Felt]]:
    return [(0, node.left), (1, node.right)] if isinstance(node, Binary) else []


def test_slots_are_those_of_the_tries_of_all_rows(chain: Chain) -> None:
    for record in records_of(chain):
        tries, _ = tries_of_rows(rows_at(chain.store.view, record))
        state = chain.store.view.state_at(record)
        ever = changes_of(chain, record)
        leaves = leaves_of(tries._nodes[EXCHANGE_ADDRESS])
        for address, key in ever:
            if address == EXCHANGE_ADDRESS:
                assert slot_at(state, address, key) == leaves.pop(key, 0)
        assert not leaves
        for key in NEVER:
            assert slot_at(state, EXCHANGE_ADDRESS, key) == slot_at(state, 7, key) == 0


def test_the_last_change_is_exact_in_every_branch(chain: Chain) -> None:
    view = chain.store.view
    everything = {place for each in records_of(chain) for place in changes_of(chain, each)}
    cleared = 0
    for record in records_of(chain):
        expected, state = changes_of(chain, record), view.state_at(record)
        for address, key in everything:
            height = expected.get((address, key), 0)
            assert last_change(view, record, address, key) == height
            cleared += slot_at(state, address, key) == 0 < height
        for key in NEVER:
            assert last_change(view, record, EXCHANGE_ADDRESS, key) == 0
            assert last_change(view, record, 7, key) == 0
    assert cleared > 9


def test_a_key_of_too_many_bits_is_refused(chain: Chain) -> None:
    record = records_of(chain)[0]
    with refused(Reason.TRIE_KEY_OUT_OF_RANGE):
        slot_at(chain.store.view.state(), EXCHANGE_ADDRESS, 2**251)
    with refused(Reason.TRIE_KEY_OUT_OF_RANGE):
        last_change(chain.store.view, record, EXCHANGE_ADDRESS, -1)


def test_a_change_is_not_looked_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(drill_disk())
    chain.blocks(3)
    record = chain.store.view.block(chain.head.height)
    assert record is not None
    assert last_change(chain.store.view, record, EXCHANGE_ADDRESS, ROWS_ROOT_SLOT ^ 1) == 0
    monkeypatch.setattr(state_reads, "SLOT_VERSIONS_MAX", 2)
    with refused(Reason.BUSY):
        last_change(chain.store.view, record, EXCHANGE_ADDRESS, ROWS_ROOT_SLOT ^ 1)


def test_a_change_below_what_is_kept_is_exact_or_refused() -> None:
    chain = Chain(drill_disk())
    for client_id in range(1, 5):
        chain.act(*trade(chain, client_id))
    everything = changes_of(chain, records_of(chain)[-1])
    everything |= {(ALICE, key): 0 for key in NEVER}
    while not chain.store.prune(History.NODES, 7, 10**9, 1_000).done:
        pass
    view, refusals = chain.store.view, 0
    record = view.block(chain.head.height)
    assert record is not None
    for (address, key), height in everything.items():
        try:
            told = last_change(view, record, address, key)
        except StoreRefused:
            told, refusals = height, refusals + 1
            assert height < 7
        assert told == height
    assert 0 < refusals < len(everything)
