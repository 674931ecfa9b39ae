"""Off-chain messages: SNIP-12 hashes of typed data, revision 0 (Pedersen) and 1 (Poseidon).

Promises
- A hash is the one that starknet-py and starknet.js sign. Where both leave the text of the SNIP,
  they are followed: an enum is hashed without its type hash, its variants are written with a colon.
- Where the two disagree the SNIP decides (a selector named `add` is a name, not 0xadd), and where
  it is silent the message is refused: a guessed hash is a signature over something else.
- Every refusal is TYPED_DATA_MALFORMED, and no other exception gets out.

Laws
- What is shown is signed: keys and fields that no type declares are refused, and so is a domain
  type without name, version and chainId, or without revision in revision 1.
- One type text has one reading: names with a character of the text's own grammar are refused.
- Types bound the recursion: they have no cycle and nest at most TYPED_DATA_DEPTH_MAX deep.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Final, Literal

import msgspec

from sequencer.model.limits import TYPED_DATA_DEPTH_MAX, TYPED_DATA_TYPES_MAX
from sequencer.starknet.felt import Felt, encode_short_string, is_felt
from sequencer.starknet.felt_hash import (
    Hash,
    pedersen,
    pedersen_array,
    poseidon,
    poseidon_array,
    starknet_keccak,
)
from sequencer.starknet.typed_data_values import ENCODERS, describe, malformed

_PREFIX: Final = encode_short_string("StarkNet Message")
_DOMAIN_TYPES: Final = ("StarkNetDomain", "StarknetDomain")
_DOMAIN_KEYS: Final = frozenset({"name", "version", "chainId"})

# Revision 0 writes names bare, revision 1 in quotes that the libraries never escape.
_NAMES: Final = (re.compile(r"[^(),:]*"), re.compile(r'[^"\\\x00-\x1f]*'))


class _Field(msgspec.Struct, frozen=True):
    """A field of a struct or a variant of an enum, and the types that it refers to."""

    name: str
    kinds: tuple[str, ...]
    shape: Literal["plain", "variant", "enum", "merkletree"] = "plain"


class _Schema(msgspec.Struct, frozen=True):
    """Checked types, presets among them. `type_hashes` remembers what was computed on the way."""

    revision: int
    types: Mapping[str, tuple[_Field, ...]]
    hash_many: Callable[[Sequence[Felt]], Felt]
    hash_pair: Hash
    type_hashes: dict[str, Felt]


def message_hash(data: Mapping[str, object], account_address: Felt) -> Felt:
    """Return the hash that the account signs for {types, primaryType, domain, message}.

    Refusal: TYPED_DATA_MALFORMED, for an account address outside the field too.
    """
    if not is_felt(account_address):
        raise malformed(f"the account address is no felt: {describe(account_address)}")
    parts = _with_keys(data, "typed data", {"types", "primaryType", "domain", "message"})
    domain = _with_keys(parts["domain"], "the domain", _DOMAIN_KEYS, frozenset({"revision"}))
    schema = _read_schema(parts["types"], domain.get("revision", 0))
    primary_type = _struct_name(schema, parts["primaryType"])
    _require_all_used(schema, {primary_type, _DOMAIN_TYPES[schema.revision]})
    message = _struct_hash(schema, primary_type, parts["message"])
    return schema.hash_many((_PREFIX, _domain_hash(schema, domain), account_address, message))


def type_hash(types: Mapping[str, object], name: str, revision: int) -> Felt:
    """Return starknet_keccak(encode_type(types, name, revision)). Refusal: TYPED_DATA_MALFORMED."""
    return starknet_keccak(encode_type(types, name, revision).encode("ascii"))


def encode_type(types: Mapping[str, object], name: str, revision: int) -> str:
    """Return the text of a struct, followed by that of each type it needs, sorted by name.

    Neither a domain type nor the use of every type is asked for. Refusal: TYPED_DATA_MALFORMED.
    """
    schema = _read_schema(types, revision)
    return _type_text(schema, _struct_name(schema, name))


def _with_keys(
    value: object, owner: str, required: Set[str], optional: Set[str] = frozenset()
) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise malformed(f"{owner} is no object but {describe(value)}")
    for key in sorted(required - value.keys()):
        raise malformed(f"{owner} has no {describe(key)}")
    for key in value:
        if key not in required and key not in optional:
            raise malformed(f"nothing declares {describe(key)} of {owner}")
    return value


def _items(value: object) -> list[object]:
    if type(value) is not list:
        raise malformed(f"no list but {describe(value)}")
    return value


def _read_schema(types: object, revision_given: object) -> _Schema:
    if type(revision_given) not in (int, str) or revision_given not in (0, 1, "0", "1"):
        raise malformed(f"the revision is neither 0 nor 1 but {describe(revision_given)}")
    revision = int(revision_given in (1, "1"))
    if not isinstance(types, Mapping) or len(types) > TYPED_DATA_TYPES_MAX:
        raise malformed(f"the types are no object with at most {TYPED_DATA_TYPES_MAX} keys")
    read = dict(_PRESETS[revision])
    for name, fields in types.items():
        read[_read_type_name(name, revision)] = _read_fields(fields, revision)
    schema = _Schema(revision, read, *_HASHES[revision], {})
    for name, definition in read.items():
        for field in definition:
            _check_field(schema, name, field)
    _check_nesting(schema)
    return schema


def _read_name(name: object, revision: int) -> str:
    if type(name) is str and name.isascii() and _NAMES[revision].fullmatch(name):
        return name
    raise malformed(f"no name in revision {revision}: {describe(name)}")


def _read_type_name(value: object, revision: int) -> str:
    name = _read_name(value, revision)
    reserved = ENCODERS[revision].keys() | _PRESETS[revision].keys() | {"merkletree", "enum"}
    in_parentheses = name.startswith("(") and name.endswith(")")
    if name in reserved or name == "" or "," in name or name.endswith("*") or in_parentheses:
        raise malformed(f"no type can be defined under the name {describe(name)}")
    return name


def _read_fields(value: object, revision: int) -> tuple[_Field, ...]:
    fields = tuple(_read_field(field, revision) for field in _items(value))
    if len({field.name for field in fields}) < len(fields):
        raise malformed("a type has two fields of one name")
    return fields


def _read_field(value: object, revision: int) -> _Field:
    given = _with_keys(value, "a field", {"name", "type"}, {"contains"})
    name, kind, contains = _read_name(given["name"], revision), given["type"], given.get("contains")
    if type(kind) is not str or ("contains" in given) != (kind in ("enum", "merkletree")):
        raise malformed(f"type and `contains` do not fit: {describe(kind)}, {describe(contains)}")
    if "contains" in given:
        return _Field(name, (_read_name(contains, 1),), "enum" if kind == "enum" else "merkletree")
    if kind.startswith("(") and kind.endswith(")"):
        return _Field(name, () if kind == "()" else tuple(kind[1:-1].split(",")), "variant")
    return _Field(name, (kind,))


def _is_enum(schema: _Schema, name: str) -> bool:
    fields = schema.types.get(name, ())
    return len(fields) > 0 and all(field.shape == "variant" for field in fields)


def _check_field(schema: _Schema, owner: str, field: _Field) -> None:
    if field.shape == "enum":
        if not _is_enum(schema, field.kinds[0]):
            raise malformed(f"no enum of revision {schema.revision}: {describe(field.kinds[0])}")
        return
    if field.shape == "variant" and (schema.revision == 0 or not _is_enum(schema, owner)):
        raise malformed(f"a variant stands outside an enum: {describe(field.name)}")
    for kind in field.kinds:
        base = kind.rstrip("*")
        depth = len(kind) - len(base)
        # The libraries leave a struct out of the type text if it stands in an array of arrays.
        sound_struct = depth <= 1 and base in schema.types and not _is_enum(schema, base)
        sound_value = depth <= TYPED_DATA_DEPTH_MAX and base in ENCODERS[schema.revision]
        if not sound_struct and not sound_value:
            raise malformed(f"no type of revision {schema.revision}: {describe(kind)}")


def _references(fields: Iterable[_Field]) -> set[str]:
    return {kind.rstrip("*") for field in fields for kind in field.kinds}


def _check_nesting(schema: _Schema) -> None:
    above = {name: _references(fields) for name, fields in schema.types.items()}
    for _level in range(TYPED_DATA_DEPTH_MAX):
        above = {name: needed for name, needed in above.items() if needed & above.keys()}
    if above:
        raise malformed(f"types are cyclic or nest deeper than {TYPED_DATA_DEPTH_MAX}")


def _require_all_used(schema: _Schema, roots: Set[str]) -> None:
    used = _references(field for fields in schema.types.values() for field in fields)
    for name in sorted(schema.types.keys() - used - roots - _PRESETS[schema.revision].keys()):
        raise malformed(f"nothing uses type {describe(name)}")


def _struct_name(schema: _Schema, name: object) -> str:
    if type(name) is not str or name not in schema.types or _is_enum(schema, name):
        raise malformed(f"no struct has this name: {describe(name)}")
    return name


def _type_text(schema: _Schema, name: str) -> str:
    needed: set[str] = set()
    open_names = [name]
    while open_names:
        fields = schema.types[open_names.pop()]
        # A merkletree's leaves are not part of the text: the contract only sees the root.
        references = _references(field for field in fields if field.shape != "merkletree")
        found = (references & schema.types.keys()) - needed
        needed |= found
        open_names.extend(found)
    return "".join(_definition_text(schema, part) for part in (name, *sorted(needed)))


def _definition_text(schema: _Schema, name: str) -> str:
    quote = '"' if schema.revision == 1 else ""
    fields = []
    for field in schema.types[name]:
        kinds = ("merkletree",) if field.shape == "merkletree" else field.kinds
        text = ",".join(f"{quote}{kind}{quote}" for kind in kinds)
        text = f"({text})" if field.shape == "variant" else text
        fields.append(f"{quote}{field.name}{quote}:{text}")
    return f"{quote}{name}{quote}({','.join(fields)})"


def _domain_hash(schema: _Schema, domain: Mapping[str, object]) -> Felt:
    name = _struct_name(schema, _DOMAIN_TYPES[schema.revision])
    declared = {field.name for field in schema.types[name]}
    may_be_left_out = {"revision"} if schema.revision == 0 else set()
    if declared | may_be_left_out != _DOMAIN_KEYS | {"revision"}:
        raise malformed(f"{name} does not declare name, version, chainId and the revision")
    if any(type(domain[key]) not in (str, int) for key in _DOMAIN_KEYS):
        raise malformed("a value of the domain is neither text nor a number")
    signed = {**domain, "revision": schema.revision}
    return _struct_hash(schema, name, {key: signed[key] for key in declared})


def _struct_hash(schema: _Schema, name: str, value: object) -> Felt:
    fields = schema.types[name]
    given = _with_keys(value, describe(name), {field.name for field in fields})
    if name not in schema.type_hashes:
        schema.type_hashes[name] = starknet_keccak(_type_text(schema, name).encode("ascii"))
    encoded = [_encode_field(schema, field, given[field.name]) for field in fields]
    return schema.hash_many([schema.type_hashes[name], *encoded])


def _encode_field(schema: _Schema, field: _Field, value: object) -> Felt:
    if field.shape == "enum":
        return _encode_enum(schema, schema.types[field.kinds[0]], value)
    if field.shape == "merkletree":
        leaves = [_encode(schema, field.kinds[0], leaf) for leaf in _items(value)]
        return _merkle_root(leaves, schema.hash_pair)
    return _encode(schema, field.kinds[0], value)


def _encode(schema: _Schema, kind: str, value: object) -> Felt:
    if kind.endswith("*"):
        return schema.hash_many([_encode(schema, kind[:-1], item) for item in _items(value)])
    if kind in schema.types:
        return _struct_hash(schema, kind, value)
    return ENCODERS[schema.revision][kind](value)


def _encode_enum(schema: _Schema, variants: Sequence[_Field], value: object) -> Felt:
    if not isinstance(value, Mapping) or len(value) != 1:
        raise malformed("an enum's value is no object with one variant")
    [(chosen, given)] = value.items()
    indexes = [index for index, variant in enumerate(variants) if variant.name == chosen]
    if not indexes:
        raise malformed(f"no variant of the enum: {describe(chosen)}")
    kinds, items = variants[indexes[0]].kinds, _items(given)
    if len(items) != len(kinds):
        raise malformed(f"variant {describe(chosen)} takes {len(kinds)} values, not {len(items)}")
    encoded = (_encode(schema, kind, item) for kind, item in zip(kinds, items, strict=True))
    return schema.hash_many([indexes[0], *encoded])


def _merkle_root(level: list[Felt], hash_pair: Hash) -> Felt:
    if not level:
        raise malformed("a merkletree without leaves")
    while len(level) > 1:
        padded = [*level, 0] if len(level) % 2 else level
        pairs = zip(padded[::2], padded[1::2], strict=True)
        level = [hash_pair(min(pair), max(pair)) for pair in pairs]
    return level[0]


_HASHES: Final = ((pedersen_array, pedersen), (poseidon_array, poseidon))
_ADDRESS: Final = ("ContractAddress",)
_PRESETS: Final[tuple[Mapping[str, tuple[_Field, ...]], ...]] = (
    {},
    {
        "u256": (_Field("low", ("u128",)), _Field("high", ("u128",))),
        "TokenAmount": (_Field("token_address", _ADDRESS), _Field("amount", ("u256",))),
        "NftId": (_Field("collection_address", _ADDRESS), _Field("token_id", ("u256",))),
    },
)
