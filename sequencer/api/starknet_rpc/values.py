"""What Starknet's methods take: liberal readers of felts, blocks, flags and filters.

Promises
- Felts come in either case and with leading zeros; text alone, for JSON's numbers are no felts.
- An object has the fields that it must have and no other: a misspelt filter is never ignored.

Laws
- Each reader makes a value or refuses with Refused; 34 is the one error of Starknet's among them.
"""

import re
from collections.abc import Callable, Sequence, Set
from typing import Any, TypeVar

import msgspec

from sequencer.api.json_rpc import Parameter
from sequencer.api.starknet_rpc.errors import TOO_MANY_KEYS, starknet_error
from sequencer.model.api_limits import EVENT_KEY_VALUES_MAX, EVENT_KEYS_MAX
from sequencer.model.limits import TRIE_HEIGHT_MAX
from sequencer.model.refusals import Reason, Refused, shown
from sequencer.starknet.block import Event
from sequencer.starknet.felt import Felt, parse_felt

_T = TypeVar("_T")

INCLUDE_PROOF_FACTS = "INCLUDE_PROOF_FACTS"
"""The flag that asks for the proof facts of transactions."""

SKIP_VALIDATE, SKIP_FEE_CHARGE = "SKIP_VALIDATE", "SKIP_FEE_CHARGE"
"""The flags of what is only tried out."""

LATEST, PRE_CONFIRMED, L1_ACCEPTED = "latest", "pre_confirmed", "l1_accepted"
"""The tags of blocks."""

NUMBER_MAX = 2**63 - 1
"""The largest height, epoch, index, cursor or count that a request may name."""

_TAGS = frozenset({LATEST, PRE_CONFIRMED, L1_ACCEPTED})
_HASH_TEXT = re.compile("0[xX][0-9a-fA-F]{1,64}", re.ASCII)


class BlockId(msgspec.Struct, frozen=True):
    """A block as a client names it: by tag, by height, or by hash; the other two are empty."""

    tag: str = ""
    height: int = -1
    hash: Felt | None = None


class EventFilter(msgspec.Struct, frozen=True):
    """Which events somebody wants.

    No address is any address. `keys` are by position, each one of some values; none is any value.
    """

    addresses: Set[Felt] = frozenset()
    keys: Sequence[Set[Felt]] = ()

    def matches(self, event: Event) -> bool:
        """Say whether an event is wanted. One with fewer keys than positions is not."""
        if self.addresses and event.from_address not in self.addresses:
            return False
        if len(event.keys) < len(self.keys):
            return False
        pairs = zip(self.keys, event.keys, strict=False)
        return all(not wanted or key in wanted for wanted, key in pairs)


def read_felt(value: object) -> Felt:
    """Read a felt. Refusals: FELT_MALFORMED, FELT_OUT_OF_RANGE."""
    return parse_felt(value)


def read_address(value: object) -> Felt:
    """Read the address of a contract or of a slot: 251 bits. Refusals: as for a felt."""
    address = parse_felt(value)
    if address >> TRIE_HEIGHT_MAX:
        raise Refused(Reason.FELT_OUT_OF_RANGE, f"more than {TRIE_HEIGHT_MAX} bits: {shown(value)}")
    return address


def read_felts(value: object) -> tuple[Felt, ...]:
    """Read a list of felts. Refusals: as for a felt, PARAMETER_INVALID."""
    return read_list(parse_felt)(value)


def read_list(read: Callable[[object], _T]) -> Callable[[object], tuple[_T, ...]]:
    """Return a reader of lists. Refusals: those of `read`, PARAMETER_INVALID."""

    def read_all(value: object) -> tuple[_T, ...]:
        if not isinstance(value, list):
            raise _invalid("not a list", value)
        return tuple(read(each) for each in value)

    return read_all


def read_integer(low: int, high: int) -> Callable[[object], int]:
    """Return a reader of whole numbers in low .. high. Refusal: PARAMETER_INVALID."""

    def read(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _invalid(f"not a number in {low} .. {high}", value)
        return value

    return read


def read_text(characters_max: int) -> Callable[[object], str]:
    """Return a reader of text. Refusal: PARAMETER_INVALID."""

    def read(value: object) -> str:
        if not isinstance(value, str) or len(value) > characters_max:
            raise _invalid(f"not a text of up to {characters_max} characters", value)
        return value

    return read


def read_flags(*allowed: str) -> Callable[[object], frozenset[str]]:
    """Return a reader of a list of flags. Refusal: PARAMETER_INVALID for any other."""

    def read(value: object) -> frozenset[str]:
        if not isinstance(value, list) or not all(
            isinstance(each, str) and each in allowed for each in value
        ):
            raise _invalid(f"not a list of {', '.join(allowed)}", value)
        return frozenset(value)

    return read


def read_object(value: object, required: Sequence[str], optional: Sequence[str]) -> dict[str, Any]:
    """Read an object with the fields that it must and may have; null is absent.

    Refusal: PARAMETER_INVALID, naming the field.
    """
    if not isinstance(value, dict):
        raise _invalid("not an object", value)
    unknown = value.keys() - {*required, *optional}
    if unknown:
        raise _invalid("no such field", min(unknown))
    given = {name: each for name, each in value.items() if each is not None}
    missing = [name for name in required if name not in given]
    if missing:
        raise _invalid("a field is missing", missing[0])
    return given


def read_block_id(value: object) -> BlockId:
    """Read a block's name: a tag, {block_number} or {block_hash}.

    Refusals: as for a felt, PARAMETER_INVALID.
    """
    if isinstance(value, str):
        if value not in _TAGS:
            raise _invalid(f"not {', '.join(sorted(_TAGS))}", value)
        return BlockId(tag=value)
    given = read_object(value, (), ("block_number", "block_hash"))
    if len(given) != 1:
        raise _invalid("either block_number or block_hash", value)
    if "block_hash" in given:
        return BlockId(hash=parse_felt(given["block_hash"]))
    return BlockId(height=read_integer(0, NUMBER_MAX)(given["block_number"]))


def read_l1_hash(value: object) -> int:
    """Read the hash of a transaction on another chain, up to 256 bits. Refusal: FELT_MALFORMED."""
    if not isinstance(value, str) or _HASH_TEXT.fullmatch(value) is None:
        raise Refused(Reason.FELT_MALFORMED, f"not 0x and up to 64 digits: {shown(value)}")
    return int(value, 16)


def read_addresses(value: object) -> frozenset[Felt]:
    """Read one address or a list of them. Refusals: as for a felt."""
    each = value if isinstance(value, list) else [value]
    return frozenset(read_address(address) for address in each)


def read_event_keys(value: object) -> tuple[frozenset[Felt], ...]:
    """Read the keys of a filter, by position. Refusals: as for a felt. Error: 34."""
    keys = read_list(read_felts)(value)
    if len(keys) > EVENT_KEYS_MAX or sum(map(len, keys)) > EVENT_KEY_VALUES_MAX:
        words = f"up to {EVENT_KEYS_MAX} positions and {EVENT_KEY_VALUES_MAX} values"
        raise starknet_error(TOO_MANY_KEYS, words)
    return tuple(frozenset(each) for each in keys)


def _invalid(words: str, value: object) -> Refused:
    return Refused(Reason.PARAMETER_INVALID, f"{words}: {shown(value)}")


BLOCK_ID = Parameter("block_id", read_block_id)
TRANSACTION_FLAGS = Parameter("response_flags", read_flags(INCLUDE_PROOF_FACTS), frozenset())
"""What many methods take."""
