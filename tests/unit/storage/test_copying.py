"""Copies of a real database: of one moment, whole or absent, and no burden to what is copied."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from stat import S_IMODE

import pytest

from sequencer.model.refusals import Reason, Refused
from sequencer.ports import StoreFailed, StoreProblem
from sequencer.storage import copying, keys
from sequencer.storage.chain_store import ChainStore
from sequencer.storage.copying import StoreCopies, content_digest
from sequencer.storage.folder import make_folder, open_folder
from sequencer.storage.leveldb import open_leveldb
from sequencer.storage.staging import Staging
from tests.tidy.source import ROOT
from tests.unit.storage.builders import block, grown, roll_back


def nothing() -> None:
    """Go on."""


def opened(folder: Path, blocks: int = 0) -> ChainStore:
    store = open_folder(folder, create=not folder.exists())
    grown(store, blocks)
    return store


def copies(store: ChainStore, folder: Path, *beside: str) -> StoreCopies:
    return StoreCopies(store, folder, beside)


def contents(store: ChainStore) -> dict[bytes, bytes]:
    return dict(store.view.source.scan(*keys.EVERYTHING))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_copy_is_the_store_at_the_moment_of_its_snapshot(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "data", 30)) as store:
        roll_back(store, 20)
        grown(store, 5)
        before, head = contents(store), store.head
        calls = 0

        def growing() -> None:
            nonlocal calls
            calls += 1
            if calls % 50 == 0:
                grown(store, 1)

        copied = copies(store, tmp_path / "data").make(str(tmp_path / "copy"), growing)
        assert store.head.height > head.height
    assert (copied.head, copied.keys) == (head, len(before))
    assert calls == len(before)
    assert copied.bytes == sum(len(key) + len(value) for key, value in before.items())
    assert not (tmp_path / "copy.witness").exists()
    with closing(open_folder(tmp_path / "copy")) as made:
        assert contents(made) == before
        assert made.head == head
        assert not made.acknowledged
        assert content_digest(made.content()[1]) == copied.digest
        assert list(made.checked_rows()) == list(made.view.state().rows())


def test_large_and_small_batches_make_the_same_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(tmp_path / "data", 12)) as store:
        made = copies(store, tmp_path / "data")
        told = [made.make(str(tmp_path / "large"), nothing)]
        for size in (1, 300):
            monkeypatch.setattr(copying, "BACKUP_BATCH_BYTES", size)
            told.append(made.make(str(tmp_path / f"small{size}"), nothing))
    assert told == [told[0]] * 3


@pytest.mark.parametrize("after", [0, 1, 7, 60])
def test_one_that_is_given_up_leaves_nothing(tmp_path: Path, after: int) -> None:
    calls = 0

    def giving_up() -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Refused(Reason.SHUTTING_DOWN, "given up")

    with closing(opened(tmp_path / "data", 12)) as store:
        with pytest.raises(Refused, match="given up"):
            copies(store, tmp_path / "data").make(str(tmp_path / "copy"), giving_up)
        assert left(tmp_path) == ["data", "data.witness"]
        assert grown(store, 1)[0].height == 12


def test_one_that_is_cut_short_has_no_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process that dies before the last batch no chain is left: nobody could open it."""
    monkeypatch.setattr(copying, "BACKUP_BATCH_BYTES", 1)
    partial = tmp_path / "copy.partial" / "chain"
    seen = 0

    def looking() -> None:
        nonlocal seen
        # What a death now would leave.
        if (partial / "database" / "CURRENT").exists():
            seen += 1
            frozen = tmp_path / f"frozen{seen}"
            shutil.copytree(partial, frozen)

    with closing(opened(tmp_path / "data", 3)) as store:
        copies(store, tmp_path / "data").make(str(tmp_path / "copy"), looking)
    headless = 0
    for number in range(1, seen + 1):
        folder = tmp_path / f"frozen{number}"
        with closing(open_leveldb(folder, create=False)) as raw:
            is_empty = next(raw.scan(*keys.EVERYTHING), None) is None
        if not is_empty:
            with pytest.raises(StoreFailed) as caught:
                open_folder(folder)
            assert caught.value.problem is StoreProblem.HEAD_MISSING
            headless += 1
    assert headless > 20


