"""What an operator decides about a market. Prices, sizes and quote in 1e-8, rates in 1e-8."""

from enum import StrEnum

import msgspec


class MarketStatus(StrEnum):
    """Life of a market: paused ones take cancels only, delisted ones are settled for good."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    DELISTED = "DELISTED"


class OracleParameters(msgspec.Struct, frozen=True, gc=False):
    """How a market's index price is accepted.

    `asset` is the name in spot reports, `perpetual_asset` that in reports of perpetual prices
    elsewhere ("" for none). A report's price is divided by 10^`report_decimals` and brought to
    1e-8. `step_max` bounds a price against the last one, `range_max` the span of those accepted in
    the last minute. `clamp_max` bounds each input of the basis.
    """

    asset: str
    perpetual_asset: str = ""
    report_decimals: int = 18
    quorum: int = 2
    age_ms_max: int = 10_000
    step_max: int = 5_000_000
    range_max: int = 10_000_000
    clamp_max: int = 500_000


class FundingParameters(msgspec.Struct, frozen=True, gc=False):
    """Continuous funding: rates per period, the period in milliseconds."""

    interest: int = 10_000
    clamp: int = 50_000
    rate_max: int = 5_000_000
    period_ms: int = 28_800_000


class MarketParameters(msgspec.Struct, frozen=True, gc=False):
    """Everything that traders and the margin engine must know of a market.

    `orders_max` and `position_max` are per account. `band` bounds an aggressive price against mark;
    `slippage_max` bounds the average price of a market order against the best opposite price.
    `maintenance_factor` is the part of initial margin that has to be maintained.
    """

    symbol: str
    price_increment: int
    lot: int
    oracle: OracleParameters
    funding: FundingParameters = FundingParameters()
    notional_min: int = 1_000_000_000
    order_size_max: int = 10_000_000_000
    orders_max: int = 150
    position_max: int = 30_000_000_000
    open_interest_max: int = 1_000_000_000_000
    band: int = 5_000_000
    slippage_max: int = 5_000_000
    initial_margin: int = 2_000_000
    maintenance_factor: int = 50_000_000
    taker_fee: int = 30_000
    maker_fee: int = 0
    book_demanded: bool = False
