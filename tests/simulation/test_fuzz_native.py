"""A short campaign against the native core, and bugs that it has to find. `make fuzz` is longer."""

import os
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest
from fast_stark_crypto import lib as curve

from scripts.campaigning.results import Found
from scripts.fuzz import fuzz_native
from scripts.fuzzing.curve import Walk
from scripts.fuzzing.native_core import RARE, ROUND_INPUTS
from scripts.fuzzing.native_tries import ReadFailed
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.native import NATIVE, Core
from sequencer.starknet.trie import Changes, Reader

if NATIVE is None:
    pytest.skip("the native core is not installed", allow_module_level=True)

CORE = NATIVE
INPUTS = 6_000
SIGNATURE_BYTES = 128

Function = Callable[..., object]


def campaign(core: Core, inputs: int, seed: int) -> Found:
    return fuzz_native(core, inputs, seed, print)


def test_the_core_is_right_about_everything_that_it_is_asked() -> None:
    found = campaign(CORE, INPUTS, seed=1)
    assert not found.violations
    assert set(found.silent) <= set(RARE)
    assert found.counters["inputs"] == INPUTS
    assert 0 < found.counters["calls in two threads at once"] < INPUTS


def test_a_campaign_follows_from_its_seed() -> None:
    first, again, other = (campaign(CORE, 1_000, seed) for seed in (2, 2, 3))
    assert first == again
    assert first != other


def test_points_are_those_of_the_wheels() -> None:
    random = Random(1)
    walk = Walk(random)
    for _ in range(20):
        multiple = walk.next(random)
        assert multiple.point[0] == curve.get_public_key(multiple.scalar)


def accept_all(signatures: bytes) -> bytes:
    return b"\1" * len(CORE.verify_many(signatures))


def accept_none(signatures: bytes) -> bytes:
    return bytes(len(CORE.verify_many(signatures)))


def accept_r_in_another_form(signatures: bytes) -> bytes:
    """Reduce each field first, as a careless reader of felts would."""
    fields = [
        int.from_bytes(signatures[start : start + 32], "big") % FELT_PRIME
        for start in range(0, len(signatures) - 31, 32)
    ]
    whole = len(signatures) % SIGNATURE_BYTES == 0
    reduced = b"".join(field.to_bytes(32, "big") for field in fields)
    return CORE.verify_many(reduced if whole else signatures)


def one_more(function: Callable[[bytes], bytes]) -> Function:
    def changed(data: bytes) -> bytes:
        answer = function(data)
        return answer[:-1] + bytes([answer[-1] ^ 1]) if answer else answer

    return changed


def say_a_panic(signatures: bytes) -> bytes:
    os.write(2, b"thread '<unnamed>' panicked at src/signatures.rs:1:1\n")
    return CORE.verify_many(signatures)


def raise_another(felts: bytes) -> bytes:
    try:
        return CORE.pedersen_fold(felts)
    except ValueError:
        raise RuntimeError("the native core panicked") from None


def swallow_malformed(leaves: bytes) -> bytes:
    try:
        return CORE.list_root(leaves)
    except ValueError:
        return bytes(32)


def forget_tombstones(
    read: Reader, leaves: bytes, height: int, hash_: str, tag: bytes
) -> tuple[bytes, Changes]:
    root, changes = CORE.trie_update(read, leaves, height, hash_, tag)
    return root, {position: node for position, node in changes.items() if node is not None}


def wrap_what_a_reader_raises(
    read: Reader, leaves: bytes, height: int, hash_: str, tag: bytes
) -> tuple[bytes, Changes]:
    def wrapped(position: tuple[int, int]) -> bytes | None:
        try:
            return read(position)
        except ReadFailed as failed:
            raise ValueError(str(failed)) from failed

    return CORE.trie_update(wrapped, leaves, height, hash_, tag)


PLANTED: dict[str, tuple[str, Function, str]] = {
    "accepts everything": ("verify_many", accept_all, "wrong accept"),
    "accepts nothing": ("verify_many", accept_none, "wrong refusal"),
    "takes fields modulo the prime": ("verify_many", accept_r_in_another_form, "wrong accept"),
    "panics and says so": ("verify_many", say_a_panic, "panicked"),
    "hashes wrong": ("pedersen_many", one_more(CORE.pedersen_many), "pedersen_many"),
    "signs wrong": ("public_key", one_more(CORE.public_key), "public_key"),
    "raises something else": ("pedersen_fold", raise_another, "RuntimeError"),
    "takes malformed leaves": ("list_root", swallow_malformed, "list_root"),
    "forgets tombstones": ("trie_update", forget_tombstones, "trie_update"),
    "wraps exceptions": ("trie_update", wrap_what_a_reader_raises, "ReadFailed"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_bug_is_found(bug: str) -> None:
    name, function, words = PLANTED[bug]
    functions = {each: getattr(CORE, each) for each in ROUND_INPUTS}
    core = cast(Core, SimpleNamespace(**functions | {name: function}))
    found = campaign(core, 2_000, seed=5)
    assert found.violations
    assert all(words in violation for violation in found.violations)


def test_what_never_comes_about_is_told() -> None:
    found = campaign(CORE, 1, seed=1)
    assert set(RARE) <= set(found.silent)
