"""What operators had set and a rollback would take back, found by comparing two states.

Laws
- Every setting has one name, and its value is in the units of the command that sets it.
- What a rollback decides about itself is none: the mode, guards, and the security commands that a
  reopening does again.
"""

from collections.abc import Iterator

import msgspec

from sequencer.exchange.state import State
from sequencer.starknet.felt import format_felt


class SettingChange(msgspec.Struct, frozen=True):
    """A setting by its name, now and at the target: "" where there is none."""

    name: str
    now: str
    then: str


def changed_settings(now: State, then: State) -> tuple[SettingChange, ...]:
    """List the settings that differ, by name. Error: KeyError without the exchange's own row."""
    ours, theirs = dict(_settings(now)), dict(_settings(then))
    for name in now.publishers.keys() - then.publishers.keys():
        ours[f"publisher {name}"] = format_felt(now.publishers[name].key)
    changes = (
        SettingChange(name, ours.get(name, ""), theirs.get(name, ""))
        for name in sorted(ours.keys() | theirs.keys())
    )
    return tuple(change for change in changes if change.now != change.then)


def _settings(state: State) -> Iterator[tuple[str, str]]:
    for symbol, market in state.markets.items():
        yield f"{symbol} status", market.status.value
        yield from _flat(symbol, market.parameters)
    yield from _flat("risk", state.system.risk)
    yield "rules_version", str(state.system.rules_version)


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            yield from _flat(f"{name} {field}", getattr(value, field))
    else:
        yield name, str(value)
