"""How a block is taken back: from the state below it, and from bodies where that is gone."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sequencer.chain.account_contract import ACCOUNT
from sequencer.chain.exchange_contract import EXCHANGE
from sequencer.chain.shipped_class import SHIPPED
from sequencer.chain.stored import decode_body
from sequencer.engine import reverse_diff as module
from sequencer.engine.lookup import find_block
from sequencer.engine.reverse_diff import Reverser, reverse_diff
from sequencer.engine.rollback import resume
from sequencer.model.orders import Side
from sequencer.model.records import BlockRecord, History
from sequencer.ports import ChainView, StoreProblem, StoreRefused
from sequencer.starknet.felt_hash import sign
from sequencer.starknet.state import StateDiff
from sequencer.starknet.transactions import (
    DeclareV3,
    DeployAccountV3,
    ResourceBound,
    Terms,
    transaction_hash,
)
from tests.unit.chain.network import PRIVATE, address_of, key_of
from tests.unit.engine.following import ENTRIES, diff_of
from tests.unit.engine.rolling import Chain, deposit

DEPTH = 30
TARGET = 4
NEW_KEY = 4_321


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count in one number the bodies that are read on the way."""
    read = [0]

    def counted(data: bytes) -> Any:  # noqa: ANN401
        read[0] += 1
        return decode_body(data)

    monkeypatch.setattr(module, "decode_body", counted)
    return read


def collected() -> tuple[Chain, list[BlockRecord]]:
    """Return a chain that went back far, and its orphans, newest first; their states are gone.

    Each orphan writes slots that none before it wrote, so only the block gone back to tells them.
    """
    chain = Chain()
    for number in range(1, DEPTH + 1):
        bid = chain.rig.order("alice", Side.BUY, 59_000 - number, number)
        chain.act(deposit(number, address_of("bob"), number), bid)
    heights = range(chain.head.height, TARGET, -1)
    orphans = [find_block(chain.store.view, str(height)) for height in heights]
    chain.back(TARGET)
    resume(chain.store)
    chain.reopen()
    while chain.store.collect(1, 5_000).reorg_id:
        pass
    with pytest.raises(StoreRefused) as caught:
        chain.store.view.state_at(orphans[-1])
    assert caught.value.problem is StoreProblem.STATE_COLLECTED
    return chain, orphans


def test_many_blocks_that_are_gone_are_taken_back_with_every_body_read_once(
    bodies: list[int],
) -> None:
    chain, orphans = collected()
    view, reverser = chain.store.view, Reverser()
    together = [reverser.reverse_diff(view, each, diff_of(view, each)) for each in orphans]
    assert bodies == [DEPTH - 1]
    bodies[0] = 0
    assert together == [reverse_diff(view, each, diff_of(view, each)) for each in orphans]
    # One at a time, every block has all those below it walked through.
    assert bodies == [DEPTH * (DEPTH - 1) // 2]


def test_what_is_known_ahead_has_a_limit(bodies: list[int]) -> None:
    chain, orphans = collected()
    view, largest = chain.store.view, 0
    sizes = [len(values) for values in _known(Reverser(), view, orphans[0]).values()]
    reverser = Reverser(known_max=5 * max(sizes))
    bodies[0] = 0
    for each in orphans:
        reverse = reverser.reverse_diff(view, each, diff_of(view, each))
        assert reverse == reverse_diff(view, each, diff_of(view, each))
        largest = max(largest, sum(map(len, reverser._known.values())))
    assert 0 < largest <= 5 * max(sizes)
    assert bodies[0] < DEPTH * (DEPTH - 1) // 2 * 1.3


def _known(reverser: Reverser, view: ChainView, block: BlockRecord) -> dict[int, Any]:
    reverser.reverse_diff(view, block, diff_of(view, block))
    return reverser._known


def test_a_block_whose_parent_can_be_read_reads_no_body(bodies: list[int]) -> None:
    chain = Chain()
    chain.blocks(2)
    view = chain.store.view
    for height in (6, 5, 4):
        block = find_block(view, str(height))
        reverse_diff(view, block, diff_of(view, block))
    assert bodies == [0]


def keep_all(_: Chain) -> None:
    """Take nothing away."""


def prune_nodes(chain: Chain) -> None:
    """Keep rows alone: nonces and classes are read, slots are not."""
    chain.blocks(2)
    for each in chain.store.view.checkpoints():
        chain.store.drop_checkpoint(each.sequence)
    height = chain.head.height
    assert chain.store.prune(History.NODES, height, height, ENTRIES).done


def prune_all(chain: Chain) -> None:
    """Leave bodies alone."""
    prune_nodes(chain)
    height = chain.head.height
    assert chain.store.prune(History.ROWS, height, height, ENTRIES).done


@pytest.mark.parametrize("take_away", [keep_all, prune_nodes, prune_all])
def test_contracts_nonces_and_classes_are_taken_back(take_away: Callable[[Chain], None]) -> None:
    chain, alice = Chain(), address_of("alice")
    chain.act(chain.rig.transfer())
    key, (class_hash, compiled) = key_of(NEW_KEY), exchange_class()
    deployment = DeployAccountV3(ACCOUNT.class_hash, key, (key,), terms(0))
    declaration = DeclareV3(alice, class_hash, compiled, terms(1))
    chain.act(signed(chain, deployment, NEW_KEY), signed(chain, declaration, PRIVATE["alice"]))
    take_away(chain)
    view, new = chain.store.view, deployment.address()
    block = find_block(view, "6")
    diff = diff_of(view, block)
    assert (diff.classes, diff.nonces[new], diff.nonces[alice]) == ({new: ACCOUNT.class_hash}, 1, 2)
    assert diff.declared == {class_hash: compiled}
    reverse = reverse_diff(view, block, diff)
    assert (reverse.classes, reverse.nonces[new], reverse.nonces[alice]) == ({new: 0}, 0, 1)
    assert reverse.declared == diff.declared
    slots = {address: set(of) for address, of in diff.storage.items()}
    assert {address: set(of) for address, of in reverse.storage.items()} == slots


@pytest.mark.parametrize("take_away", [keep_all, prune_all])
def test_below_the_first_block_there_is_nothing(take_away: Callable[[Chain], None]) -> None:
    chain = Chain()
    take_away(chain)
    view = chain.store.view
    diff = diff_of(view, find_block(view, "0"))
    assert all((diff.storage, diff.classes))
    assert reverse_diff(view, find_block(view, "0"), diff) == StateDiff(
        storage={address: dict.fromkeys(slots, 0) for address, slots in diff.storage.items()},
        nonces=dict.fromkeys(diff.nonces, 0),
        classes=dict.fromkeys(diff.classes, 0),
        declared=diff.declared,
    )


def exchange_class() -> tuple[int, int]:
    return EXCHANGE.class_hash, SHIPPED[EXCHANGE.class_hash].compiled_class_hash


def terms(nonce: int) -> Terms:
    return Terms(nonce, (ResourceBound(),) * 3)


def signed(chain: Chain, bare: Any, private: int) -> Any:  # noqa: ANN401
    hash_ = transaction_hash(bare, chain.rig.state.system.chain_id)
    return msgspec.structs.replace(bare, signature=sign(private, hash_))
