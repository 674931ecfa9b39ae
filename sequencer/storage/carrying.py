"""What a chain keeps beside its blocks, taken over into a store that holds none of them yet.

Promises
- A command that a rollback undid elsewhere is refused here by the same reorg's id, and a report as
  old as one that was ever taken is refused too.
- The epoch is the one that the chain has elsewhere: no id of a reorg is given twice.

Laws
- The undone blocks themselves are not there. Each rollback has one sequence that it retired, and
  all of them lie below block 0: none can be undone, and there is no state to collect.
"""

from sequencer.model.commits import CarriedOver
from sequencer.model.records import (
    NO_HASH,
    Collection,
    DeadInterval,
    Head,
    HighWater,
    SeenMark,
)
from sequencer.ports import StoreFailed, StoreProblem, StoreRefused
from sequencer.storage import keys
from sequencer.storage.commit import Puts, put_record
from sequencer.storage.dead import DeadIntervals
from sequencer.storage.view import View


def carried_batch(view: View, carried: CarriedOver) -> Puts:
    """Build the batch that takes a part over. Refusal: COMMIT_MALFORMED."""
    if view.head.height >= 0:
        raise _refused("there are blocks already")
    try:
        return _carried(view, carried)
    except (ValueError, OverflowError) as error:
        raise _refused(str(error)) from None


def _carried(view: View, carried: CarriedOver) -> Puts:
    puts: Puts = []
    dead = view.dead
    if carried.reorgs:
        dead = _put_reorgs(puts, view, carried)
    retired = {each.epoch: each.first for each in dead.all if not each.lifted_by}
    for message_hash, until_ms, reorg_id in carried.undone:
        if len(message_hash) != len(NO_HASH) or reorg_id not in retired:
            raise _refused(f"{message_hash.hex()} is not what reorg {reorg_id} undid")
        mark = SeenMark(retired[reorg_id], until_ms)
        put_record(puts, keys.SEEN.key(message_hash), mark)
        if until_ms:
            put_record(puts, keys.SEEN_UNTIL.key(until_ms, message_hash), mark)
    for source, time in carried.high_water:
        put_record(puts, keys.HIGH_WATER.key(source), HighWater(time))
    return puts


def _put_reorgs(puts: Puts, view: View, carried: CarriedOver) -> DeadIntervals:
    if view.head.sequence:
        raise _refused("all reorgs come first, together")
    dead = DeadIntervals(
        DeadInterval(
            epoch=reorg_id,
            first=first,
            last=first,
            sequence=first + 1,
            plan_id=NO_HASH,
            effect=0,
            before=Head(),
            lifted_by=lifted_by,
            collection=Collection.DONE,
        )
        for first, (reorg_id, lifted_by) in zip(
            range(1, 2 * len(carried.reorgs), 2), carried.reorgs, strict=True
        )
    )
    epoch = len(dead.all) + sum(bool(each.lifted_by) for each in dead.all)
    try:
        dead.require_sound(epoch)
    except StoreFailed as failure:
        raise _refused(failure.detail) from None
    for each in dead.all:
        put_record(puts, keys.DEAD_INTERVAL.key(each.epoch), each)
    put_record(puts, keys.HEAD.key(), Head(sequence=2 * len(dead.all), epoch=epoch))
    return dead


def _refused(words: str) -> StoreRefused:
    return StoreRefused(StoreProblem.COMMIT_MALFORMED, words)
