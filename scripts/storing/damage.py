"""Damage to the files of a real store: refused by name, or harmless, and never a wrong answer.

Promises
- A store with tables, a log, rollbacks and collected state is copied, damaged in one place or two,
  and opened. Seeds that share a store are next to each other.

Laws
- What opens says, to the last byte, what was written, and its head is the last one. What does not
  open, or cannot be read, says by name what is wrong; nothing else is ever raised.
- What was harmless takes another block, and has it when it is opened once more.
- A witness that is damaged never opens an older store, and an older store is never opened beside a
  witness.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from random import Random
from typing import NamedTuple

from scripts.campaigning.seeds import Outcome
from scripts.crashing.checking import Violation
from scripts.storing.chains import Said, rollback, say
from scripts.storing.histories import commit
from sequencer.model.records import Head, History, Stage
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.folder import WITNESS_SUFFIX, open_folder, witness_beside
from sequencer.storage.leveldb import DATABASE_FOLDER
from sequencer.storage.lock import TOKEN_FILE

SEEDS_WHOLE, SEEDS_RELEASE = 1_000, 2_400
"""Damaged stores of a sample and of a release."""

SEEDS_TOGETHER = 20
"""Seeds that damage copies of one store."""

BLOCKS = 36
HARMLESS = "harmless"

_ROLLED_BACK, _COMPACTED, _COPIED, _COLLECTED = {14, 30}, {9, 20}, {5, 12, 22, 33}, 24
_BACK_BLOCKS = 4
_SECTOR_BYTES, _GARBAGE_BYTES_MAX = 512, 2_000
_TWICE_PART = 5
_WITNESS = "witness"


class World(NamedTuple):
    """A pristine data folder with its witness, older copies of both, and all that it says."""

    folder: Path
    copies: list[Path]
    head: Head
    said: Said


Harm = Callable[[Path, Random, World], None]


def make_world(base: Path, random: Random) -> World:
    """Make a store, copying it as it grows: tables by compaction, then a log."""
    folder, copies = base / "data", list[Path]()
    store = open_folder(folder, create=True)
    for number in range(BLOCKS):
        commit(store, random)
        if number in _ROLLED_BACK:
            _roll_back(store)
        if number in _COMPACTED:
            for history in History:
                store.compact(history)
        if number in _COPIED:
            store.close()
            copies.append(copied(folder, base / f"copy {number}"))
            store = open_folder(folder)
        if number == _COLLECTED:
            store.collect(1, 20)
    said, head = say(store), store.head
    store.close()
    return World(folder, copies, head, said)


def _roll_back(store: ChainStore) -> None:
    order = rollback(store, store.head.height - _BACK_BLOCKS)
    store.prepare(order)
    store.roll_back(order)
    for stage in (Stage.SETTLED, Stage.NOTIFIED, Stage.DONE):
        store.advance(order.plan_id, stage)


def copied(folder: Path, to: Path) -> Path:
    """Copy a data folder and its witness in place of what is there."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to)
    shutil.copyfile(witness_beside(folder), witness_beside(to))
    return to


def flip_bit(path: Path, random: Random, _: World) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    if data:
        at = random.randrange(len(data) * 8)
        data[at >> 3] ^= 1 << (at & 7)
        path.write_bytes(data)


def zero_block(path: Path, random: Random, _: World) -> None:
    """Fill a sector of a file with zeros."""
    data = bytearray(path.read_bytes())
    if data:
        at = random.randrange(len(data)) & -_SECTOR_BYTES
        data[at : at + _SECTOR_BYTES] = bytes(len(data[at : at + _SECTOR_BYTES]))
        path.write_bytes(data)


def cut(path: Path, random: Random, _: World) -> None:
    """Cut a file anywhere."""
    os.truncate(path, random.randrange(path.stat().st_size + 1))


def delete(path: Path, _: Random, __: World) -> None:
    """Take a file away."""
    path.unlink()


def put_older(path: Path, random: Random, world: World) -> None:
    """Put an older copy of a file in place; of a database's, or one of a name that is gone."""
    copy = random.choice(world.copies)
    if path.parent.name != DATABASE_FOLDER:
        older = witness_beside(copy) if path.suffix == WITNESS_SUFFIX else copy / path.name
        shutil.copyfile(older, path)
        return
    older = random.choice(sorted((copy / DATABASE_FOLDER).iterdir()))
    shutil.copyfile(older, path.parent / older.name)


def append_garbage(path: Path, random: Random, _: World) -> None:
    """Append bytes of no meaning."""
    with path.open("ab") as file:
        file.write(random.randbytes(random.randrange(1, _GARBAGE_BYTES_MAX)))


