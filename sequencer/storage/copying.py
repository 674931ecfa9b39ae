"""A store copied into a folder of its own while it goes on: a backup.

Promises
- The copy is the store as of one moment: what a kill in that moment would have left. It holds every
  block up to its head and nothing of a commit that was under way.
- The store goes on meanwhile and writes nothing for it. Whatever goes wrong with the copy is no
  failure of the store's.
- The copy's folder appears whole or not at all. One that was cut short has no head, and no node
  takes it for a chain.

Laws
- Everything is read from one snapshot, key by key with checksums, and written through the one call
  that writes: LevelDB's files change beneath whoever copies them, a snapshot does not.
- No key, no token and no witness goes along. Without a witness a node on the copy comes up HALTED
  until somebody takes it for the newest: the original may have gone on.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from stat import S_IMODE

from sequencer.model.records import Copied, Head
from sequencer.model.refusals import Reason, Refused
from sequencer.model.transfer_limits import BACKUP_BATCH_BYTES, BACKUP_FREE_BYTES_MIN
from sequencer.ports import Store, StoreFailed, StoreProblem
from sequencer.storage import keys
from sequencer.storage.halt_note import HALT_FILE
from sequencer.storage.key_value import KeyValue
from sequencer.storage.leveldb import DATABASE_FOLDER, open_leveldb
from sequencer.storage.reached import reached
from sequencer.storage.staging import Staging, place_of
from sequencer.storage.sync import replace_durably

_FILE_BYTES_MAX = 64 * 1024


class StoreCopies:
    """Copies one store. `beside` names files of its folder that go along, with why it is halted."""

    def __init__(self, store: Store, data_dir: Path, beside: Sequence[str]) -> None:
        self._store = store
        self._data_dir = data_dir
        self._beside = (HALT_FILE, *beside)

    def make(self, target: str, pause: Callable[[], None]) -> Copied:
        """Copy the store as it is now into a folder, from any thread.

        `pause` is called at each key, and gives up by raising. Refusals: FOLDER_TAKEN, BUSY,
        FILE_UNREADABLE, DISK_LOW, PARAMETER_INVALID for a place in the store's own folder.
        Failures: those of reading the store, and of writing the copy.
        """
        place = Path(target)
        self._require_outside(place)
        with closing(Staging(place)) as staging:
            self._require_room(place, self._size())
            files = self._files()
            head, items, let_go = self._store.content()
            with ExitStack() as opened:
                opened.callback(let_go)
                if head.height < 0:
                    raise StoreFailed(StoreProblem.HEAD_MISSING, "the store holds no chain")
                copied = self._copy(staging.folder, head, items, pause)
            for name, content in files:
                _write(staging.folder / name, content)
            staging.finish()
            return copied

    def _copy(
        self,
        folder: Path,
        head: Head,
        items: Iterator[tuple[bytes, bytes]],
        pause: Callable[[], None],
    ) -> Copied:
        digest, count, size = hashlib.blake2s(), 0, 0
        head_key, last = keys.HEAD.key(), b""
        self._make_folder(folder)
        with closing(open_leveldb(folder, create=True)) as copy:
            batch: list[tuple[bytes, bytes | None]] = []
            waiting = 0
            for key, value in items:
                pause()
                _add(digest.update, key, value)
                count, size = count + 1, size + len(key) + len(value)
                if key == head_key:
                    last = value
                    continue
                batch.append((key, value))
                waiting += len(key) + len(value)
                if waiting >= BACKUP_BATCH_BYTES:
                    self._write(copy, folder, batch)
                    batch, waiting = [], 0
            # The head comes last: what has none is no chain.
            self._write(copy, folder, [*batch, (head_key, last)])
        return Copied(head, count, size, digest.hexdigest())

    def _make_folder(self, folder: Path) -> None:
        """Make a folder that lets in nobody whom the store's own keeps out."""
        try:
            folder.mkdir(mode=S_IMODE(self._data_dir.stat().st_mode))
        except OSError as error:
            raise _failed(error, folder) from None

    def _write(self, copy: KeyValue, folder: Path, batch: list[tuple[bytes, bytes | None]]) -> None:
        self._require_room(folder, 0)
        copy.write(batch)
        reached("copy.written")

    def _require_outside(self, place: Path) -> None:
        own = self._data_dir.resolve()
        if not place.is_absolute() or place_of(place).is_relative_to(own):
            words = f"{place} is no absolute path outside the node's own folder {own}"
            raise Refused(Reason.PARAMETER_INVALID, words)

    def _require_room(self, place: Path, size: int) -> None:
        """Leave the node its own disk: it halts before that is full. Refusal: DISK_LOW."""
        try:
            there = place if place.exists() else place.parent
            same = there.stat().st_dev == self._data_dir.stat().st_dev
            free = shutil.disk_usage(there).free
        except OSError as error:
            raise _failed(error, place) from None
        if same and free - size < BACKUP_FREE_BYTES_MIN:
            words = f"{free} bytes are free on the node's own disk, {size} are needed for the copy"
            raise Refused(Reason.DISK_LOW, f"{words}, and {BACKUP_FREE_BYTES_MIN} stay free")

    def _size(self) -> int:
        """Return about how large the copy will be; files come and go meanwhile."""
        sizes = []
        for path in (self._data_dir / DATABASE_FOLDER).glob("*"):
            try:
                sizes.append(path.stat().st_size)
            except OSError:
                continue
        return sum(sizes)

    def _files(self) -> list[tuple[str, bytes]]:
        found = []
        for name in self._beside:
            path = self._data_dir / name
            try:
                if path.is_file():
                    with path.open("rb") as file:
                        found.append((name, file.read(_FILE_BYTES_MAX)))
            except OSError as error:
                raise _failed(error, path) from None
        return found


def content_digest(items: Iterable[tuple[bytes, bytes]]) -> str:
    """Hash every key and value, in order."""
    digest = hashlib.blake2s()
    for key, value in items:
        _add(digest.update, key, value)
    return digest.hexdigest()


def _add(update: Callable[[bytes], None], key: bytes, value: bytes) -> None:
    update(b"%b%b%b%b" % (len(key).to_bytes(8, "big"), key, len(value).to_bytes(8, "big"), value))


def _write(path: Path, content: bytes) -> None:
    try:
        replace_durably(path, content)
    except OSError as error:
        raise _failed(error, path) from None


def _failed(error: OSError, path: Path) -> StoreFailed:
    words = f"{error.filename or path}: {error.strerror or error}"
    return StoreFailed(StoreProblem.WRITE_FAILED, words)
