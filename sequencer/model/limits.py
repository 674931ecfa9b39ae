"""Limits of the chain and of the node: a name, a number, a unit."""

FELT_HEX_DIGITS_MAX = 64
"""Hexadecimal digits after 0x in a felt as somebody types it, leading zeros included."""

SHORT_STRING_CHARACTERS_MAX = 31
"""ASCII characters that fit in one felt."""

TRIE_HEIGHT_MAX = 251
"""Levels of edges between the root and a leaf of a Starknet storage trie."""

COMMITMENT_TRIE_HEIGHT = 64
"""Levels of the tries over a block's transactions, events and receipts."""

TYPED_DATA_DEPTH_MAX = 32
"""Nested structs in one off-chain message."""

TYPED_DATA_TYPES_MAX = 256
"""Types of one off-chain message; a type's text repeats those below it, so work is quadratic."""

VECTOR_FILE_BYTES_MAX = 256 * 1024 * 1024
"""Bytes of one published Starknet file."""

DECIMAL_CHARACTERS_MAX = 60
"""Characters of a decimal number in text."""

FELT_MAX = 2**251 + 17 * 2**192
"""The largest number that fits in one felt: keys and ids lie in 1 .. this."""

ADDRESS_MAX = 2**251 - 257
"""The largest address of an account or contract."""

CALLDATA_ITEMS_MAX = 4_096
"""Items of one list in calldata."""

DEPTH_LEVELS_MAX = 100
"""Levels of each side of a book that one view returns."""

CALLS_MAX = 64
"""Calls in one transaction of an account."""

GENESIS_ACCOUNTS_MAX = 200_000
"""Accounts that a genesis file may name."""

STORE_SEQUENCE_MAX = 2**64 - 1
"""The largest sequence, and all that eight bytes can count."""

STORE_KEY_PART_BYTES_MAX = 255
"""Bytes of a part of a store's key that may have any length: a row's key, a plugin's name."""

STORE_HEADERS_CHECKED = 256
"""Blocks below the head whose chain of hashes is checked at start."""

STORE_VERSIONS_SKIPPED_MAX = 16
"""Versions of one row that a listing steps over before it jumps."""

STORE_ROWS_COMPARED_MAX = 64
"""Rows of a block whose value before is compared with the disk; the others take their turn."""

STORE_WRITE_BUFFER_BYTES = 8 * 1024 * 1024
"""Bytes that the database keeps in its log: more make a restart slower, fewer every commit."""

STORE_CACHE_BYTES = 64 * 1024 * 1024
"""Bytes of the database's block cache."""

CHECKPOINT_LABEL_CHARACTERS_MAX = 64
"""Characters of a checkpoint's label, and of the name of who pinned it."""

GENESIS_FILE_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of a genesis file."""

BLOCK_INTERVAL_MS = 200
"""Milliseconds for which a block stays open."""

HEARTBEAT_MS = 1_000
"""Milliseconds between the blocks of an idle chain."""

BLOCK_COMMANDS_MAX = 1_000
"""Orders, cancels and transactions in one block; a full block is closed at once."""

BATCH_COMMANDS_MAX = 64
"""Signed orders and cancels in one transaction of the operator: the longest piece of work between
two looks at whatever else is waiting."""

PENDING_COMMANDS_MAX = 4_096
"""Commands that may wait or run before they are durable; one more is refused at once."""

PENDING_COMMANDS_PER_ACCOUNT_MAX = 512
"""The same for one signer."""

VERIFIED_TOGETHER_MAX = 64
"""Signatures that one piece of a worker's work checks."""

BLOCK_CHANGES_MAX = 20_000
"""Row changes in one block, after which it is closed at once: what sealing it costs."""

TRANSACTION_FELTS_MAX = 2_048
"""Felts in one transaction of an account: hashing them is work that nobody has paid for yet."""

SEAL_LAG_MS_MAX = 2_000
"""Milliseconds that a block may take to become durable before new commands are refused."""

DISK_FREE_BYTES_MIN = 512 * 1024 * 1024
"""Free bytes below which the exchange takes cancels only."""

DISK_FREE_BYTES_HALT = 128 * 1024 * 1024
"""Free bytes below which the chain halts, while there is still room to say so."""

UPKEEP_BLOCKS = 64
"""Blocks from one round of upkeep to the next; it is due at multiples, in every process alike."""

UPKEEP_ENTRIES_MAX = 4_096
"""Entries of each kind that one round of upkeep removes."""

TRIE_HISTORY_BLOCKS = 100_000
"""Blocks below the head at which slots can be proven, and to which the chain can go back."""