HARMS: Mapping[str, tuple[int, Harm]] = {
    "bit flipped": (4, flip_bit),
    "sector zeroed": (2, zero_block),
    "cut": (3, cut),
    "lost": (1, delete),
    "older copy": (2, put_older),
    "garbage appended": (1, append_garbage),
}
"""What can happen to a file, with how often out of some."""

KINDS: Mapping[str, int] = {
    "log": 5,
    "table": 5,
    "manifest": 3,
    "current": 2,
    "token": 1,
    _WITNESS: 3,
    "folder": 1,
}
"""What is damaged, with how often out of some; `folder` is an older copy of all but the witness."""

HAPPENINGS = (
    *(f"{kind}, {harm}" for kind in KINDS if kind != "folder" for harm in HARMS),
    "older copy of the whole folder",
    "damaged twice",
    *(StoreProblem.STORE_CORRUPT.value, StoreProblem.HEAD_BELOW_WITNESS.value, HARMLESS),
    *("harmless, without a witness", "went on afterwards"),
)
"""What has to come about in a whole campaign, each at least once."""


def play(seeds: Sequence[int]) -> list[Outcome]:
    """Damage a store for each seed."""
    outcomes = []
    for group, members in groupby(seeds, lambda seed: (seed - 1) // SEEDS_TOGETHER):
        with tempfile.TemporaryDirectory(prefix="perpchain-damage-") as name:
            world = make_world(Path(name), Random(f"world {group}"))
            outcomes += [_play_one(seed, world) for seed in members]
    return outcomes


def _play_one(seed: int, world: World) -> Outcome:
    random, counts = Random(f"damage {seed}"), Counter[str]()
    folder = copied(world.folder, world.folder.with_name("damaged"))
    names = damage(folder, random, world)
    counts["stores"] = 1
    counts.update(names if len(names) == 1 else [*names, "damaged twice"])
    try:
        counts.update(outcome(folder, world))
    except Exception as error:  # Whatever else is raised is no refusal by name.
        return Outcome(seed, f"damage {seed}, {', then '.join(names)}: {error!r}", dict(counts))
    return Outcome(seed, "", dict(counts))


def damage(folder: Path, random: Random, world: World) -> list[str]:
    """Damage a copy of the world's folder in one place or two; says where and how."""
    kind = random.choices([*KINDS], [*KINDS.values()])[0]
    if kind == "folder":
        shutil.rmtree(folder)
        shutil.copytree(random.choice(world.copies), folder)
        return ["older copy of the whole folder"]
    names = [_damage_one(kind, folder, random, world)]
    if kind != _WITNESS and random.randrange(_TWICE_PART) == 0:
        # Without its witness an older store could not be told from the newest one.
        others = {name: share for name, share in KINDS.items() if name not in (_WITNESS, "folder")}
        another = random.choices([*others], [*others.values()])[0]
        names.append(_damage_one(another, folder, random, world))
    return names


def _damage_one(kind: str, folder: Path, random: Random, world: World) -> str:
    harm = random.choices([*HARMS], [share for share, _ in HARMS.values()])[0]
    paths = sorted(path for path in files_of(folder, kind) if path.exists())
    if paths:
        HARMS[harm][1](random.choice(paths), random, world)
    return f"{kind}, {harm}"


def files_of(folder: Path, kind: str) -> Sequence[Path]:
    """List the files of a kind in a data folder, or beside it."""
    database = folder / DATABASE_FOLDER
    match kind:
        case "log":
            return [*database.glob("*.log")]
        case "table":
            return [*database.glob("*.ldb")]
        case "manifest":
            return [*database.glob("MANIFEST-*")]
        case "current":
            return [database / "CURRENT"]
        case "token":
            return [folder / TOKEN_FILE]
    return [witness_beside(folder)]


def outcome(folder: Path, world: World) -> list[str]:
    """Open a damaged store and say by name what came of it. Raises Violation, and what leaks."""
    try:
        store = open_folder(folder)
    except StoreFailed as failure:
        return [failure.problem.value]
    try:
        if store.head != world.head:
            raise Violation(f"an older head, {store.head}")
        if say(store) != world.said:
            raise Violation("a wrong answer")
        if not store.acknowledged:
            return ["harmless, without a witness"]
        commit(store, Random("afterwards"))
    except StoreFailed as failure:
        return [failure.problem.value]
    finally:
        store.close()
    return [HARMLESS, _gone_on(folder, store.head)]


def _gone_on(folder: Path, head: Head) -> str:
    """Open once more what was harmless and has gone on, and look at all of it."""
    store = open_folder(folder)
    try:
        if store.head != head or not store.acknowledged:
            raise Violation(f"it has gone on to {head}, and is at {store.head}")
        say(store)
    finally:
        store.close()
    return "went on afterwards"
