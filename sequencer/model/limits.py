"""Every limit of the chain on one screen: a name, a number, a unit."""

FELT_HEX_DIGITS_MAX = 64
"""Hexadecimal digits after 0x in a felt as somebody types it, leading zeros included."""

SHORT_STRING_CHARACTERS_MAX = 31
"""ASCII characters that fit in one felt."""

TRIE_HEIGHT_MAX = 251
"""Levels of edges between the root and a leaf of a Starknet storage trie."""

COMMITMENT_TRIE_HEIGHT = 64
"""Levels of the tries over a block's transactions, events and receipts."""

SIGNER_CURVE_CHECKS_CACHED = 65_536
"""Public keys whose membership of the curve is remembered."""

TYPED_DATA_DEPTH_MAX = 32
"""Nested structs in one off-chain message."""

TYPED_DATA_TYPES_MAX = 256
"""Types of one off-chain message; a type's text repeats those below it, so work is quadratic."""

VECTOR_FILE_BYTES_MAX = 256 * 1024 * 1024
"""Bytes of one published Starknet file."""

MESSAGE_DOMAINS_CACHED = 64
"""Domains, type names and words of off-chain messages whose hash or felt is remembered."""
