"""The inbox in memory against the store: what is live, what waits, what is lost."""

from random import Random

import pytest

from sequencer.engine.deposit_facts import (
    Content,
    DepositFacts,
    content_of,
    facts_from,
    message_of,
    payload_of,
    stored_deposits,
)
from sequencer.model.bridge_limits import DEPOSITS_PER_BLOCK_MAX, INBOX_SCANNED_TOGETHER
from sequencer.model.records import InboxFact
from sequencer.model.rows import DepositRow
from tests.unit.engine.builders import Rig

CONTENT = Content(0x51D, 2**251 - 257, 10**15)


def fact(nonce: int, name: int = 0, *, retracted: bool = False) -> InboxFact:
    hash_ = (nonce * 10_000 + name + 1).to_bytes(32, "big")
    return InboxFact(nonce, hash_, hash_[::-1], payload_of(CONTENT), retracted)


def row(nonce: int, name: int = 0) -> DepositRow:
    return DepositRow(1, 1, nonce * 10_000 + name + 1)


def test_what_a_fact_is_about_comes_back() -> None:
    assert content_of(fact(3)) == CONTENT
    message = message_of(fact(3))
    assert message.calldata == (CONTENT.contract, 3, CONTENT.account, CONTENT.amount)
    assert message.nonce == 3


@pytest.mark.parametrize("seed", range(3))
def test_all_facts_are_read_whatever_the_pages(seed: int) -> None:
    random, rig = Random(seed), Rig()
    facts: list[InboxFact] = []
    nonce = 0
    while len(facts) < 2 * INBOX_SCANNED_TOGETHER:
        count = random.choice((1, 1, 2, 5, INBOX_SCANNED_TOGETHER + 7))
        facts += [fact(nonce, name, retracted=name > 0) for name in range(count)]
        nonce += 1
    rig.store.record_inbox(facts)
    for wanted in (1, 7, INBOX_SCANNED_TOGETHER):
        assert [*facts_from(rig.store.view, 0, wanted)] == facts
    assert [*facts_from(rig.store.view, nonce)] == []
    known = DepositFacts(lambda: rig.store.view)
    assert known.count == nonce
    assert [each.nonce for each in known.live(0, nonce + 5)] == [*range(nonce)]


def test_memory_that_follows_is_memory_that_is_loaded() -> None:
    random, rig = Random(5), Rig()
    facts = DepositFacts(lambda: rig.store.view)
    for turn in range(60):
        if facts.count and random.random() < 0.4:
            live = facts.live(random.randrange(facts.count), facts.count)
            gone = [fact_as(each, retracted=True) for each in reversed(live)]
            rig.store.record_inbox(gone)
            facts.note_retracted(gone)
        else:
            new = [fact(facts.count + each, turn % 3) for each in range(random.randrange(1, 4))]
            rig.store.record_inbox(new)
            facts.note_live(new)
        again = DepositFacts(lambda: rig.store.view)
        assert (again.count, again.chain_hash) == (facts.count, facts.chain_hash)
        # No key is left of what came back: each look and each block goes through all of them.
        assert again._retracted == facts._retracted
        lower = random.randrange(facts.count + 1)
        assert again.chain_hash_of(lower) == facts.chain_hash_of(lower)
        deposits = {nonce: row(nonce, random.randrange(3)) for nonce in range(6)}
        assert again.unmade(deposits) == facts.unmade(deposits)
        assert again.status(deposits) == facts.status(deposits)


def fact_as(each: InboxFact, *, retracted: bool) -> InboxFact:
    return InboxFact(each.nonce, each.message_hash, each.chain_hash, each.payload, retracted)


def test_what_is_due_is_in_order_and_bounded() -> None:
    rig = Rig()
    count = DEPOSITS_PER_BLOCK_MAX + 20
    rig.store.record_inbox([fact(nonce) for nonce in range(count)])
    facts = DepositFacts(lambda: rig.store.view)
    assert [each.nonce for each in facts.due({})] == [*range(DEPOSITS_PER_BLOCK_MAX)]
    credited = {nonce: row(nonce) for nonce in range(DEPOSITS_PER_BLOCK_MAX)}
    assert [each.nonce for each in facts.due(credited)] == [*range(DEPOSITS_PER_BLOCK_MAX, count)]
    assert facts.pending(credited) == 20
    assert not facts.due({nonce: row(nonce) for nonce in range(count)})


def test_nothing_is_due_while_facts_are_doubted() -> None:
    rig = Rig()
    rig.store.record_inbox([fact(0), fact(1)])
    facts = DepositFacts(lambda: rig.store.view)
    facts.is_doubted = True
    assert (facts.waits({}), facts.due({}), facts.pending({})) == (False, (), 2)
    facts.is_doubted = False
    assert (facts.waits({}), len(facts.due({}))) == (True, 2)


def test_a_hole_that_was_unmade_is_filled_first() -> None:
    rig = Rig()
    rig.store.record_inbox([fact(0), fact(1, 1, retracted=True), fact(1, 2), fact(2), fact(3)])
    facts = DepositFacts(lambda: rig.store.view)
    lost = {0: row(0), 1: row(1, 1), 2: row(2)}
    assert (facts.unmade(lost), facts.due(lost)) == ([1], ())
    # What waits: the live deposit of nonce 1, and nonce 3.
    assert (facts.pending(lost), facts.next_nonce(lost)) == (2, 3)
    hole = {0: row(0), 2: row(2)}
    assert (facts.next_nonce(hole), facts.pending(hole)) == (1, 2)
    assert [each.nonce for each in facts.due(hole)] == [1, 3]


def test_deposits_of_another_origin_are_nobody_s_business() -> None:
    rig = Rig()
    facts = DepositFacts(lambda: rig.store.view)
    assert facts.status({7: row(7), 8: row(8)}).pending == 0
    assert facts.unmade({7: row(7)}) == []
    assert stored_deposits(rig.store.view.state()) == {}
