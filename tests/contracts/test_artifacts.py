"""The compiled contracts are of these sources, by these tools, under these hashes."""

import json

import pytest
from starknet_py.common import create_casm_class, create_sierra_compiled_contract
from starknet_py.hash.casm_class_hash import compute_casm_class_hash
from starknet_py.hash.sierra_class_hash import compute_sierra_class_hash

from contracts.artifacts import (
    ARTIFACTS,
    FOLDER,
    casm_path,
    joined_source,
    load_artifact,
    load_manifest,
    sierra_path,
    source_hash,
)
from contracts.sierra import FALL_THROUGH_32, branch_targets, pack, repair, unpack
from scripts.build_contracts import (
    CONTRACTS,
    TESTED_BESIDE,
    UNIT_TESTS,
    groups_of_tests,
    joined_for_tests,
    tool_versions,
)
from sequencer.starknet.names import SierraClass, sierra_class_hash

NAMES = sorted(CONTRACTS)


def sierra_program(name: str) -> list[int]:
    return [int(felt, 16) for felt in json.loads(load_artifact(name).sierra)["sierra_program"]]


def test_the_folder_holds_what_the_manifest_says() -> None:
    manifest = load_manifest()
    paths = {path for name in NAMES for path in (sierra_path(name), casm_path(name))}
    assert sorted(manifest.contracts) == NAMES
    assert set(ARTIFACTS.iterdir()) == paths | {ARTIFACTS / "manifest.json"}
    assert manifest.tools == tool_versions()
    sources = [source for entry in manifest.contracts.values() for source in entry.sources]
    assert sorted(sources) == sorted(
        path.relative_to(FOLDER).as_posix() for path in (FOLDER / "src").rglob("*.cairo")
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_has_unit_tests(name: str) -> None:
    texts = [path.read_text("utf-8") for path in groups_of_tests(name)]
    assert all("#[test]" in text for text in texts)
    assert (UNIT_TESTS / name / "support.cairo").exists()
    assert texts


@pytest.mark.parametrize("name", NAMES)
def test_the_artifacts_come_from_this_source(name: str) -> None:
    entry = load_manifest().contracts[name]
    assert entry.sources == list(CONTRACTS[name])
    found = source_hash(joined_source(entry.sources))
    assert found == entry.source_sha256, f"{name} has changed: run make contracts"


@pytest.mark.parametrize("name", NAMES)
def test_every_part_of_a_source_counts(name: str) -> None:
    parts = load_manifest().contracts[name].sources
    others = [
        [*parts, parts[0]],
        *(parts[:place] + parts[place + 1 :] for place in range(len(parts))),
    ]
    hashes = {source_hash(joined_source(each)) for each in (parts, *others)}
    assert len(hashes) == len(others) + 1


def test_tests_are_joined_with_what_they_share() -> None:
    for name in NAMES:
        for group in groups_of_tests(name):
            joined = [path.relative_to(FOLDER).as_posix() for path in joined_for_tests(name, group)]
            beside = TESTED_BESIDE.get(group.parent.name)
            assert joined[: len(CONTRACTS[name])] == list(CONTRACTS[name])
            assert joined[-1] == group.relative_to(FOLDER).as_posix()
            assert f"tests/{name}/support.cairo" in joined
            assert beside is None or set(CONTRACTS[beside]) < set(joined)
            assert len(set(joined)) == len(joined)


def test_line_ends_do_not_change_a_source() -> None:
    assert source_hash(b"a\r\nb\n") == source_hash(b"a\nb\n") != source_hash(b"a\nb")


@pytest.mark.parametrize("name", NAMES)
def test_the_class_hashes_are_those_of_the_artifacts(name: str) -> None:
    artifact = load_artifact(name)
    declared = create_sierra_compiled_contract(artifact.sierra)
    compiled = create_casm_class(artifact.casm)
    assert hex(compute_sierra_class_hash(declared)) == artifact.entry.class_hash
    assert hex(compute_casm_class_hash(compiled)) == artifact.entry.compiled_class_hash
    kinds = declared.entry_points_by_type
    external, l1_handler, constructor = (
        [(point.selector, point.function_idx) for point in points]
        for points in (kinds.external, kinds.l1_handler, kinds.constructor)
    )
    ours = SierraClass(
        version=declared.contract_class_version,
        program=declared.sierra_program,
        external=external,
        l1_handler=l1_handler,
        constructor=constructor,
        abi=str(declared.abi),
    )
    assert hex(sierra_class_hash(ours)) == artifact.entry.class_hash


@pytest.mark.parametrize("name", NAMES)
def test_the_program_is_repaired_and_packed_as_a_compiler_does(name: str) -> None:
    program = sierra_program(name)
    values = unpack(program)
    targets = branch_targets(values)
    assert program[6:] == pack(values)
    assert repair(program) == program
    assert len(targets) > 1000
    assert all(values[place] != FALL_THROUGH_32 for place in targets)
