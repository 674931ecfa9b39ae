"""Limits of the exchange's rules: a name, a number, a unit."""

RECEIVE_WINDOW_MS_MAX = 300_000
"""Milliseconds between an order's signature and its last moment to arrive."""

CLOCK_TOLERANCE_MS = 60_000
"""Milliseconds by which a signer's clock may be ahead of the chain's."""

INDEX_AGE_MS_MAX = 30_000
"""Milliseconds of chain time after which an index price is stale."""

TRIGGERS_PER_TICK_MAX = 50
"""Waiting orders that fire in one market at one tick."""

LIQUIDATIONS_PER_TICK_MAX = 50
"""Accounts that are liquidated at one tick."""

TRIPWIRE_WINDOW_MS = 60_000
"""Milliseconds of chain time over which newly unhealthy accounts are counted."""

TRIPWIRE_ACCOUNTS_MIN = 20
"""Newly unhealthy accounts below which their number does not trip the tripwire."""

TRIPWIRE_HOLDERS_RATE = 5_000_000
"""Part (1e-8) of all holders that trips the tripwire: 5 %."""

TRIPWIRE_NOTIONAL_RATE = 5_000_000
"""Part (1e-8) of open interest that trips the tripwire: 5 %."""

TRIPWIRE_INDEX_RATE = 2_000_000
"""Move (1e-8) of an index price that explains unhealthy accounts: 2 %."""

POST_ONLY_BAND = 50_000
"""Rate (1e-8) by which an order may lie on the wrong side of fair price in POST_ONLY: 5 bps."""

QUOTE_MAX = 10**30
"""Units of 1e-8 quote that any one amount may have; products stay in range."""

SIZE_MAX = 10**20
"""Units of 1e-8 base that an order or position may have."""

PRICE_MAX = 10**20
"""Units of 1e-8 quote per base that a price may have."""

SUBKEYS_MAX = 16
"""Subkeys of one account."""

WITHDRAWAL_WAIT_TICKS = 50
"""Ticks between a tripwire or a rollback and the next withdrawal."""

WITHDRAWAL_WAIT_MS = 60_000
"""Milliseconds of chain time between a tripwire or a rollback and the next withdrawal."""

WITHDRAWAL_HOUR_MS = 3_600_000
"""Milliseconds of the limiter's short window."""

WITHDRAWAL_DAY_MS = 86_400_000
"""Milliseconds of the limiter's long window."""

PRICES_IN_ROW_MIN = 3
"""Accepted prices at least a second apart that a market needs before OPEN."""

BOOK_SPREAD_MAX = 1_000_000
"""Rate (1e-8) of the spread against mid that a demanded book may have: 1 %."""

BOOK_DEPTH_RANGE = 1_000_000
"""Rate (1e-8) around mid within which a demanded book's depth counts: 1 %."""

BOOK_DEPTH_MIN = 1_000_000_000_000
"""Units of 1e-8 quote on each side of a demanded book: 10,000."""

MODE_PROBLEMS_MAX = 5
"""Problems that one refusal to open names."""

FAULT_DECIMALS_MAX = 18
"""Decimals by which a drill may shift a price."""

MARKETS_MAX = 128
"""Markets, delisted ones included: their rows stay."""

SYMBOL_CHARACTERS_MAX = 24
"""Characters of a market's symbol."""

MARKET_ORDERS_MAX = 1_000
"""Open orders that a market may allow one account."""

PUBLISHERS_MAX = 16
"""Registered price publishers."""

PUBLISHER_NAME_CHARACTERS_MAX = 5
"""ASCII characters of a publisher's name: 40 bits in the message that it signs."""

ASSET_CHARACTERS_MAX = 16
"""ASCII characters of an asset's name: 128 bits in the message that a publisher signs."""

REPORT_DECIMALS_MAX = 36
"""Decimals of a publisher's price."""

REPORTS_MAX = 4_096
"""Price reports in one tick."""

REPORT_AHEAD_MS_MAX = 5_000
"""Milliseconds by which a report may be signed ahead of chain time.

Tighter than for traders: a price signed ahead could be held back and still count as new.
"""

TIME_MS_MAX = 10**14
"""The last millisecond since 1970 that chain time may reach."""

GAP_MS_MAX = 30_000
"""Milliseconds between two ticks after which the time between them was a gap."""

FUNDING_PERIOD_MS_MAX = 604_800_000
"""Milliseconds of a market's funding period: a week."""

PRICE_SPACING_MS_MIN = 1_000
"""Milliseconds between two prices that count as two."""

PRICE_RANGE_MS = 60_000
"""Milliseconds over which a market's price range is bounded."""

INDEX_LOST_MS_MAX = 300_000
"""Milliseconds of chain time after which an index price is lost and has to be seeded again."""

SEED_CANDIDATES_MIN = 3
"""Candidates at least a second apart that a seed needs."""

SEED_SPREAD_MAX = 1_000_000
"""Rate (1e-8) between the lowest and the highest candidate for a seed: 100 bps."""

SEED_WINDOW_MS = 30_000
"""Milliseconds for which a candidate for a seed counts."""

FILLS_PER_ORDER_MAX = 1_000
"""Fills of one order as a taker; what is left of it then is cancelled."""

EXPIRED_PER_TICK_MAX = 1_000
"""Orders that one tick closes because their time is over."""

FORGOTTEN_PER_TICK_MAX = 4_000
"""Used order ids that one tick forgets."""

CANCELLED_PER_TICK_MAX = 1_000
"""Orders that one tick cancels because their accounts are short of initial margin."""

SHARE_STEP_MIN = 1_000_000
"""Smallest step (rate of 1e-8) of the share by which a liquidation reduces positions: 1 %."""
