"""Which core hashes is chosen once, at import, and can be said from outside."""

import importlib.util
import os
import subprocess
import sys

import pytest

from sequencer.starknet.native import HASHES, NATIVE

_SAID = "from sequencer.starknet import felt_hash, native; print(native.HASHES, felt_hash.NATIVE)"


def said(**variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PERPCHAIN_HASHES"}
    done = subprocess.run(
        [sys.executable, "-c", _SAID],
        env=environment | variables,
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout


def test_the_word_is_that_of_the_core() -> None:
    expected = "wheels" if NATIVE is None else "native"
    assert expected == HASHES


def test_the_environment_leaves_the_native_core_out() -> None:
    assert said(PERPCHAIN_HASHES="wheels") == "wheels None\n"


@pytest.mark.parametrize("word", ["", "native", "WHEELS"])
def test_any_other_word_changes_nothing(word: str) -> None:
    is_installed = importlib.util.find_spec("perpchain_native") is not None
    assert said(PERPCHAIN_HASHES=word).split()[0] == ("native" if is_installed else "wheels")
