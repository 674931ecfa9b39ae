"""Where it went wrong: stored blocks that are not what execution says, and what a guard missed."""

from collections.abc import Callable

import pytest

from sequencer.chain.block import verify_block
from sequencer.chain.stored import Body
from sequencer.engine import suggest as suggest_module
from sequencer.engine.suggest import Suggestion, suggest
from sequencer.exchange.state import Table
from sequencer.model.commands import Fault, FaultKind, SetGuard
from sequencer.model.events import FaultDone, GuardViolated
from sequencer.model.laws import Law, LawBroken
from sequencer.model.refusals import Reason
from sequencer.model.rows import Guard
from sequencer.storage.encoding import pack
from tests.unit.chain.network import MARKET, address_of
from tests.unit.engine.damage import (
    a_receipt_less,
    a_transaction_less,
    another_diff,
    another_receipt,
    body_key,
    change_body,
    change_header,
    planted,
    put,
)
from tests.unit.engine.rolling import Chain, disk_with_bids, drill_disk, events, refused


@pytest.fixture
def chain() -> Chain:
    """A chain at block 8 with checkpoints at 5 and 7."""
    chain = Chain(disk_with_bids())
    chain.store.create_checkpoint(5, "early", "olga")
    chain.store.create_checkpoint(7, "late", "olga")
    return chain


def search(chain: Chain, since: object = 0) -> Suggestion:
    """Search without writing anything."""
    before = chain.disk.writes
    found = suggest(chain.store.view, str(since))
    assert chain.disk.writes == before
    return found


def test_a_sound_chain_has_nothing_to_find(chain: Chain) -> None:
    assert search(chain) == Suggestion(0, 0, "", 8, "late", 7)
    assert search(chain, 8) == Suggestion(8, 0, "", 8, "late", 7)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (another_receipt, "the receipt of transaction 0"),
        (a_receipt_less, "receipts of block 6"),
        (a_transaction_less, "receipts of block 6"),
        (another_diff, "state diff of block 6"),
    ],
)
def test_a_body_that_was_changed_is_found(
    chain: Chain, change: Callable[[Body], Body], words: str
) -> None:
    change_body(chain, 6, change)
    assert search(chain) == Suggestion(0, 6, words, 5, "early", 5)


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x01", b"\x01{}", b"\x01\x93\x01\x02\x03"])
def test_a_body_that_cannot_be_read_is_found(chain: Chain, content: bytes) -> None:
    key = body_key(chain, 6)
    put(chain.disk, key, pack(key, content))
    chain.load()
    found = search(chain)
    assert (found.bad_height, found.good_height) == (6, 5)
    assert found.what


def test_a_body_that_is_gone_is_found(chain: Chain) -> None:
    put(chain.disk, body_key(chain, 6), None)
    chain.load()
    assert "no body" in search(chain).what


def test_a_header_that_was_changed_is_found(chain: Chain) -> None:
    change_header(chain, 7)
    assert search(chain) == Suggestion(0, 7, "header of block 7", 6, "early", 5)


def test_a_search_begins_where_it_is_told_to(chain: Chain) -> None:
    change_body(chain, 6, another_receipt)
    change_body(chain, 8, another_receipt)
    assert search(chain).bad_height == search(chain, 5).bad_height == 6
    later = search(chain, 6)
    assert (later.since_height, later.bad_height, later.good_height) == (6, 8, 7)
    assert search(chain, 8).bad_height == 0


def test_no_checkpoint_below_is_none(chain: Chain) -> None:
    for checkpoint in chain.store.view.checkpoints():
        chain.store.drop_checkpoint(checkpoint.sequence)
    chain.store.create_checkpoint(6, "too late", "olga")
    change_body(chain, 6, another_receipt)
    assert search(chain) == Suggestion(0, 6, "the receipt of transaction 0", 5, "", 0)


def test_checkpoints_of_undone_blocks_do_not_count(chain: Chain) -> None:
    chain.back(6)
    chain.reopen()
    chain.blocks(1)
    found = search(chain)
    assert (found.good_height, found.checkpoint) == (8, "early")


def test_an_orphan_is_no_start(chain: Chain) -> None:
    orphan = "0x" + chain.head.block_hash.hex()
    chain.back(6)
    with refused(Reason.TARGET_ORPHANED, chain.disk):
        search(chain, orphan)
    with refused(Reason.BLOCK_UNKNOWN, chain.disk):
        search(chain, 7)


def test_a_start_that_is_not_its_headers_is_refused(chain: Chain) -> None:
    planted(chain.disk, Table.ORDER, 6)
    with refused(Reason.TARGET_ROOT_DIFFERS, chain.disk, "block 6"):
        search(chain, 6)
    # From below it is not met: blocks are executed, and their rows are not read.
    assert search(chain, 5).bad_height == 0


def test_a_law_that_breaks_is_what_is_found(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:

    def breaking(*parts: object) -> None:
        if parts[3].header.number == 7:  # type: ignore[attr-defined]
            raise LawBroken(Law.ZERO_SUM, MARKET)
        verify_block(*parts)  # type: ignore[arg-type]

    monkeypatch.setattr(suggest_module, "verify_block", breaking)
    found = search(chain)
    assert (found.bad_height, found.what) == (7, f"ZERO_SUM: {MARKET}")


def test_what_passed_because_a_guard_was_off_is_found() -> None:
    chain = Chain(drill_disk())
    chain.act(SetGuard(Guard.PRICE_STEP, False))
    chain.act(SetGuard(Guard.TRIPWIRE, False))
    receipts = chain.act(price=90_000)
    assert any(isinstance(event, GuardViolated) for event in events(receipts))
    chain.blocks(1)
    found = search(chain)
    assert (found.bad_height, found.good_height) == (8, 7)
    assert found.what.startswith("guard PRICE_STEP was off: ")
    assert search(chain, 8).bad_height == 0


def test_harm_that_a_drill_did_is_found() -> None:
    chain = Chain(drill_disk())
    chain.act(chain.rig.bid(1))
    receipts = chain.act(Fault(FaultKind.LOST_ORDER, MARKET, address_of("alice")))
    assert any(isinstance(event, FaultDone) for event in events(receipts))
    found = search(chain)
    assert (found.bad_height, found.what) == (7, f"fault LOST_ORDER {MARKET}")


def test_a_fault_that_a_guard_would_have_stopped_is_found() -> None:
    chain = Chain(drill_disk())
    chain.act(SetGuard(Guard.ZERO_PRICE, False))
    receipts = chain.act(Fault(FaultKind.ZERO_PRICE, MARKET))
    assert any(isinstance(event, FaultDone) for event in events(receipts))
    found = search(chain)
    assert (found.bad_height, found.good_height) == (7, 6)
    assert found.what.startswith("guard ZERO_PRICE was off: ")
    # Going back to the block below it gives a chain in which nothing is found.
    chain.back(found.good_height)
    chain.reopen()
    chain.blocks(1)
    assert search(chain).bad_height == 0
