"""The compiled contracts for Ethereum that are committed, and what they were compiled from.

Promises
- Whoever deploys one needs no compiler: an artifact has its ABI and its bytecode.
"""

from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).resolve().parent


class EthereumArtifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One contract ready to be deployed; `source_sha256` is that of `source`, beside it."""

    source: str
    source_sha256: str
    compiler: str
    abi: list[dict[str, Any]]
    bytecode: str


def load_ethereum_artifact(name: str) -> EthereumArtifact:
    return msgspec.json.decode(artifact_path(name).read_bytes(), type=EthereumArtifact)


def artifact_path(name: str) -> Path:
    return FOLDER / "artifacts" / f"{name}.json"


def source_path(name: str) -> Path:
    return FOLDER / f"{name}.sol"
