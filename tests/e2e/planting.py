"""Harm that programs of the tests do to a chain on the disk, or to a settlement chain."""

from pathlib import Path
from typing import TypeVar

import msgspec
import plyvel  # type: ignore[import-untyped]

from sequencer.chain.codec import decode_row, encode_row
from sequencer.chain.stored import TABLES
from sequencer.engine.settling import post_of
from sequencer.exchange.state import Table
from sequencer.model.records import BlockRecord, Head
from sequencer.model.rows import Account
from sequencer.model.settlement import Post, Sent, Standing, TimedPost
from sequencer.model.units import MS_PER_SECOND
from sequencer.settlement.contract_rules import ContractState
from sequencer.settlement.simulated import SimulatedChain, SimulatedSettlement
from sequencer.storage import keys
from sequencer.storage.digest import Digest
from sequencer.storage.encoding import (
    decode_record,
    decode_version,
    encode_record,
    encode_version,
)
from sequencer.storage.leveldb import DATABASE_FOLDER

OWNER, OPERATOR = 11, 12
DELAY_SECONDS = 3_600

Summed = TypeVar("Summed", Head, BlockRecord)
"""A record with a digest of all rows."""


def change_cash(data: Path, *, until: int, with_digest: bool = False) -> None:
    """Give a unit to the account that changed last up to a sequence, with a valid checksum."""
    number = TABLES[Table.ACCOUNT].number
    database = plyvel.DB(str(data / DATABASE_FOLDER))
    try:
        start, stop = keys.ROW.range(number)
        found = [key for key, _ in database.iterator(start=start, stop=stop)]
        key = max((each for each in found if keys.sequence_of(each) <= until), key=keys.sequence_of)
        before = decode_version(key, database.get(key))
        assert before is not None
        account: Account = decode_row(before, Account)
        after = encode_row(msgspec.structs.replace(account, cash=account.cash + 1))
        database.put(key, encode_version(key, after), sync=True)
        if with_digest:
            row = keys.ROW.parts(key)[1]
            assert isinstance(row, bytes)
            change = (number, row, before, after)
            head = _redigested(database, keys.HEAD.key(), Head, change)
            place = keys.BLOCK.key(head.height, head.block_sequence)
            _redigested(database, place, BlockRecord, change)
    finally:
        database.close()


def _redigested(
    database: "plyvel.DB", key: bytes, kind: type[Summed], change: tuple[int, bytes, bytes, bytes]
) -> Summed:
    """Change the digest in a record as one row's change asks for; returns the record."""
    record = decode_record(key, database.get(key), kind)
    digest = Digest(record.digest)
    digest.replace(*change)
    changed = msgspec.structs.replace(record, digest=digest.value())
    database.put(key, encode_record(key, changed), sync=True)
    return record


class ScriptedTime:
    """A settlement chain's clock that stands still."""

    def now_ms(self) -> int:
        """Return a moment."""
        return 1_000_000 * MS_PER_SECOND


class Settled(SimulatedSettlement):
    """A settlement chain where block 0 is posted; its sabotaged kinds are below."""

    def __init__(self, first: BlockRecord) -> None:
        posts = (TimedPost(post_of(first), 1_000_000),)
        state = ContractState(OWNER, OPERATOR, DELAY_SECONDS, posts)
        super().__init__(SimulatedChain(state, ScriptedTime()), OPERATOR)


class Forgetful(Settled):
    """Says that it went back, and did not."""

    async def revert_state_to(self, epoch: int, post: Post, reason_hash: int) -> Sent:
        """Do nothing."""
        return Sent(1, l2_gas=0)


class Lying(Settled):
    """Once finality has come it says another root than it was told."""

    async def standing(self) -> Standing:
        """Return what is there, with another root."""
        found = await super().standing()
        if found.finalized != found.newest or not found.newest.height:
            return found
        newest = msgspec.structs.replace(found.newest, state_root=found.newest.state_root ^ 1)
        return msgspec.structs.replace(found, newest=newest)
