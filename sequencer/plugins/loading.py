"""Finds a plugin's class: `MODULE:CLASS`, or the name of an entry point of a package.

Promises
- A plugin that is not there or cannot be used is refused in one line, whatever its module does
  while it is imported.
- Modules of the current folder are found first, while the plugin's own is imported; everything
  that is imported later comes from where it always did.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import msgspec

from sequencer.model.plugin_limits import PLUGIN_NAME_CHARACTERS_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.plugins.calling import Raised, attempt
from sequencer.plugins.protocol import Plugin

_GROUP = "perpchain.plugins"
_CLASS_OF_MODULE = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")
_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{PLUGIN_NAME_CHARACTERS_MAX}}}")
_NEEDED = ("new_block", "revert_block")
_ARGUMENTS = {
    name: list(inspect.signature(method).parameters)[1:]
    for name, method in vars(Plugin).items()
    if inspect.isfunction(method) and not name.startswith("_")
}


class Loaded(msgspec.Struct, frozen=True):
    """A plugin's class, and the name that its plugins have unless somebody gives another."""

    name: str
    factory: Callable[[], object]


def load_plugin(use: str) -> Loaded:
    """Import a plugin's class: `MODULE:CLASS`, or an entry point of group `perpchain.plugins`.

    Refusals: PLUGIN_UNKNOWN where there is no such module, class or entry point, PLUGIN_INVALID
    where its module cannot be imported or it is no class with `new_block` and `revert_block`.
    """
    module_name, class_name = _where(use)
    found = getattr(_module(use, module_name), class_name, None)
    if found is None:
        raise _unknown(use, f"module {module_name} has no {class_name}")
    if not isinstance(found, type):
        raise _invalid(use, f"{class_name} is no class")
    for method in _NEEDED:
        if getattr(found, method, None) in (None, getattr(Plugin, method)):
            raise _invalid(use, f"class {class_name} has no {method}")
    for method, names in _ARGUMENTS.items():
        if not _takes(found, method, len(names)):
            words = f"{class_name}.{method} does not take what it is called with"
            raise _invalid(use, f"{words}: {', '.join(names) or 'nothing'}")
    return Loaded(default_name(use), found)


def default_name(use: str) -> str:
    """Return the name of a plugin that is given none, without importing anything of it."""
    _, colon, class_name = use.rpartition(":")
    return class_name.lower() if colon else use


def require_plugin_name(name: str) -> str:
    """Return a plugin's name if it can be one. Refusal: PLUGIN_INVALID."""
    if _NAME.fullmatch(name) is None:
        words = f"a name is 1 to {PLUGIN_NAME_CHARACTERS_MAX} letters, digits, - and _"
        raise Refused(Reason.PLUGIN_INVALID, f"{words}, not {shown(name)}")
    return name


def _takes(found: type, method: str, count: int) -> bool:
    """Say whether a method can be called with so many arguments, as far as that can be told."""
    stated = inspect.getattr_static(found, method, None)
    if not inspect.isfunction(stated):
        return True
    try:
        inspect.signature(stated).bind(None, *[None] * count)
    except TypeError:
        return False
    return True


def _where(use: str) -> tuple[str, str]:
    if ":" not in use:
        use = _entry_point(use).value.partition("[")[0].strip()
    match = _CLASS_OF_MODULE.fullmatch(use)
    if match is None:
        words = "write it as MODULE:CLASS, with MODULE as in `import MODULE`"
        raise Refused(Reason.PLUGIN_INVALID, f"{shown(use)}: {words}")
    return match["module"], match["name"]


def _entry_point(name: str) -> EntryPoint:
    found = {point.name: point for point in entry_points(group=_GROUP)}
    if name not in found:
        names = ", ".join(sorted(found)) or "none"
        words = f"neither MODULE:CLASS nor an installed plugin; there are: {names}"
        raise _unknown(use=name, why=words)
    return found[name]


def _module(use: str, name: str) -> ModuleType:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        outcome = attempt(name, _import, name)
    finally:
        # Last from now on: what the program itself imports later is not to be found here.
        if here in sys.path:
            sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)
    if isinstance(outcome, Raised):
        raise _invalid(use, outcome.words)
    if not isinstance(outcome.value, ModuleType):
        raise _unknown(use, f"there is no module {name}, neither here nor installed")
    return outcome.value


def _import(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise


def _unknown(use: str, why: str) -> Refused:
    return Refused(Reason.PLUGIN_UNKNOWN, f"{shown(use)}: {why}")


def _invalid(use: str, why: str) -> Refused:
    return Refused(Reason.PLUGIN_INVALID, f"{shown(use)}: {why}")
