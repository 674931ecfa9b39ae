"""Limits of what carries a whole chain: exports, imports and backups."""

EXPORT_LINE_BYTES_MAX = 128 * 1024 * 1024
"""Bytes of one line of an export; a full block has some tens of MB."""

EXPORT_MARKS_TOGETHER_MAX = 1_000
"""Marks of undone commands, and of sources of prices, in one line of an export."""

BACKUP_BATCH_BYTES = 1024 * 1024
"""Bytes from which on a backup writes what it has read, synced."""

BACKUP_REST_TIMES = 1
"""How many times as long as it worked a running node's backup rests."""

BACKUP_FREE_BYTES_MIN = 1024 * 1024 * 1024
"""Bytes that a backup leaves free on the disk of the node's own folder."""

BACKUP_ANSWER_SECONDS_MAX = 24 * 3_600
"""Seconds for which the command waits for a node that makes a backup."""
