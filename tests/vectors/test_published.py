"""Every hash of the published files, and what happens when one value of them is changed."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from sequencer.model.refusals import Refused
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.published import read_published
from sequencer.starknet.recompute import check_files
from sequencer.starknet.verdict import Finding, Verdict
from tests.strategies import Unchecked

FOLDER = Path(__file__).parent / "starknet"
SEPOLIA = tuple(f"sepolia_state_update_{number}.json" for number in range(5))
V0 = ("integration_block_35748.json", "integration_state_update_35748.json")
V1 = ("integration_block_63881.json", "integration_state_update_63881.json")
LISTED = ("mainnet_transaction_hashes.json",)
GROUPS = {"v0": V0, "v1": V1, "listed": LISTED, "sepolia": SEPOLIA}

OLD = "commitments, block hash"
"""The row of a block from before the formulas."""

IN_BLOCK = {
    "state root of the block and its update": 1,
    "block hash of the block and its update": 1,
}
IN_NEW_BLOCK = IN_BLOCK | {
    "transaction commitment": 1,
    "event commitment": 1,
    "receipt commitment": 1,
    "state diff commitment": 1,
    "state diff length": 1,
    "block hash": 1,
}
PASSED: dict[str, dict[str, int]] = {
    V0[0]: {"transaction hash": 2} | IN_NEW_BLOCK,
    V0[1]: {},
    V1[0]: {"transaction hash": 4} | IN_NEW_BLOCK,
    V1[1]: {},
    LISTED[0]: {"transaction hash": 12, "query transaction hash": 12},
    SEPOLIA[0]: {"transaction hash": 7, "state root": 1} | IN_BLOCK,
    SEPOLIA[1]: {"transaction hash": 1, "state root": 1} | IN_BLOCK,
    SEPOLIA[2]: {"transaction hash": 1, "state root": 1} | IN_BLOCK,
    SEPOLIA[3]: {"state root": 1},
    SEPOLIA[4]: {"state root": 1},
}
NOT_CHECKED: dict[str, dict[str, int]] = {
    **{name: {OLD: 1} for name in SEPOLIA[:3]},
    V0[1]: {"state root": 1},
    V1[1]: {"state root": 1},
}

Path_ = tuple[str | int, ...]


@cache
def text_of(name: str) -> str:
    return (FOLDER / name).read_text()


def check(contents: Mapping[str, Unchecked], chain: str | None = None) -> list[Finding]:
    files = {name: read_published(content) for name, content in contents.items()}
    return list(check_files(files, chain))


def contents_of(names: tuple[str, ...]) -> dict[str, Unchecked]:
    return {name: json.loads(text_of(name)) for name in names}


def tally(findings: list[Finding], verdict: Verdict) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for finding in findings:
        if finding.verdict is verdict:
            of_file = counts.setdefault(finding.file, {})
            of_file[finding.subject] = of_file.get(finding.subject, 0) + finding.count
    return counts


def test_the_folder_holds_what_is_expected() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(PASSED)


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
def test_every_published_hash_comes_out(order: int) -> None:
    findings = check(contents_of(tuple(sorted(PASSED)[::order])))
    assert tally(findings, Verdict.FAILED) == {}
    assert tally(findings, Verdict.PASSED) == {name: rows for name, rows in PASSED.items() if rows}
    assert tally(findings, Verdict.NOT_CHECKED) == NOT_CHECKED


def test_the_chains_are_found() -> None:
    notes = {
        finding.file: finding.note
        for finding in check(contents_of(tuple(PASSED)))
        if finding.subject == "transaction hash"
    }
    assert notes == {
        V0[0]: "SN_INTEGRATION_SEPOLIA",
        V1[0]: "SN_INTEGRATION_SEPOLIA",
        LISTED[0]: "SN_MAIN",
        **dict.fromkeys(SEPOLIA[:3], "SN_SEPOLIA"),
    }


@pytest.mark.parametrize("name", sorted(PASSED))
def test_a_file_alone_never_fails(name: str) -> None:
    assert tally(check(contents_of((name,))), Verdict.FAILED) == {}


def test_a_block_without_its_update_says_so() -> None:
    findings = check(contents_of(V0[:1]))
    [row] = [finding for finding in findings if finding.subject == "block hash"]
    assert row.verdict is Verdict.PASSED
    assert "as published" in row.note
    assert tally(findings, Verdict.NOT_CHECKED) == {V0[0]: {"state diff commitment": 1}}


def walk(content: Unchecked, path: Path_ = ()) -> Iterator[tuple[Path_, Unchecked]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from walk(value, (*path, key))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from walk(value, (*path, index))
    else:
        yield path, content


def addresses_in(content: Unchecked) -> Iterator[Path_]:
    """Yield the paths to felts that stand as keys of an object."""
    found = {path[: at + 1]: None for path, _ in walk(content) for at in range(len(path))}
    yield from (path for path in found if str(path[-1]).startswith("0x"))


SWAPS = {
    "BLOB": "CALLDATA",
    "CALLDATA": "BLOB",
    "L1": "L2",
    "0.13.2": "0.13.3",
    "0.13.4": "0.13.5",
    "0.12.3": "0.12.2",
    "DECLARE": "INVOKE_FUNCTION",
    "INVOKE_FUNCTION": "DECLARE",
    "DEPLOY_ACCOUNT": "INVOKE_FUNCTION",
    "SUCCEEDED": "REVERTED",
    "SN_MAIN": "SN_SEPOLIA",
    "ACCEPTED_ON_L1": "REJECTED",
}
"""Another value of the same kind, so that a change does not fail for its shape alone."""


def changes_of(value: Unchecked) -> list[Unchecked]:
    """Change a value into others of its kind."""
    if isinstance(value, int):
        return [value + 1, value ^ 1 << 40]
    if value.startswith("0x"):
        return [hex(int(value, 16) ^ 1 << bit) for bit in (0, 130)]
    return [SWAPS[value] if value in SWAPS else str(int(value) + 1)]


def aliases_of(value: Unchecked) -> list[Unchecked]:
    """Write a felt so that it is the same number only after a reduction or a cut."""
    if isinstance(value, int):
        return []
    if not value.startswith("0x"):
        cased = {f"{value} ", value.lower(), value.upper()}
        return sorted(cased - {value})
    return [hex(int(value, 16) + beyond) for beyond in (FELT_PRIME, 2**256)] + [f"{value}\n"]


def changed_at(name: str, path: Path_, value: Unchecked, rename: bool) -> Unchecked:
    content = json.loads(text_of(name))
    place = content
    for step in path[:-1]:
        place = place[step]
    if rename:
        place[value] = place.pop(path[-1])
    else:
        place[path[-1]] = value
    return content


def passed_rows(findings: list[Finding]) -> Counter[tuple[str, str]]:
    rows: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        if finding.verdict is Verdict.PASSED:
            rows[finding.file, finding.subject] += finding.count
    return rows


def is_noticed(group: dict[str, Unchecked], expected: Counter[tuple[str, str]]) -> bool:
    """Say whether a file was refused, or anything failed, or less passed than before."""
    try:
        findings = check(group)
    except Refused:
        return True
    if any(finding.verdict is Verdict.FAILED for finding in findings):
        return True
    return not passed_rows(findings) >= expected


def label(content: Unchecked, path: Path_) -> str:
    """Name a place: transactions by kind and version, other items of lists and addresses by #."""
    place, steps = content, []
    for step in path:
        place = place[step]
        if not isinstance(step, int):
            steps.append("#" if step.startswith("0x") else step)
        elif steps[-1:] == ["transactions"]:
            steps.append(f"{place['type']}-{int(place['version'], 16)}")
        else:
            steps.append("#")
    return ".".join(steps)


