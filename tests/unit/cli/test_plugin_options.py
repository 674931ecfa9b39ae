"""Plugins as the command line and a node's file name them: all there, or refused in one line."""

import re

import pytest

from sequencer.cli.node_file import PluginSection
from sequencer.cli.plugin_options import plugins_of
from sequencer.model.plugin_limits import PLUGIN_NAME_CHARACTERS_MAX, PLUGINS_MAX
from sequencer.model.plugins import HOST_BUCKET, PluginConfig
from sequencer.model.refusals import Reason, Refused
from tests.strategies import refused


def test_without_any_there_are_none() -> None:
    assert plugins_of(None) == []
    assert plugins_of([]) == []


def test_those_of_the_file_come_first_and_have_names_of_their_own() -> None:
    sections = [
        PluginSection("package.module:Watch"),
        PluginSection("module:Watch", name="Second-1_a", dry_run=True, options={"path": "a b"}),
    ]
    assert plugins_of(["history", "module:Other"], sections) == [
        PluginConfig("watch", "package.module:Watch"),
        PluginConfig("Second-1_a", "module:Watch", {"path": "a b"}, is_dry=True),
        PluginConfig("history", "history"),
        PluginConfig("other", "module:Other"),
    ]


def test_nothing_is_imported_and_a_typing_error_is_found_by_the_plugins_host() -> None:
    (plugin,) = plugins_of(["not_there_at_all:Nothing"])
    assert plugin.name == "nothing"


@pytest.mark.parametrize(
    "name",
    [HOST_BUCKET, "..", "a/b", "a b", "a.b", "ä", "a\n", "x" * (PLUGIN_NAME_CHARACTERS_MAX + 1)],
)
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with refused(Reason.PLUGIN_INVALID):
        plugins_of(None, [PluginSection("module:Class", name=name)])
    with refused(Reason.PLUGIN_INVALID):
        plugins_of([f"module:{name}"])


@pytest.mark.parametrize("use", ["", ":", "module:"])
def test_what_names_nothing_is_refused(use: str) -> None:
    with refused(Reason.PLUGIN_INVALID):
        plugins_of([use])


def test_a_name_of_the_longest_length_is_one() -> None:
    name = "x" * PLUGIN_NAME_CHARACTERS_MAX
    assert [each.name for each in plugins_of([f"module:{name}"])] == [name]


@pytest.mark.parametrize(
    ("uses", "sections"),
    [
        (["a:Watch", "b:watch"], []),
        (["a:Watch"], [PluginSection("b:Other", name="watch")]),
        ([], [PluginSection("a:A"), PluginSection("a:A")]),
    ],
)
def test_two_of_one_name_are_refused(uses: list[str], sections: list[PluginSection]) -> None:
    with pytest.raises(Refused, match=r"two plugins are called (watch|a): give them names"):
        plugins_of(uses, sections)


def test_too_many_are_refused() -> None:
    uses = [f"module:Class{number}" for number in range(PLUGINS_MAX + 1)]
    assert len(plugins_of(uses[1:])) == PLUGINS_MAX
    with pytest.raises(Refused, match=re.escape(f"{PLUGINS_MAX + 1} plugins, {PLUGINS_MAX} allow")):
        plugins_of(uses)
