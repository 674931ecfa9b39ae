"""What a rollback would undo: counted from the blocks, compared between two states.

Promises
- Read-only, and from one view. The same view gives the same impact, so it may be part of a plan's
  hash.

Laws
- What reappears is found by comparing states, not by replaying commands: a key that was revoked and
  would be back is listed, one that was added and revoked in between is not.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sequencer.chain.block import Block
from sequencer.chain.exchange_contract import read_event
from sequencer.chain.exchange_views import margin_figures
from sequencer.engine.deposit_facts import DepositFacts
from sequencer.engine.settings_back import SettingChange, changed_settings
from sequencer.exchange.state import State
from sequencer.model.commands import (
    RemovePublisher,
    RevokeSubkey,
    SecurityCommand,
    SetGuard,
    SetOperator,
)
from sequencer.model.events import (
    CloseReason,
    Credited,
    DepositUnmade,
    Event,
    Fill,
    FundingIndexMoved,
    FundingPaid,
    LiquidationEnded,
    OrderClosed,
    OrderOpened,
    Withdrawn,
)
from sequencer.model.limits import IMPACT_CHANGES_MAX
from sequencer.starknet.felt import Felt

_COUNTED = (
    OrderOpened,
    OrderClosed,
    Fill,
    FundingIndexMoved,
    FundingPaid,
    LiquidationEnded,
    Credited,
    DepositUnmade,
    Withdrawn,
)


class DepositUndone(msgspec.Struct, frozen=True):
    """A deposit that waits again, with the same nonce. Amount in 1e-8 quote.

    `is_gone`: it does not, for the settlement chain has lost it.
    """

    nonce: int
    account: int
    amount: int
    height: int
    is_gone: bool = False


class WithdrawalUndone(msgspec.Struct, frozen=True):
    """A withdrawal that was never asked for any more. Payout in 1e-8 quote."""

    withdrawal_id: int
    account: int
    recipient: int
    payout: int
    height: int


class BalanceChange(msgspec.Struct, frozen=True):
    """An account's value in 1e-8 quote, now and at the target."""

    account: int
    value_now: int
    value_then: int


class PositionChange(msgspec.Struct, frozen=True):
    """A position's size in 1e-8 base, now and at the target."""

    account: int
    market: str
    size_now: int
    size_then: int


class Collateral(msgspec.Struct, frozen=True):
    """What all accounts together brought in and did not take out, now and at the target, and what
    the blocks in between say of it; all in 1e-8 quote.
    """

    now: int
    then: int
    deposited: int
    unmade: int
    withdrawn: int

    @property
    def unexplained(self) -> int:
        """Return what no deposit and no withdrawal accounts for: 0 where all is well."""
        return self.now - self.then - self.deposited + self.unmade + self.withdrawn


class Impact(msgspec.Struct, frozen=True):
    """What would be undone. Fees and funding are not listed one by one: values include them.

    `accounts` counts those whose row, positions or orders differ. The changes are the largest, by
    amount and then address. `security` is what would silently come back: each can be done again.
    `unread` counts blocks that cannot be read any more: nothing of them is counted. Where
    `is_compared` is False the state at the head cannot be read, and nothing is compared. `lost` are
    the nonces that stay credited although the settlement chain has lost them. `cancels` are the
    orders among `orders_closed` that were not filled. `collateral` is None where not all was read.
    `settings` go back to what they were, and nothing sets them again.
    """

    blocks: int
    unread: int
    is_compared: bool
    transactions: int
    orders_opened: int
    orders_closed: int
    cancels: int
    fills: int
    funding_ticks: int
    funding_payments: int
    liquidations: int
    deposits: Sequence[DepositUndone]
    withdrawals: Sequence[WithdrawalUndone]
    accounts: int
    balances: Sequence[BalanceChange]
    positions: Sequence[PositionChange]
    security: Sequence[SecurityCommand]
    lost: Sequence[int] = ()
    collateral: Collateral | None = None
    settings: Sequence[SettingChange] = ()


def measure_impact(
    undone: Iterable[Block | None], now: State | None, then: State, facts: DepositFacts
) -> Impact:
    """Count what blocks did, and compare the state after them with the one before.

    None is a block, or a state, that cannot be read: damage is what one goes back from.
    """
    counted = _count(undone, facts)
    compared = _compared(now, then)
    accounts, balances, positions, security, settings = compared or (0, (), (), (), ())
    events = counted.events
    return Impact(
        blocks=counted.blocks,
        unread=counted.unread,
        is_compared=compared is not None,
        transactions=counted.transactions,
        orders_opened=events[OrderOpened],
        orders_closed=events[OrderClosed],
        cancels=counted.cancels,
        fills=events[Fill],
        funding_ticks=events[FundingIndexMoved],
        funding_payments=events[FundingPaid],
        liquidations=events[LiquidationEnded],
        deposits=tuple(counted.deposits),
        withdrawals=tuple(counted.withdrawals),
        accounts=accounts,
        balances=balances,
        positions=positions,
        security=security,
        lost=tuple(facts.unmade(then.deposits)),
        collateral=_collateral(counted, now, then),
        settings=settings,
    )