PLACES: dict[str, tuple[Callable[[Path], object], str, Reason]] = {
    "a file": (lambda at: at.write_bytes(b""), "copy", Reason.FOLDER_TAKEN),
    "a full folder": (lambda at: (at / "x").mkdir(parents=True), "copy", Reason.FOLDER_TAKEN),
    "a link": (lambda at: at.symlink_to("nowhere"), "copy", Reason.FOLDER_TAKEN),
    "somebody's partial": (
        lambda at: (at.with_name("copy.partial") / "mine").mkdir(parents=True),
        "copy",
        Reason.FOLDER_TAKEN,
    ),
    "an old witness": (
        lambda at: at.with_name("copy.witness").write_bytes(b""),
        "copy",
        Reason.FOLDER_TAKEN,
    ),
    "no name that there can be": (lambda _: None, "co\0py", Reason.FILE_UNREADABLE),
    "a long way": (lambda _: None, "a/" * 3_000 + "copy", Reason.FILE_UNREADABLE),
    "a loop": (lambda at: at.symlink_to(at), "copy/copy", Reason.FILE_UNREADABLE),
    "the root": (lambda _: None, "/", Reason.FOLDER_TAKEN),
    "no folder above": (lambda _: None, "absent/copy", Reason.FILE_UNREADABLE),
    "the store's own folder": (lambda _: None, "data", Reason.PARAMETER_INVALID),
    "inside the store's folder": (lambda _: None, "data/copy", Reason.PARAMETER_INVALID),
}


@pytest.mark.parametrize(("prepare", "name", "reason"), PLACES.values(), ids=PLACES)
def test_a_place_that_is_taken_is_refused_and_stays(
    tmp_path: Path, prepare: Callable[[Path], object], name: str, reason: Reason
) -> None:
    with closing(opened(tmp_path / "data", 3)) as store:
        prepare(tmp_path / "copy")
        before = left(tmp_path)
        with pytest.raises(Refused) as caught:
            copies(store, tmp_path / "data").make(str(tmp_path / name), nothing)
        assert caught.value.reason is reason
        assert left(tmp_path) == before


def test_an_empty_folder_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with closing(opened(tmp_path / "data", 3)) as store:
        copied = copies(store, tmp_path / "data").make(str(tmp_path / "copy"), nothing)
        with pytest.raises(Refused, match="no absolute path"):
            copies(store, tmp_path / "data").make("copy", nothing)
    with closing(open_folder(tmp_path / "copy")) as made:
        assert made.head == copied.head


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("own", "there", "copied"),
    [(0o700, None, 0o700), (0o755, None, 0o755), (0o755, 0o700, 0o700), (0o750, 0o705, 0o700)],
)
def test_a_copy_lets_in_nobody_who_was_kept_out(
    tmp_path: Path, own: int, there: int | None, copied: int
) -> None:
    with closing(opened(tmp_path / "data", 2)) as store, umask(0o022):
        (tmp_path / "data").chmod(own)
        if there is not None:
            (tmp_path / "copy").mkdir()
            (tmp_path / "copy").chmod(there)
        copies(store, tmp_path / "data").make(str(tmp_path / "copy"), nothing)
    assert S_IMODE((tmp_path / "copy").stat().st_mode) == copied


def test_two_cannot_make_the_same_folder(tmp_path: Path) -> None:
    with closing(Staging(tmp_path / "copy")):
        with pytest.raises(Refused) as caught:
            Staging(tmp_path / "copy")
        assert caught.value.reason is Reason.BUSY
    with closing(Staging(tmp_path / "copy")) as staging:
        staging.folder.mkdir()
        (tmp_path / "copy" / "meanwhile").mkdir(parents=True)
        with pytest.raises(Refused, match="copy is there"):
            staging.finish()
    assert left(tmp_path) == ["copy"]
    assert left(tmp_path / "copy") == ["meanwhile"]


