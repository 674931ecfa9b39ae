"""Limits of what one read of Starknet's methods may ask for and cost."""

EVENT_KEYS_MAX = 16
"""Positions of keys in a filter of events."""

EVENT_KEY_VALUES_MAX = 256
"""Values of keys in a filter of events, all positions together."""

EVENTS_PAGE_MAX = 1_024
"""Events in one answer."""

EVENTS_SCAN_MS_MAX = 40
"""Milliseconds after which a look for events ends with a token instead of more events."""

EVENTS_SCAN_BLOCKS_MAX = 100_000
"""Blocks that one look for events goes through."""

EVENTS_TOKEN_CHARACTERS_MAX = 256
"""Characters of the text with which a look for events goes on."""

EVENT_BLOCKS_CACHED = 64
"""Blocks whose events are kept for the next page of whoever is looking through them."""

PROOF_KEYS_MAX = 100
"""Classes, contracts and slots in one request for proofs, all together."""

SLOT_VERSIONS_MAX = 20_000
"""Versions of trie nodes that a look for the last change of a slot goes through."""
