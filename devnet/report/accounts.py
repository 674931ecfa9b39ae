"""What a rollback's branch did to accounts: their value before, at the worst, and afterwards.

Promises
- Values are those of the exchange itself, with every open position at the mark of the block.
- Where a branch is long, blocks at equal distances are looked at, the first and the last among
  them, and the facts say how many.

Laws
- The most hit are those whose value fell most below that before the harm, by address where equal.
"""

from collections.abc import Sequence
from heapq import nsmallest
from typing import TypeVar

from devnet.report.blocks import orphaned_branches
from devnet.report.facts import AccountFact, AccountsFact
from sequencer.chain.exchange_views import margin_figures
from sequencer.engine.lookup import find_block, state_at
from sequencer.exchange.state import State
from sequencer.model.recorded_limits import REPORT_ACCOUNTS_MAX, REPORT_STATES_MAX
from sequencer.ports import ChainView

_Values = dict[int, int]
_T = TypeVar("_T")


def read_accounts(view: ChainView) -> AccountsFact | None:
    """Follow the accounts that the newest rollback's branch hit most; None where there is none.

    Failures and refusals: those of a read.
    """
    branch = max(orphaned_branches(view), default=(0, []), key=lambda each: each[0])[1]
    if not branch:
        return None
    good_height, head_height = branch[0].height - 1, view.head.height
    good = state_at(view, find_block(view, str(good_height)))
    before = _values(good)
    undone = [(block.height, _values(state_at(view, block))) for block in _spread(branch)]
    heights = _spread(range(good_height + 1, head_height + 1))
    after = [(height, _values_at(view, height)) for height in heights]
    worst = {account: _worst(account, undone) for account in before}
    lost = [account for account in before if worst[account][1] < before[account]]
    hit = nsmallest(
        REPORT_ACCOUNTS_MAX, lost, key=lambda each: (worst[each][1] - before[each], each)
    )
    after = after or [(good_height, before)]
    facts = [
        AccountFact(
            account=account,
            role=_role(good, account),
            before=before[account],
            worst=worst[account][1],
            worst_height=worst[account][0],
            back=after[0][1].get(account, 0),
            back_height=after[0][0],
            now=after[-1][1].get(account, 0),
            undone=((good_height, before[account]), *_series(account, undone)),
            live=((good_height, before[account]), *_series(account, after)),
        )
        for account in hit
    ]
    return AccountsFact(
        good_height=good_height,
        bad_height=branch[-1].height,
        head_height=head_height,
        undone=len(branch),
        looked_at=len(undone),
        lost=len(lost),
        accounts=facts,
    )


def _spread(items: Sequence[_T]) -> list[_T]:
    count = len(items)
    if count <= REPORT_STATES_MAX:
        return list(items)
    last = REPORT_STATES_MAX - 1
    places = {number * (count - 1) // last for number in range(REPORT_STATES_MAX)}
    return [items[place] for place in sorted(places)]


def _values_at(view: ChainView, height: int) -> _Values:
    return _values(state_at(view, find_block(view, str(height))))


def _values(state: State) -> _Values:
    return {account: margin_figures(state, account).value for account in state.accounts}


def _worst(account: int, undone: Sequence[tuple[int, _Values]]) -> tuple[int, int]:
    """Return where an account was worth least first, and what it was worth there."""
    seen = [(values.get(account, 0), height) for height, values in undone]
    value, height = min(seen)
    return height, value


def _series(account: int, states: Sequence[tuple[int, _Values]]) -> list[tuple[int, int]]:
    return [(height, values.get(account, 0)) for height, values in states]


def _role(state: State, account: int) -> str:
    system = state.system
    return {system.insurance: "insurance", system.fees: "fees"}.get(account, "trader")
