"""What happened on a settlement chain, and whether it is a history that this chain could cause.

Laws
- A post stands on the newest live one, in the current epoch, and names a block that this chain
  had; one that a rollback has undone is not posted once the contract was told of the rollback.
- A revert raises the epoch by one and stops at a live post. Every rollback caused one.
- Holds and releases alternate, and what is held is a plan of this chain. What is final stays, and
  what a rollback takes back is held for it.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from scripts.crashing.checking import Violation
from sequencer.engine.settling import Place, place_of, plan_felt, post_of
from sequencer.model.records import IncidentKind
from sequencer.model.settlement import Post, Standing
from sequencer.ports import ChainView


class Posted(NamedTuple):
    """A block was posted."""

    epoch: int
    post: Post


class Reverted(NamedTuple):
    """Every post above a block was retired, and `epoch` began."""

    epoch: int
    height: int
    root: int
    reason: int


class Finalized(NamedTuple):
    """A block, and all below it, became final."""

    height: int


class Held(NamedTuple):
    """A plan began to hold finality."""

    plan: int


class Released(NamedTuple):
    """A hold ended."""


Told: TypeAlias = Posted | Reverted | Finalized | Held | Released


class _Contract:
    """The contract as it follows from what was told, call by call."""

    def __init__(self, view: ChainView, first: Post, *, faulty: bool) -> None:
        self.posts, self.final, self.epoch, self.hold = [first], first.height, 0, 0
        self._view, self._faulty = view, faulty
        self._plans = {plan_felt(each.plan_id) for each in view.journals()}
        self._reorgs = {
            plan_felt(each.plan_id): each.after.epoch
            for each in view.incidents()
            if each.kind is IncidentKind.ROLLBACK
        }
        self.reconciled: set[int] = set()

    def take(self, told: Told) -> None:
        match told:
            case Posted():
                self._post(told)
            case Reverted():
                self._revert(told)
            case Finalized(height=height):
                _require(not self.hold, f"{told} under a hold")
                _require(height > self.final, f"{told} below {self.final}")
                self.final = height
            case Held(plan=plan):
                _require(not self.hold, f"{told} while {self.hold:#x} holds")
                _require(plan in self._plans, f"{told}, no plan of this chain")
                self.hold = plan
            case Released():
                _require(self.hold != 0, "a release of nothing")
                self.hold = 0

    def _post(self, told: Posted) -> None:
        post, newest = told.post, self.posts[-1]
        _require(told.epoch == self.epoch, f"{told} in epoch {self.epoch}")
        _require(post.height > newest.height, f"{told} on top of block {newest.height}")
        block = self._view.block_by_hash(post.block_hash.to_bytes(32, "big"))
        if block is None or post_of(block) != post:
            raise Violation(f"{told}: no block that this chain ever had")
        undone = self._view.orphaned_by(block)
        _require(undone not in self.reconciled, f"{told}, which reorg {undone} has undone")
        self.posts.append(post)

    def _revert(self, told: Reverted) -> None:
        _require(told.epoch == self.epoch + 1, f"{told} in epoch {self.epoch}")
        _require(told.height >= self.final, f"{told}, and block {self.final} is final")
        kept = [post for post in self.posts if post.height <= told.height]
        newest = kept[-1] if kept else None
        found = newest is not None and (newest.height, newest.state_root) == told[1:3]
        _require(found, f"{told}, and no such post is live")
        # A reorg over there may have taken the hold, or a revert for which nothing is left to do.
        is_held = self.hold == told.reason or kept == self.posts or self._faulty
        _require(is_held, f"{told} takes posts back, held for {self.hold:#x}")
        self.posts, self.epoch, self.hold = kept, told.epoch, 0
        if told.reason in self._reorgs:
            self.reconciled.add(self._reorgs[told.reason])

    def require_all_told(self) -> None:
        missing = set(self._reorgs.values()) - self.reconciled
        _require(self._faulty or not missing, f"never told of reorgs {missing}")


def check_history(
    view: ChainView, calls: Sequence[Told], standing: Standing, *, faulty: bool
) -> None:
    """Compare what happened over there with this chain, and with how the contract stands.

    `calls` begin with the genesis block's post. `faulty`: that chain had reorgs. Raises Violation.
    """
    first, *later = calls
    if not isinstance(first, Posted):
        raise Violation(f"the first of the history is {first}")
    contract = _Contract(view, first.post, faulty=faulty)
    for told in later:
        contract.take(told)
    contract.require_all_told()
    stands = (standing.newest, standing.finalized.height, standing.epoch, standing.hold)
    follows = (contract.posts[-1], contract.final, contract.epoch, contract.hold)
    _require(stands == follows, f"the contract says {stands}, its history {follows}")
    _require(standing.hold == 0, f"{standing.hold:#x} still holds finality")
    for post in contract.posts:
        place = place_of(post, view)
        _require(place is Place.LIVE, f"{post} is live there, and {place.value} here")


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise Violation(words)
