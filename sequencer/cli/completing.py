"""What the shell completes beside commands, options and paths.

Promises
- Completing changes nothing, opens no store and prints no error: where it takes more than a folder
  or a question to a running node, there is nothing to complete.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import typer

from sequencer.cli.desk import ask_running
from sequencer.engine.requests import CheckpointListRequest, PluginListRequest
from sequencer.storage.plan_folder import PLANS_FOLDER

_LABEL = re.compile(r"(?P<label>.+) block [0-9]+ 0x[0-9a-f]+ (live|undone by)")

Completion = Callable[[typer.Context, list[str], str], list[str]]


def among(names: Iterable[str]) -> Completion:
    """Return what completes one of some names."""
    known = tuple(names)

    def complete(_context: typer.Context, _arguments: list[str], beginning: str) -> list[str]:
        return [name for name in known if name.startswith(beginning.lower())]

    return complete


def complete_plan(context: typer.Context, _arguments: list[str], beginning: str) -> list[str]:
    """Complete the id of a kept plan, the newest first."""
    folder = _folder(context)
    files = [] if folder is None else [*(folder / PLANS_FOLDER).glob("*.json")]
    files.sort(key=lambda file: file.stat().st_mtime, reverse=True)
    return [file.stem for file in files if file.stem.startswith(beginning)]


def complete_label(context: typer.Context, _arguments: list[str], beginning: str) -> list[str]:
    """Complete a checkpoint's label, of a node that runs."""
    folder = _folder(context)
    told = None if folder is None else ask_running(folder, CheckpointListRequest())
    lines = [] if told is None else msgspec.convert(told["checkpoints"], list[str])
    found = filter(None, map(_LABEL.match, lines))
    labels = dict.fromkeys(match["label"] for match in found)
    return [label for label in labels if label.startswith(beginning)]


def complete_plugin(context: typer.Context, _arguments: list[str], beginning: str) -> list[str]:
    """Complete a plugin's name, of a node that runs."""
    folder = _folder(context)
    told = None if folder is None else ask_running(folder, PluginListRequest())
    plugins = [] if told is None else msgspec.convert(told["plugins"], list[dict[str, object]])
    names = [str(plugin["name"]) for plugin in plugins]
    return [name for name in names if name.startswith(beginning)]


def _folder(context: typer.Context) -> Path | None:
    folder = context.params.get("data_dir")
    if isinstance(folder, Path):
        return folder
    # Behind an option without its value nothing is read: the words are as they were typed.
    return Path(context.args[0]) if context.args else None
