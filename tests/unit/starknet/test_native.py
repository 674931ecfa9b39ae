"""Which core hashes is chosen once, at import, and can be said from outside."""

import importlib.util
import os
import subprocess
import sys

import pytest

from sequencer.starknet.native import HASHES, NATIVE

_SAID = "from sequencer.starknet import felt_hash, native; print(native.HASHES, felt_hash.NATIVE)"


_IS_INSTALLED = importlib.util.find_spec("perpchain_native") is not None


def ask(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PERPCHAIN_HASHES"}
    return subprocess.run(
        [sys.executable, "-c", _SAID],
        env=environment | variables,
        capture_output=True,
        check=False,
        text=True,
    )


def test_the_word_is_that_of_the_core() -> None:
    expected = "wheels" if NATIVE is None else "native"
    assert expected == HASHES


def test_the_environment_leaves_the_native_core_out() -> None:
    assert ask(PERPCHAIN_HASHES="wheels").stdout == "wheels None\n"


def test_the_core_is_taken_where_it_is_installed() -> None:
    assert ask(PERPCHAIN_HASHES="").stdout.split()[0] == ("native" if _IS_INSTALLED else "wheels")


@pytest.mark.parametrize("word", ["WHEELS", "wheel", *([] if _IS_INSTALLED else ["native"])])
def test_a_word_that_cannot_be_had_ends_with_one_line(word: str) -> None:
    done = ask(PERPCHAIN_HASHES=word)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"PERPCHAIN_HASHES is wheels, or native where the core is installed: {word!r}"
    ]
