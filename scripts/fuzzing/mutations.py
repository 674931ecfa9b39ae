"""Ways to spoil a request: as a value, as text, as HTTP, and as WebSocket frames.

Promises
- Everything follows from the generator of random numbers that is handed in.
- No mutation adds a secret or a signature: what was refused stays refused.
"""

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from scripts.fuzzing.seeds import Request

Value = Any
ValueMutation = Callable[[Random, Request], Value]
TextMutation = Callable[[Random, bytes], bytes]

_DEEP_LEVELS, _PADDING_BYTES, _HUGE_BYTES = 40, 70_000, 4 * 1024 * 1024 + 100
_MANY_VALUES, _BATCH_MAX = 300_000, 120
_HOSTILE: tuple[Value, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**53,
    2**63,
    2**64,
    -(2**63) - 1,
    10**79,
    10**90,
    "",
    "0x",
    "0x0",
    "0x" + "f" * 64,
    "0x" + "f" * 65,
    "0X1",
    "-0x1",
    "latest",
    "\x00",
    "\u202e\U0001f600",
    "a" * 1_000,
    "__class__",
    [],
    [[]],
    {},
    {"": ""},
    {"block_number": -1},
    {"block_number": 10**30},
    {"block_hash": "0x1", "block_number": 1},
)


def _places(value: Value) -> list[tuple[Value, Value]]:
    """List every place of a value at which something else could stand."""
    found: list[tuple[Value, Value]] = []
    if isinstance(value, dict | list):
        names = list(value) if isinstance(value, dict) else range(len(value))
        for name in names:
            found.append((value, name))
            found.extend(_places(value[name]))
    return found


def _replace_one(random: Random, request: Request) -> Value:
    holder, name = random.choice(_places(request))
    holder[name] = random.choice(_HOSTILE)
    return request


def _replace_parameter(random: Random, request: Request) -> Value:
    places = _places(request["params"])
    if not places:
        return {**request, "params": random.choice(_HOSTILE)}
    holder, name = random.choice(places)
    holder[name] = random.choice(_HOSTILE)
    return request


def _drop_one(random: Random, request: Request) -> Value:
    holder, name = random.choice(_places(request))
    del holder[name]
    return request


def _rename_one(random: Random, request: Request) -> Value:
    holders = [(holder, name) for holder, name in _places(request) if isinstance(holder, dict)]
    holder, name = random.choice(holders)
    holder[random.choice(["", "x", name.upper(), name + "\x00"])] = holder.pop(name)
    return request


def _add_one(random: Random, request: Request) -> Value:
    holder = random.choice([request, request["params"]])
    if isinstance(holder, dict):
        holder[random.choice(["more", "id ", "__proto__"])] = random.choice(_HOSTILE)
    else:
        holder.append(random.choice(_HOSTILE))
    return request


def _other_form(random: Random, request: Request) -> Value:
    params = request["params"]
    request["params"] = list(params.values()) if isinstance(params, dict) else {"value": params}
    return request


def _deep(random: Random, request: Request) -> Value:
    value: Value = 1
    for _ in range(random.randrange(_DEEP_LEVELS)):
        value = [value] if random.random() < 0.5 else {"a": value}
    return {**request, "params": [value]}


def _batch(random: Random, request: Request) -> Value:
    count = random.choice([0, 1, 2, 3, 10, _BATCH_MAX])
    return [random.choice([request, _HOSTILE[0], [], request]) for _ in range(count)]


def _silent(random: Random, request: Request) -> Value:
    del request["id"]
    return request


def _other_id(random: Random, request: Request) -> Value:
    return {**request, "id": random.choice(_HOSTILE)}


def _other_method(random: Random, request: Request) -> Value:
    name = request["method"]
    others = [name.upper(), name + " ", "", name * 1_000, "rpc.discover", name.partition("_")[2]]
    return {**request, "method": random.choice(others)}