ROW_HISTORY_BLOCKS = 200_000
"""Blocks below the head whose rows can be read."""

EFFECTS_KEPT = 100_000
"""Outbox rows that stay although every reader is past them."""

EFFECTS_TOGETHER_MAX = 256
"""Outbox rows that are delivered before a reader's cursor is moved."""

KEY_FILE_BYTES_MAX = 1_024
"""Bytes of a file with a private key."""

LINE_BYTES_MAX = 64 * 1024
"""Bytes of one line of commands."""

LINES_WAITING_MAX = 8_192
"""Lines of answers that may wait for their reader before no more lines of commands are read; at
twice as many the reader is given up. More commands than wait for blocks fit in between."""

LINES_CLOSING_SECONDS_MAX = 2
"""Seconds for which the end of a node waits for its reader."""

JSON_DEPTH_MAX = 8
"""Objects and lists inside one another in what clients send."""

JSON_INTEGER_DIGITS_MAX = 80
"""Digits of a number in what clients send: more than any felt has."""

SWITCH_INTERVAL_MICROSECONDS = 1_000
"""Microseconds after which a thread that computes lets another one have its turn."""

IMPACT_CHANGES_MAX = 20
"""Balances and positions that a rollback's plan lists, the largest first."""

REASON_CHARACTERS_MAX = 500
"""Characters of the reason for a rollback, or for a change of mode."""

PLAN_FILE_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of the file of a rollback's plan."""

HALT_CHARACTERS_SHOWN = 500
"""Characters of a halt's words that are shown on a terminal."""

SETTLEMENT_READ_MS_MAX = 10_000
"""Milliseconds that the settlement chain may take to answer a question."""

SETTLEMENT_SEND_MS_MAX = 20_000
"""Milliseconds that the settlement chain may take to accept a transaction."""

SETTLEMENT_RECEIPT_MS_MAX = 60_000
"""Milliseconds that we wait for a receipt before a call's outcome counts as unknown."""

SETTLEMENT_POLL_MS = 100
"""Milliseconds from one look for a receipt to the next."""

FINALITY_MARGIN_SECONDS = 120
"""Seconds before a post can be final in which no rollback below it begins any more."""

FINALITY_MARGIN_PART = 2
"""The margin is at most the finality delay divided by this: drills have short delays."""

SETTLEMENT_TRIES_MAX = 4
"""Times that something is read and told again where nobody knows whether it was carried out."""

SETTLE_BLOCKS = 300
"""Blocks behind the newest post at which the next is posted."""

SETTLE_SECONDS = 30
"""Seconds after a post at which the next is made, if there is a block; also between two looks."""

SETTLE_LOOK_MS = 200
"""Milliseconds between two looks of the settler at its own chain."""

SETTLE_BACKOFF_SECONDS_MAX = 60
"""Seconds between two tries while the settlement chain fails; the first wait is one second."""

SETTLE_ORPHANS_MAX = 8
"""Times in a row that the contract may stand at an orphaned block before it is given up."""

SETTLE_REQUESTS_MAX = 64
"""Blocks that may wait to be posted by name."""

FINALIZE_STEPS_MAX = 64
"""Posts that one look steps over to find the newest whose delay has passed."""

SETTLEMENT_LAG_BLOCKS_MAX = 10_000
"""Blocks behind the head at which the settlement chain is too far back to trade on."""

RUN_FILE_BYTES_MAX = 64 * 1024
"""Bytes of the file in which a run of the recorded market keeps its options."""

OUTBOX_CLOSING_SECONDS_MAX = 5
"""Seconds for which the end of a node waits for those who are still told of its blocks."""

NAME_CHARACTERS_MAX = 100
"""Characters of the name of who decides."""

CHECKPOINT_BLOCKS = 1_000
"""Blocks from one automatic checkpoint to the next."""

CHECKPOINTS_KEPT = 64
"""Automatic checkpoints that stay; with one more the oldest is dropped."""

BACKGROUND_WORK_MS = 2
"""Milliseconds that work in the background may take before it rests."""

VERIFICATION_REST_TIMES = 9
"""How many times as long as it worked the verification of blocks rests: a tenth of a processor."""

ROOT_CHECK_REST_TIMES = 1
"""The same for the root of a head that was gone back to: an operator waits for it."""

SETTLEMENT_FILE_BYTES_MAX = 4_096
"""Bytes of the file that says where roots are posted."""

RUN_POST_SECONDS_MAX = 120
"""Seconds in which a run that waits for its settlement chain sees a root arrive, or gives up."""