def test_what_a_dead_one_left_is_taken_away(tmp_path: Path) -> None:
    for name in ("chain", "chain.partial"):
        (tmp_path / "copy.partial" / name / "database").mkdir(parents=True)
    with closing(Staging(tmp_path / "copy")) as staging:
        assert left(tmp_path / "copy.partial") == []
        staging.folder.mkdir()
        staging.finish()
    assert left(tmp_path) == ["copy"]


def test_a_chain_that_somebody_has_gone_on_with_is_not_taken_away(tmp_path: Path) -> None:
    """Whoever finds a whole one in the folder of a maker that died may run a node on it."""
    partial = tmp_path / "copy.partial"
    opened(partial / "chain", 3).close()
    with pytest.raises(Refused, match=r"chain.witness lies where") as caught:
        Staging(tmp_path / "copy")
    assert caught.value.reason is Reason.FOLDER_TAKEN
    assert opened(partial / "chain", 2).head.height == 4


def test_the_nodes_own_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    monkeypatch.setattr(copying, "BACKUP_FREE_BYTES_MIN", 2 * free)
    with closing(opened(tmp_path / "data", 3)) as store:
        with pytest.raises(Refused) as caught:
            copies(store, tmp_path / "data").make(str(tmp_path / "copy"), nothing)
        assert caught.value.reason is Reason.DISK_LOW
        assert grown(store, 1)[0].height == 3
    assert left(tmp_path) == ["data", "data.witness"]


_FULL = """
import resource, signal, sys
from pathlib import Path
from sequencer.ports import StoreFailed
from sequencer.storage.copying import StoreCopies
from sequencer.storage.folder import open_folder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
store = open_folder(folder / "data")
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    StoreCopies(store, folder / "data", ()).make(str(folder / "copy"), lambda: None)
except StoreFailed as failure:
    print(failure.problem.value)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
from tests.unit.storage.builders import grown
print(grown(store, 1)[0].height)
"""


@pytest.mark.parametrize("limit_bytes", [0, 100, 40_000])
def test_a_disk_that_takes_no_more_fails_the_copy_alone(tmp_path: Path, limit_bytes: int) -> None:
    with closing(opened(tmp_path / "data")) as store:
        store.commit_block(block(store, [(1, b"large", os.urandom(60_000))]))
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path), str(limit_bytes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["WRITE_FAILED", "1"]
    assert left(tmp_path) == ["data", "data.witness"]


def test_a_store_that_is_damaged_is_not_copied(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with closing(opened(folder)) as store:
        rows = [(1, b"large %d" % each, os.urandom(4_000)) for each in range(2_000)]
        for first in range(0, len(rows), 500):
            store.commit_block(block(store, rows[first : first + 500]))
        head = store.head
    with closing(open_folder(folder)):
        pass
    largest = max((folder / "database").glob("*.ldb"), key=lambda path: path.stat().st_size)
    damaged = bytearray(largest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    largest.write_bytes(damaged)
    with closing(open_folder(folder)) as store:
        with pytest.raises(StoreFailed) as caught:
            copies(store, folder).make(str(tmp_path / "copy"), nothing)
        assert caught.value.problem is StoreProblem.STORE_CORRUPT
        assert store.head == head
    assert left(tmp_path) == ["data", "data.witness"]


def test_a_store_without_a_chain_is_not_copied(tmp_path: Path) -> None:
    with closing(make_folder(tmp_path / "data")) as store:
        with pytest.raises(StoreFailed) as caught:
            copies(store, tmp_path / "data").make(str(tmp_path / "copy"), nothing)
        assert caught.value.problem is StoreProblem.HEAD_MISSING
    assert left(tmp_path) == ["data"]


def test_files_that_are_there_go_along(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "data", 3)) as store:
        (tmp_path / "data" / "settlement.json").write_bytes(b"{}")
        made = copies(store, tmp_path / "data", "settlement.json", "absent.json")
        made.make(str(tmp_path / "copy"), nothing)
    assert (tmp_path / "copy" / "settlement.json").read_bytes() == b"{}"
    assert left(tmp_path / "copy") == ["database", "settlement.json", "writer"]
