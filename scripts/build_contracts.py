"""Compile and test the Cairo contracts with tools from package registries, without scarb.

    python scripts/build_contracts.py build   write contracts/artifacts
    python scripts/build_contracts.py check   compile again and compare with what is committed
    python scripts/build_contracts.py test    run the Cairo unit tests

Promises
- Node's packages go to build/, the Sierra compiler to the user's cache; nothing else is written
  but the artifacts, and those only by `build`.
- `test` without Node is skipped by name.

Exit codes: 0 done or skipped, 1 refused by a compiler, a test or a comparison, 2 a tool is missing.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
from starknet_py.common import create_casm_class, create_sierra_compiled_contract
from starknet_py.hash.casm_class_hash import compute_casm_class_hash
from starknet_py.hash.sierra_class_hash import compute_sierra_class_hash

from contracts.artifacts import (
    FOLDER,
    MANIFEST,
    Entry,
    Manifest,
    casm_path,
    joined_source,
    sierra_path,
    source_hash,
)
from contracts.sierra import repair
from devnet.npm_packages import PackagesAbsent, has_npm, install
from sequencer.config import cache_folder

SETTLEMENT_PARTS = ("interface", "proof", "money", "contract")
CONTRACTS = {
    "settlement": tuple(f"src/settlement/{part}.cairo" for part in SETTLEMENT_PARTS),
    "usdc": ("src/usdc.cairo",),
}
"""The parts of each contract, in the order in which they are joined into one source."""

TESTED_BESIDE = {"money": "usdc"}
"""The other contract that the unit tests in a folder deploy."""

UNIT_TESTS = FOLDER / "tests"
SHARED_BY_TESTS = ("support.cairo", "vectors.cairo")
CAIRO_PACKAGE = "wasm-cairo"
SIERRA_COMPILER = "universal-sierra-compiler"
SIERRA_COMPILER_VERSION = "2.8.0"
NODE_FOLDER = FOLDER.parent / "build" / "contracts"


class StepFailed(Exception):
    """A step that ends the run; the message says which."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: list[str]) -> int:
    actions = {"build": build, "check": check, "test": test}
    if len(arguments) != 1 or arguments[0] not in actions:
        print(__doc__)
        return 2
    try:
        actions[arguments[0]]()
    except StepFailed as failed:
        print(failed, file=sys.stderr)
        return failed.exit_code
    return 0


def build() -> None:
    for path, text in compile_all().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8", newline="\n")
        print(f"wrote {path.relative_to(FOLDER.parent)}, {len(text)} bytes")


def check() -> None:
    for path, text in compile_all().items():
        if not path.exists() or path.read_text("utf-8") != text:
            raise StepFailed(f"{path.relative_to(FOLDER.parent)} differs: run make contracts")
    print("the committed artifacts are what the sources compile to")


def test() -> None:
    if not has_npm():
        print("skipped: the Cairo unit tests need node and npm")
        return
    for name in CONTRACTS:
        for group in groups_of_tests(name):
            print(f"testing {name} with {group.name}, about a minute", flush=True)
            print(run_cairo("test", *joined_for_tests(name, group)), flush=True)


def joined_for_tests(name: str, group: Path) -> list[Path]:
    """Return what is joined for one file of tests: contracts, what tests share, the file itself.

    Tests share what lies in their folder and in those above it, up to the contract's own.
    """
    beside = TESTED_BESIDE.get(group.parent.name)
    parts = [*CONTRACTS[name], *(CONTRACTS[beside] if beside else ())]
    shared = [
        path
        for path in cairo_files(name)
        if path.name in SHARED_BY_TESTS and path.parent in group.parents
    ]
    return [*(FOLDER / part for part in parts), *shared, group]


def groups_of_tests(name: str) -> list[Path]:
    """Return the files of tests of one contract: each is compiled apart, for want of memory."""
    return [path for path in cairo_files(name) if path.name not in SHARED_BY_TESTS]


def cairo_files(name: str) -> list[Path]:
    return sorted((UNIT_TESTS / name).rglob("*.cairo"))


def compile_all() -> dict[Path, str]:
    """Compile every contract and return the text of every file of contracts/artifacts."""
    files: dict[Path, str] = {}
    entries: dict[str, Entry] = {}
    for name, parts in CONTRACTS.items():
        print(f"compiling {name}, about a minute", flush=True)
        sierra = compile_to_sierra(*(FOLDER / part for part in parts))
        casm = compile_to_casm(sierra)
        files |= {sierra_path(name): sierra, casm_path(name): casm}
        entries[name] = Entry(
            sources=list(parts),
            source_sha256=source_hash(joined_source(parts)),
            class_hash=hex(compute_sierra_class_hash(create_sierra_compiled_contract(sierra))),
            compiled_class_hash=hex(compute_casm_class_hash(create_casm_class(casm))),
        )
    manifest = msgspec.json.encode(Manifest(tools=tool_versions(), contracts=entries))
    files[MANIFEST] = msgspec.json.format(manifest, indent=2).decode() + "\n"
    return files


def tool_versions() -> dict[str, str]:
    package = json.loads((FOLDER / "package.json").read_text("utf-8"))
    return {
        CAIRO_PACKAGE: package["dependencies"][CAIRO_PACKAGE],
        SIERRA_COMPILER: SIERRA_COMPILER_VERSION,
    }


def compile_to_sierra(*sources: Path) -> str:
    """Return the class as JSON, repaired and without the compiler's names for debuggers."""
    declared = json.loads(run_cairo("class", *sources))
    program = repair([int(felt, 16) for felt in declared["sierra_program"]])
    kept = {key: declared[key] for key in ("contract_class_version", "entry_points_by_type", "abi")}
    return compact({"sierra_program": [hex(felt) for felt in program]} | kept)


def compile_to_casm(sierra: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sierra.json"
        path.write_text(sierra, "utf-8")
        output = Path(folder) / "casm.json"
        command = [str(sierra_compiler()), "compile-contract", "--sierra-path", str(path)]
        run([*command, "--output-path", str(output)])
        return compact(json.loads(output.read_text("utf-8")))


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def run_cairo(action: str, *sources: Path) -> str:
    try:
        modules = install(FOLDER, NODE_FOLDER)
    except PackagesAbsent as absent:
        raise StepFailed(str(absent), exit_code=2) from None
    command = ["node", str(FOLDER / "compile.mjs"), str(modules), action]
    return run([*command, *map(str, sources)])


def sierra_compiler() -> Path:
    """Return the Sierra compiler, built by cargo into the user's cache at the first use."""
    folder = cache_folder() / f"{SIERRA_COMPILER}-{SIERRA_COMPILER_VERSION}"
    binary = folder / "bin" / SIERRA_COMPILER
    if not binary.exists():
        if shutil.which("cargo") is None:
            raise StepFailed("cargo is not on PATH", exit_code=2)
        print(f"building {SIERRA_COMPILER} once, 4 to 10 minutes", flush=True)
        pinned = [SIERRA_COMPILER, "--version", SIERRA_COMPILER_VERSION, "--locked"]
        run(["cargo", "install", "--quiet", *pinned, "--root", str(folder)])
    return binary


def run(command: list[str]) -> str:
    """Run a tool and return what it printed; a refusal is shown whole."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StepFailed(f"{command[0]} refused:\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