def try_all(
    names: tuple[str, ...], make: Callable[[Unchecked], list[Unchecked]]
) -> tuple[set[str], set[str]]:
    """Change every value and every address, one at a time; return the labels noticed and missed."""
    expected = passed_rows(check(contents_of(names)))
    noticed: set[str] = set()
    missed: set[str] = set()
    for name in names:
        others = contents_of(tuple(other for other in names if other != name))
        content = json.loads(text_of(name))
        places = [(path, value, False) for path, value in walk(content)]
        places += [(path, path[-1], True) for path in addresses_in(content)]
        for path, old, rename in places:
            where = label(content, path) + (" (address)" if rename else "")
            for new in make(old):
                changed = others | {name: changed_at(name, path, new, rename)}
                (noticed if is_noticed(changed, expected) else missed).add(where)
    return noticed, missed


RECEIPT = "transaction_receipts.#."
RESOURCES = RECEIPT + "execution_resources."
OUTSIDE_EVERY_HASH = {
    "status": "how final the block was when it was read",
    RECEIPT + "execution_status": "a receipt commits to the reason of a revert instead",
    RECEIPT + "transaction_index": "the order of the receipts is the index",
    RESOURCES + "n_steps": "a receipt commits to gas alone",
    RESOURCES + "n_memory_holes": "the same",
    RESOURCES + "builtin_instance_counter.ec_op_builtin": "the same",
    RESOURCES + "builtin_instance_counter.ecdsa_builtin": "the same",
    RESOURCES + "builtin_instance_counter.pedersen_builtin": "the same",
    RESOURCES + "builtin_instance_counter.poseidon_builtin": "the same",
    RESOURCES + "builtin_instance_counter.range_check_builtin": "the same",
    RESOURCES + "data_availability.l1_gas": "it is part of the total, which is committed to",
    RESOURCES + "data_availability.l1_data_gas": "the same",
    RESOURCES + "data_availability.l2_gas": "the same",
    RESOURCES + "total_gas_consumed.l2_gas": "the slot of L2 gas in a receipt's leaf is always 0",
    "old_root": "the predecessor of this update is not among the files",
    "#.block_number": "where the transaction was found; no transaction hash has it",
    "#.transaction.Declare.V0.nonce": "version 0 of a declaration hashes no nonce",
    "block.transactions.DECLARE-0.nonce": "the same",
    "block.transactions.DEPLOY_ACCOUNT-1.contract_address": (
        "it follows from class, salt and calldata, which are hashed; the stated one is not compared"
    ),
    "state_update.state_diff.old_declared_contracts.#": (
        "Cairo 0 classes are in no trie, and state diffs are committed to from 0.13.2 on"
    ),
    **{
        f"#.transaction.{kind}.signature.#": "no transaction hash covers its signature"
        for kind in (
            *(f"Declare.V{version}" for version in (1, 2, 3)),
            *(f"DeployAccount.V{version}" for version in (1, 3)),
            *(f"Invoke.V{version}" for version in (0, 1, 3)),
        )
    },
}
BEFORE_THE_FORMULAS = {
    *(f"block.{field}" for field in ("block_number", "timestamp", "sequencer_address")),
    *(f"block.{field}" for field in ("l1_da_mode", "starknet_version", "parent_block_hash")),
    *(f"block.{kind}_commitment" for kind in ("transaction", "event")),
    *(
        f"block.{resource}_gas_price.price_in_{unit}"
        for resource in ("l1", "l1_data", "l2")
        for unit in ("wei", "fri")
    ),
    *(f"block.{RECEIPT}{field}" for field in ("transaction_hash", "actual_fee")),
    *(f"block.{RECEIPT}events.#.{field}" for field in ("from_address", "keys.#", "data.#")),
    *(f"block.{field}" for field in OUTSIDE_EVERY_HASH if field.startswith((RECEIPT, "status"))),
    "block.transactions.DEPLOY_ACCOUNT-1.signature.#",
    "block.transactions.INVOKE_FUNCTION-1.signature.#",
}
"""Of blocks from before 0.13.2 only transaction hashes and the state root are recomputed."""


