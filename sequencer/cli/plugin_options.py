"""Plugins beside a node, as its command and its file name them."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from sequencer.cli.node_file import PluginSection
from sequencer.model.plugin_limits import PLUGINS_MAX
from sequencer.model.plugins import PluginConfig
from sequencer.model.refusals import Reason, Refused
from sequencer.plugins.loading import default_name, require_plugin_name

PluginUses = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin", help="MODULE:CLASS, or the name of an installed plugin; as often as wanted."
    ),
]


def plugins_of(
    uses: Iterable[str] | None, sections: Iterable[PluginSection] = ()
) -> Sequence[PluginConfig]:
    """Return the plugins of a node. Refusals: PLUGIN_INVALID, also for a name that comes twice."""
    asked = [*sections, *(PluginSection(use) for use in uses or ())]
    plugins = [
        PluginConfig(
            name=require_plugin_name(each.name or default_name(each.use)),
            use=each.use,
            options=each.options,
            is_dry=each.dry_run,
        )
        for each in asked
    ]
    names = [plugin.name for plugin in plugins]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        words = f"two plugins are called {twice}: give them names in the file of --config"
        raise Refused(Reason.PLUGIN_INVALID, words)
    if len(plugins) > PLUGINS_MAX:
        raise Refused(Reason.PLUGIN_INVALID, f"{len(plugins)} plugins, {PLUGINS_MAX} allowed")
    return plugins
