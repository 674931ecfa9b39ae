"""Classes as clients send and get them, and declarations of them.

Promises
- A class is served as its twin has it; what is declared has to hash to it.
- A declaration is read in full; it is refused by name where no twin stands for its class.
"""

import json
from collections.abc import Mapping, Sequence

import msgspec

from contracts.twin import Twin
from devnet.embedded.execution import require_known
from sequencer.api.starknet_rpc.broadcast import (
    Broadcast,
    read_declaration,
    read_deploy_account,
    read_invoke,
)
from sequencer.api.starknet_rpc.values import read_object
from sequencer.model.refusals import Reason, Refused
from sequencer.starknet.felt import Felt, parse_felt
from sequencer.starknet.names import EntryPoint, SierraClass, sierra_class_hash

_CLASS_FIELDS = ("sierra_program", "contract_class_version", "entry_points_by_type", "abi")


class _Point(msgspec.Struct, frozen=True):
    selector: str
    function_idx: int


class _Points(msgspec.Struct, frozen=True):
    CONSTRUCTOR: Sequence[_Point]
    EXTERNAL: Sequence[_Point]
    L1_HANDLER: Sequence[_Point]


class _Class(msgspec.Struct, frozen=True):
    """A class, as compilers write it and as nodes serve it: the ABI as text or as a list."""

    sierra_program: Sequence[str]
    contract_class_version: str
    entry_points_by_type: _Points
    abi: str | list[object]


class Classes:
    """What is served of the twins' classes, read when it is first asked for."""

    def __init__(self, twins: Mapping[Felt, Twin]) -> None:
        self._twins = twins
        self._served: dict[Felt, msgspec.Raw] = {}

    def fields(self, class_hash: Felt) -> msgspec.Raw | None:
        """Return a class for a client, None where no twin has it."""
        twin = self._twins.get(class_hash)
        if twin is not None and class_hash not in self._served:
            self._served[class_hash] = _served(twin)
        return self._served.get(class_hash)

    def read_broadcast(self, value: object) -> Broadcast:
        """Read a transaction of any type. Refusals and errors: those of its own reader."""
        kind = value.get("type") if isinstance(value, dict) else None
        match kind:
            case "DECLARE":
                return self.read_declare(value)
            case "DEPLOY_ACCOUNT":
                return read_deploy_account(value)
            case _:
                return read_invoke(value)

    def read_declare(self, value: object) -> Broadcast:
        """Read a declaration. Refusals and errors: those of its reader; CLASS_MALFORMED, 56."""
        return read_declaration(value, self._known_hash)

    def _known_hash(self, value: object) -> Felt:
        class_hash = _class_hash(value)
        require_known(class_hash, self._twins)
        return class_hash


def _class_hash(value: object) -> Felt:
    given = read_object(value, _CLASS_FIELDS, ())
    try:
        declared = msgspec.convert(given, _Class)
    except msgspec.ValidationError as error:
        raise Refused(Reason.CLASS_MALFORMED, str(error)) from None
    return sierra_class_hash(_sierra(declared))


def _served(twin: Twin) -> msgspec.Raw:
    kept = msgspec.json.decode(twin.sierra, type=_Class)
    return msgspec.Raw(msgspec.json.encode(msgspec.structs.replace(kept, abi=_abi_text(kept))))


def _abi_text(read: _Class) -> str:
    # Clients make a text of a compiler's list before they hash it: this one, spaces and all.
    return read.abi if isinstance(read.abi, str) else json.dumps(read.abi)


def _sierra(read: _Class) -> SierraClass:
    points = read.entry_points_by_type
    return SierraClass(
        version=read.contract_class_version,
        program=[parse_felt(felt) for felt in read.sierra_program],
        external=_points(points.EXTERNAL),
        l1_handler=_points(points.L1_HANDLER),
        constructor=_points(points.CONSTRUCTOR),
        abi=_abi_text(read),
    )


def _points(points: Sequence[_Point]) -> Sequence[EntryPoint]:
    return [(parse_felt(point.selector), point.function_idx) for point in points]
