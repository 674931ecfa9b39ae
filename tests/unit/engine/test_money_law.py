"""The money law: zero by construction, and by how much whatever breaks it does."""

from random import Random

import pytest

from sequencer.engine.deposit_facts import Content
from sequencer.engine.money_law import money_difference
from sequencer.model.rows import Totals, Withdrawal
from sequencer.model.settlement import Money
from sequencer.model.units import ONE, QUOTE_PER_TOKEN

GENESIS = 1_000 * ONE


def withdrawal(payout: int) -> Withdrawal:
    return Withdrawal(1, 2, payout, payout)


@pytest.mark.parametrize("seed", range(20))
def test_it_holds_over_whatever_happened(seed: int) -> None:
    random = Random(seed)
    deposited = paid = credited = withdrawn = 0
    waiting: list[Content] = []
    rows: dict[int, Withdrawal] = {}
    done: set[int] = set()
    for number in range(random.randrange(60)):
        amount = random.randrange(1, 10**9)
        match random.randrange(4):
            case 0:
                deposited += amount
                waiting.append(Content(1, 2, amount))
            case 1 if waiting:
                credited += waiting.pop(0).amount
            case 2:
                rows[number] = withdrawal(amount * QUOTE_PER_TOKEN)
                withdrawn += amount
            case 3 if rows.keys() - done:
                chosen = min(rows.keys() - done)
                done.add(chosen)
                paid += rows[chosen].payout // QUOTE_PER_TOKEN
    totals = Totals(
        deposited=GENESIS + credited * QUOTE_PER_TOKEN,
        withdrawn=withdrawn * QUOTE_PER_TOKEN,
        genesis_deposited=GENESIS,
    )
    assert money_difference(Money(9, 9, deposited, paid), totals, rows, done, waiting) == 0


def test_what_breaks_it_shows_with_its_amount_and_sign() -> None:
    totals = Totals(deposited=GENESIS + 5 * ONE, withdrawn=2 * ONE, genesis_deposited=GENESIS)
    rows = {7: withdrawal(2 * ONE)}
    money = Money(1, 1, 5 * 10**6, 0)
    assert money_difference(money, totals, rows, (), ()) == 0
    twice = Money(1, 1, 5 * 10**6, 4 * 10**6)
    assert money_difference(twice, totals, rows, {7}, ()) == -2 * ONE
    assert money_difference(money, totals, rows, (), [Content(1, 2, 1)]) == -QUOTE_PER_TOKEN
    lost = Money(0, 0, 0, 0)
    assert money_difference(lost, totals, rows, (), ()) == -5 * ONE
    assert money_difference(money, totals, {}, (), ()) == 2 * ONE
