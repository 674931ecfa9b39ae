"""`perpchain vectors`: what it prints, its exit codes, and one clear line for what is unusable."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sequencer.cli.application import application
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.state import ContractLeaf, StateDiff, commit
from sequencer.starknet.trie import no_nodes
from tests.strategies import Unchecked

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "tests" / "vectors" / "starknet"
BLOCK = FOLDER / "integration_block_35748.json"
UPDATE = FOLDER / "integration_state_update_35748.json"
SEPOLIA = [FOLDER / f"sepolia_state_update_{number}.json" for number in range(5)]
PUBLISHED = sorted(FOLDER.glob("*.json"))


PLAIN = {"COLUMNS": "200", "FORCE_COLOR": None, "NO_COLOR": "1", "TERM": "dumb"}
"""A terminal of fixed width that writes text alone."""


def run(*arguments: object) -> Result:
    return CliRunner(env=PLAIN).invoke(application, ["vectors", *map(str, arguments)])


def rows(*arguments: object) -> list[dict[str, Unchecked]]:
    result = run("--json", *arguments)
    assert result.exit_code in (0, 1), result.stderr
    found: list[dict[str, Unchecked]] = json.loads(result.stdout)
    return found


def counts(found: list[dict[str, Unchecked]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in found:
        total[row["verdict"]] += row["count"]
    return total


def written(folder: Path, content: object, name: str = "file.json") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def changed(path: Path, folder: Path, **fields: object) -> Path:
    return written(folder, json.loads(path.read_text()) | fields, path.name)


def assert_unusable(result: Result, path: Path) -> None:
    """Expect exit code 2 and exactly one line, which names the file."""
    assert not isinstance(result.exception, Exception), repr(result.exception)
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("perpchain vectors: ")
    assert str(path) in line
    assert "Traceback" not in result.stderr


def test_everything_published_passes() -> None:
    result = run(FOLDER)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "66 passed, 0 failed, 5 not checked"


def test_json_holds_the_same_findings() -> None:
    found = rows(FOLDER)
    assert counts(found) == {"passed": 66, "not checked": 5}
    keys = {"file", "subject", "verdict", "count", "note", "expected", "computed"}
    assert all(set(row) == keys for row in found)
    assert {row["file"] for row in found} == set(map(str, PUBLISHED))


def test_the_order_of_files_does_not_matter() -> None:
    def sorted_rows(paths: list[Path]) -> list[str]:
        return sorted(json.dumps(row, sort_keys=True) for row in rows(*paths))

    assert sorted_rows(PUBLISHED) == sorted_rows(PUBLISHED[::-1])
    assert sorted_rows(PUBLISHED) == sorted_rows([FOLDER])
    assert sorted_rows([FOLDER, *PUBLISHED]) == sorted_rows([FOLDER]), "a file named twice"


def test_a_difference_is_exit_code_1(tmp_path: Path) -> None:
    wrong = changed(BLOCK, tmp_path, block_hash="0x1")
    result = run(wrong)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].endswith("1 failed, 1 not checked")
    [row] = [row for row in rows(wrong) if row["verdict"] == "failed"]
    right = json.loads(BLOCK.read_text())["block_hash"]
    assert (row["subject"], row["expected"], row["computed"]) == ("block hash", "0x1", right)


def test_the_wrong_chain_fails() -> None:
    for path, wrong, right in (
        (SEPOLIA[0], "SN_MAIN", "SN_SEPOLIA"),
        (BLOCK, "SN_SEPOLIA", "SN_INTEGRATION_SEPOLIA"),
        (FOLDER / "mainnet_transaction_hashes.json", "SN_SEPOLIA", "SN_MAIN"),
    ):
        assert run(path, "--chain", right).exit_code == 0
        assert run("--chain", hex(int.from_bytes(right.encode(), "big")), path).exit_code == 0
        result = run(path, "--chain", wrong)
        assert result.exit_code == 1
        failed = [row for row in rows(path, "--chain", wrong) if row["verdict"] == "failed"]
        assert {row["note"] for row in failed} == {wrong}
        assert {row["subject"] for row in failed} <= {"transaction hash", "query transaction hash"}


@pytest.mark.parametrize("chain", ["a" * 32, "\u00e9", "0xg", hex(FELT_PRIME)])
def test_a_chain_that_is_none_is_one_line(chain: str) -> None:
    result = run(BLOCK, "--chain", chain)
    assert not isinstance(result.exception, Exception)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


def test_the_program_itself(tmp_path: Path) -> None:
    def program(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sequencer", "vectors", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    good = program("--json", BLOCK.relative_to(ROOT), UPDATE.relative_to(ROOT))
    assert (good.returncode, good.stderr) == (0, "")
    assert counts(json.loads(good.stdout)) == {"passed": 10, "not checked": 1}
    assert program(changed(BLOCK, tmp_path, timestamp=1)).returncode == 1
    bad = program(tmp_path / "missing.json")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith(f"perpchain vectors: {tmp_path / 'missing.json'}: ")
    assert len(bad.stderr.splitlines()) == 1


def test_without_arguments_it_is_a_mistake() -> None:
    result = run()
    assert result.exit_code == 2
    assert result.stdout == ""


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


STATE_UPDATE: dict[str, Unchecked] = {
    "old_root": "0x0",
    "new_root": "0x1",
    "state_diff": {"storage_diffs": {}, "deployed_contracts": []},
}
LIST_ENTRY: dict[str, Unchecked] = {"transaction": {"L1Handler": {}}, "transaction_hash": "0x1"}
BEYOND = hex(FELT_PRIME)
NO_KEY = hex(2**251)


def with_diff(**fields: object) -> dict[str, Unchecked]:
    return STATE_UPDATE | {"state_diff": STATE_UPDATE["state_diff"] | fields}


def with_transaction(transaction: object) -> list[dict[str, Unchecked]]:
    return [LIST_ENTRY | {"transaction": transaction}]


UNUSABLE: dict[str, object] = {
    "empty": b"",
    "binary": bytes(range(256)),
    "zeros": b"\0" * 1000,
    "utf-16": "{}".encode("utf-16"),
    "invalid UTF-8 in a text": b'["\xff"]',
    "invalid UTF-8 in a value": b'{"state_diff": "\xc3\x28"}',
    "a lone surrogate": b'["\\ud800"]',
    "truncated": BLOCK.read_bytes()[:-100],
    "two documents": b"[] []",
    "trailing comma": b"[1,]",
    "NaN": b"NaN",
    "null": None,
    "true": True,
    "a number": 1,
    "a text": "0x1",
    "an empty list": [],
    "an empty object": {},
    "a list of integers": [1, 2, 3],
    "a list of nulls": [None],
    "a list of empty objects": [{}],
    "a list of lists": [[]],
    "deep lists": nested(100_000),
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and unfinished": b"[" * 100_000,
    "deep inside a transaction": b'[{"transaction":' + nested(100_000) + b"}]",
    "a huge number": b"1" * 400,
    "a huger number": b"1" * 10_000,
    "a huge exponent": b"1e400",
    "a block of null": {"block": None, "state_update": None},
    "a block without its parts": {"transactions": [], "transaction_receipts": []},
    "a diff of null": {"state_diff": None},
    "a diff without roots": {"state_diff": STATE_UPDATE["state_diff"]},
    "a root beyond the field": STATE_UPDATE | {"new_root": BEYOND},
    "a root of 65 digits": STATE_UPDATE | {"new_root": "0x" + "0" * 65},
    "a root in decimal": STATE_UPDATE | {"new_root": "17"},
    "a root that is a number": STATE_UPDATE | {"new_root": 17},
    "a root with a line break": STATE_UPDATE | {"new_root": "0x1\n"},
    "an address beyond the field": with_diff(nonces={BEYOND: "0x1"}),
    "a nonce beyond the field": with_diff(nonces={"0x1": BEYOND}),
    "an address beyond the trie": with_diff(nonces={NO_KEY: "0x1"}),
    "a slot beyond the trie": with_diff(storage_diffs={"0x1": [{"key": NO_KEY, "value": "0x1"}]}),
    "a class beyond the trie": with_diff(
        declared_classes=[{"class_hash": NO_KEY, "compiled_class_hash": "0x1"}]
    ),
    "slots of another shape": with_diff(storage_diffs={"0x1": {"key": "0x1", "value": "0x1"}}),
    "a hash beyond the field": [LIST_ENTRY | {"transaction_hash": BEYOND}],
    "a transaction without a tag": with_transaction({}),
    "a transaction with two tags": with_transaction({"Invoke": {}, "Declare": {}}),
    "a version that is a list": with_transaction({"Invoke": []}),
    "fields that are a list": with_transaction({"Invoke": {"V3": []}}),
    "fields that are null": with_transaction({"Invoke": {"V3": None}}),
    "a handler that is a list": with_transaction({"L1Handler": []}),
    "a handler that is null": with_transaction({"L1Handler": None}),
    "a deployment that is a text": with_transaction({"Deploy": "x"}),
    "a handler without fields": with_transaction({"L1Handler": {"version": "0x0", "nonce": "0x0"}}),
    "a chain of 32 letters": [LIST_ENTRY | {"chain_id": "a" * 32, "transaction": {"X": {}}}],
    "a long line break": with_transaction({"Invoke": {"V3": {"resource_bounds": {"\n": {}}}}}),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_content_is_one_line(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, UNUSABLE[name])
    assert_unusable(run(path), path)
    assert_unusable(run("--json", FOLDER, path), path)


BLOCK_FIELDS: dict[str, object] = {
    "timestamp": -1,
    "block_number": 2**252,
    "state_diff_length": -1,
    "starknet_version": "newest",
    "block_hash": BEYOND,
    "parent_block_hash": None,
    "sequencer_address": BEYOND,
    "l1_gas_price": {"price_in_wei": BEYOND, "price_in_fri": "0x1"},
    "transactions": [{"type": "INVOKE", "version": "0x3"}],
    "transaction_receipts": [{}],
}


@pytest.mark.parametrize("field", BLOCK_FIELDS)
def test_a_malformed_field_of_a_block_is_one_line(field: str, tmp_path: Path) -> None:
    path = changed(BLOCK, tmp_path, **{field: BLOCK_FIELDS[field]})
    assert_unusable(run(path), path)


@pytest.mark.parametrize("field", ["timestamp", "block_number", "state_diff_length"])
def test_numbers_of_thousands_of_digits_are_one_line(field: str, tmp_path: Path) -> None:
    """The longest that JSON can bring in; a shift makes it too long for Python to print."""
    path = changed(BLOCK, tmp_path, **{field: 10**4299})
    assert_unusable(run(path), path)


def test_unusable_places_are_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    folder = tmp_path / "folder"
    (folder / "a.json").mkdir(parents=True)
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    for path in (tmp_path / "missing.json", empty, loop):
        assert_unusable(run(path), path)
    assert_unusable(run(folder), folder / "a.json")
    assert_unusable(run(FOLDER, tmp_path / "missing"), tmp_path / "missing")


def test_a_name_too_long_for_a_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 300)
    assert_unusable(run(path), path)


@pytest.mark.parametrize("kind", ["NEWEST", "[/bold]", "[red]", ":smile:", "\x1b[31m"])
def test_an_unknown_transaction_is_not_checked(kind: str, tmp_path: Path) -> None:
    listed = written(tmp_path, with_transaction({kind: {"V9": {}}}), "list.json")
    first, *others = json.loads(BLOCK.read_text())["transactions"]
    block = changed(BLOCK, tmp_path, transactions=[first | {"type": kind}, *others])
    for path in (listed, block):
        left_out = [row for row in rows(path) if row["verdict"] == "not checked"]
        [row] = [row for row in left_out if row["subject"] == "transaction hash"]
        assert kind in row["note"]
        result = run(path)
        assert not isinstance(result.exception, Exception), repr(result.exception)
        assert result.exit_code == 0
        if kind.isprintable():
            assert kind in result.stdout


@pytest.mark.parametrize("version", ["V4", "V9", "", "v3"])
def test_an_unknown_version_is_not_checked(version: str, tmp_path: Path) -> None:
    path = written(tmp_path, with_transaction({"Invoke": {version: {}}}))
    [row] = rows(path)
    assert (row["verdict"], row["subject"]) == ("not checked", "transaction hash")


def root_of(diff: StateDiff) -> str:
    commitment = commit(lambda _: no_nodes, lambda _: ContractLeaf(), diff, (0, 13, 0))
    return hex(commitment.state_root)


def update_of(old: str, new: str, slots: dict[int, int]) -> dict[str, Unchecked]:
    entries = [{"key": hex(key), "value": hex(value)} for key, value in slots.items()]
    diff = {"storage_diffs": {"0x7": entries}, "deployed_contracts": []}
    return {"old_root": old, "new_root": new, "state_diff": diff}


def second_chain(folder: Path) -> list[Path]:
    """Write a chain of three updates from the empty state, and a branch at its first root."""
    roots = [root_of(StateDiff(storage={7: slots})) for slots in ({1: 2}, {1: 2, 3: 4}, {3: 4})]
    contents = {
        "first": update_of("0x0", roots[0], {1: 2}),
        "second": update_of(roots[0], roots[1], {3: 4}),
        "third": update_of(roots[1], roots[2], {1: 0}),
        "branch": update_of(roots[0], roots[2], {1: 0, 3: 4}),
    }
    return [written(folder, content, f"{name}.json") for name, content in contents.items()]


def test_two_chains_side_by_side(tmp_path: Path) -> None:
    ours = second_chain(tmp_path)
    mixed = [*ours[::-1], *SEPOLIA[::-1]]
    for paths in (ours, mixed, mixed[::-1], [*SEPOLIA, tmp_path]):
        roots = [row for row in rows(*paths) if row["subject"] == "state root"]
        assert {row["verdict"] for row in roots} == {"passed"}
        assert len(roots) == len(ours) + (0 if paths is ours else len(SEPOLIA))


def test_what_follows_a_wrong_update_is_not_checked(tmp_path: Path) -> None:
    first, second, third, branch = second_chain(tmp_path)
    changed(first, tmp_path, new_root="0x5")
    changed(second, tmp_path, old_root="0x5")
    verdicts = {Path(row["file"]).stem: row["verdict"] for row in rows(tmp_path)}
    expected = {"first": "failed", "second": "not checked", "third": "not checked"}
    assert verdicts == expected | {"branch": "not checked"}
    assert {path.stem for path in (first, second, third, branch)} == set(verdicts)
    assert run(tmp_path).exit_code == 1
