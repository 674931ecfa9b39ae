"""Calls of code that fails in every way it likes: one line says how, and nothing gets through."""

import sys
from fractions import Fraction

import pytest

from sequencer.model.plugin_limits import PLUGIN_WORDS_CHARACTERS_MAX
from sequencer.plugins.calling import Raised, Returned, attempt, call, one_line


class _Unprintable(Exception):
    def __str__(self) -> str:
        raise _Unprintable


class _Plugin:
    nothing = None

    def twice(self, number: int) -> int:
        return 2 * number

    def fails(self, error: BaseException) -> None:
        raise error

    def fails_below(self) -> None:
        int("no number")

    def fails_in_a_library(self) -> None:
        Fraction("no fraction")

    def leaves(self) -> None:
        sys.exit(3)

    def runs_away(self) -> None:
        self.runs_away()

    async def waits(self) -> None:
        raise AssertionError

    @property
    def broken(self) -> None:
        raise ValueError("no method either")


def words_of(method: str, *arguments: object) -> str:
    outcome = call(_Plugin(), method, *arguments)
    assert isinstance(outcome, Raised)
    assert outcome.words.isprintable()
    assert len(outcome.words) <= PLUGIN_WORDS_CHARACTERS_MAX
    return outcome.words


def test_what_is_there_is_called_and_what_is_not_is_nothing() -> None:
    assert call(_Plugin(), "twice", 21) == Returned(42)
    assert call(_Plugin(), "absent", 21) == Returned(None)
    assert call(_Plugin(), "nothing") == Returned(None)


def test_words_name_the_error_and_the_place() -> None:
    words = words_of("fails", ValueError("bad\nnews \x1b[31m"))
    assert words.startswith("ValueError: bad news ?[31m (test_calling.py:")
    assert words.endswith(" in fails)")


def test_the_place_is_in_the_code_of_the_plugin() -> None:
    assert words_of("fails_in_a_library").endswith(" in fails_in_a_library)")
    assert words_of("fails_below").endswith(" in fails_below)")


def test_an_error_without_text_is_named() -> None:
    assert words_of("fails", KeyError()).startswith("KeyError (test_calling.py:")


def test_an_error_whose_text_fails_is_named() -> None:
    words = words_of("fails", _Unprintable())
    assert words.startswith("_Unprintable: (its text cannot be shown) (test_calling.py:")


def test_long_words_are_cut_and_the_place_stays() -> None:
    words = words_of("fails", ValueError("x" * 1_000_000))
    assert len(words) == PLUGIN_WORDS_CHARACTERS_MAX
    assert words.endswith(" in fails)")


@pytest.mark.parametrize(
    ("method", "start"),
    [
        ("leaves", "SystemExit: 3"),
        ("runs_away", "RecursionError: "),
        ("broken", "ValueError: no method either"),
        ("twice", "TypeError: "),
    ],
)
def test_whatever_ends_a_call_is_an_answer(method: str, start: str) -> None:
    assert words_of(method).startswith(start)


def test_an_async_method_is_refused() -> None:
    assert words_of("waits") == "_Plugin.waits is async; methods of a plugin are plain ones"


def test_an_interrupt_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        call(_Plugin(), "fails", KeyboardInterrupt())


def test_any_function_can_be_attempted() -> None:
    assert attempt("builtins", int, "7") == Returned(7)
    assert attempt("builtins", int, "x") == Raised(
        "ValueError: invalid literal for int() with base 10: 'x'"
    )


def test_one_line_is_printable_and_short() -> None:
    assert one_line("  a\r\n\tb\x00 ") == "a b?"
    assert one_line("y" * 10_000) == "y" * (PLUGIN_WORDS_CHARACTERS_MAX - 3) + "..."
