"""Compile the Solidity contracts of contracts/ethereum with the pinned solc of npm.

    python scripts/build_ethereum.py build    write contracts/ethereum/artifacts
    python scripts/build_ethereum.py check    compile, and compare with what is committed

Promise: the same sources give the same artifacts, wherever and whenever they are compiled.
Exit codes: 0 done, 1 the compiler refuses or an artifact differs, 2 wrong use, or no Node, no npm.
"""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from contracts.ethereum import FOLDER, EthereumArtifact, artifact_path, source_path
from devnet.npm_packages import PackagesAbsent, install
from sequencer.config import cache_folder

CONTRACTS = ("PerpchainLock", "TestMessaging", "TestUsdc")
EVM_VERSION = "cancun"
OPTIMIZER_RUNS = 200


class StepFailed(Exception):
    """A step that ends the run; the message says which."""


def main(arguments: list[str]) -> int:
    actions = {"build": build, "check": check}
    if len(arguments) != 1 or arguments[0] not in actions:
        print(__doc__)
        return 2
    try:
        actions[arguments[0]]()
    except PackagesAbsent as absent:
        print(absent, file=sys.stderr)
        return 2
    except StepFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


def build() -> None:
    for name, text in compile_all().items():
        path = artifact_path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8", newline="\n")
        print(f"wrote {path.relative_to(FOLDER.parents[1])}, {len(text)} bytes")


def check() -> None:
    for name, text in compile_all().items():
        path = artifact_path(name)
        if not path.exists() or path.read_text("utf-8") != text:
            raise StepFailed(f"{path.name} differs: run python scripts/build_ethereum.py build")
    print("the committed artifacts are what the sources compile to")


def compile_all() -> dict[str, str]:
    """Compile every contract and return the text of every artifact by its name."""
    sources = {name: source_text(name) for name in CONTRACTS}
    answer = compiled(sources)
    problems = [each["formattedMessage"] for each in answer.get("errors", ())]
    if problems:
        raise StepFailed("\n".join(problems))
    artifacts: dict[str, str] = {}
    for name, source in sources.items():
        contract = answer["contracts"][f"{name}.sol"][name]
        artifact = EthereumArtifact(
            source=f"{name}.sol",
            source_sha256=sha256(source.encode()).hexdigest(),
            compiler=f"solc {solc_version()}, {EVM_VERSION}, {OPTIMIZER_RUNS} runs",
            abi=contract["abi"],
            bytecode=f"0x{contract['evm']['bytecode']['object']}",
        )
        text = msgspec.json.format(msgspec.json.encode(artifact), indent=1).decode()
        artifacts[name] = text + "\n"
    return artifacts


def source_text(name: str) -> str:
    """Read a source as committed: a checkout with other line ends is the same source."""
    return source_path(name).read_text("utf-8")


def solc_version() -> str:
    package = json.loads((FOLDER / "package.json").read_text("utf-8"))
    return str(package["dependencies"]["solc"])


def compiled(sources: dict[str, str]) -> dict[str, Any]:
    """Ask the compiler. Nothing that differs between machines goes into the bytecode."""
    request = {
        "language": "Solidity",
        "sources": {f"{name}.sol": {"content": text} for name, text in sources.items()},
        "settings": {
            "evmVersion": EVM_VERSION,
            "optimizer": {"enabled": True, "runs": OPTIMIZER_RUNS},
            "metadata": {"bytecodeHash": "none", "appendCBOR": False},
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    modules = install(FOLDER, cache_folder() / f"solc-{solc_version()}")
    command = ["node", str(Path(FOLDER) / "compile.mjs"), str(modules)]
    asked = json.dumps(request)
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StepFailed(f"solc did not answer: {done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
