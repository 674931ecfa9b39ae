"""What a shell completes: names, plans of a folder, labels of a node that runs; nothing else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.commands import shown
from tests.e2e.node_process import PATIENCE_SECONDS, Start

PROGRAM = str(Path(sys.executable).with_name("perpchain"))


def program(**environment: str) -> str:
    """Run the program as a shell does that asks it for something."""
    done = subprocess.run(
        [PROGRAM],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def completed(*words: object) -> list[str]:
    """Return what bash is told to offer for the last word."""
    typed = " ".join(map(str, ("perpchain", *words)))
    told = program(
        _PERPCHAIN_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(words))
    )
    return told.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("reo",), ["reorg"]),
        (("reorg", "un"), ["undo"]),
        (("mode", "x", "c"), ["cancel-only"]),
        (("guard", "off", "x", "price-s"), ["price-step", "price-seed"]),
        (("fault", "x", "lost"), ["lost-position", "lost-order"]),
        (("reorg", "plan", "x", "--policy", "cancel"), ["cancel-all", "cancel-all-but-tpsl"]),
        (("keys", "new", "x", "--for", "o"), ["operator"]),
        (("reorg", "apply", "/nowhere", ""), []),
        (("checkpoint", "drop", "/nowhere", ""), []),
        (("plugin", "park", "/nowhere", ""), []),
    ],
)
def test_names_are_completed(words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(*words) == offered


def test_plans_are_completed_from_the_folder_the_newest_first(folder: Path) -> None:
    made = [str(shown("reorg", "plan", folder, "--to", to)["plan_id"]) for to in (10, 11)]
    os.utime(folder / "plans" / f"{made[0]}.json", (1, 1))
    assert completed("reorg", "apply", folder, "") == made[::-1]
    assert completed("reorg", "show", folder, made[0][:5]) == made[:1]
    before = {*folder.rglob("*")}
    # The store of a stopped node is not opened for it.
    assert completed("checkpoint", "drop", folder, "") == []
    assert {*folder.rglob("*")} == before


def test_labels_are_those_of_the_node_that_runs(start: Start, data: Path) -> None:
    node = start()
    node.at_height(2)
    shown("checkpoint", "create", data, "noon", "--at", 1)
    assert completed("reorg", "plan", data, "--to", "") == ["noon"]
    assert completed("checkpoint", "drop", data, "no") == ["noon"]
    assert completed("checkpoint", "drop", data, "x") == []
    node.process.send_signal(signal.SIGSTOP)
    try:
        assert completed("checkpoint", "drop", data, "") == []
    finally:
        node.process.send_signal(signal.SIGCONT)
    assert node.end() == 0


@pytest.mark.parametrize(
    ("shell", "words"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --co")]
)
def test_each_shell_gets_a_script(shell: str, words: str) -> None:
    assert words in program(_PERPCHAIN_COMPLETE=f"source_{shell}")


def test_bash_has_it_once_it_is_installed(tmp_path: Path) -> None:
    """Install it from bash as somebody types it, and press the key in a new one."""
    path = f"{Path(PROGRAM).parent}:/usr/bin:/bin"
    environment = os.environ | {"HOME": str(tmp_path), "PATH": path}

    def bash(script: str) -> str:
        # Two commands: bash would become a lone one, and then no shell has typed it.
        done = subprocess.run(
            ["bash", "--norc", "-c", f"{script}; exit $?"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "bash completion installed in" in bash("perpchain --install-completion")
    pressed = "COMP_WORDS=(perpchain mode x po); COMP_CWORD=3; _perpchain_completion perpchain"
    told = bash(f'source {tmp_path}/.bashrc; {pressed}; echo "${{COMPREPLY[@]}}"')
    assert told.split() == ["post-only"]
