"""Calls of somebody else's code: whatever it raises is an answer in one line.

Promises
- A failure's words name the exception, what it says and the place in the code that was called;
  they are one printable line, however long or broken the exception's own text is.
- Nothing is caught but errors and `sys.exit`: an interrupt passes through.
"""

import inspect
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from sequencer.model.plugin_limits import PLUGIN_WORDS_CHARACTERS_MAX

_IMPORT_MACHINERY = "<frozen importlib"
_PLACE_CHARACTERS_MAX = 160
_UNSHOWN = "(its text cannot be shown)"


class Returned(msgspec.Struct, frozen=True):
    """What a call returned; None where there was nothing to call."""

    value: object


class Raised(msgspec.Struct, frozen=True):
    """Why a call failed, in one line."""

    words: str


def call(plugin: object, method: str, *arguments: object) -> Returned | Raised:
    """Call a method of somebody's plugin, if the plugin has it."""
    return attempt(type(plugin).__module__, _call_method, plugin, method, *arguments)


def attempt(module: str, function: Callable[..., object], *arguments: object) -> Returned | Raised:
    """Call a function of somebody's, whose code is in the package that `module` belongs to."""
    outcome = _run(function, *arguments)
    if isinstance(outcome, BaseException):
        return Raised(_words(outcome, module.partition(".")[0]))
    if inspect.iscoroutine(outcome.value):
        outcome.value.close()
        return Raised(f"{outcome.value.__qualname__} is async; methods of a plugin are plain ones")
    return outcome


def one_line(text: str) -> str:
    """Make one printable line of somebody's text, PLUGIN_WORDS_CHARACTERS_MAX long at most."""
    # Cut first, too: what is split and joined below may be very long.
    words = " ".join(text[: 4 * PLUGIN_WORDS_CHARACTERS_MAX].split())
    line = "".join(letter if letter.isprintable() else "?" for letter in words)
    is_cut = len(line) > PLUGIN_WORDS_CHARACTERS_MAX
    return line[: PLUGIN_WORDS_CHARACTERS_MAX - 3] + "..." if is_cut else line


def _run(function: Callable[..., object], *arguments: object) -> Returned | BaseException:
    try:
        return Returned(function(*arguments))
    except (Exception, SystemExit) as error:
        return error


def _call_method(plugin: object, method: str, *arguments: object) -> object:
    found = getattr(plugin, method, None)
    return None if found is None else found(*arguments)


def _words(error: BaseException, package: str) -> str:
    said = _run(str, error)
    text = str(said.value) if isinstance(said, Returned) else _UNSHOWN
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = _place(error, package)
    room = PLUGIN_WORDS_CHARACTERS_MAX - len(place)
    line = one_line(named)
    return (line if len(line) <= room else line[: room - 3] + "...") + place


def _place(error: BaseException, package: str) -> str:
    """Say where in a package's code an error came from; else where it came from at all."""
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith((_IMPORT_MACHINERY, __file__))
    ]
    own = [at for at in frames if at[0].f_globals.get("__name__", "").split(".")[0] == package]
    if not frames:
        return ""
    frame, line = (own or frames)[-1]
    place = f"({Path(frame.f_code.co_filename).name}:{line} in {frame.f_code.co_name})"
    return f" {one_line(place)}" if len(place) <= _PLACE_CHARACTERS_MAX else ""
