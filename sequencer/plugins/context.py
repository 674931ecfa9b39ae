"""What a plugin has in its hands while it is called: its bucket in memory, and where it stands.

Laws
- What a call wrote is handed over once, when it has returned; a call that failed wrote nothing.
- Beside a node only the call under way writes, in its own thread: what came from anywhere else
  would not come again where the call is repeated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import get_ident

from sequencer.model.limits import STORE_KEY_PART_BYTES_MAX
from sequencer.model.plugin_limits import PLUGIN_BUCKET_BYTES_MAX
from sequencer.plugins.protocol import BucketFull, Key, Reorg
from sequencer.starknet.felt import Felt

NOBODY = 0
"""No thread has this number."""


class MemoryBucket:
    """A bucket that remembers what was written since it was last handed over.

    `writer` is the thread that may write, NOBODY for none, None for any.
    """

    def __init__(
        self,
        held: Sequence[tuple[bytes, bytes]] = (),
        bytes_max: int = PLUGIN_BUCKET_BYTES_MAX,
    ) -> None:
        self._held = dict(held)
        self._bytes_max = bytes_max
        self._bytes = sum(len(key) + len(value) for key, value in held)
        self._before: dict[bytes, bytes | None] = {}
        self.writer: int | None = None

    def get(self, key: bytes) -> bytes | None:
        """Return a value, None where there is none."""
        return self._held.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value. Errors: BucketFull; TypeError, ValueError for what is no key or value;
        RuntimeError where it is not this thread that may write."""
        self._require_writer()
        if {type(key), type(value)} != {bytes}:
            raise TypeError("a bucket holds bytes under bytes")
        if len(key) > STORE_KEY_PART_BYTES_MAX:
            raise ValueError(f"a key of {len(key)} bytes, {STORE_KEY_PART_BYTES_MAX} allowed")
        size = self._bytes - self._size(key) + len(key) + len(value)
        if size > self._bytes_max:
            words = f"{size} bytes of keys and values, {self._bytes_max} allowed"
            raise BucketFull(words)
        self._set(key, value)

    def delete(self, key: bytes) -> None:
        """Remove a key, if it is there. Error: RuntimeError, as for `put`."""
        self._require_writer()
        if key in self._held:
            self._set(key, None)

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """List keys that begin with `prefix`, with their values, in the order of the keys."""
        yield from sorted(item for item in self._held.items() if item[0].startswith(prefix))

    def take_changes(self) -> list[tuple[bytes, bytes | None]]:
        """Hand over what was written since the last time: each key once, None for a removed one."""
        changes = [(key, self._held.get(key)) for key in self._before]
        changed = [(key, now) for key, now in changes if now != self._before[key]]
        self._before.clear()
        return changed

    def undo_changes(self) -> None:
        """Take back what was written since the last time."""
        for key, value in [*self._before.items()]:
            self._set(key, value)
        self._before.clear()

    def _require_writer(self) -> None:
        if self.writer not in (None, get_ident()):
            raise RuntimeError("only a call that tells of the chain writes, in its own thread")

    def _set(self, key: bytes, value: bytes | None) -> None:
        self._before.setdefault(key, self._held.get(key))
        self._bytes -= self._size(key)
        if value is None:
            self._held.pop(key, None)
        else:
            self._held[key] = value
            self._bytes += len(key) + len(value)

    def _size(self, key: bytes) -> int:
        value = self._held.get(key)
        return 0 if value is None else len(key) + len(value)


class CallContext:
    """What a plugin is given at `init`; `key` and `reorg` are set before each call."""

    def __init__(
        self,
        name: str,
        options: Mapping[str, str],
        folder: Path,
        chain_id: Felt,
        bucket: MemoryBucket,
        done: Key | None,
        is_dry: bool,
        say: Callable[[str], None],
    ) -> None:
        self.name = name
        self.options = options
        self.folder = folder
        self.chain_id = chain_id
        self.bucket = bucket
        self.done = done
        self.is_dry = is_dry
        self.say = say
        self.key = done or Key(0)
        self.reorg: Reorg | None = None

    def enter(self, key: Key, reorg: Reorg | None) -> None:
        """Begin a call."""
        self.key, self.reorg = key, reorg