def excuses_of(group: str) -> set[str]:
    """Return which values of a group no hash that is recomputed covers."""
    labels = {
        label(content, path)
        for content in contents_of(GROUPS[group]).values()
        for path, _ in walk(content)
    }
    if group != "sepolia":
        return labels & set(OUTSIDE_EVERY_HASH)
    # These updates follow one another: the root before is that of the one before.
    return labels & (set(OUTSIDE_EVERY_HASH) - {"old_root"} | BEFORE_THE_FORMULAS)


@pytest.mark.parametrize("group", GROUPS)
def test_one_changed_value_is_always_noticed(group: str) -> None:
    noticed, missed = try_all(GROUPS[group], changes_of)
    assert missed == excuses_of(group)
    assert not noticed & missed, "a value counts in one place and not in another"
    assert len(noticed) > len(missed)


def test_no_excuse_is_for_nothing() -> None:
    assert set.union(*map(excuses_of, GROUPS)) >= set(OUTSIDE_EVERY_HASH)


@pytest.mark.parametrize("group", GROUPS)
def test_no_value_passes_under_another_spelling(group: str) -> None:
    """Numbers beyond the field are not reduced, and words are not folded or trimmed."""
    noticed, missed = try_all(GROUPS[group], aliases_of)
    assert missed <= excuses_of(group)
    assert len(noticed) > len(missed)
