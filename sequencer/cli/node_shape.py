"""A node's file read piece by piece: everything in it that cannot stand, and what is left of it.

Promises
- What is wrong hides nothing else: all findings come at once, each with its place.
"""

import typing
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType

import msgspec

from sequencer.cli.node_file import RANGES, NodeFile, PluginSection, to_path

_HOW_TO_WRITE: dict[object, str] = {
    int: "a whole number, such as 5",
    bool: "true or false",
    str: 'text in quotes, such as "127.0.0.1"',
    Path: 'the path of a file in quotes, such as "operator.key"',
}
_TEXTS = "a table of text in quotes"


class Finding(msgspec.Struct, frozen=True):
    """What is to be put right: its place, what it is, and what to write or do instead.

    One that is only a `note` keeps no node from starting.
    """

    where: str
    what: str
    instead: str = ""
    note: bool = False


def sound_part(raw: Mapping[str, object]) -> tuple[NodeFile, list[Finding]]:
    """Return what of a file's content can be used, and findings about the rest."""
    findings: list[Finding] = []
    sound = _sound(NodeFile, raw, "", findings)
    return msgspec.convert(sound, NodeFile, dec_hook=to_path), findings


def _sound(
    kind: type[msgspec.Struct], raw: Mapping[str, object], place: str, findings: list[Finding]
) -> dict[str, object]:
    """Return the values of a table that can stand."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    sound: dict[str, object] = {}
    for name, value in raw.items():
        where = f"{place}{name}"
        field = fields.get(name)
        if field is None:
            findings.append(Finding(where, "nothing has this name here", _nearest(name, fields)))
            continue
        before = len(findings)
        kept = _value(field.type, value, where, findings)
        if len(findings) == before or isinstance(kept, (dict, list)):
            sound[name] = kept
    for name, field in fields.items():
        if field.required and name not in raw:
            findings.append(Finding(f"{place}{name}", "is missing", f"{name} = ..."))
    return sound


def _value(kind: object, value: object, where: str, findings: list[Finding]) -> object:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if isinstance(value, Mapping):
            return _sound(kind, value, f"{where}.", findings)
        findings.append(Finding(where, "is no table", f"[{where}] on a line of its own"))
        return {}
    if typing.get_args(kind) == (PluginSection,):
        return _plugins(value, where, findings)
    try:
        msgspec.convert(value, kind, dec_hook=to_path)
    except msgspec.ValidationError as error:
        findings.append(Finding(where, str(error).partition(" - at ")[0], _how_to_write(kind)))
        return None
    low, high = RANGES.get(where, (0, 0))
    if where in RANGES and isinstance(value, int) and not low <= value <= high:
        findings.append(Finding(where, f"is {value}", f"{low} to {high}"))
    return value


def _plugins(value: object, where: str, findings: list[Finding]) -> list[object]:
    """Return the tables of plugins that can stand as a whole."""
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        findings.append(Finding(where, "is no list of tables", f"[[{where}]] for each plugin"))
        return []
    sound: list[object] = []
    for number, each in enumerate(value, 1):
        before = len(findings)
        kept = _sound(PluginSection, each, f"{where}[{number}].", findings)
        if len(findings) == before:
            sound.append(kept)
    return sound


def _how_to_write(kind: object) -> str:
    kinds = [each for each in typing.get_args(kind) or (kind,) if each is not NoneType]
    return _HOW_TO_WRITE.get(kinds[0], _TEXTS) if len(kinds) == 1 else _TEXTS


def _nearest(name: str, fields: Mapping[str, object]) -> str:
    near = get_close_matches(name, fields, 1)
    return near[0] if near else f"one of {', '.join(fields)}"
