"""The compiled contracts that are committed, and what they were compiled from.

Promises
- `load_manifest` says, for each contract, the sources and the class hashes of its artifacts.
- A contract's hash of sources covers all its parts, in the order in which they are joined.
- Nothing here needs a compiler: who deploys a contract reads its two JSON texts and sends them.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import msgspec

FOLDER = Path(__file__).resolve().parent
ARTIFACTS = FOLDER / "artifacts"
MANIFEST = ARTIFACTS / "manifest.json"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the artifacts of one contract are; hashes of classes are written as 0x..."""

    sources: list[str]
    source_sha256: str
    class_hash: str
    compiled_class_hash: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The compilers, and the contracts by name."""

    tools: dict[str, str]
    contracts: dict[str, Entry]


class Artifact(msgspec.Struct, frozen=True):
    """One contract ready to be declared: the Sierra class and the CASM class as JSON texts."""

    sierra: str
    casm: str
    entry: Entry

    @property
    def class_hash(self) -> int:
        """The hash of the Sierra class."""
        return int(self.entry.class_hash, 16)

    @property
    def compiled_class_hash(self) -> int:
        """The hash of the CASM class."""
        return int(self.entry.compiled_class_hash, 16)


def load_manifest() -> Manifest:
    return msgspec.json.decode(MANIFEST.read_bytes(), type=Manifest)


def load_artifact(name: str) -> Artifact:
    return Artifact(
        sierra=sierra_path(name).read_text("utf-8"),
        casm=casm_path(name).read_text("utf-8"),
        entry=load_manifest().contracts[name],
    )


def sierra_path(name: str) -> Path:
    return ARTIFACTS / f"{name}.sierra.json"


def casm_path(name: str) -> Path:
    return ARTIFACTS / f"{name}.casm.json"


def joined_source(parts: Iterable[str]) -> bytes:
    """Return the one source that the compiler is given for a contract's parts."""
    return b"\n".join((FOLDER / part).read_bytes() for part in parts)


def source_hash(text: bytes) -> str:
    """Hash a source as committed: a checkout with other line ends is the same source."""
    return sha256(text.replace(b"\r\n", b"\n")).hexdigest()
