"""Limits of plugins, by name, with their units."""

PLUGINS_MAX = 32
"""Plugins of one node."""

PLUGIN_NAME_CHARACTERS_MAX = 64
"""Characters of a plugin's name: letters, digits, `-` and `_`."""

PLUGIN_BUCKET_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of all keys and values in a plugin's bucket, which is held in memory."""

PLUGIN_CALL_SECONDS_MAX = 60
"""Seconds that a plugin may take for one call; one that takes longer hangs."""

PLUGIN_OPINION_SECONDS_MAX = 5
"""Seconds that all plugins together have to say what they think of a plan."""

PLUGIN_CLOSING_SECONDS_MAX = 3
"""Seconds that a plugin has to shut down before its process is ended."""

PLUGIN_LAG_BLOCKS_MAX = 10_000
"""Commits that a plugin may be behind before it is parked, so that it holds nothing back."""

PLUGIN_CALLS_TOGETHER_MAX = 64
"""Calls after which a plugin's bucket and place are written at the latest."""

PLUGIN_WORDS_CHARACTERS_MAX = 500
"""Characters that are kept of what a plugin says: an opinion, or why it was parked."""

PLUGIN_WRITE_SECONDS = 1
"""Seconds after which a plugin's bucket and place are written, also between few slow calls."""

PLUGIN_START_SECONDS_MAX = 60
"""Seconds that a plugin's process may take to start, import and begin."""

PLUGIN_FRAME_BYTES_MAX = 2**34
"""Bytes of one message to a plugin's process: the block of a large genesis is the longest."""

PLUGIN_LINES_WAITING_MAX = 1_000
"""Lines that a plugin may say or print from one call to the next; those above are counted."""

PLUGIN_ANSWER_BYTES_MAX = 2**28
"""Bytes of one answer of a plugin's process: all of its bucket, of however small values."""

PLUGIN_PIECE_BYTES = 64 * 1024
"""Bytes of what a plugin prints that are read at once."""

FOLLOW_KEPT_BLOCKS = 16_384
"""Blocks that a follower keeps: a reorg that is deeper stops it, unless they are all there were."""

FOLLOW_COMPARED_BLOCKS = 1_024
"""Blocks in a row that have to be equal before a follower believes that all below them are."""

FOLLOW_LOOK_BLOCKS = 16
"""Blocks that a follower compares at each look, where a node's block hashes say nothing."""

FOLLOW_TOGETHER_MAX = 8
"""Questions that a follower has open at its node, and blocks that it fetches ahead."""

FOLLOW_POLL_MS = 500
"""Milliseconds between two looks at a node that does not tell of its new blocks."""

FOLLOW_TOLD_POLL_MS = 5_000
"""Milliseconds between two looks at a node that does."""

FOLLOW_COMPARE_SECONDS = 30
"""Seconds between two whole comparisons, where a node's block hashes say nothing."""

FOLLOW_ANSWER_SECONDS_MAX = 30
"""Seconds that a node has for an answer to a follower."""

FOLLOW_WAIT_MS_MIN = 100
"""Milliseconds that a follower waits after the first failure."""

FOLLOW_WAIT_MS_MAX = 15_000
"""Milliseconds that it waits after any failure: they double until then."""

FOLLOW_ATTEMPTS_MAX = 8
"""Times that a follower asks for something that the node should have, before it gives up."""

FOLLOW_AWAY_SECONDS_MAX = 60
"""Seconds that a follower which is to end when it has caught up waits for a node that is away."""

FOLLOW_HEADS_RETRY_SECONDS = 15
"""Seconds between two attempts to be told of new blocks."""

HISTORY_LOCK_SECONDS_MAX = 30
"""Seconds that the history waits for somebody else who writes into its file."""

FEED_HEADER_BYTES_MAX = 1_024
"""Bytes of a feed's first line."""

FEED_CHUNK_BYTES = 64 * 1024
"""Bytes of a feed that are read at once while its last line is looked for."""

REVERSE_PLACES_KNOWN_MAX = 50_000
"""Slots, nonces and classes of which is known, ahead of the reverts of many blocks, how they were
before each."""
