"""Updates of small tries, next to the same update in Python with the wheels' hashes.

Promises
- Readers are sound, or they have one node that is none, one that does not belong there, or one
  failure, or they make up every node. A stored trie goes on only with sound ones.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import NamedTuple

from scripts.fuzzing.native_calls import (
    BEYOND_MACHINE,
    Call,
    Expected,
    Raised,
    any_felt,
    beyond_machine,
    cause,
    encoded,
    malformed,
)
from scripts.fuzzing.native_hashes import pedersen, poseidon
from scripts.fuzzing.native_nodes import CHANGES, NO_NODES, changes_of, strange_node
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.refusals import Refused
from sequencer.starknet.felt import FELT_PRIME
from sequencer.starknet.felt_hash import Hash, blake2s_digest
from sequencer.starknet.native import Core
from sequencer.starknet.trie import Position, update

_NAME = "trie_update"
_TRIES, _NEW_SHARE, _LARGE_LEAVES = 24, 0.1, 48
_HEIGHTS = (1, 2, 3, 8, 63, 64, 65, 127, 128, 129, 250, TRIE_HEIGHT_MAX, TRIE_HEIGHT_MAX)
_LEAVES = (0, 1, 1, 1, 2, 2, 3, 5, 9)
_MANY_LEAVES, _MANY_SHARE, _MANY_MIN = 300, 0.006, 256
_CROWD_LEAVES, _CROWD_MIN, _CROWD_SHARE = 4_000, 3_500, 0.002
_MALFORMED_SHARE = 0.1
_FAULTY_SHARE, _MADE_UP_SHARE, _EMPTYING_SHARE = 0.35, 0.05, 0.03
_TAG_BYTES_MAX = 8
_NO_HASHES = (("keccak", b""), ("", b""), ("Pedersen", b""), ("pedersen", b"x"), ("poseidon", b"x"))
_NO_HEIGHTS, _BEYOND_HEIGHTS = (0, 252, 255, 256, 2**31, 2**32 - 1), (-1, 2**32, 2**64)

MANY = ("many leaves", "a crowd of leaves")
"""What comes once in hundreds or thousands of calls: it lets the lock go, or takes two threads."""

_ALL_MADE_UP, _MADE_UP_THERE_SHARE = "every node made up", 0.8


class ReadFailed(Exception):
    """A reader of this campaign could not read."""


class _Given(NamedTuple):
    """What a call is made from."""

    height: int
    hash_name: str
    tag: bytes
    hash_pair: Hash
    nodes: dict[Position, bytes]
    leaves: dict[int, int]


class _Fault(NamedTuple):
    """What is wrong at one position: other bytes, no bytes at all, or a failure."""

    kind: str
    position: Position
    answer: object


class Tries:
    """Calls of `trie_update` on tries that grow and shrink."""

    def __init__(self, random: Random) -> None:
        self._tries = [_new_trie(random) for _ in range(_TRIES)]

    def call(self, random: Random, _: int) -> Call:
        """Make a call."""
        place = random.randrange(_TRIES)
        given = self._tries[place]
        if random.random() < _NEW_SHARE or len(given.leaves) > _LARGE_LEAVES:
            given = self._tries[place] = _new_trie(random)
        if random.random() < _MALFORMED_SHARE:
            return _malformed(random, given)
        leaves = _chosen_leaves(random, given)
        chance = random.random()
        if chance < _MADE_UP_SHARE:
            return _made_up(random, given, leaves)
        if chance < _FAULTY_SHARE:
            return _faulty(random, given, leaves)
        call, after = _sound(given, leaves)
        self._tries[place] = after
        return call


def _new_trie(random: Random) -> _Given:
    height = random.choice((*_HEIGHTS, random.randint(1, TRIE_HEIGHT_MAX)))
    tag = random.randbytes(random.randrange(_TAG_BYTES_MAX + 1))
    name, own_tag, hash_pair = random.choice(
        (
            ("pedersen", b"", pedersen),
            ("poseidon", b"", poseidon),
            ("blake2s", tag, partial(_blake2s, tag)),
        )
    )
    return _Given(height, name, own_tag, hash_pair, {}, {})


def _blake2s(tag: bytes, left: int, right: int) -> int:
    return blake2s_digest(encoded((left, right)), tag)


def _chosen_leaves(random: Random, given: _Given) -> dict[int, int]:
    chance = random.random()
    keys = [_chosen_key(random, given) for _ in range(random.choice(_LEAVES))]
    if chance < _CROWD_SHARE and given.hash_name == "blake2s":
        keys += [random.getrandbits(given.height) for _ in range(_CROWD_LEAVES)]
    elif chance < _MANY_SHARE:
        keys += [random.getrandbits(given.height) for _ in range(_MANY_LEAVES)]
    leaves = {key: _chosen_value(random, given.leaves.get(key, 0)) for key in keys}
    if random.random() < _EMPTYING_SHARE:
        leaves |= dict.fromkeys(given.leaves, 0)
    return dict(sorted(leaves.items()))


def _chosen_key(random: Random, given: _Given) -> int:
    chance, known = random.random(), list(given.leaves)
    if known and chance < 0.4:
        return random.choice(known)
    if known and chance < 0.65:
        return random.choice(known) ^ 1 << random.randrange(given.height)
    if chance > 0.9:
        return random.choice((0, (1 << given.height) - 1))
    return random.getrandbits(given.height)


def _chosen_value(random: Random, stored: int) -> int:
    chance = random.random()
    if chance < 0.35:
        return 0
    return stored if chance < 0.45 else any_felt(random)


def _sound(given: _Given, leaves: dict[int, int]) -> tuple[Call, _Given]:
    nodes = dict(given.nodes)
    done = update(nodes.get, leaves, given.height, given.hash_pair)
    counts = changes_of(given.nodes, done.changes)
    counts.update(_leaf_kinds(given, leaves))
    counts["nothing changes"] += not done.changes
    counts["a trie is emptied"] += bool(given.nodes) and done.root == 0
    expected = (encoded([done.root]), done.changes)
    after = {**nodes, **done.changes}
    kept = given._replace(
        nodes={position: node for position, node in after.items() if node is not None},
        leaves={key: value for key, value in (given.leaves | leaves).items() if value},
    )
    return _call(given, leaves, nodes.get, expected, counts), kept


def _call(
    given: _Given,
    leaves: Mapping[int, int],
    read: Callable[[Position], object],
    expected: Expected,
    counts: Counter[str],
) -> Call:
    data = _encoded_leaves(leaves)
    named = Counter({f"{_NAME}: {name}": count for name, count in counts.items()})
    about = _about(given.height, given.hash_name, given.tag)
    return Call(_NAME, _run(given, read, data), expected, data, 1, named, about)


def _about(height: int, hash_name: str, tag: bytes) -> str:
    return f"height {height}, {hash_name} {tag.hex()}"


def _run(
    given: _Given, read: Callable[[Position], object], data: bytes
) -> Callable[[Core], object]:
    # A keeper may answer anything here, also what its type rules out.
    reader: Callable[[Position], bytes | None] = read  # type: ignore[assignment]
    height, name, tag = given.height, given.hash_name, given.tag
    return lambda core: core.trie_update(reader, data, height, name, tag)


def _encoded_leaves(leaves: Mapping[int, int]) -> bytes:
    return encoded(felt for leaf in leaves.items() for felt in leaf)


def _leaf_kinds(given: _Given, leaves: Mapping[int, int]) -> list[str]:
    kinds = [f"hash {given.hash_name}"]
    kinds += ["height 1"] if given.height == 1 else []
    kinds += ["height 251"] if given.height == TRIE_HEIGHT_MAX else []
    kinds += [] if leaves else ["no leaves"]
    kinds += ["many leaves"] if len(leaves) >= _MANY_MIN else []
    kinds += ["a crowd of leaves"] if len(leaves) >= _CROWD_MIN else []
    for key, value in leaves.items():
        stored = given.leaves.get(key, 0)
        if value == stored:
            kinds.append("leaf as it was" if value else "absent leaf deleted")
        else:
            kinds.append("leaf deleted" if value == 0 else "leaf set")
    return kinds


def _faulty(random: Random, given: _Given, leaves: dict[int, int]) -> Call:
    """Make a call whose reader goes wrong at one position, which may never be asked for."""
    fault = _chosen_fault(random, given)
    nodes, stopped = dict(given.nodes), ReadFailed("the reader failed")

    def read(position: Position) -> object:
        if position != fault.position:
            return nodes.get(position)
        if isinstance(fault.answer, BaseException):
            raise fault.answer
        return fault.answer

    def read_soundly(position: Position) -> bytes | None:
        answer = read(position)
        if answer is not None and not isinstance(answer, bytes):
            raise stopped
        return answer

    expected: Expected
    try:
        done = update(read_soundly, leaves, given.height, given.hash_pair)
        expected, came = (encoded([done.root]), done.changes), "no exception"
    except Refused:
        expected, came = Raised((ValueError,), "no trie node"), "no trie node"
    except (ReadFailed, ValueError) as failed:
        if failed is stopped:
            expected, came = Raised((ValueError,), "a node is bytes"), "a node is bytes"
        elif failed is fault.answer:
            expected, came = failed, "the reader's own exception"
        else:
            raise
    counts = Counter([f"reader: {fault.kind}", f"with a faulty reader: {came}"])
    return _call(given, leaves, read, expected, counts)


def _made_up(random: Random, given: _Given, leaves: dict[int, int]) -> Call:
    """Make a call whose reader has a node nearly everywhere, and none that fits the next."""
    seed, height = random.getrandbits(64), given.height

    def read(position: Position) -> bytes | None:
        own = Random(f"{seed} {position}")
        is_there = own.random() < _MADE_UP_THERE_SHARE
        return strange_node(own, height - position[0]) if is_there else None

    done = update(read, leaves, height, given.hash_pair)
    expected = (encoded([done.root]), done.changes)
    return _call(given, leaves, read, expected, Counter([f"reader: {_ALL_MADE_UP}"]))


def _chosen_fault(random: Random, given: _Given) -> _Fault:
    positions = [(0, 0), *given.nodes]
    position = random.choice(positions)
    rest = given.height - position[0]
    kind = random.choice(_FAULT_KINDS)
    answer: object
    if kind == "fails":
        answer = random.choice((ReadFailed("cannot read"), ValueError("of the reader itself")))
    elif kind == "no bytes":
        answer = random.choice((0, "", 7, bytearray(65), [], given, True))
    elif kind == "a node that does not belong there":
        answer = strange_node(random, rest)
    elif kind == "a node is missing":
        answer = None
    else:
        answer = NO_NODES[kind](random, rest)
    return _Fault(kind, position, answer)


_FAULT_KINDS = (
    *("fails", "no bytes", "a node that does not belong there", "a node is missing"),
    *NO_NODES,
)


def _malformed(random: Random, given: _Given) -> Call:
    height, tag = given.height, given.tag
    read, name = dict(given.nodes).get, given.hash_name
    data = _encoded_leaves(_chosen_leaves(random, given))
    choice = random.randrange(4)
    if choice == 0:
        wrong_height = random.choice(_BEYOND_HEIGHTS)
        return beyond_machine(
            _NAME, lambda core: core.trie_update(read, data, wrong_height, name, tag)
        )
    if choice == 1:
        height, words = random.choice(_NO_HEIGHTS), "the height"
    elif choice == 2:
        long = random.randbytes(random.randint(_TAG_BYTES_MAX + 1, 40))
        (name, tag), words = random.choice((*_NO_HASHES, ("blake2s", long))), "no such hash"
    else:
        data, words = _no_leaves(random, height), "leaves are"
    return malformed(
        _NAME,
        words,
        data,
        lambda core: core.trie_update(read, data, height, name, tag),
        _about(height, name, tag),
    )


def _no_leaves(random: Random, height: int) -> bytes:
    first, second = 0, (1 << height) - 1
    value = any_felt(random)
    return random.choice(
        (
            encoded((second, value, first, value)),
            encoded((first, value, first, value)),
            encoded((1 << height, value)),
            encoded((first, value, FELT_PRIME + first, value)),
            encoded((first, FELT_PRIME)),
            encoded((first, value, second)),
            encoded((first, value)) + b"\0",
            encoded((first, value))[1:],
        )
    )


def wanted() -> list[str]:
    """List the counters of tries that may not stay 0."""
    leaves = ("leaf set", "leaf deleted", "absent leaf deleted", "leaf as it was")
    calls = ("no leaves", "nothing changes", "a trie is emptied", "height 1", "height 251")
    came = ("no exception", "no trie node", "a node is bytes", "the reader's own exception")
    names = [
        *(*CHANGES, *leaves, *calls, *MANY),
        *(f"hash {name}" for name in ("pedersen", "poseidon", "blake2s")),
        *(f"reader: {kind}" for kind in (*_FAULT_KINDS, _ALL_MADE_UP)),
        *(f"with a faulty reader: {how}" for how in came),
    ]
    words = ("the height", "no such hash", "leaves are", BEYOND_MACHINE)
    return [*(cause(_NAME, each) for each in words), *(f"{_NAME}: {name}" for name in names)]