class _Counted:
    """What blocks did, as it is counted."""

    def __init__(self) -> None:
        self.blocks = self.unread = self.transactions = self.cancels = self.unmade = 0
        self.events: Counter[type[Event]] = Counter()
        self.deposits: list[DepositUndone] = []
        self.withdrawals: list[WithdrawalUndone] = []


def _count(undone: Iterable[Block | None], facts: DepositFacts) -> _Counted:
    counted = _Counted()
    for block in undone:
        counted.blocks += 1
        if block is None:
            counted.unread += 1
            continue
        counted.transactions += len(block.transactions)
        for hash_, event in _told(block, _COUNTED):
            counted.events[type(event)] += 1
            match event:
                case OrderClosed(reason=reason):
                    counted.cancels += reason is not CloseReason.FILLED
                case Withdrawn():
                    counted.withdrawals.append(_withdrawal(event, block.header.number))
                case Credited(nonce=nonce, account=account, amount=amount):
                    place = (nonce, account, amount, block.header.number)
                    is_gone = facts.is_retracted(nonce, hash_)
                    counted.deposits.append(DepositUndone(*place, is_gone))
                case DepositUnmade(amount=amount):
                    counted.unmade += amount
    return counted


def _collateral(counted: _Counted, now: State | None, then: State) -> Collateral | None:
    if now is None or counted.unread:
        return None
    try:
        sums = [state.totals.deposited - state.totals.withdrawn for state in (now, then)]
    except KeyError:  # Not even the row of the totals.
        return None
    return Collateral(
        now=sums[0],
        then=sums[1],
        deposited=sum(each.amount for each in counted.deposits),
        unmade=counted.unmade,
        withdrawn=sum(each.payout for each in counted.withdrawals),
    )


_Compared = tuple[
    int,
    Sequence[BalanceChange],
    Sequence[PositionChange],
    Sequence[SecurityCommand],
    Sequence[SettingChange],
]


def _compared(now: State | None, then: State) -> _Compared | None:
    if now is None:
        return None
    try:
        touched = sorted(_touched(now, then))
        changes = tuple(_balances(now, then, touched)), tuple(_positions(now, then, touched))
        back = tuple(_security(now, then)), changed_settings(now, then)
        return len(touched), *changes, *back
    except KeyError:  # A market without its price, an account without its market.
        return None


def events_of(block: Block, kinds: tuple[type[Event], ...]) -> Iterator[Event]:
    """Yield what the exchange said in a block, in order, of some kinds."""
    return (event for _, event in _told(block, kinds))


def _told(block: Block, kinds: tuple[type[Event], ...]) -> Iterator[tuple[Felt, Event]]:
    """Yield the events of some kinds, each with the hash of its transaction."""
    for receipt in block.receipts:
        for event in receipt.events:
            read = read_event(event)
            if isinstance(read, kinds):
                yield receipt.transaction_hash, read


def _withdrawal(event: Withdrawn, height: int) -> WithdrawalUndone:
    place = (event.withdrawal_id, event.account, event.recipient, event.payout)
    return WithdrawalUndone(*place, height)


def _touched(now: State, then: State) -> set[int]:
    accounts = {
        account
        for account in now.accounts.keys() | then.accounts.keys()
        if now.accounts.get(account) != then.accounts.get(account)
    }
    for table in ("positions", "orders"):
        one, other = getattr(now, table), getattr(then, table)
        for key in one.keys() | other.keys():
            if one.get(key) != other.get(key):
                row = one.get(key) or other.get(key)
                accounts.add(key[0] if table == "positions" else row.order.account)
    return accounts


def _balances(now: State, then: State, accounts: Iterable[int]) -> list[BalanceChange]:
    changes = [
        BalanceChange(
            account, margin_figures(now, account).value, margin_figures(then, account).value
        )
        for account in accounts
    ]
    changed = [change for change in changes if change.value_now != change.value_then]
    changed.sort(key=lambda change: (-abs(change.value_then - change.value_now), change.account))
    return changed[:IMPACT_CHANGES_MAX]


def _positions(now: State, then: State, accounts: Iterable[int]) -> list[PositionChange]:
    changes = []
    for account in accounts:
        one, other = now.holding(account).positions, then.holding(account).positions
        for market in sorted(one.keys() | other.keys()):
            sizes = [of[market].size if market in of else 0 for of in (one, other)]
            if sizes[0] != sizes[1]:
                changes.append(PositionChange(account, market, *sizes))
    changes.sort(key=lambda change: (-abs(change.size_then - change.size_now), change.account))
    return changes[:IMPACT_CHANGES_MAX]


def _security(now: State, then: State) -> Iterator[SecurityCommand]:
    for account, key in sorted(then.subkeys.keys() - now.subkeys.keys()):
        yield RevokeSubkey(account, key)
    for name, row in sorted(then.publishers.items()):
        if now.publishers.get(name) != row:
            yield RemovePublisher(name)
    if now.system.operator != then.system.operator:
        yield SetOperator(now.system.operator)
    for guard in sorted(set(then.system.guards_off) - set(now.system.guards_off)):
        yield SetGuard(guard, True)
