"""Limits of money in and out: each has a name, a number and a unit."""

DEPOSITS_TOGETHER = 64
"""Deposits that a run sends in one transaction of the settlement chain."""

FUNDING_SECONDS_MAX = 120
"""Seconds without one more deposit in the inbox after which a run stops waiting for its money."""

DEPOSITS_PAGE_MAX = 200
"""Deposits that one view of the contract returns."""

DEPOSIT_MAX = 10**15
"""The largest deposit, in 1e-6 of the token."""

FAUCET_MAX = 10**15
"""The most that one call of the test token's faucet makes, in 1e-6 of the token."""

MINTS_TOGETHER = 128
"""Calls of the faucet in one transaction of the settlement chain."""

GENESIS_MINTS_MAX = 10_000
"""Calls of the faucet that may pay what an appchain's genesis deposits."""

COUNTER_READS_MAX = 8
"""Times that counters and a balance are read until nothing moved between the two."""

CLAIM_FILE_BYTES_MAX = 256 * 1024
"""Bytes of the file that a withdrawal is claimed with."""

CLAIM_POLL_MS = 500
"""Milliseconds from one look whether a withdrawal's block is final to the next."""

CREDIT_SECONDS_MAX = 120
"""Seconds in which a deposit is credited on the appchain, or nobody waits for it any more."""

NPM_SECONDS_MAX = 300
"""Seconds that npm may take to fetch the packages of the Ethereum side."""

ETHEREUM_ADDRESS_MAX = 2**160 - 1
"""Addresses of Ethereum are below 2^160."""

ETHEREUM_SIGNERS_CACHED = 1_024
"""Ethereum signatures whose signer is remembered: execution asks for what admission found."""

ETHEREUM_KEYS_TOGETHER_MAX = 4
"""Ethereum keys that one piece of a worker's work checks, some ten milliseconds each."""

DEPOSITED_MAX = 10**22
"""What the contract takes in all, in 1e-6 of the token."""

DEPOSITS_PER_BLOCK_MAX = 100
"""Deposits that one block credits; what is left waits for the next."""

DEPOSIT_LOOK_MS = 1_000
"""Milliseconds from one look at the contract's deposits to the next."""

INBOX_SCANNED_TOGETHER = 1_000
"""Facts of the inbox that are read from the store in one go."""

SIMULATED_HASHES_CACHED = 10_000
"""Hashes of deposits that a simulated contract keeps, so that a reorg works none out again."""

ETHEREUM_GAS_MAX = 3_000_000
"""Gas that one transaction of ours on Ethereum may take; the dearest, a deployment, takes half."""

ETHEREUM_READ_SECONDS_MAX = 20
"""Seconds for an Ethereum node to answer a question."""

ETHEREUM_RECEIPT_SECONDS_MAX = 120
"""Seconds for a transaction on Ethereum to be in a block."""

ETHEREUM_RECEIPT_LOOK_MS = 100
"""Milliseconds between two looks for it."""

ETHEREUM_LOG_BLOCKS_MAX = 2_000
"""Blocks whose events are asked for at once."""

ETHEREUM_HEADS_MAX = 4_096
"""Heads that a watcher remembers; after a deeper reorg it reads from the lock's first block on."""

ETHEREUM_DEPTH_BLOCKS = 3
"""Blocks that have to stand on a deposit before a local devnet takes it for confirmed."""

ETHEREUM_DEPTH_BLOCKS_MAX = 100_000
"""The most that can be asked for."""

ETHEREUM_RELAY_LOOK_MS = 500
"""Milliseconds between two looks at Ethereum."""

FUNDING_TRIES_MAX = 4
"""Unknown outcomes after which a run stops sending deposits, where none has arrived meanwhile."""

DEPOSITS_NAMED_MAX = 3
"""Deposits that a halt names one by one."""

DEPOSIT_PAGES_TOGETHER_MAX = 1_000
"""Pages of deposits that one look takes, before it says that it goes on with the next."""

DEPOSIT_PAGES_AT_START_MAX = 10
"""Pages of deposits that the look before a node's first block takes, some 100 ms each."""

ORPHANED_TIPS_MAX = 16
"""The highest tip with which a call is signed anew, where rollbacks undid it with those below."""
