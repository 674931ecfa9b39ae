"""Finding a plugin's class: what is there is found, and what is not is refused in one line."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sequencer.model.refusals import Reason, Refused
from sequencer.plugins.loading import default_name, load_plugin, require_plugin_name

MODULE = "plugin_of_somebody"
CODE = """
from sequencer.plugins.protocol import Plugin

class Whole:
    def new_block(self, block, state_update, new_classes): ...
    def revert_block(self, from_block, to_block, reverse_state_diff): ...

class Half:
    def new_block(self, block, state_update, new_classes): ...

class Inherits(Plugin):
    def new_block(self, block, state_update, new_classes): ...

function = print
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to be in, whose modules nobody finds afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(MODULE):
            del sys.modules[name]


def refused(use: str) -> Refused:
    with pytest.raises(Refused) as caught:
        load_plugin(use)
    assert "\n" not in str(caught.value)
    return caught.value


def write(here: Path, code: str, name: str = MODULE) -> None:
    (here / f"{name}.py").write_text(code)


def test_a_class_of_the_current_folder(here: Path) -> None:
    write(here, CODE)
    loaded = load_plugin(f"{MODULE}:Whole")
    assert loaded.name == "whole"
    assert type(loaded.factory()).__name__ == "Whole"


def test_the_current_folder_is_last_for_whatever_is_imported_later(here: Path) -> None:
    write(here, CODE)
    load_plugin(f"{MODULE}:Whole")
    assert sys.path.index(str(here)) == len(sys.path) - 1
    load_plugin(f"{MODULE}:Whole")
    assert sys.path.count(str(here)) == 1


def test_a_class_of_a_package(here: Path) -> None:
    (here / MODULE).mkdir()
    write(here / MODULE, CODE, "inner")
    assert load_plugin(f"{MODULE}.inner:Whole").name == "whole"


def test_what_is_no_plugin_is_invalid(here: Path) -> None:
    write(here, CODE)
    assert "class Half has no revert_block" in refused(f"{MODULE}:Half").detail
    assert "class Inherits has no revert_block" in refused(f"{MODULE}:Inherits").detail
    assert "function is no class" in refused(f"{MODULE}:function").detail
    assert refused(f"{MODULE}:function").reason is Reason.PLUGIN_INVALID


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def (", "SyntaxError: "),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_t"),
        ("1 / 0", f"ZeroDivisionError: division by zero ({MODULE}.py:1 in <module>)"),
        ("import sys; sys.exit('gone')", "SystemExit: gone"),
        ("import sys; sys.modules[__name__] = 5", "there is no module"),
    ],
)
def test_a_module_that_cannot_be_imported(here: Path, code: str, words: str) -> None:
    write(here, code)
    assert words in refused(f"{MODULE}:Whole").detail


@pytest.mark.parametrize(
    "use", [f"{MODULE}:Whole", f"{MODULE}.deeper:Whole", "sequencer.plugins.nowhere:Whole"]
)
def test_a_module_that_is_not_there_is_unknown(here: Path, use: str) -> None:
    assert refused(use).reason is Reason.PLUGIN_UNKNOWN


def test_a_class_that_is_not_there_is_unknown(here: Path) -> None:
    write(here, CODE)
    assert refused(f"{MODULE}:Absent").reason is Reason.PLUGIN_UNKNOWN


@pytest.mark.parametrize("use", ["a:b:c", ":Whole", "module:", "./m.py:Whole", "m:a.b", "m :W"])
def test_what_names_no_class_is_invalid(use: str) -> None:
    assert refused(use).reason is Reason.PLUGIN_INVALID


@pytest.mark.parametrize(
    ("method", "is_right"),
    [
        ("def revert_block(self, block, parent): ...", False),
        ("def revert_block(self, block, parent, diff, more): ...", False),
        ("def reorg_done(self): ...", False),
        ("def init(self): ...", False),
        ("def shutdown(self, now): ...", False),
        ("def revert_block(self, block, parent, diff, more=None): ...", True),
        ("def revert_block(self, *blocks): ...", True),
        ("reorg_done = staticmethod(print)", True),
    ],
)
def test_a_method_that_cannot_be_called_is_found_at_once(
    here: Path, method: str, is_right: bool
) -> None:
    write(here, f"{CODE}\n\nclass Odd(Whole):\n    {method}\n")
    if is_right:
        assert load_plugin(f"{MODULE}:Odd").name == "odd"
    else:
        told = refused(f"{MODULE}:Odd")
        assert told.reason is Reason.PLUGIN_INVALID
        assert "does not take what it is called with" in told.detail


def test_an_entry_point_is_found_by_its_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(here, CODE)
    folder = here / "somebodys_package-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-package\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(
        f"[perpchain.plugins]\nledger-of-them = {MODULE}:Whole\nbroken = {MODULE}\n"
    )
    monkeypatch.syspath_prepend(str(here))
    loaded = load_plugin("ledger-of-them")
    assert (loaded.name, type(loaded.factory()).__name__) == ("ledger-of-them", "Whole")
    assert refused("broken").reason is Reason.PLUGIN_INVALID
    absent = refused("absent")
    assert absent.reason is Reason.PLUGIN_UNKNOWN
    assert "ledger-of-them" in absent.detail


def test_names() -> None:
    assert default_name("module.inner:MyPlugin") == "myplugin"
    assert default_name("history") == "history"
    assert require_plugin_name("My-plugin_2") == "My-plugin_2"
    for name in ("", "a b", "../up", "ä", "x" * 65, "a\n", "."):
        with pytest.raises(Refused) as caught:
            require_plugin_name(name)
        assert caught.value.reason is Reason.PLUGIN_INVALID
