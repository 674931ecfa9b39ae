"""The planted bugs are patches of this tree as it is, and what is no such patch is said so."""

from pathlib import Path

import pytest

from scripts.planting.campaign import (
    Stage,
    Verdict,
    control_stages,
    first_words,
    is_crash,
    stages_of,
)
from scripts.planting.copies import ROOT, Copy, copied
from scripts.planting.patches import (
    FOLDER,
    KILLS,
    MONEY,
    RACES,
    PatchInvalid,
    apply_patch,
    planted,
    read_patch,
    why_no_git,
)

NAMES = (
    "acknowledged_before_sync",
    "await_between_read_and_commit",
    "cache_kept_after_rollback",
    "dead_interval_off_by_one",
    "deposit_credited_twice",
    "half_batch_on_exception",
    "hold_not_released",
    "liquidator_armed_after_rollback",
    "missing_index_read_as_0",
    "missing_token_check",
    "old_epoch_accepted",
    "rollbacks_sharing_a_key",
    "seen_set_rewound",
    "witness_after_acknowledgement",
    "write_after_a_full_disk",
)
DIFF = """--- a/sequencer/gone.py
+++ b/sequencer/gone.py
@@ -1 +1 @@
-one
+two
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "some.patch"
    path.write_text(text)
    return path


def test_every_bug_says_what_is_wrong_and_what_finds_it() -> None:
    patches = planted()
    assert tuple(patch.name for patch in patches) == NAMES
    for patch in patches:
        assert patch.path.read_text().startswith("# "), patch.name
        assert len(patch.about) > 30, patch.name
        assert patch.campaign in (RACES, MONEY, KILLS), patch.name
        assert bool(patch.scenarios) == (patch.campaign == KILLS), patch.name


@pytest.mark.parametrize("name", NAMES)
def test_every_bug_applies_to_this_tree_with_one_hunk(name: str) -> None:
    if reason := why_no_git():
        pytest.skip(reason)
    patch = read_patch(FOLDER / f"{name}.patch")
    assert (patch.hunks, len(patch.paths)) == (1, 1)
    apply_patch(patch, ROOT, check=True)


def test_a_bug_is_planted_in_a_copy_that_goes_away() -> None:
    if reason := why_no_git():
        pytest.skip(reason)
    patch = read_patch(FOLDER / "missing_token_check.patch")
    (name,) = patch.paths
    before, copies = (ROOT / name).read_text(), list[Copy]()

    def interrupted() -> None:
        with copied(patch) as copy:
            copies.append(copy)
            assert (copy.tree / name).read_text() != before
            assert (copy.tree / "scripts" / "plant.py").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not any(folder.exists() for folder in copies[0])
    assert (ROOT / name).read_text() == before


def test_what_cannot_be_tried_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PatchInvalid, match=r"absent\.patch: No such file"):
        read_patch(tmp_path / "absent.patch")
    for text in ("hello\n", "--- a/sequencer/node.py\n+++ b/sequencer/node.py\n"):
        with pytest.raises(PatchInvalid, match="no unified diff"):
            read_patch(written(tmp_path, text))
    (tmp_path / "some.patch").write_bytes(b"\xff\xfe")
    with pytest.raises(PatchInvalid, match="it is no text"):
        read_patch(tmp_path / "some.patch")
    with pytest.raises(PatchInvalid, match=r"changes nothing of sequencer/.*: only docs/gone\.md"):
        read_patch(written(tmp_path, DIFF.replace("sequencer/gone.py", "docs/gone.md")))


def test_a_patch_that_does_not_apply_is_said_so(tmp_path: Path) -> None:
    if reason := why_no_git():
        pytest.skip(reason)
    patch = read_patch(written(tmp_path, DIFF))
    with pytest.raises(PatchInvalid, match=r"some\.patch does not apply: .*sequencer/gone\.py"):
        apply_patch(patch, ROOT, check=True)


def test_a_patch_without_a_header_is_raced_and_then_killed(tmp_path: Path) -> None:
    bare = read_patch(written(tmp_path, DIFF))
    assert [stage.campaign for stage in stages_of(bare)] == [RACES, KILLS]
    named = read_patch(written(tmp_path, f"# Wrong.\n# Found by: kills (hooks, errors)\n{DIFF}"))
    assert (named.about, named.scenarios) == ("Wrong", ("hooks", "errors"))
    assert [str(stage) for stage in stages_of(named)] == ["kills (hooks, errors)"]


def test_a_crash_of_the_patch_itself_is_no_find() -> None:
    traced = "Traceback (most recent call last):\n  File x\n{}: some words\n"
    assert is_crash(traced.format("NameError"))
    assert is_crash("it does not open: TypeError some words")
    assert is_crash("  | " + traced.format("    | AttributeError"))
    assert not is_crash(traced.format("sequencer.ports.StoreFailed"))
    assert not is_crash("0x1 NameErrors were told of block 7, the witness was not")


def test_the_first_words_of_a_violation_are_one_line() -> None:
    assert first_words("two words\nand more") == "two words"
    group = (
        "  + Exception Group Traceback (most recent call last):\n"
        "  | File x\n  +-+--- 1 ---\n    | Violated: the contract has 3\n    +-----\n"
    )
    assert first_words(group) == "Violated: the contract has 3"


def test_the_control_runs_what_has_found_bugs() -> None:
    found = [
        Verdict("one", Stage(RACES), "seed 7", "", 7, 1.0),
        Verdict("two", Stage(RACES), "seed 3", "", 3, 1.0),
        Verdict("three", Stage(KILLS, tries=60, scenarios=("hooks",)), "", "", 2, 1.0),
        Verdict("four", None, "", "", 200, 1.0),
    ]
    assert control_stages(found) == [
        Stage(KILLS, 1, 60, ("hooks",)),
        Stage(RACES, 1, 7),
    ]
