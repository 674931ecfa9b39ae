"""Limits of recorded markets and of the scripts that replay them: a name, a number, a unit."""

RECORDED_FILE_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of one file of recorded market data, unpacked."""

RECORDED_ROWS_MAX = 2_000_000
"""Rows of all files of recorded market data together: they lie in memory, merged by time."""

RECORDED_MARKETS_MAX = 16
"""Markets in a folder of recorded market data."""

RECORDED_BASE_CHARACTERS_MAX = 13
"""Characters of a recorded market's name: "USD" follows in the asset that publishers sign."""

RECORDED_SPAN_MS_MAX = 86_400_000
"""Milliseconds from the first recorded row to the last: each 200 ms of them becomes a block."""

RECORDED_TIME_MS_MIN = 1_000_000_000
"""The first millisecond since 1970 of a recorded row: the chain begins before it."""

RECORDED_TIME_MS_MAX = 4_000_000_000_000
"""The last millisecond since 1970 of a recorded row: publishers sign seconds of 32 bits."""

RECORDED_NUMBER_MAX = 10**18
"""Units of 1e-8 that a recorded price or size may have; sums of products stay amounts."""

SHADOW_BLOCKS_KEPT = 256
"""Blocks that the script of a replayed market can take back."""

SCRIPTED_ITEMS_MAX = 400
"""Orders and cancels after which a scripted block ends: a block has to be durable within the lag
that the node allows, also on a slow machine."""

SCRIPTED_ITEMS_PER_ACCOUNT_MAX = 200
"""The same for one signer: those of two blocks, and what a row adds, may wait."""

SCRIPTED_CHANGES_MAX = 8_000
"""Row changes after which a scripted block ends, well below those of a block."""

LADDER_BLOCKS_MAX = 300
"""Scripted blocks within which a replayed market must have opened."""

TAKERS_TRIED_MAX = 16
"""Traders of one tier that are looked at for one trade before the next tier is."""

LIVE_TRADES_MAX = 20
"""Recorded trades that a market which goes on by itself takes into one block."""

CLIENT_PATIENCE_SECONDS_MAX = 30
"""Seconds for which a run's client waits for the head that the node says it has."""

TIMINGS_FILE_BYTES_MAX = 64 * 1024 * 1024
"""Bytes that are read of the file in which a run keeps how long things took."""

REPORT_STATES_MAX = 24
"""States of an undone branch, and of the chain beside it, that a run's report loads whole."""

REPORT_ACCOUNTS_MAX = 10
"""Accounts that a run's report follows through the incident."""
