"""What is typed back on a terminal before something is undone, and what is said without one."""

import shlex
from pathlib import Path

import pytest

from tests.e2e.commands import run, shown
from tests.e2e.played_store import BLOCKS
from tests.e2e.terminal import CONTROL_D, Typist, typed

TARGET = 10


@pytest.fixture
def plan_id(folder: Path) -> str:
    return str(shown("reorg", "plan", folder, "--to", TARGET)["plan_id"])


def height_of(folder: Path) -> object:
    return shown("reorg", "status", folder)["height"]


@pytest.mark.parametrize("answer", ["11", "", " ", "+10", "10.0", "y", "\u0661\u0660", "1" * 500])
def test_any_other_height_undoes_nothing(folder: Path, plan_id: str, answer: str) -> None:
    code, said = typed(f"{answer}\n".encode(), "reorg", "apply", folder, plan_id, "--reason", "x")
    assert code == 2, said
    assert said.endswith(f"; nothing was done; next: perpchain reorg show {folder} {plan_id}\n")
    assert said.count("\n") == 1
    assert f"{TARGET}" not in said.replace(str(folder), "").replace(plan_id, "").replace(answer, "")
    assert height_of(folder) == BLOCKS


def test_the_height_that_stays_goes_back_and_the_one_that_returns_undoes(
    folder: Path, plan_id: str
) -> None:
    with Typist("reorg", "apply", folder, plan_id[:8], "--reason", "x") as typist:
        words = f"{BLOCKS - TARGET} blocks will be undone. Type the height of the block that stays"
        assert typist.asked() == f"{words}: "
        code, said = typist.types(f" {TARGET} \n".encode())
    assert (code, height_of(folder)) == (0, TARGET), said
    undo = ("reorg", "undo", folder, 1, "--reason", "x")
    code, said = typed(f"{TARGET}\n".encode(), *undo)
    assert (code, "nothing was done" in said) == (2, True)
    with Typist(*undo) as typist:
        words = f"{BLOCKS - TARGET} blocks will be back. Type the height of the head that comes"
        assert typist.asked() == f"{words} back: "
        code, said = typist.types(f"{BLOCKS}\n".encode())
    assert (code, height_of(folder)) == (0, BLOCKS), said


def test_what_is_refused_anyway_is_not_asked_for(folder: Path) -> None:
    for words, code in (
        (("reorg", "undo", folder, 1, "--reason", "x"), "UNDO_IMPOSSIBLE"),
        (("reorg", "apply", folder, "f" * 64, "--reason", "x"), "PLAN_UNKNOWN"),
    ):
        with Typist(*words) as typist:
            ended, said = typist.types(b"")
        assert (ended, said.count("\n"), code in said) == (2, 1, True)


def test_who_leaves_has_done_nothing(folder: Path, plan_id: str) -> None:
    words = ("reorg", "apply", folder, plan_id, "--reason", "x")
    with Typist(*words) as typist:
        typist.asked()
        code, said = typist.types(CONTROL_D)
    assert (code, "nothing was typed; nothing was done; next: " in said) == (2, True)
    with Typist(*words) as typist:
        typist.asked()
        code, said = typist.interrupts()
    assert (code, said) == (130, "\nperpchain reorg apply: nothing was done\n")
    assert height_of(folder) == BLOCKS


@pytest.mark.parametrize("answer", ["8", "7"])
def test_a_deposit_is_unmade_for_its_number_alone(tmp_path: Path, answer: str) -> None:
    (tmp_path / "key").write_text("0x7")
    words = ("unmake", "http://127.0.0.1:1", 7, "--account", "0x5", "--key-file", tmp_path / "key")
    code, said = typed(f"{answer}\n".encode(), *words)
    # Nobody listens there: whoever typed the number was let through.
    assert (code, "nothing was done" in said) == (2, answer != "7"), said


def test_without_a_terminal_the_refusal_is_the_command(folder: Path, plan_id: str) -> None:
    odd = folder.rename(folder.with_name("it's a chain"))
    Path(f"{folder}.witness").rename(f"{odd}.witness")
    done = run("reorg", "apply", odd, plan_id, "--reason", "a 'price'; rm", "--by", "olga")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    command = done.stderr.rstrip("\n").rpartition("to do it: perpchain ")[2]
    assert height_of(odd) == BLOCKS
    assert run(*shlex.split(command)).exit_code == 0
    records = shown("reorg", "list", odd)["reorgs"]
    assert isinstance(records, list)
    assert records[0].endswith("by olga: a 'price'; rm")
    done = run("reorg", "undo", odd, 1, "--reason", "x")
    assert done.exit_code == 2
    command = done.stderr.rstrip("\n").rpartition("to do it: perpchain ")[2]
    assert run(*shlex.split(command)).exit_code == 0
    assert height_of(odd) == BLOCKS
