"""Many inputs for the native core, each with an answer that is known, and what they add up to.

Laws
- What is well-formed has the one right answer: by construction, or as the wheels have it.
- What is malformed raises a ValueError that says what is wrong; what a reader of trie nodes raises
  comes out as it went in. Nothing else is ever raised.
- Nothing panics, not even where the core itself catches it.
- Half of all signatures at least are valid ones or made of such.
- A silent test is a failed test: every kind of input and of answer has to come about.
"""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from random import Random

from scripts.fuzzing import native_hashes, native_signatures, native_tries
from scripts.fuzzing.native_calls import Call, Raised
from scripts.fuzzing.native_hashes import Maker
from scripts.fuzzing.native_signatures import Signatures
from scripts.fuzzing.native_tries import Tries
from scripts.fuzzing.wheel_judge import SIGNATURE_BYTES, WheelJudge
from sequencer.starknet.native import Core

INPUTS_WHOLE = 1_000_000
"""Inputs of a whole campaign."""

ROUND_INPUTS: Mapping[str, int] = {
    "verify_many": 600,
    "pedersen_many": 110,
    "poseidon_many": 110,
    "pedersen_fold": 30,
    "poseidon_arrays": 60,
    "list_root": 20,
    "sign": 10,
    "public_key": 10,
    "trie_update": 50,
}
"""Inputs of a round for each function: signatures, pairs, arrays, or calls."""

RARE = (
    *(f"verify_many: {name}" for name in native_signatures.FORGETTING),
    *(f"trie_update: {name}" for name in native_tries.MANY),
)
"""Counters that stay 0 where inputs are few."""

_PROGRESS_ROUNDS = 50
_THREADS = 2
_TOGETHER_PART = 4
_VIOLATIONS_SHOWN_MAX, _SHOWN_MAX = 10, 600
_TOGETHER = "calls in two threads at once"
_SIGNATURES, _OF_VALID = "verify_many: signatures", "signatures that are valid or mutants of such"

Progress = Callable[[str], None]


class NativeCampaign:
    """One campaign against one core."""

    def __init__(self, core: Core, seed: int, progress: Progress) -> None:
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._core, self._seed, self._progress = core, seed, progress
        self._round = self._wanted = 0

    def run(self, inputs: int) -> None:
        """Hand in that many inputs, in whole rounds."""
        rounds = -(-inputs // sum(ROUND_INPUTS.values()))
        self._wanted = inputs
        with (
            _silence(self._violated),
            WheelJudge() as judge,
            ThreadPoolExecutor(1) as alone,
            ThreadPoolExecutor(_THREADS) as together,
        ):
            makers = self._makers(judge)
            started = time.monotonic()
            for self._round in range(rounds):
                calls = self._calls(makers)
                first = len(calls) // _TOGETHER_PART
                self._judge_all(calls[first:], alone)
                self._judge_all(calls[:first], together)
                self.counts[_TOGETHER] += first
                if (self._round + 1) % _PROGRESS_ROUNDS == 0:
                    self._tell(time.monotonic() - started)
        if 2 * self.counts[_OF_VALID] < self.counts[_SIGNATURES]:
            self._violated("less than half of the signatures are valid or made of valid ones")

    def missing(self) -> list[str]:
        """List what has to come about in a whole campaign, and did not."""
        parts = (native_signatures, native_hashes, native_tries)
        wanted = [_TOGETHER, _OF_VALID, *(name for part in parts for name in part.wanted())]
        return [each for each in wanted if not self.counts[each]]

    def _makers(self, judge: WheelJudge) -> Mapping[str, Maker]:
        signatures = Signatures(Random(f"{self._seed} signers"), judge, self._violated)
        tries = Tries(Random(f"{self._seed} tries"))
        own: dict[str, Maker] = {"verify_many": signatures.call, "trie_update": tries.call}
        return {**native_hashes.MAKERS, **own}

    def _calls(self, makers: Mapping[str, Maker]) -> list[Call]:
        calls = []
        for name, share in ROUND_INPUTS.items():
            random = Random(f"{self._seed} {self._round} {name}")
            left = share
            while left > 0:
                call = makers[name](random, left)
                calls.append(call)
                left -= call.inputs
        Random(f"{self._seed} {self._round}").shuffle(calls)
        return calls

    def _judge_all(self, calls: Sequence[Call], pool: ThreadPoolExecutor) -> None:
        # A pool keeps whatever is raised, panics included, which are no Exceptions.
        futures = [pool.submit(call.run, self._core) for call in calls]
        for call, future in zip(calls, futures, strict=True):
            self._judge(call, future)

    def _judge(self, call: Call, future: Future[object]) -> None:
        self.counts["inputs"] += call.inputs
        self.counts[f"{call.name}: calls"] += 1
        if call.name == "verify_many":
            self.counts[_SIGNATURES] += call.inputs
        raised, expected = future.exception(), call.expected
        if isinstance(expected, Raised):
            is_sound = isinstance(raised, expected.kinds) and expected.words in str(raised)
        elif isinstance(expected, BaseException):
            is_sound = raised is expected
        else:
            is_sound = raised is None and future.result() == expected
        if is_sound:
            self.counts.update(call.counts)
        else:
            self._violated(_difference(call, raised, None if raised else future.result()))

    def _tell(self, seconds: float) -> None:
        inputs = self.counts["inputs"]
        rate = inputs / seconds
        found = self.counts["violations"]
        self._progress(
            f"{inputs} of {self._wanted} inputs, {rate:.0f} a second, {found} violations"
        )

    def _violated(self, words: str) -> None:
        self.counts["violations"] += 1
        if len(self.violations) < _VIOLATIONS_SHOWN_MAX:
            self._progress(f"violated in round {self._round}: {words}")
            self.violations.append(f"round {self._round}: {words}")


def _difference(call: Call, raised: BaseException | None, answer: object) -> str:
    if call.name == "verify_many" and isinstance(answer, bytes):
        return _wrong_verdict(call, answer)
    got = f"raised {raised!r}" if raised is not None else _shown(answer)
    return f"{call.name} {call.about} {_shown(call.shown)}: {got}, not {_shown(call.expected)}"


def _wrong_verdict(call: Call, verdicts: bytes) -> str:
    expected = call.expected if isinstance(call.expected, bytes) else b""
    for place, (found, wanted) in enumerate(zip(verdicts, expected, strict=False)):
        if found != wanted:
            start = place * SIGNATURE_BYTES
            one = call.shown[start : start + SIGNATURE_BYTES].hex()
            return f"wrong {'refusal' if wanted else 'accept'} in verify_many: {one}"
    return f"{len(verdicts)} verdicts of verify_many, not {len(expected)}"


def _shown(value: object) -> str:
    return value.hex()[:_SHOWN_MAX] if isinstance(value, bytes) else repr(value)[:_SHOWN_MAX]


@contextmanager
def _silence(violated: Callable[[str], None]) -> Iterator[None]:
    """Report what is written to the error stream meanwhile: a panic is, also one that is caught."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        said.seek(0)
        for line in said:
            violated(f"something was said: {line.decode(errors='replace').strip()}")