def _unchanged(random: Random, request: Request) -> Value:
    return request


VALUE_MUTATIONS: Mapping[str, ValueMutation] = {
    "value: unchanged": _unchanged,
    "value: one replaced": _replace_one,
    "value: a parameter replaced": _replace_parameter,
    "value: one dropped": _drop_one,
    "value: one renamed": _rename_one,
    "value: one added": _add_one,
    "value: the other form": _other_form,
    "value: deep": _deep,
    "value: a batch": _batch,
    "value: without an id": _silent,
    "value: another id": _other_id,
    "value: another method": _other_method,
}


def _flip(random: Random, text: bytes) -> bytes:
    changed = bytearray(text)
    for _ in range(random.randint(1, 3)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(random: Random, text: bytes) -> bytes:
    return text[: random.randrange(len(text))]


def _without_a_piece(random: Random, text: bytes) -> bytes:
    start = random.randrange(len(text))
    return text[:start] + text[start + random.randint(1, 9) :]


def _twice(random: Random, text: bytes) -> bytes:
    start = random.randrange(len(text))
    piece = text[start : start + random.randint(1, 30)]
    return text[:start] + piece + text[start:]


_INSERTED = (
    b"NaN",
    b"Infinity",
    b"-0",
    b"1e400",
    b"0.1",
    b"01",
    b'"\\ud800"',
    b"\xff",
    b"\xc0\xaf",
    b"\xef\xbb\xbf",
    b"\x00",
    b"//",
    b'"',
    b"\\",
    b"}{",
    b"][",
    b"[" * 100,
    b'{"a":' * 100,
    b"9" * 100,
    b'"a":1,"a":2,',
)


def _insert(random: Random, text: bytes) -> bytes:
    start = random.randrange(len(text) + 1)
    return text[:start] + random.choice(_INSERTED) + text[start:]


def _replaced_value(random: Random, text: bytes) -> bytes:
    return text.replace(b'"id":1', b'"id":' + random.choice(_INSERTED[:8]), 1)


def _a_name_twice(random: Random, text: bytes) -> bytes:
    return text.replace(b"{", b'{"id":1,"id":1,', 1)


def _padded(random: Random, text: bytes) -> bytes:
    return text + random.choice([b" ", b"\n", b"\t"]) * _PADDING_BYTES


def _huge(random: Random, text: bytes) -> bytes:
    return text + b" " * _HUGE_BYTES


def _many_values(random: Random, text: bytes) -> bytes:
    return b"[" + b"1," * _MANY_VALUES + b"1]"


def _noise(random: Random, text: bytes) -> bytes:
    return random.randbytes(random.randrange(200))


TEXT_MUTATIONS: Mapping[str, TextMutation] = {
    "text: bits flipped": _flip,
    "text: cut short": _cut,
    "text: without a piece": _without_a_piece,
    "text: a piece twice": _twice,
    "text: something inserted": _insert,
    "text: another value": _replaced_value,
    "text: a name twice": _a_name_twice,
    "text: padded": _padded,
    "text: huge": _huge,
    "text: many values": _many_values,
    "text: noise": _noise,
}
RARE: frozenset[str] = frozenset({"text: huge", "text: many values", "text: padded"})
"""Mutations that cost much, and are tried seldom."""


def mutated_body(random: Random, request: Request) -> tuple[str, bytes]:
    """Spoil a request, or two requests' worth; returns how, and its text."""
    copy = json.loads(json.dumps(request))
    if random.random() < 0.5:
        name = random.choice(list(VALUE_MUTATIONS))
        return name, json.dumps(VALUE_MUTATIONS[name](random, copy)).encode()
    usual = [each for each in TEXT_MUTATIONS if each not in RARE]
    name = random.choice(sorted(RARE) if random.random() < 0.01 else usual)
    return name, TEXT_MUTATIONS[name](random, json.dumps(copy, separators=(",", ":")).encode())
